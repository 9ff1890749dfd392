"""The image page: where it is, who let it pass, what became of it since, and what it waits for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

import pytest

from image_promotion.evidence.dossier import Dossier, Entry, pack
from image_promotion.ledger.attestations import Attestation
from image_promotion.ledger.rechecks import NewRecheck
from image_promotion.ledger.records import (
    Decision,
    NewDecision,
    Outcome,
    Promotion,
    Reason,
    Run,
    Sighting,
    State,
    Verdict,
)
from image_promotion.ledger.rollbacks import NewRollback
from image_promotion.policy.loading import load_policy
from image_promotion.promotion.evidence import configuration_of
from tests.support.ledger_story import NOT_HELD, REPOSITORY, Story
from tests.unit.web.pages.conftest import NOW, Pages

POLICY = "website-to-qa"
NEXT = "website-to-prod"
DIGEST = f"sha256:{'ab' * 32}"
BEFORE = f"sha256:{'cd' * 32}"
STATEMENT = f"sha256:{'ef' * 32}"
PAGE = f"/images/{DIGEST}"


@dataclass(frozen=True)
class Verified:
    """An image that the first policy has promoted."""

    run: Run
    promotion: Promotion


def _verify(pages: Pages, tag: str = "1.4-stable") -> Verified:
    pages.write_policy()
    run = pages.story.run(key=f"{POLICY}/manual__1")
    seen = pages.story.scan_tags(run, {tag: DIGEST}, complete=False)[tag]
    promotion = pages.story.plan(run, seen, target_digest=DIGEST)
    for step in (State.COPIED, State.TAGGED, State.VERIFIED):
        promotion = pages.ledger.advance(promotion.id, step, at=pages.story.now(), run_key=run.key)
        if step is State.COPIED:
            pages.ledger.rollbacks.note_former(promotion.id, BEFORE)
    return Verified(run, promotion)


def _text(page: str) -> str:
    """Return what a page says, without its markup."""
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())


def _answer(pages: Pages, *policies: str) -> dict[str, list[dict[str, object]]]:
    found: dict[str, list[dict[str, object]]] = (
        pages.seen_by(*(policies or (POLICY,))).get(f"/api{PAGE}").json()
    )
    return found


def _passage(pages: Pages) -> dict[str, object]:
    (sight,) = _answer(pages)["sights"]
    passages = sight["passages"]
    assert isinstance(passages, list)
    found: dict[str, object] = passages[0]
    return found


def test_who_approved_when_why_and_in_which_run_is_shown(pages: Pages) -> None:
    pages.write_policy()
    run = pages.story.run(key=f"{POLICY}/manual__1")
    seen = pages.story.scan_tags(run, {"1.4-stable": DIGEST})["1.4-stable"]
    promotion = pages.story.plan(run, seen, target_digest=DIGEST)
    pages.ledger.approvals.say(
        run, Verdict.APPROVED, [promotion.id], who="ann", comment="seen by QA", at=NOW
    )

    said = _text(pages.seen_by(POLICY).get(PAGE).text)

    assert "approved by ann, 2026-03-01 14:00:00 UTC , in this run : seen by QA" in said
    assert _passage(pages)["approvals"] == [
        {
            "verdict": "approved",
            "who": "ann",
            "comment": "seen by QA",
            "at": "2026-03-01T14:00:00Z",
            "run": f"{POLICY}/manual__1",
            "run_path": f"/dags/{POLICY}/runs/manual__1",
        }
    ]


def test_whom_a_run_waits_for_and_until_when_is_shown_with_where_to_answer(pages: Pages) -> None:
    pages.write_policy()
    run = pages.story.run(key=f"{POLICY}/manual__1")
    seen = pages.story.scan_tags(run, {"1.4-stable": DIGEST})["1.4-stable"]
    promotion = pages.story.plan(run, seen, target_digest=DIGEST, target_tag="1.4-qa")
    until = NOW + timedelta(hours=3)
    pages.ledger.approvals.ask(run, [promotion.id], at=NOW, expires_at=until)

    page = pages.seen_by(POLICY).get(PAGE).text

    assert "people's approval of 1.4-qa. Until 2026-03-01 17:00:00 UTC" in _text(page).replace(
        "&#39;", "'"
    )
    assert '/runs/manual__1/tasks/approve/required_actions" data-airflow' in page
    (wait,) = _answer(pages)["waits"]
    assert wait["what"] == ["people's approval of 1.4-qa"]


def test_a_request_that_has_expired_is_waited_for_no_more(pages: Pages) -> None:
    pages.write_policy()
    run = pages.story.run(key=f"{POLICY}/manual__1")
    seen = pages.story.scan_tags(run, {"1.4-stable": DIGEST})["1.4-stable"]
    promotion = pages.story.plan(run, seen, target_digest=DIGEST)
    pages.ledger.approvals.ask(run, [promotion.id], at=NOW, expires_at=NOW)

    assert _answer(pages)["waits"] == []
    assert _passage(pages)["requests"] == []


def test_the_attestation_is_shown_with_its_key_and_what_the_tag_held_before(pages: Pages) -> None:
    done = _verify(pages)
    pages.ledger.attestations.note(
        Attestation(done.promotion.id, STATEMENT, "sha256:key", NOW, done.run.key)
    )

    page = pages.seen_by(POLICY).get(PAGE).text

    assert f"statement {STATEMENT[:19]} in qa/website, signed by the key sha256:key" in _text(page)
    assert f'images/{BEFORE}"' in page
    found = _passage(pages)["attestation"]
    assert isinstance(found, dict)
    assert (found["digest"], found["previous_digest"]) == (STATEMENT, BEFORE)


def test_what_a_recheck_found_is_shown_with_its_reasons(pages: Pages) -> None:
    done = _verify(pages)
    pages.ledger.rechecks.record(
        done.run, [NewRecheck(done.promotion.id, Outcome.REJECT, NOT_HELD)], NOW
    )

    said = _text(pages.seen_by(POLICY).get(PAGE).text)

    assert "Judged again: reject" in said
    assert "Would be rejected found 2026-03-01 14:00:00 UTC" in said
    assert "1.4-rc1" in said


def test_a_rollback_is_shown_at_the_promotion_that_it_undid(pages: Pages) -> None:
    done = _verify(pages)
    rollback_run = pages.story.run(key="rollback/manual__2")
    pages.ledger.rollbacks.plan(rollback_run, _rollback(done.promotion), NOW)

    page = pages.seen_by(POLICY).get(PAGE).text

    assert "rolled back 2026-03-01 14:00:00 UTC to sha256:cdcdcdcdcdcd by this run" in _text(page)
    assert "it broke the shop (ann)" in page
    (_, qa) = _answer(pages)["journey"]
    assert qa["tags"] == [{"tag": "1.4-stable", "state": "rolled back", "policy": POLICY}]


def _rollback(undone: Promotion) -> NewRollback:
    return NewRollback(
        source_repository=undone.source_repository,
        source_tag="1.3-stable",
        digest=BEFORE,
        source_connection=undone.source_connection,
        source_registry=undone.source_registry,
        target_connection=undone.target_connection,
        target_registry=undone.target_registry,
        target_repository=undone.target_repository,
        target_tag=undone.target_tag,
        target_digest=BEFORE,
        former_digest=DIGEST,
        reason=Reason("rollback", "held", "", "it broke the shop", "ann"),
    )


def test_a_tag_that_retention_took_away_is_shown_as_removed(pages: Pages) -> None:
    done = _verify(pages)
    pages.ledger.removals.begin(
        done.promotion, at=NOW, run_key=done.run.key, detail="older than 30 days"
    )

    said = _text(pages.seen_by(POLICY).get(PAGE).text)

    assert "was taken away by retention 2026-03-01 14:00:00 UTC" in said
    assert "older than 30 days" in said
    (_, qa) = _answer(pages)["journey"]
    assert [each["state"] for each in qa["tags"]] == ["removed"]  # type: ignore[attr-defined]


def _decide(pages: Pages, policy: str, outcome: Outcome, reason: Reason) -> Decision:
    """Let the policy of the next stage look at what is in QA."""
    story = Story(pages.ledger, policy)
    run = story.run(key=f"{policy}/manual__1")
    (seen,) = pages.ledger.observe(
        run,
        [Sighting("qa/website", "1.4-stable", DIGEST)],
        complete_repositories=[],
        tags_seen=1,
        tags_rejected_by_name=0,
        at=NOW,
    )
    until = NOW + timedelta(days=1)
    (decision,) = pages.ledger.decide(
        run, [NewDecision(seen.id, outcome, (reason,), wait_until=until)], NOW
    )
    return decision


@pytest.mark.parametrize(
    ("outcome", "state"),
    [(Outcome.WAIT, "waiting"), (Outcome.REJECT, "rejected"), (Outcome.CONFLICT, "conflict")],
)
def test_the_way_is_shown_from_stage_to_stage_as_far_as_it_goes(
    pages: Pages, outcome: Outcome, state: str
) -> None:
    _verify(pages)
    pages.write_policy(NEXT, ("qa_registry", "qa/website"), ("prod_registry", "prod/website"))
    parts = (
        Reason("tag", "held", "", "fine", ""),
        Reason("soaked 2 days", "unknown", "2 days", "since 3 hours", ""),
    )
    _decide(pages, NEXT, outcome, Reason("all of", "unknown", "all", "not all", "", parts))

    answer = _answer(pages, POLICY, NEXT)

    assert [
        (stop["stage"], stop["repository"], [tag["state"] for tag in stop["tags"]])  # type: ignore[attr-defined]
        for stop in answer["journey"]
    ] == [
        (0, REPOSITORY, ["present"]),
        (1, "qa/website", ["verified"]),
        (2, "prod/website", [state]),
    ]
    page = _text(pages.seen_by(POLICY, NEXT).get(PAGE).text)
    waits = "soaked 2 days: since 3 hours. Until 2026-03-02 14:00:00 UTC" in page
    assert waits == (outcome is not Outcome.REJECT)


def test_the_next_stage_is_not_told_to_whom_may_not_see_its_policy(pages: Pages) -> None:
    _verify(pages)
    pages.write_policy(NEXT, ("qa_registry", "qa/website"), ("prod_registry", "prod/website"))
    _decide(pages, NEXT, Outcome.WAIT, NOT_HELD[0])

    answer = _answer(pages, POLICY)

    assert [stop["repository"] for stop in answer["journey"]] == [REPOSITORY, "qa/website"]
    assert answer["waits"] == []


def test_each_signature_is_shown_with_whose_it_is_and_whether_it_counts(pages: Pages) -> None:
    _verify(pages)
    configuration = configuration_of(load_policy(pages.folder / f"{POLICY}.yaml"))
    entries = tuple(
        Entry("referrers", place, digest, DIGEST, NOW, None, signers, signs, problem)
        for place, digest, signers, signs, problem in (
            ("signature A", "sha256:1", ("release-team",), True, ""),
            ("signature B", "sha256:2", ("ben",), True, "is signed by ben"),
            ("document C", "sha256:3", (), False, "is not signed by a signer"),
        )
    )
    content = {(REPOSITORY, DIGEST): pack(Dossier(DIGEST, (), entries, (), NOW))}
    pages.ledger.keep_evidence("dev.example", configuration, content, NOW)

    (found,) = _answer(pages)["evidence"]
    said = _text(pages.seen_by(POLICY).get(PAGE).text)

    assert [
        (each["signers"], each["is_verified"], each["problem"])
        for each in found["signatures"]  # type: ignore[attr-defined]
    ] == [(["release-team"], True, ""), (["ben"], False, "is signed by ben")]
    assert found["set_aside"] == ["document C is not signed by a signer"]
    assert "release-team verified signature A" in said
    assert "ben does not count is signed by ben signature B" in said
