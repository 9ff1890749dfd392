"""Weighing: which reports of a dossier count now, and what they say together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import TypeVar

from image_promotion.evidence.dossier import Dossier, Entry
from image_promotion.evidence.report import Report, ScanState
from image_promotion.policy.criteria.verdict import Need
from image_promotion.policy.facts import (
    Component,
    ImageFacts,
    Known,
    Signature,
    Statement,
    Vulnerability,
    VulnerabilityCounts,
)

Item = TypeVar("Item")

TOLERATED_CLOCK_DIFFERENCE = timedelta(hours=1)
"""A report made later than this from now is not believed: its clock, or ours, is wrong."""

_SHOWN_PROBLEMS = 3


@dataclass(frozen=True, slots=True)
class Weights:
    """The rules by which reports count.

    Args:
        max_age: Older reports do not count; None when any age does.
        now: The present moment.
    """

    max_age: timedelta | None
    now: datetime

    def problem_of(self, entry: Entry) -> str:
        """Say why a document does not count now.

        Args:
            entry: The document.

        Returns:
            The reason, as the rest of a sentence about it; empty when it counts.
        """
        if entry.problem or entry.report is None:
            return entry.problem
        if entry.report.state is not ScanState.COMPLETE:
            return _said_of_scan(entry.report.state, entry.report.problem)
        return self._problem_of_age(entry.made_at)

    def _problem_of_age(self, made_at: datetime | None) -> str:
        if made_at is not None and made_at - self.now > TOLERATED_CLOCK_DIFFERENCE:
            return f"was made in the future, at {_minute(made_at)}"
        if self.max_age is None:
            return ""
        if made_at is None:
            return "does not say when it was made, so that its age cannot be held to max_age"
        if self.now - made_at > self.max_age:
            return f"was made at {_minute(made_at)}, longer ago than max_age"
        return ""


def weigh(
    dossier: Dossier, subjects: Sequence[str], weights: Weights, facts: ImageFacts
) -> ImageFacts:
    """Add what the reports of a dossier say to what is known of an image.

    Args:
        dossier: The dossier.
        subjects: The digests whose reports count, the image's own among them.
        weights: The rules.
        facts: What is known of the image otherwise.

    Returns:
        The facts. Of components and of vulnerabilities the first source that knows them is
        believed; all its reports count together.
    """
    components = _first_known(dossier, subjects, weights, _components)
    vulnerabilities = _first_known(dossier, subjects, weights, _vulnerabilities)
    counts = None if vulnerabilities else _counts(dossier, subjects, weights)
    signatures = _signatures(dossier)
    return replace(
        facts,
        components=components,
        vulnerabilities=vulnerabilities,
        vulnerability_counts=counts,
        signatures=signatures,
        statements=_statements(dossier, subjects, weights),
        digests=tuple(subjects),
        why_no_components=""
        if components
        else _why_unknown(dossier, subjects, weights, _components, "component list"),
        why_no_vulnerabilities=""
        if vulnerabilities or counts
        else _why_unknown(dossier, subjects, weights, _vulnerabilities, "vulnerability report"),
        why_no_signatures="" if signatures else _why_unsigned(dossier),
    )


def is_known(dossier: Dossier, need: Need, subjects: Sequence[str], weights: Weights) -> bool:
    """Say whether a dossier knows something that a trigger looks at.

    Args:
        dossier: The dossier.
        need: What.
        subjects: The digests whose reports count.
        weights: The rules.

    Returns:
        Whether it does; of what no evidence speaks, always.
    """
    match need:
        case Need.COMPONENTS:
            return _first_known(dossier, subjects, weights, _components) is not None
        case Need.VULNERABILITIES:
            return (
                _first_known(dossier, subjects, weights, _vulnerabilities) is not None
                or _counts(dossier, subjects, weights) is not None
            )
        case Need.SIGNATURES:
            return _signatures(dossier) is not None
        case _:
            return True


def _components(report: Report) -> tuple[Component, ...] | None:
    return report.components


def _vulnerabilities(report: Report) -> tuple[Vulnerability, ...] | None:
    return report.vulnerabilities


def _counts(
    dossier: Dossier, subjects: Sequence[str], weights: Weights
) -> VulnerabilityCounts | None:
    """Give the numbers of the first report that counts vulnerabilities and lists none."""
    for entry in dossier.about(subjects):
        counts = entry.report.counts if entry.report else None
        if counts is not None and not weights.problem_of(entry):
            return VulnerabilityCounts(
                counts.critical,
                counts.major,
                counts.minor,
                counts.total,
                describe(entry, weights.now),
            )
    return None


def _signatures(dossier: Dossier) -> Known[Signature] | None:
    """Give the signatures of the image itself: those of an index sign none of its images.

    None when there is no valid one: one may come at any moment.
    """
    valid = tuple(
        Signature(name, entry.location)
        for entry in dossier.about((dossier.image,))
        if entry.signs_image and not entry.problem
        for name in entry.signed_by
    )
    return Known(valid, f"signatures of {dossier.image}") if valid else None


def _why_unsigned(dossier: Dossier) -> str:
    problems = [
        f"{entry.location} {entry.problem}"
        for entry in dossier.about((dossier.image,))
        if entry.signs_image and entry.problem
    ]
    problems += _said_by_sources(dossier, (dossier.image,))
    return _joined(problems, "signature")


def _statements(
    dossier: Dossier, subjects: Sequence[str], weights: Weights
) -> tuple[Statement, ...]:
    """Give what is said about vulnerabilities by those whose word counts."""
    return tuple(
        replace(statement, source=describe(entry, weights.now))
        for entry in dossier.about(subjects)
        if entry.report and not weights.problem_of(entry)
        for statement in entry.report.statements
    )


def _why_unknown(
    dossier: Dossier,
    subjects: Sequence[str],
    weights: Weights,
    items_of: Callable[[Report], tuple[Item, ...] | None],
    what: str,
) -> str:
    """Say what is there that does not count, and why; or that there is nothing."""
    problems = [
        f"{entry.location} {problem}"
        for entry in dossier.about(subjects)
        if not entry.signs_image
        and (entry.report is None or _may_speak(entry.report, items_of))
        and (problem := weights.problem_of(entry))
    ]
    return _joined(problems + _said_by_sources(dossier, subjects), what)


def _may_speak(report: Report, items_of: Callable[[Report], tuple[Item, ...] | None]) -> bool:
    return items_of(report) is not None or report.state is not ScanState.COMPLETE


def _said_by_sources(dossier: Dossier, subjects: Sequence[str]) -> list[str]:
    return [f"{note.source}: {note.said}" for note in dossier.notes if note.subject in subjects]


def _joined(problems: Sequence[str], what: str) -> str:
    if not problems:
        return f"no {what} yet"
    shown = "; ".join(problems[:_SHOWN_PROBLEMS])
    rest = len(problems) - _SHOWN_PROBLEMS
    return f"no {what} that counts: {shown}" + (f"; and {rest} more" if rest > 0 else "")


def _first_known(
    dossier: Dossier,
    subjects: Sequence[str],
    weights: Weights,
    items_of: Callable[[Report], tuple[Item, ...] | None],
) -> Known[Item] | None:
    """Believe the first source that has a report of a kind which counts."""
    for _, entries in groupby(dossier.about(subjects), key=lambda entry: entry.source):
        counting = [
            entry
            for entry in entries
            if entry.report and items_of(entry.report) is not None and not weights.problem_of(entry)
        ]
        if not counting:
            continue
        newest = _newest_of_each_tool(counting)
        items = tuple(
            item for entry in newest if entry.report for item in items_of(entry.report) or ()
        )
        said = "; ".join(describe(entry, weights.now) for entry in newest)
        return Known(items, said)
    return None


def _newest_of_each_tool(entries: Sequence[Entry]) -> list[Entry]:
    """Leave out what a later report of the same tool about the same digest has replaced."""
    newest: dict[tuple[str, str], Entry] = {}
    for entry in entries:
        tool = entry.report.provenance.tool.casefold() if entry.report else ""
        # Two reports of nameless tools may be of different ones.
        key = (entry.subject, tool or entry.digest)
        held = newest.get(key)
        if held is None or _is_newer(entry, held):
            newest[key] = entry
    return list(newest.values())


def _is_newer(entry: Entry, held: Entry) -> bool:
    if entry.made_at is None or held.made_at is None:
        return held.made_at is None
    return entry.made_at > held.made_at


def describe(entry: Entry, now: datetime) -> str:
    """Say which report it is, where from, how old and by whom signed.

    Args:
        entry: The document.
        now: The present moment.

    Returns:
        Such as ``trivy report of 2026-11-24 10:00Z (less than a day old), referrer sha256:..,
        signed by release``.
    """
    tool = entry.report.provenance.tool if entry.report else ""
    name = f"{tool} report" if tool else "report"
    if entry.made_at is not None:
        name += f" of {_minute(entry.made_at)} ({age(now - entry.made_at)})"
    signed = f"signed by {' and '.join(entry.signed_by)}" if entry.signed_by else "not signed"
    return f"{name}, {entry.location}, {signed}"


def age(duration: timedelta) -> str:
    """Say how old something is, in days.

    No finer, since a decision that reads the same as the one before is not recorded again.
    """
    if duration.days < 1:
        return "less than a day old"
    return f"{duration.days} day{'s' if duration.days > 1 else ''} old"


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}Z"


def _said_of_scan(state: ScanState, problem: str) -> str:
    words = {
        ScanState.PENDING: "is of a scan that has not begun",
        ScanState.RUNNING: "is of a scan that still runs",
        ScanState.FAILED: "is of a scan that failed",
        ScanState.NOT_SCANNED: "says that nothing was scanned",
        ScanState.COMPLETE: "is complete",
    }[state]
    return f"{words}: {problem}" if problem else words
