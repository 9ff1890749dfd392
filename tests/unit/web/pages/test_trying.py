"""What a policy would do, asked by somebody who waits for it; nothing is written anywhere."""

from __future__ import annotations

import asyncio
import re
import shutil
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from image_promotion.errors import DeniedError, UnreachableError
from image_promotion.policy.model import Policy
from image_promotion.policy.yaml_document import MAX_FILE_BYTES
from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.referrer_tags import cosign_tags
from tests.unit.promotion.conftest import SOURCE, START, TARGET
from tests.unit.promotion.test_evidence import attach, kept
from tests.unit.promotion.test_evidence import policy as evidence_policy
from tests.unit.web.pages.bench import POLICY, TEXT, Bench, CountedStore, bench_of, lay_out

TRIAL = f"/api/policies/{POLICY}/trial"
OUTLOOK = f"/api/policies/{POLICY}/outlook"
TRY = f"/policies/{POLICY}/try"
HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>'
PATTERN = TEXT.replace("dev/website", "dev/*").replace("qa/website", "qa/{name}")


@pytest.fixture(scope="module")
def pages_alone(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return bench_of(tmp_path_factory.mktemp("policies"))


@pytest.fixture
def bench(pages_alone: Bench, tmp_path: Path, migrated: Path) -> Iterator[Bench]:
    with lay_out(pages_alone, Path(shutil.copy(migrated, tmp_path))) as laid_out:
        yield laid_out


@dataclass
class SilentStore(CountedStore):
    """A registry that cannot be reached."""

    error: Exception = field(
        default_factory=lambda: UnreachableError(
            "no connection could be made", advice="See that the registry runs."
        )
    )

    async def list_tags(self, repository: str) -> AsyncIterator[str]:
        for _ in await self._refuse(repository):
            yield ""

    async def list_repositories(self) -> AsyncIterator[str]:
        for _ in await self._refuse(""):
            yield ""

    async def resolve(self, repository: str, tag: str) -> Descriptor | None:
        await self._refuse(f"{repository}:{tag}")
        return None

    async def _refuse(self, _what: str) -> list[str]:
        raise self.error


def _policy() -> Policy:
    return Policy.model_validate(
        {
            "name": POLICY,
            "source": {"connection": "dev_registry", "repository": SOURCE},
            "target": {"connection": "qa_registry", "repository": TARGET},
            "triggers": [{"tag": {"ends_with": "-stable"}}],
        }
    )


def test_a_tag_that_would_be_promoted_is_told_with_its_target_and_what_would_be_moved(
    bench: Bench,
) -> None:
    digest = bench.push("1.4-stable", "12345678")

    found = bench.seen_by(POLICY).get(TRIAL, params={"tag": "1.4-stable"}).json()
    page = bench.seen_by(POLICY).get(TRY, params={"tag": "1.4-stable"})

    assert (found["outcome"], found["digest"]) == ("promote", str(digest))
    (target,) = found["targets"]
    assert (target["connection"], target["repository"], target["tag"]) == (
        "qa_registry",
        TARGET,
        "1.4-stable",
    )
    assert (target["is_asked"], target["held_digest"]) == (True, None)
    assert target["moved"]["bytes_copied"] == len("12345678") + len('{"c":1}')
    assert found["reasons"][0]["verdict"] == "held"
    assert page.status_code == 200
    for said in ("A run would promote it now", "the tag is free", "15 B copied", "✓ holds"):
        assert said in page.text


def test_nothing_is_written_and_the_stores_are_closed(bench: Bench) -> None:
    bench.push("1.4-stable")
    bench.push("1.5-stable", "other")
    client = bench.seen_by(POLICY)

    assert client.get(TRIAL, params={"tag": "1.4-stable"}).status_code == 200
    assert client.get(OUTLOOK).status_code == 200

    assert bench.writes() == []
    assert bench.stores["qa_registry"].manifests == {}
    assert bench.world.ledger.history() == ()
    assert bench.world.ledger.standings(POLICY) == ()
    assert [each.closed for each in bench.stores.values()] == [2, 2]


def test_a_tag_that_a_trigger_rejects_is_told_with_the_tag_that_it_would_get(bench: Bench) -> None:
    bench.push("1.4-rc1")

    found = bench.seen_by(POLICY).get(TRIAL, params={"tag": "1.4-rc1"}).json()

    assert found["outcome"] == "reject"
    assert found["reasons"][0]["verdict"] == "not_held"
    (target,) = found["targets"]
    assert (target["tag"], target["outcome"], target["moved"]) == ("1.4-rc1", None, None)
    assert "It is rejected." in bench.seen_by(POLICY).get(TRY, params={"tag": "1.4-rc1"}).text


def test_a_target_tag_that_holds_another_image_is_a_conflict_and_shown(bench: Bench) -> None:
    bench.push("1.4-stable", "new")
    held = bench.stores["qa_registry"].hold_image(TARGET, b"old")
    bench.stores["qa_registry"].tags[TARGET] = {"1.4-stable": held.digest}

    found = bench.seen_by(POLICY).get(TRIAL, params={"tag": "1.4-stable"}).json()
    page = bench.seen_by(POLICY).get(TRY, params={"tag": "1.4-stable"}).text

    assert found["outcome"] == "conflict"
    assert found["targets"][0]["held_digest"] == str(held.digest)
    assert "may not have its target tag" in page
    assert f'title="{held.digest}"' in page


def test_what_has_been_promoted_is_told_and_what_a_run_does_about_it(bench: Bench) -> None:
    digest = bench.push("1.4-stable")
    asyncio.run(bench.world.promote(_policy()))
    before = bench.world.ledger.history()

    found = bench.seen_by(POLICY).get(TRIAL, params={"tag": "1.4-stable"}).json()
    page = bench.seen_by(POLICY).get(TRY, params={"tag": "1.4-stable"}).text

    (target,) = found["targets"]
    assert (target["promoted"], target["held_digest"]) == ("verified", str(digest))
    assert [each["state"] for each in found["promotions"]] == ["verified"]
    assert "A run leaves it as it is, since it has been promoted." in page
    assert "this image already" in page
    assert bench.world.ledger.history() == before


def test_an_image_that_waits_is_told_until_when(bench: Bench) -> None:
    bench.write(TEXT + "soak: 2d\n")
    bench.push("1.4-stable")

    found = bench.seen_by(POLICY).get(TRIAL, params={"tag": "1.4-stable"}).json()

    assert found["outcome"] == "wait"
    until = (bench.world.now + timedelta(days=2)).isoformat().replace("+00:00", "Z")
    assert found["wait_until"] == until
    page = bench.seen_by(POLICY).get(TRY, params={"tag": "1.4-stable"}).text
    assert "It waits, until" in page


def test_a_scanner_is_not_started_and_the_page_says_that_a_run_would(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, scanner = tmp_path / "started", tmp_path / "trivy"
    scanner.write_text(f"#!/bin/sh\ntouch {started}\nexit 1\n")
    scanner.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    scanned = "  - vulnerabilities: {critical: '= 0'}\nevidence: {sources: [trivy]}\n"
    bench.write(TEXT + scanned)
    bench.push("1.4-stable")

    found = bench.seen_by(POLICY).get(TRIAL, params={"tag": "1.4-stable"}).json()
    page = bench.seen_by(POLICY).get(TRY, params={"tag": "1.4-stable"}).text
    outlook = bench.seen_by(POLICY).get(OUTLOOK).json()

    assert (found["outcome"], found["would_ask"]) == ("wait", ["trivy"])
    assert "A run would ask trivy first" in page
    assert not started.exists()
    assert (outlook["wait"], "only a run asks trivy" in outlook["notes"][0]) == (1, True)
    assert bench.stores["dev_registry"].asked("open_blob") == []


def test_evidence_is_gathered_and_told_of_and_not_kept(bench: Bench) -> None:
    policy = evidence_policy()
    bench.write(policy.document())
    bench.world.now = START
    digest = bench.push("1.4-stable")
    attach(bench.world, digest)

    found = bench.seen_by(POLICY).get(TRIAL, params={"tag": "1.4-stable"}).json()
    page = bench.seen_by(POLICY).get(TRY, params={"tag": "1.4-stable"}).text

    assert found["outcome"] == "promote"
    (document,) = found["evidence"]["documents"]
    assert (document["signed_by"], document["used_for"]) == (["release"], ["components"])
    assert found["evidence"]["was_kept"] is False
    assert "signed by release" in page
    assert kept(bench.world, policy, digest) is None


def test_a_template_that_gives_no_tag_is_told_with_the_reason(bench: Bench) -> None:
    bench.write(TEXT.replace('"qa/website"', '"qa/website", tag: "%n-%n"'))
    tag = "a" * 100 + "-stable"
    bench.push(tag)

    found = bench.seen_by(POLICY).get(TRIAL, params={"tag": tag}).json()

    assert found["outcome"] == "reject"
    (target,) = found["targets"]
    assert target["tag"] is None
    assert "the template %n-%n gives no tag" in target["problem"]
    assert "gives no tag" in bench.seen_by(POLICY).get(TRY, params={"tag": tag}).text


def test_a_tag_that_is_not_there_is_told_with_those_that_are_like_it(bench: Bench) -> None:
    bench.push("1.4-stable")

    answer = bench.seen_by(POLICY).get(TRIAL, params={"tag": "1.5-stable"})
    page = bench.seen_by(POLICY).get(TRY, params={"tag": "1.5-stable"})

    assert (answer.status_code, page.status_code) == (404, 404)
    assert "there is no tag 1.5-stable. There is 1.4-stable." in answer.json()["detail"]
    assert "There is 1.4-stable." in page.text
    assert 'role="alert"' in page.text
    assert 'value="1.5-stable"' in page.text


@pytest.mark.parametrize("tag", ["a b", HOSTILE, "sha256:" + "a" * 64, "..", "other/repo:1"])
def test_what_is_no_tag_of_the_policy_is_refused_and_shown_as_text(bench: Bench, tag: str) -> None:
    client = bench.seen_by(POLICY)

    assert client.get(TRIAL, params={"tag": tag}).status_code == 400
    page = client.get(TRY, params={"tag": tag})

    assert page.status_code == 400
    assert "<script>alert" not in page.text
    assert "<img" not in page.text


@pytest.mark.parametrize("side", ["dev_registry", "qa_registry"])
def test_a_registry_that_is_down_is_named_with_advice(bench: Bench, side: str) -> None:
    bench.push("1.4-stable")
    bench.stores[side] = SilentStore(side, side)
    client = bench.seen_by(POLICY)

    for path in (f"{TRIAL}?tag=1.4-stable", f"{TRY}?tag=1.4-stable", OUTLOOK):
        answer = client.get(path)
        assert answer.status_code == 424
        assert "no connection could be made. See that the registry runs." in answer.text


def test_a_target_that_is_down_keeps_nobody_from_the_reasons_of_a_rejected_tag(
    bench: Bench,
) -> None:
    bench.push("1.4-rc1")
    bench.stores["qa_registry"] = SilentStore("qa", "qa")

    found = bench.seen_by(POLICY).get(TRIAL, params={"tag": "1.4-rc1"}).json()

    assert found["outcome"] == "reject"
    assert found["targets"][0]["is_asked"] is False
    assert "no connection could be made" in found["targets"][0]["problem"]


def test_a_connection_that_is_missing_is_named_with_advice(bench: Bench) -> None:
    bench.missing.add("qa_registry")
    client = bench.seen_by(POLICY)

    for path in (f"{TRIAL}?tag=1.4-stable", f"{TRY}?tag=1.4-stable", OUTLOOK):
        answer = client.get(path)
        assert answer.status_code == 424
        assert "no such connection; connection qa_registry. Make it in Admin" in answer.text


def test_a_look_that_takes_too_long_offers_to_look_at_less(bench: Bench) -> None:
    bench.push("1.4-stable")
    bench.looks.time_s = 0.05

    @dataclass
    class SlowStore(CountedStore):
        async def list_tags(self, _repository: str) -> AsyncIterator[str]:
            await asyncio.Event().wait()
            yield ""

    slow = bench.stores["dev_registry"] = SlowStore("dev", "dev")
    page = bench.seen_by(POLICY).get(f"/policies/{POLICY}/outlook")

    assert page.status_code == 424
    assert "had not answered everything" in page.text
    assert "outlook?at_most=50" in page.text
    assert slow.closed == 1


async def test_a_second_look_at_the_same_time_is_asked_to_wait(bench: Bench) -> None:
    bench.push("1.4-stable")
    begun, let_go = threading.Event(), threading.Event()

    @dataclass
    class HeldStore(CountedStore):
        async def list_tags(self, _repository: str) -> AsyncIterator[str]:
            begun.set()
            await asyncio.to_thread(let_go.wait, 30)
            yield "1.4-rc1"

    bench.stores["dev_registry"] = HeldStore("dev", "dev")
    bench.seen_by(POLICY)
    transport = httpx.ASGITransport(bench.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://airflow") as client:
        first = asyncio.create_task(client.get(OUTLOOK))
        await asyncio.to_thread(begun.wait, 30)
        second = await client.get(OUTLOOK)
        let_go.set()
        assert (await first).status_code == 200

    assert second.status_code == 429
    assert second.headers["retry-after"]
    assert "you are looking at website-stable-to-qa already" in second.json()["detail"]


@pytest.mark.parametrize(
    "path",
    [
        f"{TRIAL}?tag=1.4-stable",
        OUTLOOK,
        f"/api/policies/{POLICY}/tags",
        f"/api/policies/{POLICY}/repositories",
        TRY,
        f"/policies/{POLICY}/outlook",
    ],
)
def test_who_may_not_trigger_the_dag_may_not_use_its_connections(bench: Bench, path: str) -> None:
    reader = bench.seen_by(may_see=(POLICY,)).get(path)
    assert reader.status_code == 403
    assert "may not trigger" in reader.text

    stranger = bench.seen_by("another").get(path)
    assert stranger.status_code == 404
    assert [each.closed for each in bench.stores.values()] == [0, 0]


def test_an_outlook_counts_what_would_become_of_all_tags(bench: Bench) -> None:
    for tag, content in (("1-stable", "a"), ("2-stable", "b"), ("3-rc1", "c"), ("4-stable", "d")):
        bench.push(tag, content)
    held = bench.stores["qa_registry"].hold_image(TARGET, b"old")
    bench.stores["qa_registry"].tags[TARGET] = {"4-stable": held.digest}

    found = bench.seen_by(POLICY).get(OUTLOOK).json()
    page = bench.seen_by(POLICY).get(f"/policies/{POLICY}/outlook").text

    assert (found["promote"], found["tags"]) == (2, 4)
    assert (found["reject"], found["conflict"], found["arrived"]) == (1, 1, 0)
    assert found["moved"]["bytes_copied"] == len("a" + "b" + '{"c":1}')
    assert {group["heading"]: group["count"] for group in found["groups"]} == {
        "Would be promoted": 2,
        "In conflict": 1,
        "Rejected": 1,
    }
    assert "2 of 4 tags would be promoted now." in page
    assert f"{SOURCE}:<b>1-stable</b>" in page


def test_an_outlook_says_how_many_tags_it_did_not_look_at_and_looks_at_new_ones_first(
    bench: Bench,
) -> None:
    for number in range(3):
        bench.push(f"{number}-stable", f"content {number}")
    asyncio.run(bench.world.promote(_policy()))
    for number in range(3, 6):
        bench.push(f"{number}-stable", f"content {number}")

    found = bench.seen_by(POLICY).get(OUTLOOK, params={"at_most": 3}).json()
    page = bench.seen_by(POLICY).get(f"/policies/{POLICY}/outlook?at_most=3").text

    assert (found["promote"], found["tags"], found["not_looked_at"]) == (3, 6, 3)
    assert "3 of 6 tags would be promoted now." in page
    assert "3 of them were too many to look at" in page


def test_an_unsaved_policy_is_looked_at_and_nothing_is_kept_of_it(bench: Bench) -> None:
    bench.push("1.4-stable")
    editor = bench.seen_by(edits_connections=True)
    text = TEXT.replace(f"name: {POLICY}", "name: a-new-one")

    found = editor.post("/api/outlook", json={"yaml": text}).json()

    assert found["faults"] == []
    assert (found["outlook"]["policy"], found["outlook"]["promote"]) == ("a-new-one", 1)
    assert bench.writes() == []
    assert bench.world.ledger.chronicle.documents({"a-new-one"}) == {}


def test_what_is_wrong_with_an_unsaved_policy_is_a_list_with_lines_and_keys(bench: Bench) -> None:
    text = TEXT.replace("ends_with", "ends_wiht").replace("connection: qa", "conection: qa")

    found = bench.seen_by(edits_connections=True).post("/api/outlook", json={"yaml": text}).json()

    assert found["outlook"] is None
    places = [(each["line"], each["key"]) for each in found["faults"]]
    assert (3, "target.conection") in places
    assert (5, "triggers[0].tag.ends_wiht") in places
    assert any("did you mean" in each["reason"] for each in found["faults"])


@pytest.mark.parametrize("text", ["", "\ud800", "a: [", "- 1", HOSTILE, "\ufeffname: x"])
def test_what_is_no_policy_is_a_fault_and_not_an_error(bench: Bench, text: str) -> None:
    client = bench.seen_by(edits_connections=True)
    body = '{"yaml": ' + repr(text).replace("'", '"').replace("\\ud800", "\\ud800") + "}"
    if text == HOSTILE:
        answer = client.post("/api/outlook", json={"yaml": text})
    else:
        answer = client.post(
            "/api/outlook", content=body, headers={"Content-Type": "application/json"}
        )
    assert answer.status_code in {200, 422}
    if answer.status_code == 200:
        assert answer.json()["faults"]


def test_a_policy_that_is_too_large_is_refused(bench: Bench) -> None:
    text = "#" * (MAX_FILE_BYTES + 1)
    answer = bench.seen_by(edits_connections=True).post("/api/outlook", json={"yaml": text})
    assert answer.status_code == 422


def test_a_body_that_is_far_too_large_is_not_read_to_the_end(bench: Bench) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(40):
            yield b" " * 65536

    client = bench.seen_by(edits_connections=True)
    told = client.post("/api/outlook", content=b" " * 2_000_000)
    untold = client.post(
        "/api/outlook", content=pieces(), headers={"Content-Type": "application/json"}
    )
    assert (told.status_code, untold.status_code) == (413, 413)


def test_an_unsaved_policy_does_not_tell_of_another_that_may_not_be_seen(bench: Bench) -> None:
    editor = bench.seen_by(edits_connections=True)
    (fault,) = editor.post("/api/outlook", json={"yaml": TEXT}).json()["faults"]
    assert (fault["key"], "may not see" in fault["reason"]) == ("name", True)
    mine = bench.seen_by(POLICY, edits_connections=True)
    assert mine.post("/api/outlook", json={"yaml": TEXT}).json()["faults"] == []


def test_files_that_an_unsaved_policy_names_are_not_read(bench: Bench, tmp_path: Path) -> None:
    digest = bench.push("1.4-stable")
    (tmp_path / f"sha256-{digest.encoded}.json").write_text("{}")
    text = TEXT.replace(f"name: {POLICY}", "name: a-new-one") + (
        "  - vulnerabilities: {critical: '= 0'}\n"
        f"evidence: {{sources: [files: {tmp_path}], trust: {{files: any}}}}\n"
    )

    found = bench.seen_by(edits_connections=True).post("/api/outlook", json={"yaml": text}).json()

    assert found["faults"] == []
    assert found["outlook"]["wait"] == 1
    why = found["outlook"]["groups"][0]["images"][0]["why"]
    assert "files: could not be asked: only a run asks it" in why
    assert f"sha256-{digest.encoded}" not in why


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/outlook"),
        ("GET", "/api/connections"),
        ("GET", "/api/connections/dev_registry/repositories"),
        ("GET", "/api/connections/dev_registry/tags?repository=dev/website"),
    ],
)
def test_who_may_not_edit_connections_may_not_use_them_freely(
    bench: Bench, method: str, path: str
) -> None:
    body = {"json": {"yaml": TEXT}} if method == "POST" else {}
    answer = bench.seen_by(POLICY).request(method, path, **body)
    assert answer.status_code == 403
    assert "may not edit connections" in answer.json()["detail"]


def test_tags_to_pick_from_begin_as_it_was_typed_and_are_those_of_images(bench: Bench) -> None:
    digest = bench.push("1.4-stable")
    bench.push("1.5-rc1", "b")
    bench.push("latest", "c")
    attached = cosign_tags(digest)[0]
    bench.push(attached, "signature")
    path = f"/api/policies/{POLICY}/tags"

    everything = bench.seen_by(POLICY).get(path).json()
    some = bench.seen_by(POLICY).get(path, params={"prefix": "1."}).json()

    assert everything == {
        "names": ["1.4-stable", "1.5-rc1", "latest"],
        "is_complete": True,
        "problem": "",
    }
    assert some["names"] == ["1.4-stable", "1.5-rc1"]
    assert [each.closed for each in bench.stores.values()] == [2, 0]


def test_no_more_than_a_hundred_tags_are_listed_and_that_is_said(bench: Bench) -> None:
    for number in range(101):
        bench.push(f"{number:03}-stable")
    found = bench.seen_by(POLICY).get(f"/api/policies/{POLICY}/tags").json()
    assert (len(found["names"]), found["is_complete"]) == (100, False)


def test_a_pattern_has_its_repositories_to_pick_from_and_then_their_tags(bench: Bench) -> None:
    bench.write(PATTERN)
    bench.push("1-stable")
    bench.push("2-stable", repository="dev/shop")
    bench.push("3-stable", repository="other/thing")
    client = bench.seen_by(POLICY)
    path = f"/api/policies/{POLICY}"

    assert client.get(f"{path}/repositories").json()["names"] == ["dev/shop", "dev/website"]
    assert client.get(f"{path}/tags").json()["problem"] == "Name a repository first."
    tags = client.get(f"{path}/tags", params={"repository": "dev/shop"}).json()
    assert tags["names"] == ["2-stable"]
    of_others = client.get(f"{path}/tags", params={"repository": "other/thing"}).json()
    assert of_others["names"] == []
    tried = client.get(TRIAL, params={"tag": "2-stable", "repository": "dev/shop"}).json()
    assert tried["targets"][0]["repository"] == "qa/shop"
    assert 'name="repository"' in client.get(TRY).text


def test_an_editor_picks_among_all_connections_repositories_and_tags(bench: Bench) -> None:
    bench.push("1-stable")
    bench.push("2-stable", repository="other/thing")
    client = bench.seen_by(edits_connections=True)

    assert client.get("/api/connections").json() == {"connections": ["dev_registry", "qa_registry"]}
    of_dev = "/api/connections/dev_registry"
    assert client.get(f"{of_dev}/repositories").json()["names"] == ["dev/website", "other/thing"]
    begun = client.get(f"{of_dev}/repositories", params={"prefix": "oth"}).json()
    assert begun["names"] == ["other/thing"]
    tags = client.get(f"{of_dev}/tags", params={"repository": "other/thing"}).json()
    assert tags["names"] == ["2-stable"]


def test_a_registry_that_shows_no_repositories_says_so_and_what_to_do(bench: Bench) -> None:
    bench.stores["dev_registry"] = SilentStore(
        "dev", "dev", error=DeniedError("the catalogue is not shown")
    )
    client = bench.seen_by(edits_connections=True)
    found = client.get("/api/connections/dev_registry/repositories").json()
    assert found["names"] == []
    assert re.search(r"not shown\. Type the repository's name", found["problem"])


def test_the_description_of_the_api_has_all_of_it(bench: Bench) -> None:
    paths = bench.seen_by(POLICY).get("/api/openapi.json").json()["paths"]
    assert {
        "/api/policies/{name}/trial",
        "/api/policies/{name}/outlook",
        "/api/policies/{name}/tags",
        "/api/policies/{name}/repositories",
        "/api/outlook",
        "/api/connections",
        "/api/connections/{connection_id}/repositories",
        "/api/connections/{connection_id}/tags",
    } <= set(paths)
