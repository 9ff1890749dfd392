"""Connect: both ends of a policy are tried, at once, while somebody waits."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from functools import partial

from image_promotion.errors import ConnectionSettingsError
from image_promotion.policy.model import Policy
from image_promotion.policy.repositories import NAME_PLACEHOLDER, STAR, name_in
from image_promotion.registry.endpoint import RegistryEndpoint
from image_promotion.registry.probe_result import ProbeResult, Side, Trouble, Use
from image_promotion.web.api.action_models import ConnectionCheck, ConnectReport
from image_promotion.web.pages.page_sources import Site

EXAMPLE_NAME = "connect-test"
"""What stands for each repository's name where a target is a pattern of them."""


@dataclass(frozen=True, slots=True)
class End:
    """A connection, and what a policy does behind it."""

    connection_id: str
    side: Side


def ends_of(policy: Policy) -> tuple[End, ...]:
    """Return what there is to try of a policy.

    Args:
        policy: The policy; it need not be saved.

    Returns:
        Its source and each of its target repositories, once.
    """
    source = end_of(policy.source.connection, policy.source.repository, Use.READ)
    targets = (
        end_of(each.target.connection, each.target.repository, Use.WRITE)
        for each in policy.destinations
    )
    return (source, *dict.fromkeys(targets))


def end_of(connection_id: str, repository: str, use: Use) -> End:
    """Return what there is to try of a connection.

    Args:
        connection_id: The connection's id.
        repository: The repository, or a pattern of them, as policies name it.
        use: What is done there.

    Returns:
        What there is to try.
    """
    if use is Use.WRITE:
        return End(connection_id, Side(use, repository.replace(NAME_PLACEHOLDER, EXAMPLE_NAME)))
    matches = partial(_matches, repository) if STAR in repository else None
    return End(connection_id, Side(use, repository, matches))


async def connect(site: Site, ends: Sequence[End], *, who: str, what: str) -> ConnectReport:
    """Try connections.

    Args:
        site: Where connections are from.
        ends: What to try.
        who: Who asks.
        what: What they look at: one such trial of theirs may be under way.

    Returns:
        What was found, in the order of the ends.

    Raises:
        BusyError: The same is being tried, or too many look at registries.
        TimeUpError: It took longer than each end may take, and the look-ups of the connections.
    """

    def look() -> Coroutine[None, None, tuple[ConnectionCheck, ...]]:
        # Airflow's look-up must not happen in an event loop.
        found = [_endpoint(site, each.connection_id) for each in ends]
        return _try_all(site, list(zip(ends, found, strict=True)))

    checks = await site.looks.take((who, what), look)
    return ConnectReport(ok=all(each.ok for each in checks), checks=checks)


def _matches(pattern: str, repository: str) -> bool:
    return name_in(pattern, repository) is not None


def _endpoint(site: Site, connection_id: str) -> RegistryEndpoint | ConnectionSettingsError:
    try:
        return site.registries.endpoint(connection_id)
    except ConnectionSettingsError as error:
        return error


async def _try_all(
    site: Site, ends: Sequence[tuple[End, RegistryEndpoint | ConnectionSettingsError]]
) -> tuple[ConnectionCheck, ...]:
    results = await asyncio.gather(*(_try(site, end.side, found) for end, found in ends))
    return tuple(
        ConnectionCheck(
            connection=end.connection_id,
            repository=end.side.repository,
            use=end.side.use,
            ok=result.ok,
            message=result.message,
            trouble=result.trouble,
        )
        for (end, _), result in zip(ends, results, strict=True)
    )


async def _try(
    site: Site, side: Side, found: RegistryEndpoint | ConnectionSettingsError
) -> ProbeResult:
    if isinstance(found, ConnectionSettingsError):
        return ProbeResult(ok=False, message=str(found), trouble=Trouble.SETTINGS)
    return await site.probe_side(found, side)
