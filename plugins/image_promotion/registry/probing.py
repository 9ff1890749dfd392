"""The Test button's answer: can this registry be used, what may we do, and if not, why not.

It tries what promotions will do, once and without retries, and says what happened in words for the
person who fills in the connection. It writes nothing: an upload is begun and given up.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from http import HTTPStatus

import httpx

from image_promotion.errors import (
    AuthenticationError,
    DeniedError,
    NotFoundError,
    PromotionError,
    ProtocolViolationError,
    RateLimitedError,
    RegistryError,
    UnreachableError,
)
from image_promotion.registry.client import RegistryClient
from image_promotion.registry.endpoint import RegistryEndpoint, RegistryType
from image_promotion.registry.failures import Cause, cause_of
from image_promotion.registry.layout_probing import probe_layout
from image_promotion.registry.probe_result import ProbeResult
from image_promotion.registry.retry import NO_RETRY
from image_promotion.registry.tls import look_at_certificate

_LOOKING_TIMEOUT_S = 10.0


async def probe(endpoint: RegistryEndpoint) -> ProbeResult:
    """Try a connection.

    Args:
        endpoint: The connection. With a ``test_repository``, reading and writing it is tried too.

    Returns:
        Whether it can be used, and what was found. A connection that may read or write, but not
        both, can be used: sources are read and targets written.
    """
    if endpoint.folder is not None:
        return await probe_layout(endpoint.folder, endpoint.namespace, endpoint.test_repository)
    try:
        async with RegistryClient(endpoint, retry=NO_RETRY) as client:
            await client.ping()
            greeting = f"{client.name} is a registry and {welcome(endpoint, client)}."
            if endpoint.test_repository is None:
                return ProbeResult(ok=True, message=greeting)
            rights = await _try_repository(client, endpoint, endpoint.test_repository)
            return ProbeResult(rights.ok, f"{greeting} {rights.message}")
    except PromotionError as error:
        return ProbeResult(ok=False, message=await explain(error, endpoint))


def welcome(endpoint: RegistryEndpoint, client: RegistryClient) -> str:
    """Say how a registry that was reached takes us, as the end of a sentence.

    Args:
        endpoint: The connection.
        client: The registry, which has answered.

    Returns:
        The words, such as ``knows robot``.
    """
    if not client.was_asked_who_we_are:
        if endpoint.password is None:
            return "lets anybody in"
        return "did not ask who we are, so that the password was not tried"
    if endpoint.password is None:
        return "lets us in without a name"
    return f"knows {endpoint.username}" if endpoint.username else "accepts the access token"


async def _try_repository(
    client: RegistryClient, endpoint: RegistryEndpoint, repository: str
) -> ProbeResult:
    """Try to read and to write one repository."""
    full = client.full_repository(repository)
    trials = {
        "read": await _attempt(lambda: read_one_tag(client, repository)),
        "write": await _attempt(lambda: client.probe_upload(repository)),
    }
    allowed = [verb for verb, error in trials.items() if error is None]
    sentences = []
    if isinstance(trials["read"], NotFoundError):
        del trials["read"]  # nothing is forbidden there
        sentences.append(what_becomes_of(full, endpoint.registry_type))
    if allowed:
        sentences.append(f"The connection may {' and '.join(allowed)} {full}.")
    sentences += [
        f"It may not {verb} {full}: {reason_of(error)}."
        for verb, error in trials.items()
        if error is not None
    ]
    return ProbeResult(ok=bool(allowed), message=" ".join(sentences))


async def _attempt(operation: Callable[[], Awaitable[None]]) -> PromotionError | None:
    try:
        await operation()
    except PromotionError as error:
        return error
    return None


async def read_one_tag(client: RegistryClient, repository: str) -> None:
    """Read the beginning of a repository's list of tags.

    Args:
        client: The registry.
        repository: The repository, as policies name it.

    Raises:
        RegistryError: It cannot be read.
    """
    async with aclosing(client.list_tags(repository)) as tags:
        async for _ in tags:
            return


def what_becomes_of(full_repository: str, registry_type: RegistryType) -> str:
    """Say how a target repository comes into being that is not there.

    Args:
        full_repository: Its name in the registry.
        registry_type: What the registry is.

    Returns:
        A sentence.
    """
    if registry_type is RegistryType.DTR:
        return (
            f"{full_repository} does not exist yet; the first promotion into it creates it, "
            "private and scanned on push, if the account may do that."
        )
    return (
        f"{full_repository} does not exist yet; it will be created by the first promotion into it."
    )


def reason_of(error: PromotionError) -> str:
    """Say why one right is missing, with the registry's own words.

    Args:
        error: What was raised when it was tried.

    Returns:
        The reason, as the end of a sentence.
    """
    match error:
        case DeniedError():
            reason = "the registry does not allow it"
        case AuthenticationError():
            reason = "the registry does not accept the login for it"
        case NotFoundError():
            reason = "the registry says that there is no such repository"
        case _:
            reason = error.attempted
    if isinstance(error, RegistryError):
        status = "" if error.status is None else f" ({error.status})"
        said = "".join(f", {code}" for code in error.codes)
        return f"{reason}{status}{said}"
    return reason


async def explain(
    error: PromotionError,
    endpoint: RegistryEndpoint,
    *,
    looking_timeout_s: float = _LOOKING_TIMEOUT_S,
) -> str:
    """Say in plain words why a registry cannot be used at all.

    Args:
        error: What was raised when it was tried.
        endpoint: The connection.
        looking_timeout_s: How long a certificate that is not trusted is looked at, in seconds.

    Returns:
        What is wrong, in sentences.
    """
    url = httpx.URL(endpoint.url)
    if isinstance(error, UnreachableError) and cause_of(error) is Cause.CERTIFICATE:
        return f"{error}{await _whose_certificate(url, looking_timeout_s)}"
    if isinstance(error, RegistryError) and await _speaks_tls_after_all(
        error, url, looking_timeout_s
    ):
        return (
            f"{endpoint.host} speaks TLS, and the host field says http://. Write https:// "
            "instead, or nothing, which means the same."
        )
    return _in_plain_words(error, endpoint)


def _in_plain_words(error: PromotionError, endpoint: RegistryEndpoint) -> str:
    match error:
        case AuthenticationError() if endpoint.password is None:
            return (
                f"{endpoint.host} wants a login (401), and the connection has none. Put a user "
                "name and a password, or an access token, into it."
            )
        case AuthenticationError():
            return (
                f"{endpoint.host} does not accept the user name and the password or access token "
                f"of the connection (401). {error}"
            )
        case DeniedError():
            return f"{endpoint.host} is there and does not let this account in (403). {error}"
        case RateLimitedError():
            wait = "" if error.retry_after_s is None else f" in {error.retry_after_s:.0f} seconds"
            return f"{endpoint.host} is there and asks us to slow down. Try again{wait}. {error}"
        case ProtocolViolationError():
            return f"{endpoint.host} answers, and not as a registry does. {error}"
        case _:
            return str(error)


async def _whose_certificate(url: httpx.URL, timeout_s: float) -> str:
    certificate = await look_at_certificate(url, timeout_s=timeout_s)
    if certificate is None:
        return ""
    return (
        f" The certificate shown is for {certificate.subject}, issued by {certificate.issuer}. "
        "(To read these names it was looked at without being trusted, and nothing was sent.)"
    )


async def _speaks_tls_after_all(error: RegistryError, url: httpx.URL, timeout_s: float) -> bool:
    """Tell whether plain HTTP was spoken to a TLS port, which breaks off or answers 400."""
    if url.scheme != "http" or error.status not in (None, HTTPStatus.BAD_REQUEST):
        return False
    if isinstance(error, UnreachableError) and cause_of(error) is not Cause.BROKEN:
        return False
    return await look_at_certificate(url, timeout_s=timeout_s) is not None
