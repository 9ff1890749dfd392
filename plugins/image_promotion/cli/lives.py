"""The life of a tag at the command line: lines for people, stable JSON for programs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from rich.text import Text

from image_promotion.cli.marks import marks_json
from image_promotion.cli.outline import Line
from image_promotion.cli.output import (
    JsonValue,
    decision_word,
    for_people,
    moment,
    promotion_json,
    reason_json,
)
from image_promotion.cli.wording import counted, in_brief, short_digests
from image_promotion.ledger.lives import Judgement, KnownRun, Passage, Stay, TagLife
from image_promotion.ledger.marks import Look
from image_promotion.ledger.records import Kind, Promotion, Transition, Verdict
from image_promotion.ledger.verdicts import NOBODY, Word
from image_promotion.promotion.run_links import RunLinks
from image_promotion.registry.transfer import readable_size

_INDENT = 2
_DEEPER = 4
_WIDTH = len("superseded") + 2
_SHOWN_CHARACTERS = 300


def life_lines(life: TagLife, links: RunLinks) -> Iterator[Line]:
    """Tell the life of a tag.

    Args:
        life: Its life.
        links: Where Airflow's page shows runs.

    Yields:
        The lines: each stay of the tag, below it the decisions and promotions that came of it.
    """
    yield Line("")
    yield Line(Text(f"Life, first seen {for_people(life.first_seen_at)}", "bold"))
    left_out = [
        counted(number, noun)
        for number, noun in (
            (life.earlier_stays, "stay"),
            (life.earlier_decisions, "decision"),
            (life.earlier_promotions, "promotion"),
        )
        if number
    ]
    if left_out:
        yield Line(f"before what follows: {', '.join(left_out)} more", indent=_INDENT)
    for stay in life.stays:
        yield from _stay(stay, life, links)
    for rollback in life.rollbacks:
        yield Line(
            f"{for_people(rollback.planned_at)} to {rollback.target_digest}, {rollback.state}: "
            f"{_where(rollback)}",
            "set back",
            _INDENT,
            _WIDTH,
        )
        yield from _run(life.runs.get(rollback.run_key), rollback.run_key, links, _INDENT)


def _stay(stay: Stay, life: TagLife, links: RunLinks) -> Iterator[Line]:
    seen = stay.observation
    yield Line(f"{seen.digest}", "at", _INDENT, len("at") + 1)
    if seen.ordinal > 0:
        yield Line(_span(stay), indent=_INDENT + len("at") + 1)
    for judgement in stay.judgements:
        yield from _judgement(judgement, life, links)
    for passage in stay.passages:
        yield from _passage(passage, life, links)


def _span(stay: Stay) -> str:
    seen = stay.observation
    said = f"seen from {for_people(seen.first_seen_at)} to {for_people(seen.last_seen_at)}"
    if stay.gone_at:
        return f"{said}, found deleted {for_people(stay.gone_at)}"
    return said if stay.is_present else f"{said}, then the tag moved"


def _judgement(judgement: Judgement, life: TagLife, links: RunLinks) -> Iterator[Line]:
    decision = judgement.decision
    said = for_people(decision.decided_at)
    if decision.times_asked > 1:
        said += f"; asked {decision.times_asked} times, last {for_people(decision.asked_at)}"
    if decision.wait_until:
        said += f"; until {for_people(decision.wait_until)} at least"
    yield Line(said, decision_word(decision.outcome), _DEEPER, _WIDTH)
    yield Line(in_brief(decision.reasons), "", _DEEPER, _WIDTH)
    if judgement.override:
        yield Line(
            f"by {judgement.override.who}: {judgement.override.why}",
            "overridden",
            _DEEPER,
            _WIDTH,
        )
    yield from _run(life.runs.get(judgement.run_key), judgement.run_key, links, _DEEPER)


def _passage(passage: Passage, life: TagLife, links: RunLinks) -> Iterator[Line]:
    done = passage.promotion
    what = "rollback" if done.kind is Kind.ROLLBACK else "promotion"
    yield Line(f"{what} {done.id} to {_where(done)}: {done.state}", indent=_DEEPER)
    earlier = passage.earlier_steps + passage.earlier_looks
    if earlier:
        yield _told("", f"before what follows: {counted(earlier, 'step')} more")
    # Stable, so that what happened in one moment stays in the order of its kind.
    for _, lines in sorted(_events(passage, life, links), key=lambda each: each[0]):
        yield from lines
    yield from _standing(passage)


def _events(
    passage: Passage, life: TagLife, links: RunLinks
) -> Iterator[tuple[datetime, list[Line]]]:
    """Yield what happened to a promotion, each thing with its time."""
    for step in passage.steps:
        yield step.at, list(_step(step, passage.promotion, life, links))
    for word in passage.marks.words:
        yield word.at, [_told(_verdict(word), _word(word))]
    for look in passage.looks:
        yield look.first_at, [_told("recheck", _look(look))]
    attestation, removal = passage.marks.attestation, passage.marks.removal
    if attestation:
        said = f"{for_people(attestation.at)} {attestation.digest}, key {attestation.key_id}"
        yield attestation.at, [_told("attested", said)]
    if removal:
        said = f"{for_people(removal.at)} target tag taken away: {removal.detail}"
        yield removal.at, [_told("removed", said)]


def _standing(passage: Passage) -> Iterator[Line]:
    """Say what else there is to a promotion now."""
    done = passage.promotion
    if passage.asked_until:
        yield _told("asks", f"people are asked until {for_people(passage.asked_until)}")
    if passage.marks.is_rolled_back:
        yield _told("undone", "its target tag was set back from it")
    if done.former_digest:
        yield _told("took from", done.former_digest)
    if done.bytes_copied is not None:
        said = (
            f"{readable_size(done.bytes_copied)} copied, "
            f"{readable_size(done.bytes_mounted or 0)} mounted, "
            f"{readable_size(done.bytes_skipped or 0)} skipped"
        )
        yield _told("moved", said)


def _step(step: Transition, done: Promotion, life: TagLife, links: RunLinks) -> Iterator[Line]:
    said = for_people(step.at)
    if step.detail:
        said += f" {_cut(step.detail)}"
    yield _told(decision_word(step.to_state), said)
    run = life.runs.get(step.run_key)
    link = links.task(run, done.kind, step.to_state)
    yield _told("", f"run {step.run_key}{_how(run)}" if link is None else f"log {link}")


def _run(run: KnownRun | None, key: str, links: RunLinks, indent: int) -> Iterator[Line]:
    link = links.run(run)
    yield Line(f"run {key}{_how(run)}", "", indent, _WIDTH)
    if link:
        yield Line(link, "", indent, _WIDTH)


def _how(run: KnownRun | None) -> str:
    if run is None:
        return ""
    return f" ({run.kind}, by {run.started_by})" if run.started_by else f" ({run.kind})"


def _told(label: str | Text, said: str) -> Line:
    return Line(short_digests(said), label, _DEEPER + _INDENT, _WIDTH)


def _where(promotion: Promotion) -> str:
    registry, repository = promotion.target_registry, promotion.target_repository
    return f"{registry}/{repository}:{promotion.target_tag}"


def _verdict(word: Word) -> Text:
    style = "green" if word.verdict is Verdict.APPROVED else "yellow"
    return Text(str(word.verdict), style)


def _word(word: Word) -> str:
    who = "by time, since nobody answered" if word.who == NOBODY else f"by {word.who}"
    return f"{for_people(word.at)} {who}" + (f": {word.comment}" if word.comment else "")


def _look(look: Look) -> str:
    said = f"{look.outcome}, {for_people(look.first_at)}"
    if look.last_at > look.first_at:
        said += f" to {for_people(look.last_at)}"
    return f"{said}: {in_brief(look.reasons)}" if look.reasons else said


def _cut(text: str) -> str:
    first = " ".join(text.split())
    return first if len(first) <= _SHOWN_CHARACTERS else f"{first[:_SHOWN_CHARACTERS]} ..."


def life_json(life: TagLife, links: RunLinks) -> JsonValue:
    """Return the life of a tag as a document of a stable shape."""
    return {
        "first_seen_at": moment(life.first_seen_at),
        "earlier_stays": life.earlier_stays,
        "earlier_decisions": life.earlier_decisions,
        "earlier_promotions": life.earlier_promotions,
        "stays": [_stay_json(each, links, life) for each in life.stays],
        "rollbacks": [promotion_json(each) for each in life.rollbacks],
        "runs": [
            {
                "key": each.key,
                "kind": each.kind,
                "started_by": each.started_by,
                "url": links.run(each),
            }
            for each in life.runs.values()
        ],
    }


def _stay_json(stay: Stay, links: RunLinks, life: TagLife) -> JsonValue:
    seen = stay.observation
    return {
        "digest": seen.digest,
        "first_seen_at": moment(seen.first_seen_at),
        "last_seen_at": moment(seen.last_seen_at),
        "present": stay.is_present,
        "deleted_at": moment(stay.gone_at),
        "was_seen": seen.ordinal > 0,
        "decisions": [_judgement_json(each) for each in stay.judgements],
        "promotions": [_passage_json(each, links, life) for each in stay.passages],
    }


def _judgement_json(judgement: Judgement) -> JsonValue:
    decision = judgement.decision
    return {
        "decision": str(decision.outcome),
        "reasons": [reason_json(reason) for reason in decision.reasons],
        "decided_at": moment(decision.decided_at),
        "asked_at": moment(decision.asked_at),
        "times_asked": decision.times_asked,
        "wait_until": moment(decision.wait_until),
        "run": judgement.run_key,
        "last_run": judgement.last_run_key,
        "overridden_by": judgement.override.who if judgement.override else None,
        "override_reason": judgement.override.why if judgement.override else None,
    }


def _passage_json(passage: Passage, links: RunLinks, life: TagLife) -> JsonValue:
    done = passage.promotion
    attestation = passage.marks.attestation
    return {
        "promotion": promotion_json(done),
        "earlier_steps": passage.earlier_steps,
        "steps": [
            {
                "from": str(step.from_state) if step.from_state else None,
                "to": str(step.to_state),
                "at": moment(step.at),
                "run": step.run_key,
                "log": links.task(life.runs.get(step.run_key), done.kind, step.to_state),
                "detail": step.detail,
            }
            for step in passage.steps
        ],
        "marks": marks_json(passage.marks),
        "asked_until": moment(passage.asked_until),
        "attestation_key": attestation.key_id if attestation else None,
        "earlier_rechecks": passage.earlier_looks,
        "rechecks": [_look_json(each) for each in passage.looks],
    }


def _look_json(look: Look) -> JsonValue:
    return {
        "decision": str(look.outcome),
        "reasons": [reason_json(reason) for reason in look.reasons],
        "first_at": moment(look.first_at),
        "last_at": moment(look.last_at),
        "run": look.run_key,
    }
