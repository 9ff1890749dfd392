"""The referrers API of registries: what is about a digest, page by page.

Source: OCI Distribution Specification 1.1, "Listing Referrers".
"""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus

from image_promotion.errors import (
    ProtocolViolationError,
    RegistryError,
    Subject,
    UnsupportedContentError,
)
from image_promotion.registry.answers import Answer
from image_promotion.registry.challenge import pull_scope
from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.digest import Digest
from image_promotion.registry.failures import (
    CHECK_ADDRESS,
    NOT_A_REGISTRY,
    Attempt,
    is_web_page,
    violation,
)
from image_promotion.registry.manifest import (
    MAX_MANIFEST_BYTES,
    OCI_INDEX,
    ImageIndex,
    parse_manifest,
)
from image_promotion.registry.session import Request, Session

MAX_PAGES = 100

_WITHOUT_THE_API = frozenset(
    {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED}
)
"""How registries say that they have none: the specification's 404, and what proxies make of it."""


async def list_referrers(
    session: Session, registry: str, full_repository: str, digest: Digest
) -> tuple[Descriptor, ...] | None:
    """Ask a registry what is about a digest.

    Args:
        session: The registry.
        registry: What people call it, for errors.
        full_repository: The registry's own name of the repository.
        digest: What the referrers are about.

    Returns:
        What it lists, unverified, each digest once; None when it has no referrers API.

    Raises:
        ProtocolViolationError: A page is no index, leads to another host, or the pages never end.
        UnsupportedContentError: A page is larger than MAX_MANIFEST_BYTES.
        RegistryError: It answers with another error, or not at all.

    Source: OCI Distribution Specification 1.1, "Listing Referrers"; RFC 8288, "The Link Header
    Field".
    """
    attempt = Attempt(
        "listing the referrers",
        "GET",
        session.url(f"/v2/{full_repository}/referrers/{digest}"),
        Subject(registry, full_repository, digest=str(digest)),
    )
    request = Request(attempt, (pull_scope(full_repository),), headers={"Accept": OCI_INDEX})
    try:
        answer = await session.ask(request, limit_bytes=MAX_MANIFEST_BYTES)
    except RegistryError as error:
        if error.status in _WITHOUT_THE_API:
            return None
        raise
    found: dict[Digest, Descriptor] = {}
    seen = {str(attempt.url)}
    while True:
        found |= {entry.digest: entry for entry in _read_page(request.attempt, answer)}
        if answer.next_link is None:
            return tuple(found.values())
        url = session.located(request.attempt, answer.next_link, answer.status)
        # A page may bring nothing new, so that only an address shows that they go in a circle.
        if str(url) in seen or len(seen) >= MAX_PAGES:
            raise violation(request.attempt, "its pages never end", status=answer.status)
        seen.add(str(url))
        request = replace(request, attempt=replace(request.attempt, url=url))
        answer = await session.ask(request, limit_bytes=MAX_MANIFEST_BYTES)


def _read_page(attempt: Attempt, answer: Answer) -> tuple[Descriptor, ...]:
    if is_web_page(answer.headers, answer.body):
        raise violation(attempt, NOT_A_REGISTRY, status=answer.status, advice=CHECK_ADDRESS)
    try:
        index = parse_manifest(answer.body, answer.headers.get("content-type"))
    except ProtocolViolationError as error:
        raise violation(attempt, error.attempted, status=answer.status) from error
    except UnsupportedContentError as error:
        error.about(attempt.subject)
        raise
    if not isinstance(index, ImageIndex):
        raise violation(attempt, "what it lists them in is no index", status=answer.status)
    return index.manifests
