"""A policy's DAG from scan to report, run by Airflow in this process, between real registries."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from airflow.models.asset import AssetEvent, AssetModel
from airflow.utils.session import create_session
from sqlalchemy import select

from image_promotion.dag_builder import build_dags
from image_promotion.ledger.records import Outcome, State
from sandbox.fault_proxy import FaultProxy
from sandbox.faults import Answer
from sandbox.registry_process import RegistryProcess
from tests.support.policy_runs import LAYER_BYTES, PolicyRuns

DONE = {"scan": "success", "evaluate": "success", "announce": "success", "report": "success"}


def test_the_first_run_promotes_what_the_policy_wants_and_the_second_nothing(
    policy: PolicyRuns,
) -> None:
    wanted = {tag: policy.push(tag).digest for tag in ("1.0-stable", "1.1-stable")}
    policy.push("1.2-rc1")

    first = policy.run()

    assert (first.state, first.states()) == ("success", DONE)
    assert policy.promoted() == wanted
    for stage in ("copy", "retag", "verify"):
        assert first.images(stage) == {f"{policy.source}:{tag}": "success" for tag in wanted}
    assert [event["tags"] for event in _asset_events(policy)] == [sorted(wanted)]

    second = policy.run()

    assert second.state == "success"
    assert second.images("copy") == {}
    assert second.states()["announce"] == "skipped"
    assert policy.promoted() == wanted
    assert len(_asset_events(policy)) == 1
    assert len(policy.history()) == len(wanted)


def test_a_dry_run_says_what_it_would_do_and_touches_nothing(
    policy: PolicyRuns, capsys: pytest.CaptureFixture[str]
) -> None:
    policy.push("1.0-stable")

    run = policy.run(dry_run=True)

    assert run.state == "success"
    assert run.images("copy") == {}
    assert run.states()["announce"] == "skipped"
    assert policy.promoted() == {}
    assert policy.history() == ()
    said = capsys.readouterr().out
    assert "dry run: 1 of 1 tag would be promoted now" in said
    assert f"- {policy.source}:1.0-stable -> {policy.target}:1.0-stable" in said
    plan = run.tasks["evaluate", -1].xcom_pull(task_ids="evaluate", key="plan")
    assert (plan["promote"], plan["bytes_skipped"]) == (1, 0)
    assert plan["bytes_copied"] > LAYER_BYTES


def test_a_run_for_some_tags_promotes_these_alone(policy: PolicyRuns) -> None:
    wanted = policy.push("1.0-stable")
    policy.push("1.1-stable")

    assert policy.run(tags=["1.0-stable"]).state == "success"

    assert policy.promoted() == {"1.0-stable": wanted.digest}


def test_a_run_for_a_tag_that_is_not_there_fails_and_says_so(
    policy: PolicyRuns, capsys: pytest.CaptureFixture[str]
) -> None:
    policy.push("1.0-stable")

    run = policy.run(tags=["1.0-stabel"])

    assert run.state == "failed"
    assert run.states() == {
        "scan": "failed",
        "evaluate": "upstream_failed",
        "promote.copy": "upstream_failed",
        "promote.retag": "upstream_failed",
        "promote.verify": "upstream_failed",
        "announce": "skipped",
        "report": "failed",
    }
    assert "there is no tag 1.0-stabel to promote" in capsys.readouterr().out
    assert policy.promoted() == {}


def test_a_dry_run_that_cannot_look_at_the_source_is_a_failed_run(policy: PolicyRuns) -> None:
    policy.connect("dev_registry", "ftp://nowhere.example")

    run = policy.run(dry_run=True)

    assert (run.state, run.states()["report"]) == ("failed", "failed")


def test_a_run_that_cannot_be_evaluated_is_a_failed_run(policy: PolicyRuns) -> None:
    policy.push("1.0-stable")
    policy.connect("qa_registry", "ftp://nowhere.example")

    run = policy.run()

    assert run.state == "failed"
    assert run.states()["scan"] == "success"
    assert run.states()["evaluate"] == "failed"
    assert run.states()["report"] == "failed"


def test_what_was_rejected_is_decided_again_when_a_run_asks_for_it(policy: PolicyRuns) -> None:
    old = policy.push("1.0-stable")
    policy.write(existing_images="ignore")
    policy.run()
    assert [entry.decision.outcome for entry in policy.history()] == [Outcome.REJECT]
    assert policy.run().images("copy") == {}

    run = policy.run(decide_again=True)

    assert run.images("copy") == {f"{policy.source}:1.0-stable": "success"}
    assert policy.promoted() == {"1.0-stable": old.digest}


def test_a_conflict_fails_the_run_at_its_end_and_the_others_are_promoted(
    policy: PolicyRuns,
) -> None:
    good = policy.push("1.0-stable")
    policy.push("1.1-stable")
    theirs = policy.occupy("1.1-stable")

    run = policy.run()

    assert run.state == "failed"
    assert run.images("verify") == {f"{policy.source}:1.0-stable": "success"}
    assert run.states() == DONE | {"report": "failed"}
    assert policy.promoted() == {"1.0-stable": good.digest, "1.1-stable": theirs}


def test_an_image_that_cannot_be_copied_is_not_tagged_and_the_others_are_promoted(
    policy: PolicyRuns, dev: RegistryProcess
) -> None:
    good = policy.push("1.0-stable")
    broken = policy.push("1.1-stable")
    layer = _blob_file(dev, broken.blobs[1].digest)
    hidden = layer.rename(layer.with_name("hidden"))

    run = policy.run()

    names = {"good": f"{policy.source}:1.0-stable", "broken": f"{policy.source}:1.1-stable"}
    assert run.images("copy") == {names["good"]: "success", names["broken"]: "failed"}
    assert run.images("retag") == {names["good"]: "success", names["broken"]: "skipped"}
    assert run.images("verify") == {names["good"]: "success", names["broken"]: "skipped"}
    assert (run.state, run.states()) == ("failed", DONE | {"report": "failed"})
    assert policy.promoted() == {"1.0-stable": good.digest}

    hidden.rename(layer)
    again = policy.run()

    assert again.images("verify") == {names["broken"]: "success"}
    assert again.state == "success"
    assert policy.promoted() == {"1.0-stable": good.digest, "1.1-stable": broken.digest}


def test_a_target_tag_with_a_time_in_it_stays_when_a_failed_image_is_tried_again(
    policy: PolicyRuns, dev: RegistryProcess
) -> None:
    policy.write(target={"tag": "%n-%Y%m%d%H%M%S%f"})
    image = policy.push("1.0-stable")
    layer = _blob_file(dev, image.blobs[1].digest)
    hidden = layer.rename(layer.with_name("hidden"))
    assert policy.run().state == "failed"
    (planned,) = [entry.promotion for entry in policy.history()]
    assert planned is not None
    assert datetime.now(UTC).strftime("-%Y%m%d") in planned.target_tag

    hidden.rename(layer)
    assert policy.run().state == "success"

    assert policy.promoted() == {planned.target_tag: image.digest}


def test_what_may_pass_by_itself_is_tried_again_by_airflow(
    policy: PolicyRuns, qa: RegistryProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("image_promotion.dag_builder.RETRY_DELAY", timedelta())
    policy.write(target={"tag": "%n-%f"})
    image = policy.push("1.0-stable")
    with FaultProxy(qa.url) as proxy:
        policy.connect("qa_registry", proxy.url)
        # More often than the client itself tries again.
        proxy.on("POST", "/blobs/uploads/", Answer(503), times=20)

        run = policy.run()

    assert run.state == "success"
    assert run.tasks["promote.copy", 0].try_number > 1
    assert run.images("verify") == {f"{policy.source}:1.0-stable": "success"}
    ((_, digest),) = policy.promoted().items()
    assert digest == image.digest


def test_a_tag_that_moves_between_evaluation_and_retag_is_superseded(
    policy: PolicyRuns, qa: RegistryProcess
) -> None:
    policy.push("1.0-stable", "old")

    class Move(Answer):
        """Moves the source tag while the copy runs, and lets the copy go on."""

        def instead(self) -> None:  # type: ignore[override]
            policy.push("1.0-stable", "new")

    with FaultProxy(qa.url) as proxy:
        policy.connect("qa_registry", proxy.url)
        proxy.on("POST", "/blobs/uploads/", Move(200))
        run = policy.run()

    name = f"{policy.source}:1.0-stable"
    assert run.images("retag") == {name: "success"}
    assert run.images("verify") == {name: "skipped"}
    assert policy.promoted() == {}
    assert run.state == "success"
    (entry,) = policy.history()
    assert entry.promotion is not None
    assert entry.promotion.state is State.SUPERSEDED


def test_more_images_than_lines_of_tasks_go_in_batches(
    policy: PolicyRuns, dev: RegistryProcess
) -> None:
    policy.write(limits={"tasks_per_run": 3, "images_per_task": 1})
    wanted = {tag: policy.push(tag).digest for tag in (f"{n}-stable" for n in range(1, 8))}
    broken = policy.push("8-stable")
    layer = _blob_file(dev, broken.blobs[1].digest)
    hidden = layer.rename(layer.with_name("hidden"))

    run = policy.run()

    copied = run.images("copy")
    assert len(copied) == 3
    assert all(name.endswith((" and 1 more", " and 2 more")) for name in copied)
    assert sorted(copied.values()) == ["failed", "success", "success"]
    # The batch with the broken image goes on with the others.
    assert set(run.images("verify").values()) == {"success"}
    assert run.state == "failed"
    assert policy.promoted() == wanted

    hidden.rename(layer)
    assert policy.run().images("copy") == {f"{policy.source}:8-stable": "success"}
    assert policy.promoted() == wanted | {"8-stable": broken.digest}


def test_what_arrives_is_announced_under_each_name_by_which_a_policy_waits_for_it(
    policy: PolicyRuns,
) -> None:
    policy.write(
        source={"connection": "dev_registry", "repository": f"dev/{policy.name}*"},
        target={"repository": f"qa/{policy.name}{{name}}"},
    )
    policy.push("1-stable", repository=f"{policy.source}-web")
    awaited = {
        f"{policy.target}-*": 1,
        f"{policy.target}-web": 1,
        f"{policy.target}-api": 0,
    }
    for number, source in enumerate([*awaited, "qa/elsewhere"]):
        policy.write_another(
            f"{policy.name}-{number}",
            source={"connection": "qa_registry", "repository": source},
            target={
                "connection": "dev_registry",
                "repository": f"prod/{'{name}' if '*' in source else 'site'}",
            },
            schedule="@daily",
        )
    policy.write_another(
        f"{policy.name}-by-hand",
        source={"connection": "qa_registry", "repository": f"{policy.target}-we*"},
        target={"connection": "dev_registry", "repository": "prod/{name}"},
    )

    run = policy.run()

    assert (run.state, run.states()) == ("success", DONE)
    own = f"qa_registry/{policy.target}*"
    announce = build_dags(policy.folder)[policy.name].get_task("announce")
    assert {asset.name for asset in announce.outlets} == {
        own,
        *(f"qa_registry/{each}" for each in awaited),
    }
    assert [event["tags"] for event in _events_of(own)] == [["1-stable"]]
    assert {each: len(_events_of(f"qa_registry/{each}")) for each in awaited} == awaited


def test_an_image_goes_to_each_target_under_each_tag_and_each_target_is_announced(
    policy: PolicyRuns,
) -> None:
    policy.connect("more_registry", policy.qa_url)
    policy.write(
        targets=[
            {
                "connection": "qa_registry",
                "repository": policy.target,
                "tag": ["%n", "newest"],
            },
            {"connection": "more_registry", "repository": f"{policy.target}/again"},
        ],
    )
    image = policy.push("1-stable")

    run = policy.run()

    assert (run.state, run.states()) == ("success", DONE)
    assert set(run.images("copy")) == {
        f"{policy.source}:1-stable -> qa_registry",
        f"{policy.source}:1-stable -> more_registry",
    }
    assert policy.promoted() == {"1-stable": image.digest, "newest": image.digest}
    assert len(_asset_events(policy)) == 1
    assert len(_events_of(f"more_registry/{policy.target}/again")) == 1
    assert [entry.decision.outcome for entry in policy.history()] == [Outcome.PROMOTE] * 3
    assert len({entry.decision.id for entry in policy.history()}) == 1


def _blob_file(registry: RegistryProcess, digest: str) -> Path:
    """Find where a registry keeps a blob, to make it lose it behind its own back."""
    hexadecimal = digest.removeprefix("sha256:")
    folder = registry.content / "docker/registry/v2/blobs/sha256" / hexadecimal[:2] / hexadecimal
    return folder / "data"


def _asset_events(policy: PolicyRuns) -> list[dict[str, object]]:
    """Read the events of the target repository's asset, oldest first."""
    return _events_of(f"qa_registry/{policy.target}")


def _events_of(name: str) -> list[dict[str, object]]:
    """Read the events of an asset, oldest first."""
    with create_session() as session:
        query = (
            select(AssetEvent.extra)
            .join(AssetModel, AssetModel.id == AssetEvent.asset_id)
            .where(AssetModel.name == name)
            .order_by(AssetEvent.id)
        )
        return list(session.scalars(query))
