"""The statement about a promotion: everything the ledger knows, in the same bytes each time."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from image_promotion.evidence.trust.statement import read_statement
from image_promotion.ledger.attestations import Background
from image_promotion.ledger.records import Kind, Reason, Run, State, Verdict
from image_promotion.ledger.verdicts import Word
from image_promotion.promotion.statement import (
    PREDICATE_TYPE,
    Origin,
    identity_of,
    is_about_same,
    statement_of,
)
from image_promotion.registry.digest import Digest
from tests.support.promotions import promotion_of

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
IMAGE = str(Digest.of(b"image"))
FORMER = str(Digest.of(b"the image before"))
REPORT = str(Digest.of(b"a report"))
PLACE = f"referrer {Digest.of(b'manifest')} (application/vnd.cyclonedx+json)"

PROMOTION = replace(
    promotion_of(12),
    observation_id=7,
    decision_id=9,
    source_registry="dev.example.com",
    target_registry="qa.example.com",
    target_tag="1.4-stable-20261124",
    target_key="qa_registry/qa/website:%n-%Y%m%d",
    policy_hash="sha256:of-the-promotion",
    source_tag="1.4-stable",
    digest=IMAGE,
    target_digest=IMAGE,
    state=State.VERIFIED,
    planned_at=NOON,
    copied_at=NOON + timedelta(seconds=1),
    tagged_at=NOON + timedelta(seconds=2),
    verified_at=NOON + timedelta(seconds=3, microseconds=5),
    ended_at=NOON + timedelta(seconds=3, microseconds=5),
    bytes_copied=1,
    bytes_skipped=2,
    bytes_mounted=3,
    seconds=0.5,
    run_key="website-stable-to-qa/manual__1",
)
RUN = Run(
    id=3,
    policy="website-stable-to-qa",
    policy_hash="sha256:of-the-run",
    document="{}",
    key="website-stable-to-qa/manual__1",
    kind="manual",
    started_at=NOON,
    first_of_version=True,
    scanned_at=NOON,
    evaluated_at=NOON,
    tags_seen=1,
    tags_rejected_by_name=0,
)
REASON = Reason(
    trigger="vulnerabilities: critical = 0",
    verdict="held",
    expected="critical = 0",
    found="0 critical",
    source=f"trivy report of 2026-11-24 10:00Z (less than a day old), {PLACE}, signed by ci",
    count=0,
)
BACKGROUND = Background(
    run=RUN,
    policy_hash="sha256:of-the-decision",
    first_seen_at=NOON - timedelta(hours=1),
    decided_at=NOON,
    reasons=(REASON,),
    overridden_by=None,
    override_reason=None,
    words=(),
)
ORIGIN = Origin(
    source_repository="dev/website",
    target_repository="team/qa/website",
    version="0.1.0",
    run_url=None,
    documents=[(PLACE, REPORT)],
)


def predicate_of(statement: bytes) -> dict[str, Any]:
    read = read_statement(statement)
    assert read.predicate_type == PREDICATE_TYPE
    predicate: dict[str, Any] = json.loads(read.predicate_content())
    return predicate


def test_it_is_about_the_image_in_the_target_by_the_name_it_has_there() -> None:
    statement = statement_of(PROMOTION, BACKGROUND, ORIGIN)

    assert json.loads(statement)["subject"] == [
        {
            "name": "qa.example.com/team/qa/website",
            "digest": {"sha256": IMAGE.removeprefix("sha256:")},
        }
    ]
    assert read_statement(statement).is_about(Digest.parse(IMAGE))


def test_of_a_chosen_part_of_an_index_it_is_about_what_arrived_and_names_what_it_came_from() -> (
    None
):
    selection = replace(PROMOTION, target_digest=FORMER)
    statement = statement_of(selection, BACKGROUND, ORIGIN)

    assert read_statement(statement).is_about(Digest.parse(FORMER))
    assert not read_statement(statement).is_about(Digest.parse(IMAGE))
    assert predicate_of(statement)["source"]["digest"] == IMAGE


def test_it_says_what_was_promoted_why_by_which_run_and_when() -> None:
    assert predicate_of(statement_of(PROMOTION, BACKGROUND, ORIGIN)) == {
        "promotion": {"id": 12, "kind": "promotion"},
        "source": {
            "registry": "dev.example.com",
            "repository": "dev/website",
            "tag": "1.4-stable",
            "digest": IMAGE,
        },
        "target": {
            "registry": "qa.example.com",
            "repository": "team/qa/website",
            "tag": "1.4-stable-20261124",
            "digest": IMAGE,
        },
        "policy": {"name": "website-stable-to-qa", "hash": "sha256:of-the-decision"},
        "decision": {
            "triggers": [
                {
                    "trigger": "vulnerabilities: critical = 0",
                    "verdict": "held",
                    "expected": "critical = 0",
                    "found": "0 critical",
                    "count": 0,
                    "evidence": {"source": REASON.source, "digests": [REPORT]},
                }
            ]
        },
        "approvals": [],
        "run": {"key": "website-stable-to-qa/manual__1", "kind": "manual"},
        "times": {
            "firstSeen": "2026-11-24T11:00:00.000000Z",
            "decided": "2026-11-24T12:00:00.000000Z",
            "planned": "2026-11-24T12:00:00.000000Z",
            "copied": "2026-11-24T12:00:01.000000Z",
            "tagged": "2026-11-24T12:00:02.000000Z",
            "verified": "2026-11-24T12:00:03.000005Z",
        },
        "product": {"name": "image-promotion", "version": "0.1.0"},
    }


def test_it_says_who_approved_who_overrode_who_started_it_and_what_the_tag_held() -> None:
    word = Word(12, Verdict.APPROVED, "ada", "looks well", NOON, RUN.key, "sha256:x")
    background = replace(
        BACKGROUND,
        run=replace(RUN, started_by="grace"),
        overridden_by="grace",
        override_reason="the fix is out",
        words=(word, replace(word, who="mary", comment="")),
    )
    promotion = replace(PROMOTION, former_digest=FORMER, kind=Kind.ROLLBACK)
    origin = replace(ORIGIN, run_url="https://airflow.example.com/dags/d/runs/r")

    said = predicate_of(statement_of(promotion, background, origin))

    at = "2026-11-24T12:00:00.000000Z"
    assert said["approvals"] == [
        {"by": "ada", "verdict": "approved", "at": at, "comment": "looks well"},
        {"by": "mary", "verdict": "approved", "at": at},
    ]
    assert said["decision"]["override"] == {"by": "grace", "reason": "the fix is out"}
    assert said["run"]["startedBy"] == "grace"
    assert said["run"]["url"] == "https://airflow.example.com/dags/d/runs/r"
    assert said["target"]["previousDigest"] == FORMER
    assert said["promotion"]["kind"] == "rollback"


def test_nested_triggers_are_said_with_what_they_consist_of() -> None:
    either = Reason("any of", "held", "any", "1 of 2", "", parts=(REASON,), items=("a", "b"))
    said = predicate_of(statement_of(PROMOTION, replace(BACKGROUND, reasons=(either,)), ORIGIN))[
        "decision"
    ]["triggers"]

    assert said[0]["items"] == ["a", "b"]
    assert said[0]["parts"][0]["trigger"] == REASON.trigger
    assert "evidence" not in said[0]


def test_a_report_that_the_reason_does_not_name_is_none_of_its_evidence() -> None:
    origin = replace(ORIGIN, documents=[(f"{PLACE} and more", REPORT)])
    said = predicate_of(statement_of(PROMOTION, BACKGROUND, origin))
    assert said["decision"]["triggers"][0]["evidence"] == {"source": REASON.source}


_TEXT = st.text(st.characters(exclude_categories=()), max_size=20)
_ZONES = st.integers(-12, 12).map(lambda hours: timezone(timedelta(hours=hours)))
_MOMENTS = st.builds(
    lambda microseconds, zone: (NOON + timedelta(microseconds=microseconds)).astimezone(zone),
    st.integers(-(10**15), 10**15),
    _ZONES,
)
_REASONS = st.recursive(
    st.builds(
        Reason,
        trigger=_TEXT,
        verdict=st.sampled_from(["held", "not_held", "unknown"]),
        expected=_TEXT,
        found=_TEXT,
        source=_TEXT,
        count=st.none() | st.integers(0, 2**31),
        items=st.lists(_TEXT, max_size=2).map(tuple),
    ),
    lambda inner: st.builds(
        Reason,
        trigger=_TEXT,
        verdict=st.just("held"),
        expected=_TEXT,
        found=_TEXT,
        source=st.just(""),
        parts=st.lists(inner, max_size=2).map(tuple),
    ),
    max_leaves=4,
)
_WORDS = st.builds(
    Word,
    promotion_id=st.just(12),
    verdict=st.sampled_from(Verdict),
    who=_TEXT,
    comment=_TEXT,
    at=_MOMENTS,
    run_key=_TEXT,
    policy_hash=_TEXT,
)
_BACKGROUNDS = st.builds(
    Background,
    run=st.just(RUN),
    policy_hash=_TEXT,
    first_seen_at=_MOMENTS,
    decided_at=_MOMENTS,
    reasons=st.lists(_REASONS, max_size=3).map(tuple),
    overridden_by=st.none() | _TEXT,
    override_reason=st.none() | _TEXT,
    words=st.lists(_WORDS, max_size=2).map(tuple),
)


def _elsewhere(background: Background, zone: timezone) -> Background:
    """The same facts, as a database whose session has another time zone gives them."""
    return replace(
        background,
        first_seen_at=background.first_seen_at.astimezone(zone),
        decided_at=background.decided_at.astimezone(zone),
        words=tuple(replace(each, at=each.at.astimezone(zone)) for each in background.words),
    )


@settings(max_examples=60, deadline=None)
@given(background=_BACKGROUNDS, zone=_ZONES, verified_at=_MOMENTS)
def test_the_same_facts_make_the_same_bytes_and_any_text_makes_a_readable_statement(
    background: Background, zone: timezone, verified_at: datetime
) -> None:
    promotion = replace(PROMOTION, verified_at=verified_at)
    statement = statement_of(promotion, background, ORIGIN)

    again = statement_of(
        replace(promotion, verified_at=verified_at.astimezone(zone)),
        _elsewhere(background, zone),
        replace(ORIGIN, documents=list(ORIGIN.documents)),
    )

    assert again == statement
    assert read_statement(statement).is_about(Digest.parse(IMAGE))


def test_statements_of_one_promotion_are_known_as_such_whatever_version_wrote_them() -> None:
    statement = statement_of(PROMOTION, BACKGROUND, ORIGIN)
    newer = statement_of(PROMOTION, BACKGROUND, replace(ORIGIN, version="9.9", documents=[]))

    assert statement != newer
    assert is_about_same(statement, newer)
    assert identity_of(statement) == identity_of(newer)


def test_another_tag_another_promotion_and_a_ledger_begun_anew_make_another_statement() -> None:
    statement = statement_of(PROMOTION, BACKGROUND, ORIGIN)
    others = [
        replace(PROMOTION, target_tag="1.4"),
        replace(PROMOTION, id=13),
        replace(PROMOTION, target_digest=FORMER),
        replace(PROMOTION, policy="another"),
        replace(PROMOTION, verified_at=NOON + timedelta(days=1)),
    ]
    for other in (statement_of(each, BACKGROUND, ORIGIN) for each in others):
        assert not is_about_same(statement, other)
        assert identity_of(statement) != identity_of(other)


def test_what_others_wrote_under_the_same_type_is_about_no_promotion_of_ours() -> None:
    statement = statement_of(PROMOTION, BACKGROUND, ORIGIN)
    for strange in (b"{}", b"[]", b'{"predicate": 1}', b'{"predicate": {"target": "x"}}'):
        assert not is_about_same(statement, strange)
