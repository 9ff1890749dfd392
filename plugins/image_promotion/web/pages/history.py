"""The history: which promotions were asked for, and how they are shown and written out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta

from image_promotion.ledger.chronicle import Filter, Place, Told
from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.records import State
from image_promotion.promotion.run_links import run_path
from image_promotion.web.api import models

_DIGEST = re.compile(r"(?:[a-z0-9]+(?:[+._-][a-z0-9]+)*:)?[0-9a-f]+", re.ASCII)
_CURSOR = re.compile(r"(\d{1,18})-(\d{1,18})", re.ASCII)
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
    )


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
    found = _CURSOR.fullmatch(cursor)
    if found is None:
        return None
    try:
        return Place(_EPOCH + int(found[1]) * _MICROSECOND, int(found[2]))
    except OverflowError:
        return None


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
