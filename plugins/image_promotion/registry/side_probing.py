"""What Connect says of one end of a policy: may its source be read, its target be written?

It tries what a run will do there, once and without retries, and leaves nothing: an upload is begun
and given up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace

from image_promotion.errors import (
    AuthenticationError,
    ConnectionSettingsError,
    DeniedError,
    InvalidReferenceError,
    NotFoundError,
    PromotionError,
    ProtocolViolationError,
    RateLimitedError,
    UnreachableError,
)
from image_promotion.registry.client import RegistryClient
from image_promotion.registry.endpoint import RegistryEndpoint, RegistryType
from image_promotion.registry.failures import cause_of
from image_promotion.registry.layout_probing import probe_layout_side
from image_promotion.registry.probe_result import ProbeResult, Side, Trouble, Use
from image_promotion.registry.probing import (
    explain,
    read_one_tag,
    reason_of,
    welcome,
    what_becomes_of,
)
from image_promotion.registry.retry import NO_RETRY

SIDE_TIMEOUT_S = 10.0

_LOOKING_TIMEOUT_S = 2.0
"""How long the certificate of a server is looked at that is not trusted."""

_TROUBLES: tuple[tuple[type[PromotionError], Trouble], ...] = (
    (AuthenticationError, Trouble.LOGIN),
    (DeniedError, Trouble.RIGHT_MISSING),
    (NotFoundError, Trouble.REPOSITORY_MISSING),
    (RateLimitedError, Trouble.RATE_LIMITED),
    (ProtocolViolationError, Trouble.NOT_A_REGISTRY),
    (ConnectionSettingsError, Trouble.SETTINGS),
    (InvalidReferenceError, Trouble.SETTINGS),
)

ProbeSide = Callable[[RegistryEndpoint, Side], Awaitable[ProbeResult]]

_Refusal = AuthenticationError | DeniedError | NotFoundError


async def probe_side(
    endpoint: RegistryEndpoint, side: Side, *, timeout_s: float = SIDE_TIMEOUT_S
) -> ProbeResult:
    """Try what a policy does at one of its ends.

    Args:
        endpoint: The connection of that end.
        side: The repository, and what is done there.
        timeout_s: How long the trial may take, in seconds.

    Returns:
        Whether all of it may be done, and what was found.
    """
    try:
        async with asyncio.timeout(timeout_s):
            if endpoint.folder is not None:
                return await probe_layout_side(endpoint.folder, endpoint.namespace, side)
            return await _probe(endpoint, side)
    except TimeoutError:
        return ProbeResult(
            ok=False,
            message=f"{endpoint.host} had not answered everything after {timeout_s:.0f} seconds.",
            trouble=Trouble.TIMED_OUT,
        )
    except PromotionError as error:
        said = await explain(error, endpoint, looking_timeout_s=_LOOKING_TIMEOUT_S)
        return ProbeResult(ok=False, message=said, trouble=trouble_of(error))


def trouble_of(error: PromotionError) -> Trouble:
    """Say in one word what an error means for a connection.

    Args:
        error: What was raised while it was tried.

    Returns:
        The word.
    """
    if isinstance(error, UnreachableError):
        return Trouble(cause_of(error).value)
    return next((word for kind, word in _TROUBLES if isinstance(error, kind)), Trouble.OTHER)


async def _probe(endpoint: RegistryEndpoint, side: Side) -> ProbeResult:
    async with RegistryClient(endpoint, retry=NO_RETRY) as client:
        await client.ping()
        knows_us = client.was_asked_who_we_are
        greeting = f"{client.name} is a registry and {welcome(endpoint, client)}."
        if side.use is Use.WRITE:
            found = await _try_writing(client, endpoint, side.repository)
        elif side.matches is None:
            found = await _try_reading(client, side.repository)
        else:
            found = await _try_reading_some(client, side)
    if found.trouble is Trouble.LOGIN and knows_us:
        found = replace(found, trouble=Trouble.RIGHT_MISSING)
    return replace(found, message=f"{greeting} {found.message}")


async def _try_reading(client: RegistryClient, repository: str) -> ProbeResult:
    full = client.full_repository(repository)
    match await _attempt(read_one_tag(client, repository)):
        case None:
            return ProbeResult(ok=True, message=f"The connection may read {full}.")
        case NotFoundError():
            return ProbeResult(
                ok=False,
                message=f"There is no repository {full} there: nothing was pushed to it yet, the "
                "name is another one, or the account may not see it.",
                trouble=Trouble.REPOSITORY_MISSING,
            )
        case error:
            return _forbidden(f"read {full}", error)


async def _try_reading_some(client: RegistryClient, side: Side) -> ProbeResult:
    """Look for a repository that a pattern stands for, and read it."""
    first: str | None = None
    refused = None
    try:
        first = await _first_match(client, side)
    except (AuthenticationError, DeniedError, NotFoundError) as error:
        refused = error
    if refused is not None:
        found = _forbidden(
            f"list the repositories, among which {side.repository} is sought", refused
        )
        advice = "Write a policy for each repository, or use an account that may list them."
        return replace(found, message=f"{found.message} {advice}")
    if first is None:
        return ProbeResult(
            ok=False,
            message=f"It lists no repository that matches {side.repository}: nothing was pushed to "
            "one yet, or the account may not see it.",
            trouble=Trouble.REPOSITORY_MISSING,
        )
    return await _try_reading(client, first)


async def _first_match(client: RegistryClient, side: Side) -> str | None:
    async with aclosing(client.list_repositories()) as names:
        async for name in names:
            if side.matches is not None and side.matches(name):
                return name
    return None


async def _try_writing(
    client: RegistryClient, endpoint: RegistryEndpoint, repository: str
) -> ProbeResult:
    """Try to read too: a promotion is verified by reading it back."""
    full = client.full_repository(repository)
    unread = await _attempt(read_one_tag(client, repository))
    is_missing = isinstance(unread, NotFoundError)
    unwritten = await _attempt(client.probe_upload(repository))
    is_made = endpoint.registry_type is RegistryType.DTR or endpoint.creates_projects
    if is_missing and is_made and isinstance(unwritten, NotFoundError):
        return ProbeResult(ok=True, message=what_becomes_of(full, endpoint.registry_type))
    if unwritten is not None:
        found = _forbidden(f"write {full}", unwritten)
        if unread is None:
            message = f"The connection may read {full}. {found.message}"
            return replace(found, message=message, trouble=Trouble.RIGHT_MISSING)
        return found
    if unread is None:
        return ProbeResult(ok=True, message=f"The connection may read and write {full}.")
    if is_missing:
        becomes = what_becomes_of(full, endpoint.registry_type)
        return ProbeResult(ok=True, message=f"{becomes} The connection may write {full}.")
    found = _forbidden(f"read {full}", unread)
    return replace(
        found,
        message=f"The connection may write {full}. {found.message} "
        "Both rights are needed: what was promoted is read back.",
        trouble=Trouble.RIGHT_MISSING,
    )


def _forbidden(what: str, error: _Refusal) -> ProbeResult:
    return ProbeResult(
        ok=False, message=f"It may not {what}: {reason_of(error)}.", trouble=trouble_of(error)
    )


async def _attempt(trial: Awaitable[None]) -> _Refusal | None:
    """Try, and return how the registry refused; what is no refusal goes on to the caller."""
    try:
        await trial
    except (AuthenticationError, DeniedError, NotFoundError) as error:
        return error
    return None
