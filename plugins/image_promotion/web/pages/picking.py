"""Names to pick from: what a registry lists, as far as it does so while somebody types."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine

from image_promotion.errors import BusyError, PromotionError
from image_promotion.policy.model import Policy
from image_promotion.promotion.stores import Stores
from image_promotion.registry.reference import is_repository
from image_promotion.registry.referrer_tags import is_attachment_tag
from image_promotion.registry.store import Store
from image_promotion.web.api.trial_models import Names
from image_promotion.web.pages.page_sources import Site

MAX_NAMES = 100
MAX_LISTED = 20_000
"""So many names of a registry are gone through for those that begin as it was typed."""

TIME_S = 6.0

NAME_FIRST = "Name a repository first."


async def tags_of(site: Site, connection_id: str, repository: str, prefix: str = "") -> Names:
    """List the tags of a repository that begin so.

    Args:
        site: Where connections are from.
        connection_id: The connection.
        repository: The repository, as policies name it.
        prefix: How they begin.

    Returns:
        The first of them, without those that name what is attached to images.

    Raises:
        BusyError: Too many look at registries.
    """
    if not is_repository(repository):
        return Names(names=(), is_complete=False, problem=NAME_FIRST)
    return await _listed(
        site,
        connection_id,
        lambda store: store.list_tags(repository),
        lambda name: name.startswith(prefix) and not is_attachment_tag(name),
    )


async def repositories_of(
    site: Site, connection_id: str, prefix: str = "", policy: Policy | None = None
) -> Names:
    """List the repositories that begin so.

    Args:
        site: Where connections are from.
        connection_id: The connection.
        prefix: How they begin.
        policy: Only the repositories that this policy takes images from; None for all.

    Returns:
        The first of them; many registries show none.

    Raises:
        BusyError: Too many look at registries.
    """
    found = await _listed(
        site,
        connection_id,
        lambda store: store.list_repositories(),
        lambda name: (
            name.startswith(prefix) and (policy is None or policy.matches_repository(name))
        ),
    )
    if found.problem:
        advice = "Type the repository's name: registries need not list what they have."
        return found.model_copy(update={"problem": f"{found.problem} {advice}"})
    return found


async def _listed(
    site: Site,
    connection_id: str,
    listing: Callable[[Store], AsyncIterator[str]],
    is_wanted: Callable[[str], bool],
) -> Names:
    def look() -> Coroutine[None, None, Names]:
        stores = Stores(site.registries.endpoint, {connection_id}, open_store=site.open_store)

        async def go_through(opened: Stores) -> Names:
            return await _first(listing(opened.of(connection_id)), is_wanted)

        return stores.lend(go_through)

    try:
        return await site.looks.take(None, look)
    except BusyError:
        raise
    except PromotionError as error:
        return Names(names=(), is_complete=False, problem=str(error))


async def _first(listed: AsyncIterator[str], is_wanted: Callable[[str], bool]) -> Names:
    """Take the first names that are wanted, and as many as are there when the time is up."""
    names: list[str] = []
    seen = 0
    problem = ""
    is_complete = False
    try:
        async with asyncio.timeout(TIME_S):
            async for name in listed:
                seen += 1
                if is_wanted(name):
                    names.append(name)
                if len(names) > MAX_NAMES or seen >= MAX_LISTED:
                    break
            else:
                is_complete = True
    except TimeoutError:
        if not names:
            problem = f"The registry had listed none after {TIME_S:.0f} seconds."
    return Names(names=tuple(sorted(names[:MAX_NAMES])), is_complete=is_complete, problem=problem)
