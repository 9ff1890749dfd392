"""What a policy would do: with one tag, and with all of them. Nothing is written anywhere.

The decisions are those of a dry run, from the same code, but for one thing: no scanner is started
while somebody waits, and of a policy that nobody has reviewed no folder of files is read. What a
run would ask first is said instead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from itertools import groupby
from typing import TypeVar

from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.records import HistoryEntry
from image_promotion.policy.evidence_sources import ON_DEMAND, SourceName
from image_promotion.policy.model import Policy
from image_promotion.promotion.evidence import needs_evidence
from image_promotion.promotion.explaining import explain
from image_promotion.promotion.plan_document import count
from image_promotion.promotion.planning import PlannedImage, plan_for, stays
from image_promotion.promotion.previewing import Preview, preview
from image_promotion.promotion.scanning import scan
from image_promotion.promotion.stores import Stores
from image_promotion.web.api import trial_models as models
from image_promotion.web.pages.page_sources import Site
from image_promotion.web.pages.trial_answers import shown_outlook, shown_trial, tried_targets

MAX_TAGS = 200
"""Of how many tags an outlook asks what they point at."""

MAX_SIZED = 25
"""Up to so many images it asks what their copies would move."""

Result = TypeVar("Result")

SIZES_SHARE = 0.25
"""The share of a look's time that asking for sizes may take."""


async def try_tag(site: Site, policy: Policy, tag: str, *, who: str) -> models.Trial:
    """Say what a policy decides about one tag now, and by what.

    Args:
        site: Where connections, the ledger and the time are from.
        policy: The policy.
        tag: The tag; or ``REPOSITORY:TAG``.
        who: Who asks.

    Returns:
        The decision.

    Raises:
        InvalidReferenceError: It is no tag, or of none or several of the policy's repositories.
        NotFoundError: There is no such tag.
        BusyError: They are looking at the policy already, or too many look at registries.
        TimeUpError: It took too long.
        PromotionError: A connection, a registry or the ledger cannot be asked.
    """
    return await _look(site, policy, who, partial(_trial, policy, tag))


async def what_now(
    site: Site, policy: Policy, *, who: str, at_most: int = MAX_TAGS, is_saved: bool = False
) -> models.Outlook:
    """Say what a run of a policy would do now.

    Args:
        site: Where connections, the ledger and the time are from.
        policy: The policy.
        who: Who asks.
        at_most: Of how many tags it is asked what they point at, those first that are new.
        is_saved: Whether the policy is one of the folder; what somebody has just typed is not, and
            is not led to files of this server.

    Returns:
        How many tags would be promoted, and the first of them.

    Raises:
        BusyError: They are looking at the policy already, or too many look at registries.
        TimeUpError: It took too long.
        PromotionError: A connection, a registry or the ledger cannot be asked.
    """
    sizes_s = site.looks.time_s * SIZES_SHARE
    return await _look(
        site,
        policy,
        who,
        partial(
            _outlook,
            policy,
            at_most=min(at_most, MAX_TAGS),
            sizes_s=sizes_s,
            withheld=ON_DEMAND if is_saved else ON_DEMAND | {SourceName.FILES},
        ),
    )


def _look(
    site: Site,
    policy: Policy,
    who: str,
    act: Callable[[Ledger, datetime, Stores], Awaitable[Result]],
) -> Awaitable[Result]:
    def look() -> Coroutine[None, None, Result]:
        ledger, now = site.ledger(), site.now()
        stores = Stores(
            site.registries.endpoint,
            {policy.source.connection, *policy.target_connections},
            open_store=site.open_store,
        )
        return stores.lend(partial(act, ledger, now))

    return site.looks.take((who, policy.name), look)


async def _trial(
    policy: Policy, tag: str, ledger: Ledger, now: datetime, stores: Stores
) -> models.Trial:
    source = stores.of(policy.source.connection)
    found = await explain(
        policy,
        tag,
        source=source,
        target_of=stores.of,
        ledger=ledger,
        now=now,
        withheld=ON_DEMAND,
    )
    moved = await preview(policy, found.rows, source=source, target_of=stores.of)
    targets = await tried_targets(policy, found, moved, stores)
    return shown_trial(found, targets, moved.notes, ON_DEMAND)


async def _outlook(
    policy: Policy,
    ledger: Ledger,
    now: datetime,
    stores: Stores,
    *,
    at_most: int,
    sizes_s: float,
    withheld: frozenset[SourceName],
) -> models.Outlook:
    source = stores.of(policy.source.connection)
    standings = ledger.standings(policy.name)
    seen = await scan(
        policy,
        source,
        now=now,
        overruled=ledger.overridden_tags(policy.name),
        at_most=at_most,
        known=_settled(standings, policy),
    )
    rows = await plan_for(
        policy,
        seen,
        standings,
        source=source,
        target_of=stores.of,
        ledger=ledger,
        now=now,
        withheld=withheld,
    )
    found = await _sized(policy, rows, stores, sizes_s)
    notes = (*found.notes, *seen.notes, *_of_withheld(policy, rows, withheld))
    return shown_outlook(policy, found, now=now, not_looked_at=seen.not_looked_up, notes=notes)


def _settled(standings: Sequence[HistoryEntry], policy: Policy) -> frozenset[tuple[str, str]]:
    """Return the tags about which a run decides nothing, unless they have moved."""
    by_observation = groupby(
        sorted(standings, key=lambda each: each.observation.id),
        key=lambda each: each.observation,
    )
    return frozenset(
        (seen.repository, seen.tag)
        for seen, entries in by_observation
        if stays(list(entries), policy, decide_again=False)
    )


async def _sized(
    policy: Policy, rows: Sequence[PlannedImage], stores: Stores, time_s: float
) -> Preview:
    """Ask what would be moved, where that is cheap."""
    look = partial(
        preview,
        policy,
        rows,
        source=stores.of(policy.source.connection),
        target_of=stores.of,
    )
    if count(rows).images <= MAX_SIZED:
        with suppress(TimeoutError):
            async with asyncio.timeout(time_s):
                return await look()
    return await look(with_sizes=False)


def _of_withheld(
    policy: Policy, rows: Sequence[PlannedImage], withheld: frozenset[SourceName]
) -> tuple[str, ...]:
    names = [str(each.name) for each in policy.evidence.sources if each.name in withheld]
    if not names or not needs_evidence(policy) or not count(rows).wait:
        return ()
    return (f"only a run asks {' and '.join(names)}, and decides then about what waits for that",)
