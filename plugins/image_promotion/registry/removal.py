"""Taking tags and manifests away from a registry over HTTP.

A registry may delete tags, or only manifests by digest with every tag that points at them, or
nothing. Only its answer tells which.

Source: OCI Distribution Specification 1.1, "Content Management": a registry that does not delete by
tag answers 400 or 405; one that deletes nothing 405. CNCF distribution 2.8 answers 400
DIGEST_INVALID to a tag, 3 deletes it.
"""

from __future__ import annotations

from http import HTTPStatus

from image_promotion.errors import NotFoundError, RegistryError
from image_promotion.registry.challenge import delete_scope
from image_promotion.registry.failures import Attempt
from image_promotion.registry.session import Request, Session

_DONE = frozenset({HTTPStatus.OK, HTTPStatus.ACCEPTED, HTTPStatus.NO_CONTENT})
_NOT_OFFERED = frozenset(
    {HTTPStatus.BAD_REQUEST, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED}
)

ALLOW_DELETION = (
    "Let the registry delete: CNCF distribution wants REGISTRY_STORAGE_DELETE_ENABLED=true; others "
    "need the right for this account, or delete only in their own interface."
)


async def delete_tag(session: Session, attempt: Attempt, full_repository: str) -> bool:
    """Delete a tag, and leave what it points at.

    Args:
        session: The registry.
        attempt: The request, of the method DELETE.
        full_repository: The repository's full name.

    Returns:
        True when the registry says it is done; False when it does not delete by tag, or says that
        there is no such thing, which some say instead.

    Raises:
        RegistryError: It refuses, or does not answer.
    """
    try:
        await session.ask(_request(attempt, full_repository))
    except NotFoundError:
        return False
    except RegistryError as error:
        if error.status in _NOT_OFFERED:
            return False
        raise
    return True


async def delete_manifest(session: Session, attempt: Attempt, full_repository: str) -> None:
    """Delete a manifest, with every tag that points at it; one that is gone is no error.

    Args:
        session: The registry.
        attempt: The request, of the method DELETE.
        full_repository: The repository's full name.

    Raises:
        RegistryError: It refuses, or deletes nothing at all, or does not answer.
    """
    try:
        await session.ask(_request(attempt, full_repository))
    except NotFoundError:
        return
    except RegistryError as error:
        if error.status in _NOT_OFFERED:
            error.advice = ALLOW_DELETION
        raise


def _request(attempt: Attempt, full_repository: str) -> Request:
    return Request(attempt, (delete_scope(full_repository),), expected=_DONE)
