"""The history: which promotions were asked for, and how they are shown and written out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta

from image_promotion.ledger.chronicle import Filter, Place, Told
from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.records import State
from image_promotion.promotion.run_links import named_run, run_path
from image_promotion.web.api import models
from image_promotion.web.pages.page_sources import Site

_DIGEST = re.compile(r"(?:[a-z0-9]+(?:[+._-][a-z0-9]+)*:)?[0-9a-f]+", re.ASCII)
CURSOR = "[0-9]{1,17}-[0-9]{1,18}"
"""What places look like: a moment in microseconds, up to the year 5138, and an id."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

NO_DIGEST = "no digest"
"""What no digest begins with: stands for what cannot be one."""


def wanted(
    readable: frozenset[str],
    *,
    policy: str = "",
    repository: str = "",
    tag: str = "",
    digest: str = "",
    state: State | None = None,
    since: date | None = None,
    until: date | None = None,
    run: str = "",
    carried: frozenset[int] | None = None,
) -> Filter:
    """Return what was asked for, as far as whoever asks may see it.

    Args:
        readable: The policies that they may see.
        policy: Only this one; empty for all.
        repository: From or to this repository; empty for all.
        tag: With this source or target tag; empty for all.
        digest: The beginning of a digest, with or without ``sha256:``; empty for all.
        state: That stand so; None for all.
        since: The first day, in UTC; None for all.
        until: The last day, in UTC; None for all.
        run: Of this run; empty for all.
        carried: Only these promotions, by their ids; None for all.

    Returns:
        The filter.
    """
    begins = digest.strip().lower()
    if begins:
        begins = begins if _DIGEST.fullmatch(begins) else NO_DIGEST
        begins = begins if ":" in begins or begins == NO_DIGEST else f"sha256:{begins}"
    return Filter(
        policies=readable & {policy.strip()} if policy.strip() else readable,
        repository=repository.strip(),
        tag=tag.strip(),
        digest=begins,
        state=state,
        since=_midnight(since) if since else None,
        until=_midnight(until) + timedelta(days=1) if until and until < date.max else None,
        run=run,
        promotions=carried,
    )


def carried_by(site: Site, run: str, map_index: int | None) -> frozenset[int] | None:
    """Find which promotions a mapped task instance carries.

    Args:
        site: Where it is from.
        run: The key of its run.
        map_index: The instance; None for all.

    Returns:
        The promotions' ids; None where all of the run are meant, or nobody knows.
    """
    named = named_run(run)
    if map_index is None or named is None:
        return None
    lines = site.airflow.lines({named}).get(named)
    if lines is None:
        return None
    return lines[map_index] if map_index < len(lines) else frozenset()


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=UTC)


def cursor_of(place: Place) -> str:
    """Write a place as what stands in an address."""
    return f"{(place.at - _EPOCH) // _MICROSECOND}-{place.id}"


def place_of(cursor: str) -> Place | None:
    """Read a place.

    Args:
        cursor: What ``cursor_of`` wrote.

    Returns:
        The place; None when it is none.
    """
    if not re.fullmatch(CURSOR, cursor):
        return None
    moment, _, number = cursor.partition("-")
    return Place(_EPOCH + int(moment) * _MICROSECOND, int(number))


def page(ledger: Ledger, asked: Filter, *, after: Place | None, size: int) -> models.PromotionPage:
    """Read one page of the history.

    Args:
        ledger: The ledger.
        asked: Which promotions.
        after: Where the page before ended; None for the first.
        size: How many.

    Returns:
        The page.
    """
    found = ledger.chronicle.page(asked, size=size, after=after)
    return models.PromotionPage(
        promotions=tuple(shown(each) for each in found.entries),
        next=cursor_of(found.next) if found.next else None,
    )


def shown(told: Told) -> models.Promotion:
    """Return a promotion as it is shown."""
    done = told.promotion
    return models.Promotion(
        id=done.id,
        policy=done.policy,
        kind=done.kind,
        state=done.state,
        failed_in=done.failed_in,
        error=done.error,
        source=models.Place(
            connection=done.source_connection,
            registry=done.source_registry,
            repository=done.source_repository,
            tag=done.source_tag,
        ),
        target=models.Place(
            connection=done.target_connection,
            registry=done.target_registry,
            repository=done.target_repository,
            tag=done.target_tag,
        ),
        digest=done.digest,
        target_digest=done.target_digest,
        planned_at=done.planned_at,
        verified_at=done.verified_at,
        ended_at=done.ended_at,
        seconds=done.seconds,
        bytes_copied=done.bytes_copied,
        bytes_mounted=done.bytes_mounted,
        bytes_skipped=done.bytes_skipped,
        run=done.run_key,
        run_kind=told.run_kind,
        started_by=told.started_by,
        run_path=run_path(done.run_key, told.run_kind),
    )


def as_json(ledger: Ledger, asked: Filter) -> Iterator[str]:
    """Write all promotions that were asked for as one JSON list, piece by piece."""
    yield "["
    separator = "\n"
    for each in ledger.chronicle.every(asked):
        yield separator + shown(each).model_dump_json()
        separator = ",\n"
    yield "\n]\n"
