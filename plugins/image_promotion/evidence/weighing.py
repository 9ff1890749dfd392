"""Weighing: which reports of a dossier count now, and what they say together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import groupby
from typing import TypeAlias

from image_promotion.evidence.dossier import Dossier, Entry
from image_promotion.evidence.examination import needs_told_by
from image_promotion.evidence.report import Report, ScanState
from image_promotion.policy.criteria.verdict import Need
from image_promotion.policy.facts import (
    Component,
    ImageFacts,
    Known,
    Signature,
    Statement,
    Status,
    Vulnerability,
    VulnerabilityCounts,
)

_TAKING_OUT = frozenset({Status.NOT_AFFECTED, Status.FIXED})

_Counting: TypeAlias = tuple[Entry, Report]
"""A document that counts, with what it says."""

TOLERATED_CLOCK_DIFFERENCE = timedelta(hours=1)
"""A report made later than this from now is not believed: its clock, or ours, is wrong."""

_SHOWN_PROBLEMS = 3


@dataclass(frozen=True, slots=True)
class Weights:
    """The rules by which reports count.

    Args:
        max_age: Older reports do not count; None when any age does.
        now: The present moment.
        signers: Whose signatures triggers ask for: of each set one signer's.
    """

    max_age: timedelta | None
    now: datetime
    signers: tuple[frozenset[str], ...] = ()

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
    scale = _Scale(dossier, tuple(subjects), weights)
    components = scale.components()
    vulnerabilities = scale.vulnerabilities()
    counts = None
    if isinstance(vulnerabilities, VulnerabilityCounts):
        vulnerabilities, counts = None, vulnerabilities
    signatures = _signatures(dossier)
    return replace(
        facts,
        components=components,
        vulnerabilities=vulnerabilities,
        vulnerability_counts=counts,
        signatures=signatures,
        statements=scale.statements(),
        digests=tuple(subjects),
        why_no_components=""
        if components
        else scale.why_unknown(Need.COMPONENTS, "component list"),
        why_no_vulnerabilities=""
        if vulnerabilities or counts
        else scale.why_unknown(Need.VULNERABILITIES, "vulnerability report"),
        why_no_signatures=_why_unsigned(dossier),
    )


def is_known(dossier: Dossier, need: Need, subjects: Sequence[str], weights: Weights) -> bool:
    """Say whether a dossier knows something that a trigger looks at.

    Args:
        dossier: The dossier.
        need: What.
        subjects: The digests whose reports count.
        weights: The rules.

    Returns:
        Whether it does; of what no evidence speaks, always. Signatures are known when every trigger
        that asks for one finds one.
    """
    match need:
        case Need.COMPONENTS | Need.VULNERABILITIES:
            return any(
                need in needs_told_by(entry.report) and not weights.problem_of(entry)
                for entry in dossier.about(subjects)
                if entry.report
            )
        case Need.SIGNATURES:
            known = _signatures(dossier)
            signed_by = {each.by for each in known.items} if known else set()
            return bool(signed_by) and not any(
                signed_by.isdisjoint(each) for each in weights.signers
            )
        case _:
            return True


class Use(StrEnum):
    """What a document is believed about."""

    COMPONENTS = "components"
    VULNERABILITIES = "vulnerabilities"
    STATEMENTS = "statements about vulnerabilities"
    SIGNATURE = "signature of the image"


def uses_of(
    dossier: Dossier, entry: Entry, subjects: Sequence[str], weights: Weights
) -> tuple[Use, ...]:
    """Say what one document of a dossier is believed about.

    Args:
        dossier: The dossier.
        entry: The document.
        subjects: The digests whose reports count.
        weights: The rules.

    Returns:
        The uses; empty for one that does not count, that says nothing of these, or in whose place
        another one is believed.
    """
    if entry.subject not in subjects or weights.problem_of(entry):
        return ()
    scale = _Scale(dossier, tuple(subjects), weights)
    signs = entry.signs_image and entry.subject == dossier.image and entry.signed_by
    found = {
        Use.COMPONENTS: any(each is entry for each, _ in scale.believed_on_components()),
        Use.VULNERABILITIES: any(each is entry for each, _ in scale.believed_on_vulnerabilities()),
        Use.STATEMENTS: entry.report is not None and bool(entry.report.statements),
        Use.SIGNATURE: bool(signs),
    }
    return tuple(use for use, is_used in found.items() if is_used)


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
    return _joined(problems, dossier, (dossier.image,), "signature")


@dataclass(frozen=True, slots=True)
class _Scale:
    """The documents about some digests, and the rules by which they count."""

    dossier: Dossier
    subjects: tuple[str, ...]
    weights: Weights

    def components(self) -> Known[Component] | None:
        """Give the components that are listed."""
        believed = self.believed_on_components()
        found = (item for _, report in believed for item in report.components or ())
        return Known(tuple(found), self._said(believed)) if believed else None

    def vulnerabilities(self) -> Known[Vulnerability] | VulnerabilityCounts | None:
        """Give the vulnerabilities that are listed, or their numbers."""
        believed = self.believed_on_vulnerabilities()
        if not believed:
            return None
        if any(report.vulnerabilities is None for _, report in believed):
            return self._counts(believed)
        found = (item for _, report in believed for item in report.vulnerabilities or ())
        return Known(tuple(found), self._said(believed))

    def believed_on_components(self) -> Sequence[_Counting]:
        """Believe the first source that lists components."""
        for reports in self._by_source():
            if listing := [each for each in reports if each[1].components is not None]:
                return _newest_of_each_tool(listing)
        return ()

    def believed_on_vulnerabilities(self) -> Sequence[_Counting]:
        """Believe the first source that knows the vulnerabilities; its lists before its numbers."""
        for reports in self._by_source():
            if listing := [each for each in reports if each[1].vulnerabilities is not None]:
                return _newest_of_each_tool(listing)
            if counting := [each for each in reports if each[1].counts is not None]:
                return _newest_of_each_tool(counting)
        return ()

    def statements(self) -> tuple[Statement, ...]:
        """Give what is said about vulnerabilities by those whose word counts."""
        latest = self.weights.now + TOLERATED_CLOCK_DIFFERENCE
        return tuple(
            replace(statement, source=describe(entry, self.weights.now))
            for entry, report in self._counting()
            for statement in report.statements
            # What somebody will say one day takes nothing out yet; the later of two would stand.
            if statement.status not in _TAKING_OUT
            or statement.at is None
            or _aware(statement.at) <= latest
        )

    def why_unknown(self, need: Need, what: str) -> str:
        """Say what is there that does not count, and why; or that there is nothing."""
        problems = [
            f"{entry.location} {problem}"
            for entry in self.dossier.about(self.subjects)
            if not entry.signs_image
            and _may_tell(entry, need)
            and (problem := self.weights.problem_of(entry))
        ]
        return _joined(problems, self.dossier, self.subjects, what)

    def _by_source(self) -> Iterator[Sequence[_Counting]]:
        for _, entries in groupby(self._counting(), key=lambda each: each[0].source):
            yield list(entries)

    def _counting(self) -> Iterator[_Counting]:
        for entry in self.dossier.about(self.subjects):
            if entry.report is not None and not self.weights.problem_of(entry):
                yield entry, entry.report

    def _counts(self, reports: Sequence[_Counting]) -> VulnerabilityCounts:
        """Give the numbers; of several the largest, since nobody says what is in both."""
        numbers = [report.counts for _, report in reports if report.counts is not None]
        return VulnerabilityCounts(
            critical=max(each.critical for each in numbers),
            major=max(each.major for each in numbers),
            minor=max(each.minor for each in numbers),
            all=max(each.total for each in numbers),
            source=self._said(reports),
        )

    def _said(self, reports: Sequence[_Counting]) -> str:
        return "; ".join(describe(entry, self.weights.now) for entry, _ in reports)


def _may_tell(entry: Entry, need: Need) -> bool:
    """Return whether a document would tell something, or may: nobody could read it."""
    told = needs_told_by(entry.report) if entry.report else entry.speaks_of
    return not told or need in told


def _joined(problems: Sequence[str], dossier: Dossier, subjects: Sequence[str], what: str) -> str:
    """Say why nothing counts: the documents' problems, then what explains it.

    What sources say besides is of interest where nothing else is said.
    """
    notes = [note for note in dossier.notes if note.subject in subjects]
    explained = [*problems, *(f"{note.source}: {note.said}" for note in notes if note.explains)]
    said = list(dict.fromkeys(explained or (f"{note.source}: {note.said}" for note in notes)))
    if not said:
        return f"no {what} yet"
    shown = "; ".join(said[:_SHOWN_PROBLEMS])
    rest = len(said) - _SHOWN_PROBLEMS
    what += " that counts" if explained else " yet"
    return f"no {what}: {shown}" + (f"; and {rest} more" if rest > 0 else "")


def _newest_of_each_tool(reports: Sequence[_Counting]) -> Sequence[_Counting]:
    """Leave out what a later report of its kind has replaced.

    A report speaks against an image until it is replaced beyond doubt: by one of the same tool, in
    the same format, about the same digest, signed by all who signed it, and made later. Where tool
    or time are not said, or the times are the same, both count.
    """
    by_kind: dict[tuple[str, str, str], list[_Counting]] = {}
    for entry, report in reports:
        key = (entry.subject, report.provenance.tool.casefold(), _family(report.format))
        by_kind.setdefault(key, []).append((entry, report))
    return [
        each
        for each in reports
        if not any(
            _replaces(other, each)
            for other in by_kind[
                each[0].subject, each[1].provenance.tool.casefold(), _family(each[1].format)
            ]
        )
    ]


def _replaces(one: _Counting, other: _Counting) -> bool:
    (newer, report), (older, _) = one, other
    return (
        report.provenance.tool != ""
        and newer.made_at is not None
        and older.made_at is not None
        and newer.made_at > older.made_at
        and set(older.signed_by) <= set(newer.signed_by)
    )


def _family(name: str) -> str:
    """Return a format without its version, which a new version of the tool may change."""
    return name.rstrip("0123456789.").rstrip("-")


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


def _aware(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


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
