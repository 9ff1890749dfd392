"""The history as people leaf through it: promotions page by page, and what each policy came to.

A page costs the same with a thousand promotions as with a million: it is read along an index that
has the newest of a kind first, from where the last page ended. Which index that is, is decided
here and not by the database, which would have to guess: of what is asked for, the rarest leads, and
the rest is looked at row by row.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Select,
    and_,
    case,
    func,
    literal,
    or_,
    select,
    tuple_,
)

from image_promotion.ledger import promotions as planned
from image_promotion.ledger import rows
from image_promotion.ledger import tables as t
from image_promotion.ledger.database import Database, in_batches
from image_promotion.ledger.records import Kind, Outcome, Promotion, State

MAX_PAGE = 1000
"""So many promotions fit on a page, at most."""

COUNTED = 2000
"""Of what is asked for so many are counted, to see which is the rarest."""

DAYS = 7

_p = t.promotions

_POLICY = func.coalesce(_p.c.policy, "")
"""The policy as no index has it: else SQLite reads all promotions in its order to count a few."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which promotions are wanted; what is None or empty does not matter.

    Args:
        policies: Those of these policies; None for all, and of an empty collection there are none.
        repository: From or to this repository.
        tag: With this source tag or this target tag.
        digest: Of an image whose digest begins so, in the source or in the target.
        state: That stand so.
        since: Planned then or later.
        until: Planned before.
        run: That this run planned, or took further; the run's key.
        promotions: That are among these, by their ids; None for all.
    """

    policies: Collection[str] | None = None
    repository: str = ""
    tag: str = ""
    digest: str = ""
    state: State | None = None
    since: datetime | None = None
    until: datetime | None = None
    run: str = ""
    promotions: Collection[int] | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ends: the next begins with what was planned before.

    Args:
        at: When its last promotion was planned.
        id: That promotion.
    """

    at: datetime
    id: int


@dataclass(frozen=True, slots=True)
class Told:
    """A promotion, and how its run came about.

    Args:
        promotion: The promotion.
        run_kind: How the run came about that planned it, such as ``scheduled``.
        started_by: Who started that run by hand; None where nobody did, or nobody knows.
    """

    promotion: Promotion
    run_kind: str
    started_by: str | None


@dataclass(frozen=True, slots=True)
class Page:
    """Some promotions, the one planned last first.

    Args:
        entries: The promotions.
        next: Where the next page begins; None when this is the last.
    """

    entries: tuple[Told, ...]
    next: Place | None


@dataclass(frozen=True, slots=True)
class Tally:
    """What a policy came to.

    Args:
        promoted: How many promotions were verified, day by day: the last day last.
        waiting: How many images wait.
        failing: How many promotions failed and have not been mended.
        conflicts: How many images do not go because their target tag is taken.
        last: The promotion planned last; None when there was none.
    """

    promoted: tuple[int, ...] = (0,) * DAYS
    waiting: int = 0
    failing: int = 0
    conflicts: int = 0
    last: Promotion | None = None


class Chronicle:
    """The history as people leaf through it; it is at ``Ledger.chronicle``.

    Args:
        database: The ledger's database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(self, wanted: Filter, *, size: int = 50, after: Place | None = None) -> Page:
        """Read one page of promotions.

        Args:
            wanted: Which ones.
            size: How many, at most ``MAX_PAGE``.
            after: Where the page before ended; None for the first.

        Returns:
            The page.
        """
        size = max(1, min(size, MAX_PAGE))
        with self._database.reading() as connection:
            found = places(connection, wanted, size + 1, after)
            told = _told(connection, [each.id for each in found[:size]])
        return Page(told, found[size - 1] if len(found) > size else None)

    def every(self, wanted: Filter) -> Iterator[Told]:
        """Read all promotions of a kind, a page at a time, so that few are held at once.

        Args:
            wanted: Which ones.

        Yields:
            The promotions, the one planned last first.
        """
        after: Place | None = None
        while True:
            page = self.page(wanted, size=MAX_PAGE, after=after)
            yield from page.entries
            if page.next is None:
                return
            after = page.next

    def tallies(self, policies: Collection[str], now: datetime) -> Mapping[str, Tally]:
        """Say what policies came to.

        Args:
            policies: The policies.
            now: The end of the last of the days that are counted.

        Returns:
            The tally of each.
        """
        with self._database.reading() as connection:
            return tallies(connection, policies, now)

    def documents(self, policies: Collection[str]) -> Mapping[str, str]:
        """Return policies as they were when they ran last.

        Args:
            policies: The policies.

        Returns:
            The documents by name; a policy that never ran is not among them.
        """
        with self._database.reading() as connection:
            return documents(connection, policies)


def places(connection: Connection, wanted: Filter, limit: int, after: Place | None) -> list[Place]:
    """Find promotions by the index that fits.

    Args:
        connection: Any connection.
        wanted: Which ones.
        limit: How many at most.
        after: Only those planned before this one.

    Returns:
        Their places, the one planned last first.
    """
    found: set[Place] = set()
    for query in queries(connection, wanted, limit, after):
        found |= {Place(row.planned_at, row.id) for row in connection.execute(query)}
    return sorted(found, key=lambda each: (each.at, each.id), reverse=True)[:limit]


def queries(
    connection: Connection, wanted: Filter, limit: int, after: Place | None
) -> Sequence[Select[tuple[int, datetime]]]:
    """Make the queries that together find what is wanted, each along one index.

    Args:
        connection: Any connection; it is asked which policies there are, and how rare things are.
        wanted: Which ones.
        limit: How many at most.
        after: Only those planned before this one.

    Returns:
        The queries. Whatever is wanted is among the first ``limit`` of one of them.
    """
    aspects = _aspects(wanted, _policies(connection, wanted))
    if not aspects:
        return [_newest([], wanted, limit, after)]
    leading = aspects[0]
    if len(aspects) > 1 and not (wanted.run or wanted.digest or wanted.promotions is not None):
        leading = min(aspects, key=lambda each: _number(connection, each))
    rest = [each.of_row for each in aspects if each is not leading]
    return [_newest([way, *rest], wanted, limit, after) for way in leading.ways]


@dataclass(frozen=True, slots=True)
class _Aspect:
    """Something that is asked for.

    Args:
        ways: Conditions of which one must hold, each of them led to by an index.
        of_row: The same as one condition that no index leads to.
    """

    ways: tuple[ColumnElement[bool], ...]
    of_row: ColumnElement[bool]


def _aspects(wanted: Filter, policies: Sequence[str] | None) -> list[_Aspect]:
    # There are few promotions of one run, or of one image, whatever else is asked for: these lead.
    found = []
    if wanted.promotions is not None:
        is_among = _p.c.id.in_(sorted(wanted.promotions))
        found.append(_Aspect((is_among,), is_among))
    if wanted.run:
        is_of_run = _p.c.id.in_(
            select(t.run_promotions.c.promotion_id)
            .join(t.runs, t.runs.c.id == t.run_promotions.c.run_id)
            .where(t.runs.c.key == wanted.run)
        )
        found.append(_Aspect((is_of_run,), is_of_run))
    if wanted.digest:
        seen = select(t.observations.c.id).where(_begins(t.observations.c.digest, wanted.digest))
        ways = (_p.c.observation_id.in_(seen), _begins(_p.c.target_digest, wanted.digest))
        found.append(_Aspect(ways, or_(*ways)))
    if wanted.tag:
        found.append(_either(_p.c.source_tag, _p.c.target_tag, wanted.tag))
    if wanted.repository:
        found.append(_either(_p.c.source_repository, _p.c.target_repository, wanted.repository))
    if policies is not None:
        found.append(_of_policies(policies, wanted.state))
    elif wanted.state is not None:
        found.append(_Aspect((_p.c.state == wanted.state,), _is_in(wanted.state)))
    return found


def _either(one: Column[str], other: Column[str], value: str) -> _Aspect:
    ways = (one == value, other == value)
    return _Aspect(ways, or_(*(func.coalesce(each, "") == value for each in (one, other))))


def _of_policies(policies: Sequence[str], state: State | None) -> _Aspect:
    ways: list[ColumnElement[bool]] = [_p.c.policy == each for each in policies]
    of_row: ColumnElement[bool] = func.coalesce(_p.c.policy, "").in_(policies)
    if state is not None:
        ways = [and_(way, _p.c.state == state) for way in ways]
        of_row = and_(of_row, _is_in(state))
    return _Aspect(tuple(ways), of_row)


def _is_in(state: State) -> ColumnElement[bool]:
    return func.coalesce(_p.c.state, "") == state.value


def _begins(column: Column[str], digest: str) -> ColumnElement[bool]:
    """Say that a digest begins so: all of its characters sort before a ``g``."""
    return and_(column >= digest, column < f"{digest}g", column.startswith(digest, autoescape=True))


def _policies(connection: Connection, wanted: Filter) -> Sequence[str] | None:
    """List the policies that are asked for and are there; None when that is all of them."""
    if wanted.policies is None:
        return None
    known = set(connection.execute(select(t.policies.c.name)).scalars())
    return None if known and known <= set(wanted.policies) else sorted(known & {*wanted.policies})


def _number(connection: Connection, aspect: _Aspect) -> int:
    """Count the promotions that one aspect leaves, up to a limit."""
    number = 0
    for way in aspect.ways:
        some = select(literal(1)).select_from(_p).where(way).limit(COUNTED - number).subquery()
        number += connection.execute(select(func.count()).select_from(some)).scalar_one()
        if number >= COUNTED:
            break
    return number


def _newest(
    conditions: Sequence[ColumnElement[bool]], wanted: Filter, limit: int, after: Place | None
) -> Select[tuple[int, datetime]]:
    query = select(_p.c.id, _p.c.planned_at).where(*conditions)
    if wanted.since is not None:
        query = query.where(_p.c.planned_at >= wanted.since)
    if wanted.until is not None:
        query = query.where(_p.c.planned_at < wanted.until)
    if after is not None:
        place = tuple_(literal(after.at, _p.c.planned_at.type), literal(after.id))
        query = query.where(tuple_(_p.c.planned_at, _p.c.id) < place)
    return query.order_by(_p.c.planned_at.desc(), _p.c.id.desc()).limit(limit)


def _told(connection: Connection, ids: Sequence[int]) -> tuple[Told, ...]:
    """Read promotions by their ids, in that order."""
    found: dict[int, Told] = {}
    for batch in in_batches(ids):
        query = (
            planned.selected()
            .add_columns(t.runs.c.kind.label("run_kind"), t.runs.c.started_by)
            .where(_p.c.id.in_(batch))
        )
        for row in connection.execute(query).mappings():
            told = Told(rows.promotion(row), row["run_kind"], row["started_by"])
            found[told.promotion.id] = told
    return tuple(found[each] for each in ids if each in found)


def tallies(
    connection: Connection, policies: Collection[str], now: datetime
) -> Mapping[str, Tally]:
    """Say what policies came to; see ``Chronicle.tallies``."""
    found = {each: Tally() for each in policies}
    for name, promoted in _promoted(connection, now):
        if name in found:
            found[name] = replace(found[name], promoted=promoted)
    failing = select(_POLICY, func.count()).where(_p.c.state == State.FAILED).group_by(_POLICY)
    for name, number in connection.execute(failing):
        if name in found:
            found[name] = replace(found[name], failing=number)
    seen = t.observations
    standing = (
        select(seen.c.policy, t.decisions.c.outcome, func.count())
        .join(seen, seen.c.id == t.decisions.c.observation_id)
        .where(
            t.decisions.c.outcome.in_((Outcome.WAIT, Outcome.CONFLICT)),
            t.decisions.c.is_latest,
            seen.c.is_current,
            seen.c.gone_at.is_(None),
        )
        .group_by(seen.c.policy, t.decisions.c.outcome)
    )
    for name, outcome, number in connection.execute(standing):
        if name not in found:
            continue
        is_waiting = outcome is Outcome.WAIT
        found[name] = (
            replace(found[name], waiting=number)
            if is_waiting
            else replace(found[name], conflicts=number)
        )
    newest = (
        select(_p.c.id)
        .where(_p.c.policy == t.policies.c.name)
        .order_by(_p.c.planned_at.desc(), _p.c.id.desc())
        .limit(1)
        .correlate(t.policies)
        .scalar_subquery()
    )
    last: dict[str, int] = {}
    for batch in in_batches(sorted(found)):
        query = select(t.policies.c.name, newest).where(t.policies.c.name.in_(batch))
        last |= {name: number for name, number in connection.execute(query) if number is not None}
    told = {each.promotion.id: each.promotion for each in _told(connection, list(last.values()))}
    for name, promotion_id in last.items():
        found[name] = replace(found[name], last=told.get(promotion_id))
    return found


def _promoted(connection: Connection, now: datetime) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield, for each policy, how many promotions were verified in each of the last days."""
    ends = [now - timedelta(days=days) for days in range(DAYS, -1, -1)]
    at = _p.c.verified_at
    days = [
        func.sum(case((and_(at > begin, at <= end), 1), else_=0)) for begin, end in pairwise(ends)
    ]
    query = (
        select(_POLICY, *days)
        .where(
            _p.c.state == State.VERIFIED,
            at > ends[0],
            func.coalesce(_p.c.kind, Kind.PROMOTION.value) == Kind.PROMOTION.value,
        )
        .group_by(_POLICY)
    )
    for name, *numbers in connection.execute(query):
        yield name, tuple(int(number) for number in numbers)


def documents(connection: Connection, policies: Collection[str]) -> Mapping[str, str]:
    """Return policies as they were when they ran last; see ``Chronicle.documents``."""
    found: dict[str, str] = {}
    versions = t.policy_versions
    for batch in in_batches(sorted(policies)):
        last = (
            select(func.max(t.runs.c.id).label("id"))
            .join(versions, versions.c.id == t.runs.c.policy_version_id)
            .where(versions.c.policy.in_(batch), t.runs.c.kind != Kind.ROLLBACK.value)
            .group_by(versions.c.policy)
            .subquery()
        )
        query = (
            select(versions.c.policy, versions.c.document)
            .join(t.runs, t.runs.c.policy_version_id == versions.c.id)
            .join(last, last.c.id == t.runs.c.id)
        )
        found |= {row.policy: row.document for row in connection.execute(query)}
    return found
