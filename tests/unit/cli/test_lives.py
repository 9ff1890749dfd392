from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from rich.console import Console

from image_promotion.cli.lives import life_json, life_lines
from image_promotion.cli.main import _STATES
from image_promotion.cli.marks import marks_in_words, marks_json
from image_promotion.cli.outline import Outline
from image_promotion.ledger.attestations import Attestation
from image_promotion.ledger.lives import Judgement, KnownRun, Passage, Stay, TagLife
from image_promotion.ledger.marks import Look, Marks, Override, Removal
from image_promotion.ledger.records import (
    Decision,
    Observation,
    Outcome,
    Reason,
    State,
    Transition,
    Verdict,
)
from image_promotion.ledger.verdicts import NOBODY, Word
from image_promotion.promotion.run_links import NO_LINKS, RunLinks
from tests.support.promotions import promotion_of

AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
DIGEST = "sha256:" + "a" * 64
RUN = "website/scheduled__1"
REASON = Reason("tag ends with -stable", "held", "-stable", "1.4-stable", "tag name")
HASH = "sha256:1"


def after(minutes: int) -> datetime:
    return AT + timedelta(minutes=minutes)


PROMOTION = replace(
    promotion_of(7),
    observation_id=1,
    decision_id=1,
    source_registry="dev:5000",
    target_registry="qa:5000",
    target_tag="1.4-stable",
    target_key="key",
    policy="website",
    policy_hash=HASH,
    source_tag="1.4-stable",
    digest=DIGEST,
    target_digest=DIGEST,
    state=State.VERIFIED,
    planned_at=AT,
    copied_at=after(3),
    tagged_at=after(4),
    verified_at=after(5),
    ended_at=after(5),
    bytes_copied=1_200_000,
    bytes_skipped=0,
    bytes_mounted=0,
    seconds=1.0,
    run_key=RUN,
)
MARKS = Marks(
    override=Override("ann", "the fix is urgent"),
    words=(
        Word(7, Verdict.APPROVED, "ben", "looks good", after(2), RUN, HASH),
        Word(7, Verdict.REJECTED, NOBODY, "", after(1), RUN, HASH),
    ),
    is_rolled_back=True,
    attestation=Attestation(7, "sha256:" + "b" * 64, "key-1", after(6), RUN),
    last_look=Look(Outcome.REJECT, (REASON,), after(7), after(9), RUN),
    removal=Removal(after(10), RUN, "older than 90 days"),
)
LIFE = TagLife(
    policy="website",
    repository="dev/website",
    tag="1.4-stable",
    first_seen_at=AT,
    stays=(
        Stay(
            observation=Observation(
                *(1, "website", "dev/website", "1.4-stable", DIGEST, 2),
                first_seen_at=AT,
                last_seen_at=after(60),
            ),
            is_present=False,
            gone_at=None,
            judgements=(
                Judgement(
                    Decision(
                        *(1, 1, Outcome.PROMOTE, (REASON,), None, "1.4-stable", HASH),
                        *(AT, after(10), 3, (7,)),
                    ),
                    run_key=RUN,
                    last_run_key=RUN,
                    override=MARKS.override,
                ),
            ),
            passages=(
                Passage(
                    PROMOTION,
                    steps=(
                        Transition(7, None, State.PLANNED, AT, RUN, ""),
                        Transition(7, State.PLANNED, State.COPIED, after(3), RUN, "2 blobs copied"),
                    ),
                    earlier_steps=1,
                    marks=MARKS,
                    looks=(Look(Outcome.REJECT, (REASON,), after(7), after(9), RUN),),
                    earlier_looks=0,
                    asked_until=None,
                ),
            ),
        ),
    ),
    earlier_stays=1,
    earlier_decisions=9_980,
    earlier_promotions=0,
    rollbacks=(),
    runs={RUN: KnownRun(RUN, "scheduled", "ann")},
)


def lines(life: TagLife = LIFE, links: RunLinks = NO_LINKS) -> list[str]:
    file = io.StringIO()
    Console(file=file, width=100, color_system=None).print(Outline(list(life_lines(life, links))))
    return [line.rstrip() for line in file.getvalue().splitlines()]


def test_a_life_is_told_in_the_order_in_which_it_happened() -> None:
    assert lines() == [
        "",
        "Life, first seen 2026-11-24 12:00:00Z",
        "  before what follows: 1 stay, 9980 decisions more",
        f"  at {DIGEST}",
        "     seen from 2026-11-24 12:00:00Z to 2026-11-24 13:00:00Z, then the tag moved",
        "    promote     2026-11-24 12:00:00Z; asked 3 times, last 2026-11-24 12:10:00Z",
        "                tag ends with -stable: 1.4-stable",
        "    overridden  by ann: the fix is urgent",
        f"                run {RUN} (scheduled, by ann)",
        "    promotion 7 to qa:5000/qa/website:1.4-stable: verified",
        "                  before what follows: 1 step more",
        "      planned     2026-11-24 12:00:00Z",
        f"                  run {RUN} (scheduled, by ann)",
        "      rejected    2026-11-24 12:01:00Z by time, since nobody answered",
        "      approved    2026-11-24 12:02:00Z by ben: looks good",
        "      copied      2026-11-24 12:03:00Z 2 blobs copied",
        f"                  run {RUN} (scheduled, by ann)",
        "      attested    2026-11-24 12:06:00Z sha256:bbbbbbbbbbbb, key key-1",
        (
            "      recheck     reject, 2026-11-24 12:07:00Z to 2026-11-24 12:09:00Z: "
            "tag ends with -stable:"
        ),
        "                  1.4-stable",
        "      removed     2026-11-24 12:10:00Z target tag taken away: older than 90 days",
        "      undone      its target tag was set back from it",
        "      moved       1.2 MB copied, 0 B mounted, 0 B skipped",
    ]


def test_where_airflow_is_known_each_step_leads_to_the_log_of_its_task() -> None:
    told = lines(links=RunLinks("http://localhost:8080"))
    of_run = "http://localhost:8080/dags/website/runs/scheduled__1"
    assert f"                  log {of_run}/tasks/promote.copy" in told
    assert f"                {of_run}" in told


def test_a_tag_that_stays_and_one_that_was_deleted_are_told_apart() -> None:
    (stay,) = LIFE.stays
    here = replace(LIFE, stays=(replace(stay, is_present=True),))
    gone = replace(LIFE, stays=(replace(stay, gone_at=after(61)),))
    assert lines(here)[4].endswith("13:00:00Z")
    assert lines(gone)[4].endswith(", found deleted 2026-11-24 13:01:00Z")


def test_marks_are_one_cell_of_a_table() -> None:
    assert marks_in_words(Marks()) == ""
    assert marks_in_words(MARKS) == (
        "overridden by ann; approved by ben; rejected by nobody in time; rolled back; "
        "recheck: reject; tag removed; attested"
    )


def test_the_json_has_the_links_and_the_same_fields_whether_or_not_there_is_anything() -> None:
    text = json.dumps(life_json(LIFE, RunLinks("http://localhost:8080")))
    assert json.loads(text)["runs"] == [
        {
            "key": RUN,
            "kind": "scheduled",
            "started_by": "ann",
            "url": "http://localhost:8080/dags/website/runs/scheduled__1",
        }
    ]
    full, empty = marks_json(MARKS), marks_json(Marks())
    assert isinstance(full, dict)
    assert isinstance(empty, dict)
    assert full.keys() == empty.keys()


def test_the_states_that_history_can_ask_for_are_those_there_are() -> None:
    assert set(_STATES) == set(State)
