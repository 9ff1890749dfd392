"""plan, run and history against real registries, by the installed command."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from sandbox.image_layers import noise_layer
from sandbox.image_pusher import ImagePusher
from sandbox.ports import LOOPBACK, refusing_port
from tests.integration.cli.conftest import (
    NAME,
    PASSWORD,
    PROMOTION,
    SOURCE,
    TARGET,
    TIMEOUT_S,
    USER,
    Workplace,
    connection,
)
from tests.support.json_shape import documented_fields, fields_of, records
from tests.support.listeners import SilentListener

DOCUMENTATION = Path(__file__).parents[3] / "docs" / "command-line.md"
_ELSEWHERE = ("evidence", "explain", "recheck", "look", "rollback", "retention")


def test_an_image_is_planned_promoted_and_remembered(place: Workplace) -> None:
    stable = place.push("2.0-stable", "two")
    place.push("2.1-rc1", "two and a bit")

    planned = place.promotion("plan", NAME, "--json")
    assert planned.status == 0
    rows = {row["tag"]: row for row in records(planned.json)}
    assert rows["2.0-stable"]["decision"] == "promote"
    assert rows["2.0-stable"]["new"] is True
    assert rows["2.0-stable"]["digest"] == stable.digest
    assert rows["2.0-stable"]["target"] == f"{TARGET}:2.0-stable"
    assert rows["2.1-rc1"]["decision"] == "reject"
    assert rows["2.1-rc1"]["digest"] is None
    assert not place.target_tags(), "a plan touched the target"

    first = place.promotion("run", NAME, "--json")
    assert first.status == 0
    report = records([first.json])[0]
    assert report["tags_seen"] == 2
    assert report["rejected_by_name"] == 1
    assert report["decided"] == {"promote": 1, "reject": 0, "wait": 0, "conflict": 0}
    assert report["problems"] == []
    assert [each["state"] for each in records(report["promotions"])] == ["verified"]
    assert place.target_tags() == {f"{TARGET}:2.0-stable": stable.digest}

    again = place.promotion("plan", NAME, "--json")
    row = next(each for each in records(again.json) if each["tag"] == "2.0-stable")
    assert (row["new"], row["state"]) == (False, "verified")
    second = place.promotion("run", NAME, "--json")
    assert records([second.json])[0]["promotions"] == []
    assert second.status == 0

    [entry] = records(place.promotion("history", "--json").json)
    assert (entry["policy"], entry["tag"], entry["decision"]) == (NAME, "2.0-stable", "promote")
    assert records([entry["promotion"]])[0]["state"] == "verified"
    assert records(place.promotion("history", "--policy", "another", "--json").json) == []


def test_a_selection_of_platforms_is_told_with_both_digests(place: Workplace) -> None:
    layers = {each: [noise_layer(900, each)] for each in ("linux/amd64", "linux/arm64")}
    with ImagePusher(place.source.url, auth=(USER, PASSWORD)) as pusher:
        index = pusher.push_index(SOURCE, "2.0-stable", images=layers)
    place.push("3.0-stable", "of one platform")
    place.write_policy(platforms=["linux/amd64"])

    table = place.promotion("plan", NAME).stdout
    planned = records(place.promotion("plan", NAME, "--json").json)
    run = place.promotion("run", NAME)
    history = place.promotion("history").stdout
    entries = records(place.promotion("history", "--json").json)

    assert run.status == 0
    row, other = planned
    selection = row["target_digest"]
    assert isinstance(selection, str)
    assert (row["digest"], row["new"]) == (index.digest, True)
    assert selection != index.digest
    assert other["target_digest"] == other["digest"]
    for text in (table, run.stdout, history):
        assert "target digest" in text
        assert selection[:19] in text
        assert index.digest[:19] in text
    left = f"referrers of the index {index.digest[:19]} do not apply to it and stay behind"
    assert left in " ".join(table.split())
    promotions = {each["digest"]: records([each["promotion"]])[0] for each in entries}
    assert promotions[index.digest]["target_digest"] == selection
    assert place.target_tags() == {
        f"{TARGET}:2.0-stable": selection,
        f"{TARGET}:3.0-stable": other["digest"],
    }


def test_a_table_without_selections_has_one_digest(place: Workplace) -> None:
    place.push("3.0-stable", "three")
    assert "target digest" not in place.promotion("plan", NAME).stdout


def test_every_documented_field_is_in_the_json_and_no_other(place: Workplace) -> None:
    place.push("2.0-stable", "two")
    place.write_policy(
        triggers=[{"any": [{"tag": {"ends_with": "-stable"}}, {"tag": {"equals": "latest"}}]}]
    )
    documented = documented_fields(DOCUMENTATION)

    plan = records(place.promotion("plan", NAME, "--json").json)
    run = records([place.promotion("run", NAME, "--json").json])
    history = records(place.promotion("history", "--json").json)
    reference = records([place.promotion("reference", "debian:12", "--json").json])
    invalid = records([place.promotion("reference", "Debian", "--json").json])

    source, target = f"{place.source.host}/{SOURCE}", f"{place.target.host}/{TARGET}"
    copied = records(
        [
            place.promotion("copy", f"{source}:2.0-stable", f"{target}:{tag}", *more, "--json").json
            for tag, more in (("a", ()), ("b", ("--referrers", "--platform", "linux/amd64")))
        ]
    )

    promotions = [each for one in run for each in records(one["promotions"])]
    outer = [each for one in (*plan, *history) for each in records(one["reasons"])]
    reasons = [*outer, *(each for one in outer for each in records(one["parts"]))]
    assert len(reasons) > len(outer), "the nested triggers have no reasons of their own"
    found = {
        "plan": fields_of(plan),
        "run": fields_of(run),
        "history": fields_of(history),
        "marks": fields_of([*records([each["marks"] for each in history])]),
        "reason": fields_of(reasons),
        "promotion": fields_of([*promotions, *records([history[0]["promotion"]])]),
        "copy": fields_of(copied),
        "copy, verified": fields_of(records([each["verified"] for each in copied])),
        "copy, referrers": fields_of(records([copied[1]["referrers"]])),
        "reference": fields_of(reference),
        "reference, invalid": fields_of(invalid),
    }
    # Other tests hold these commands to the page.
    elsewhere = {each for each in documented if each.startswith(_ELSEWHERE)}
    assert found == {each: documented[each] for each in documented.keys() - elsewhere}


def test_what_people_read_names_tag_decision_target_and_digest(place: Workplace) -> None:
    image = place.push("2.0-stable", "two")
    planned = place.promotion("plan", NAME)
    assert planned.status == 0
    [line] = [each for each in planned.stdout.splitlines() if each.startswith("2.0-stable")]
    assert "promote" in line
    assert image.digest[:19] in line
    assert f"{SOURCE} -> {TARGET}" in planned.stdout
    assert "1 of 1 tag would be promoted now." in planned.stdout
    ran = place.promotion("run", NAME)
    assert "verified" in ran.stdout
    assert "1 verified" in ran.stdout
    assert "verified" in place.promotion("history").stdout
    assert "\x1b" not in planned.stdout + ran.stdout + ran.stderr


def test_a_policy_is_found_by_its_file_too(place: Workplace) -> None:
    place.push("2.0-stable", "two")
    elsewhere = place.folder / "mine.yaml"
    place.write_policy().rename(elsewhere)
    assert place.promotion("plan", NAME).status == 1
    assert place.promotion("plan", str(elsewhere)).status == 0
    assert place.promotion("plan", "--policies", str(place.folder), NAME).status == 0
    assert place.promotion("--policies", str(place.folder), "plan", NAME).status == 0


def test_only_the_tags_that_are_named_are_promoted(place: Workplace) -> None:
    for tag in ("1-stable", "2-stable", "3-stable"):
        place.push(tag, tag)
    ran = place.promotion("run", NAME, "--tag", "1-stable", "--tag", "3-stable")
    assert ran.status == 0
    assert set(place.target_tags()) == {f"{TARGET}:1-stable", f"{TARGET}:3-stable"}


@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_tag_that_does_not_exist_is_named(place: Workplace, command: str) -> None:
    place.push("1-stable", "one")
    ran = place.promotion(command, NAME, "--tag", "1-stabel", "--json")
    assert ran.status == 1
    assert "1-stabel" in ran.stderr
    assert not ran.stdout
    assert not place.target_tags()


def test_a_conflict_is_told_and_exits_with_1(place: Workplace) -> None:
    place.push("1-stable", "one")
    assert place.promotion("run", NAME).status == 0
    moved = place.push("1-stable", "another one")
    planned = place.promotion("plan", NAME, "--json")
    assert planned.status == 1
    [row] = records(planned.json)
    assert (row["decision"], row["digest"]) == ("conflict", moved.digest)
    ran = place.promotion("run", NAME)
    assert ran.status == 1
    assert "needs attention: conflict" in ran.stderr


def test_an_image_that_fails_is_told_once_and_the_others_are_promoted(place: Workplace) -> None:
    broken = place.push("1-stable", "one")
    place.push("2-stable", "two")
    layer = broken.blobs[-1].digest.removeprefix("sha256:")
    [lost] = place.source.content.glob(f"**/blobs/sha256/*/{layer}/data")
    lost.unlink()
    ran = place.promotion("run", NAME)
    assert ran.status == 1
    lines = ran.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"needs attention: {SOURCE}:1-stable failed (planned): ")
    assert layer in lines[0]
    assert set(place.target_tags()) == {f"{TARGET}:2-stable"}
    [entry] = [
        each
        for each in records(place.promotion("history", "--json").json)
        if each["tag"] == "1-stable"
    ]
    promotion = records([entry["promotion"]])[0]
    assert promotion["state"] == "failed"
    assert layer in str(promotion["error"])


def test_no_ledger_is_made_by_looking(place: Workplace) -> None:
    place.push("1-stable", "one")
    for arguments in (("plan", NAME), ("history",)):
        looked = place.promotion(*arguments)
        assert looked.status == 0
        assert "there is no ledger at" in looked.stderr
        assert not place.ledger.exists()
    assert "nothing has been decided yet" in place.promotion("history").stdout
    assert place.promotion("history", "--json").json == []
    assert place.promotion("run", NAME).status == 0
    assert place.ledger.exists()
    assert "no ledger" not in place.promotion("history").stderr


def test_a_missing_connection_is_told_with_the_variable_to_set(place: Workplace) -> None:
    ran = place.promotion("run", NAME, AIRFLOW_CONN_DEV_REGISTRY="")
    assert ran.status == 1
    assert "AIRFLOW_CONN_DEV_REGISTRY" in ran.stderr


def test_a_registry_that_is_down_is_told_by_its_address(place: Workplace) -> None:
    with refusing_port() as port:
        ran = place.promotion(
            "plan", NAME, AIRFLOW_CONN_DEV_REGISTRY=connection(f"http://{LOOPBACK}:{port}")
        )
    assert ran.status == 1
    assert f"{LOOPBACK}:{port}" in ran.stderr
    assert not ran.stdout


def test_a_refused_password_is_never_repeated(place: Workplace) -> None:
    wrong = "canary-wrong-password"
    ran = place.promotion(
        "run",
        NAME,
        AIRFLOW_CONN_DEV_REGISTRY=connection(place.source.url, login=USER, password=wrong),
    )
    assert ran.status == 1
    assert "401" in ran.stderr
    assert wrong not in ran.stdout + ran.stderr


def test_the_password_is_not_in_the_ledger_either(place: Workplace) -> None:
    place.push("1-stable", "one")
    assert place.promotion("run", NAME).status == 0
    files = [each for each in place.folder.glob("ledger.db*") if each.is_file()]
    assert files
    for each in files:
        assert PASSWORD.encode() not in each.read_bytes()


@pytest.mark.parametrize(
    ("number", "in_background"),
    [
        pytest.param(signal.SIGINT, False, id="Ctrl-C"),
        pytest.param(signal.SIGTERM, False, id="SIGTERM"),
        # A shell has made what runs in the background deaf to Ctrl-C.
        pytest.param(signal.SIGTERM, True, id="SIGTERM in the background"),
    ],
)
def test_an_interrupted_run_says_so_and_the_next_one_completes_it(
    place: Workplace, number: signal.Signals, in_background: bool
) -> None:
    place.push("1-stable", "one")
    handling = "ignore" if in_background else "default"
    with SilentListener() as silent:
        process = subprocess.Popen(
            # Whoever runs the tests may be deaf to Ctrl-C too.
            ["env", f"--{handling}-signal=INT", PROMOTION, "run", NAME],
            env={**place.environment, "AIRFLOW_CONN_QA_REGISTRY": connection(silent.url)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            silent.wait_for_a_caller(process)
            process.send_signal(number)
            stdout, stderr = process.communicate(timeout=TIMEOUT_S)
        finally:
            process.kill()
            process.communicate()
    assert process.returncode == 1
    assert stderr == "promotion: interrupted; run it again to go on\n"
    assert not stdout
    assert place.promotion("run", NAME).status == 0
    assert set(place.target_tags()) == {f"{TARGET}:1-stable"}


@pytest.mark.parametrize("images", [1, 30], ids=["little to read", "more than a buffer holds"])
def test_a_reader_who_leaves_early_is_no_error(place: Workplace, images: int) -> None:
    for number in range(images):
        place.push(f"{number}-stable", str(number))
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        ran = subprocess.run(
            [PROMOTION, "plan", NAME, "--json"],
            env=place.environment,
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )
    assert ran.returncode == 0
    assert "Broken" not in ran.stderr


def test_a_run_that_is_not_on_a_terminal_draws_no_bars(place: Workplace) -> None:
    place.push("1-stable", "one")
    assert place.promotion("run", NAME).stderr == ""
