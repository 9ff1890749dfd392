"""The command `explain`: what a policy decides about one tag, and all that it decides by."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence

from rich.text import Text

from image_promotion.cli import output
from image_promotion.cli.commands import with_stores
from image_promotion.cli.ledgers import ledger_to_read
from image_promotion.cli.lives import life_json, life_lines
from image_promotion.cli.marks import marks_json
from image_promotion.cli.outline import Line, Outline
from image_promotion.cli.policies import find_policy
from image_promotion.cli.wording import (
    counted,
    name_of,
    short_digests,
    without_items,
    without_subject,
)
from image_promotion.evidence.summary import Summary, summarise
from image_promotion.evidence.weighing import age
from image_promotion.ledger.marks import Marks
from image_promotion.ledger.records import HistoryEntry, Outcome, Reason
from image_promotion.promotion import explaining
from image_promotion.promotion.clock import system_clock
from image_promotion.promotion.decision import ImageDecision
from image_promotion.promotion.explaining import (
    ExaminedDocument,
    ExaminedEvidence,
    ExaminedNote,
    Explanation,
)
from image_promotion.promotion.run_links import NO_LINKS, RunLinks
from image_promotion.promotion.stores import Stores

BASE_URL_VARIABLE = "AIRFLOW__API__BASE_URL"
"""Where Airflow reads the address of its own page from, before its configuration file."""

_VERDICTS = {
    "held": Text("holds", "green"),
    "not_held": Text("does not hold", "yellow"),
    "unknown": Text("not known", "cyan"),
}
_VERDICT_WIDTH = len("does not hold") + 2
_INDENT = 2
_DEEPER = 4

SEVERAL = 2

_DOES_NOT_COUNT = "does not count: "
"""What stands before many reasons for that, and need not be said beside the label."""


def explain(options: argparse.Namespace) -> bool:
    """Say what a policy decides about one tag now, and why; nothing is written.

    Args:
        options: ``policy``, ``policies``, ``tag``, ``afresh``, ``json``.

    Returns:
        Whether the tag could be looked at and is not in conflict.

    Raises:
        PromotionError: There is no such tag; or the policy, a registry or the ledger cannot be
            read.
    """
    policy = find_policy(options.policy, options.policies)
    with ledger_to_read(os.environ) as ledger:

        async def look(stores: Stores) -> Explanation:
            return await explaining.explain(
                policy,
                options.tag,
                source=stores.of(policy.source.connection),
                target_of=stores.of,
                ledger=ledger,
                now=system_clock(),
                afresh=options.afresh,
            )

        found = with_stores(policy, look)
        marks = ledger.lives.marks(found.recorded)
    links = RunLinks(os.environ.get(BASE_URL_VARIABLE, ""))
    if options.json:
        output.print_json(explanation_json(found, links, marks))
    else:
        output.console().print(explanation_outline(found, links))
    return not found.problem and found.outcome is not Outcome.CONFLICT


def explanation_json(
    found: Explanation, links: RunLinks = NO_LINKS, marks: Sequence[Marks] = ()
) -> output.JsonValue:
    """Return an explanation as a document of a stable shape.

    Args:
        found: The explanation.
        links: Where Airflow's page shows runs.
        marks: What sets each of its recorded decisions apart.

    Returns:
        The document.
    """
    return {
        "policy": found.policy,
        "at": output.moment(found.at),
        "repository": found.repository,
        "tag": found.tag,
        "digest": found.digest,
        "decision": str(found.outcome) if found.outcome else None,
        "problem": found.problem or None,
        "reasons": [output.reason_json(reason) for reason in found.reasons],
        "wait_until": output.moment(found.wait_until),
        "target": str(found.target) if found.target else None,
        "target_digest": found.target_digest,
        "run": found.run or None,
        "evidence": _evidence_json(found.evidence) if found.evidence else None,
        "why_no_evidence": found.why_no_evidence or None,
        "targets": [_target_json(each) for each in found.targets],
        "recorded": {**output.history_json(found.recorded[0]), "marks": marks_json(marks[0])}
        if found.recorded and marks
        else None,
        "promotions": [
            output.promotion_json(each.promotion) for each in found.recorded if each.promotion
        ],
        "life": life_json(found.life, links) if found.life else None,
    }


def _target_json(decision: ImageDecision) -> output.JsonValue:
    destination = decision.destination
    return {
        "connection": destination.target.connection if destination else None,
        "target": str(decision.target) if decision.target else None,
        "decision": str(decision.outcome),
        "target_tag_holds": decision.held_digest,
    }


def _evidence_json(evidence: ExaminedEvidence) -> output.JsonValue:
    return {
        "gathered_at": output.moment(evidence.gathered_at),
        "kept": evidence.was_kept,
        "documents": [_document_json(each) for each in evidence.documents],
        "notes": [_note_json(each) for each in evidence.notes],
    }


def _document_json(document: ExaminedDocument) -> output.JsonValue:
    entry = document.entry
    summary = summarise(entry.report) if entry.report else None
    provenance = entry.report.provenance if entry.report else None
    return {
        "source": entry.source,
        "location": entry.location,
        "digest": entry.digest,
        "subject": entry.subject,
        "platform": document.platform or None,
        "format": summary.format if summary else None,
        "tool": provenance.tool or None if provenance else None,
        "tool_version": provenance.tool_version or None if provenance else None,
        "made_at": output.moment(entry.made_at),
        "obtained_at": output.moment(entry.obtained_at),
        "signed_by": list(entry.signed_by),
        "signs_image": entry.signs_image,
        "scan": str(summary.state) if summary else None,
        "components": summary.components if summary else None,
        "vulnerabilities": output.numbers_json(summary.vulnerabilities) if summary else None,
        "statements": summary.statements if summary else None,
        "used_for": [str(use) for use in document.uses],
        "why_unused": document.why_unused or None,
    }


def _note_json(examined: ExaminedNote) -> output.JsonValue:
    note = examined.note
    return {
        "source": note.source,
        "subject": note.subject,
        "platform": examined.platform or None,
        "said": note.said,
        "scan": str(note.state) if note.state else None,
    }


def explanation_outline(found: Explanation, links: RunLinks = NO_LINKS) -> Outline:
    """Return an explanation as lines for people."""
    return Outline(
        [
            Line(Text(f"{found.repository}:{found.tag}", "bold")),
            Line(found.digest or "", indent=_INDENT),
            *_head(found),
            *_triggers(found),
            *_evidence(found),
            *(life_lines(found.life, links) if found.life else ()),
        ]
    )


def _head(found: Explanation) -> Iterator[Line]:
    facts: list[tuple[str, str | Text]] = [
        ("policy", found.policy),
        ("decision", output.decision_word(found.outcome or "unreadable")),
        ("because", found.problem),
        ("until", output.for_people(found.wait_until) + (" at least" if found.wait_until else "")),
        *_targets(found),
        ("a run", found.run),
        *_recorded(found.recorded, found.digest),
    ]
    for label, text in facts:
        if str(text):
            yield Line(text, label, indent=_INDENT, width=_VERDICT_WIDTH)


def _targets(found: Explanation) -> Iterator[tuple[str, str]]:
    """Say where the image goes; with several targets also what is decided for each."""
    if len(found.targets) < SEVERAL:
        yield "target", _target(found)
        return
    for each in found.targets:
        where = f"{each.destination.target.connection}: " if each.destination else ""
        yield "target", f"{where}{each.target or 'no legal tag'}: {each.outcome}"


def _target(found: Explanation) -> str:
    if found.target is None:
        return ""
    if found.outcome in (Outcome.REJECT, Outcome.WAIT):
        return f"{found.target}, if it were promoted now"
    as_digest = "" if found.target_digest in (None, found.digest) else f" as {found.target_digest}"
    return f"{found.target}{as_digest}"


def _recorded(entries: Sequence[HistoryEntry], digest: str | None) -> Iterator[tuple[str, str]]:
    """Say what the ledger holds."""
    if not entries:
        yield "recorded", "nothing yet"
        return
    entry = entries[0]
    decision = entry.decision
    said = f"{decision.outcome}, {output.for_people(decision.decided_at)}"
    if decision.times_asked > 1:
        said += f"; asked {decision.times_asked} times, last {output.for_people(decision.asked_at)}"
    if entry.observation.digest != digest:
        said += f"; when the tag pointed at {entry.observation.digest}"
    yield "recorded", said
    for done in [each.promotion for each in entries if each.promotion]:
        where = f"{done.target_registry}/" if len(entries) >= SEVERAL else ""
        said = f"{done.state} at {where}{done.target_repository}:{done.target_tag}"
        said += f", {output.for_people(done.ended_at)}" if done.ended_at else ""
        yield "promotion", f"{said}: {done.error}" if done.error else said


def _triggers(found: Explanation) -> Iterator[Line]:
    if found.reasons:
        yield Line("")
        yield Line(Text("Triggers, all of which must hold", "bold"))
    for reason in found.reasons:
        yield from _reason(reason, _INDENT, found.digest)


def _reason(reason: Reason, indent: int, digest: str | None) -> Iterator[Line]:
    """Say what one trigger asks for and what was found, its parts below it."""
    verdict = _VERDICTS.get(reason.verdict, Text(reason.verdict))
    if reason.parts:
        yield Line(_heading(reason), verdict, indent, _VERDICT_WIDTH)
        for part in reason.parts:
            yield from _reason(part, indent + _DEEPER, digest)
        return
    yield Line(reason.trigger, verdict, indent, _VERDICT_WIDTH)
    told: list[tuple[str, str]] = []
    if reason.expected not in reason.trigger:
        told.append(("asked", reason.expected))
    told.append(("found", without_items(reason)))
    told += [("", item) for item in reason.items]
    if reason.count is not None and reason.items and reason.count > len(reason.items):
        told.append(("", f"and {reason.count - len(reason.items)} more"))
    told.append(("source", reason.source))
    for label, text in told:
        if text:
            yield Line(_short(text, digest), label, indent + _DEEPER, _VERDICT_WIDTH - _DEEPER)


def _heading(reason: Reason) -> str:
    name = name_of(reason)
    # What platforms differ in is told one by one, each with the whole trigger.
    return f"{name}:" if name != reason.trigger else f"{name}, by platform:"


def _evidence(found: Explanation) -> Iterator[Line]:
    yield Line("")
    evidence = found.evidence
    if evidence is None:
        yield Line(Text("Evidence", "bold"))
        yield Line(found.why_no_evidence or "not looked for", indent=_INDENT)
        return
    how = "kept since" if evidence.was_kept else "gathered"
    yield Line(Text(f"Evidence, {how} {output.for_people(evidence.gathered_at)}", "bold"))
    for document in evidence.documents:
        yield from _document(document, found)
    for examined in evidence.notes:
        note = examined.note
        about = f" ({examined.platform})" if examined.platform else ""
        yield Line(f"{note.source}{about}: {note.said}", "note", _INDENT, _VERDICT_WIDTH)
    if not evidence.documents and not evidence.notes:
        yield Line("none was found", indent=_INDENT)


def _document(document: ExaminedDocument, found: Explanation) -> Iterator[Line]:
    entry = document.entry
    label = Text("used", "green") if document.uses else Text("not used", "yellow")
    yield Line(_short(entry.location, found.digest), label, _INDENT, _VERDICT_WIDTH)
    provenance = entry.report.provenance if entry.report else None
    made_at = entry.made_at
    told = [
        ("for", ", ".join(document.uses)),
        ("why not", document.why_unused.removeprefix(_DOES_NOT_COUNT)),
        ("from", entry.source),
        ("about", document.platform),
        ("says", _says(summarise(entry.report)) if entry.report else ""),
        ("tool", f"{provenance.tool} {provenance.tool_version}".strip() if provenance else ""),
        (
            "made",
            f"{output.for_people(made_at)} ({age(found.at - made_at)})" if made_at else "",
        ),
        ("signed by", ", ".join(entry.signed_by) or "nobody the policy knows"),
    ]
    for name, text in told:
        if text:
            yield Line(
                _short(text, found.digest), name, _INDENT + _DEEPER, _VERDICT_WIDTH - _DEEPER
            )


def _short(text: str, digest: str | None) -> str:
    return short_digests(without_subject(text, digest) if digest else text)


def _says(summary: Summary) -> str:
    said = [summary.format]
    if summary.components is not None:
        said.append(counted(summary.components, "component"))
    if summary.vulnerabilities is not None:
        numbers = summary.vulnerabilities
        bands = ", ".join(f"{number} {band}" for band, number in numbers.by_band.items())
        said.append(f"{counted(numbers.total, 'vulnerability')} ({bands})")
    if summary.statements:
        said.append(counted(summary.statements, "statement"))
    return "; ".join(said)
