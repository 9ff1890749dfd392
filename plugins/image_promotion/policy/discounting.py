"""Which vulnerabilities do not count: those that statements or exceptions take out, and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from image_promotion.policy.facts import (
    Component,
    ImageFacts,
    Vulnerability,
    VulnerabilityException,
)
from image_promotion.policy.packages import names_of
from image_promotion.policy.repositories import name_in
from image_promotion.policy.statements import TAKING_OUT, Statements, identifiers_of

WARNED_BEFORE = timedelta(days=7)
"""How long before it expires an exception is warned of."""


@dataclass(frozen=True, slots=True)
class Discounted:
    """The vulnerabilities of an image: those that count, and those that do not.

    Args:
        counting: Those that count.
        stated: Those that statements take out, as words, by what takes them out.
        excepted: Those that exceptions take out.
        expired: Exceptions that would have taken some out and no longer do.
        now: The present moment.
    """

    counting: tuple[Vulnerability, ...]
    stated: tuple[tuple[Vulnerability, str], ...]
    excepted: tuple[tuple[Vulnerability, VulnerabilityException], ...]
    expired: tuple[VulnerabilityException, ...]
    now: datetime

    @property
    def changes_at(self) -> datetime | None:
        """When the first exception that takes one out expires."""
        return min((end_of(each) for _, each in self.excepted), default=None)

    def words(self, named: int) -> Iterator[str]:
        """Yield what does not count, and which exceptions expire.

        Args:
            named: How many are named, of each kind.
        """
        for what, entries in (
            ("taken out by statements", self.stated),
            ("excepted", [(each, _why(by)) for each, by in self.excepted]),
        ):
            words = {each.key: f"{each.id} in {each.package} ({why})" for each, why in entries}
            if words:
                shown = list(dict.fromkeys(words.values()))
                more = f" and {len(shown) - named} more" if len(shown) > named else ""
                yield f"{len(words)} {what}: {', '.join(shown[:named])}{more}"
        for each in dict.fromkeys(by for _, by in self.excepted):
            left = end_of(each) - self.now
            if left <= WARNED_BEFORE:
                yield f"the exception for {each.id} by {each.by} expires on {each.expires}"
        for each in self.expired:
            yield f"the exception for {each.id} by {each.by} expired on {each.expires}"


def _why(exception: VulnerabilityException) -> str:
    return f"{exception.reason}; by {exception.by}, until {exception.expires}"


def may_discount(facts: ImageFacts, now: datetime) -> bool:
    """Return whether any statement or exception could take a vulnerability of the image out."""
    return any(each.status in TAKING_OUT for each in facts.statements) or any(
        _is_for(each, facts.repository) and end_of(each) > now for each in facts.exceptions
    )


def end_of(exception: VulnerabilityException) -> datetime:
    """Return the moment from which an exception no longer counts: the end of its last day, UTC."""
    day = exception.expires
    try:
        return datetime.combine(day + timedelta(days=1), time(), UTC)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)


def discount(facts: ImageFacts, now: datetime) -> Discounted:
    """Tell the vulnerabilities that count from those that do not.

    Args:
        facts: The image's facts, with statements and exceptions.
        now: The present moment, by which exceptions expire.

    Returns:
        Both, with the reasons.
    """
    known = facts.vulnerabilities
    items = known.items if known else ()
    statements = Statements(facts.statements, facts.digests)
    counting = []
    stated = []
    excepted = []
    expired: dict[VulnerabilityException, None] = {}
    by_id: dict[str, list[VulnerabilityException]] = {}
    for exception in facts.exceptions:
        if _is_for(exception, facts.repository):
            by_id.setdefault(exception.id.casefold(), []).append(exception)
    for vulnerability in items:
        if vulnerability.status in TAKING_OUT:
            stated.append((vulnerability, f"{vulnerability.status} by the report itself"))
            continue
        statement = statements.taking_out(vulnerability)
        if statement is not None:
            why = f": {statement.justification}" if statement.justification else ""
            by = f" by {statement.source}" if statement.source else ""
            stated.append((vulnerability, f"{statement.status}{why}{by}"))
            continue
        matching = [
            each
            for identifier in dict.fromkeys(identifiers_of(vulnerability))
            for each in by_id.get(identifier, ())
            if _is_about(each, vulnerability)
        ]
        valid = [each for each in matching if end_of(each) > now]
        if valid:
            # The one that lasts longest: nobody need be warned of the others.
            excepted.append((vulnerability, max(valid, key=end_of)))
            continue
        expired |= dict.fromkeys(matching)
        counting.append(vulnerability)
    return Discounted(tuple(counting), tuple(stated), tuple(excepted), tuple(expired), now)


def _is_for(exception: VulnerabilityException, repository: str | None) -> bool:
    if exception.repository is None:
        return True
    return repository is not None and name_in(exception.repository, repository) is not None


def _is_about(exception: VulnerabilityException, vulnerability: Vulnerability) -> bool:
    if exception.package is None:
        return True
    package = Component(vulnerability.package, purl=vulnerability.purl)
    return exception.package.casefold() in {each.casefold() for each in names_of(package)}
