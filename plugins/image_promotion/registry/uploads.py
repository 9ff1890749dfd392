"""Uploads of blobs: begun, filled, finished or given up.

A blob is sent in two requests: a POST opens an upload, and one PUT brings all bytes and finishes
it. That is one request less than with a PATCH between, the bytes stream just the same, and every
registry takes it, since it is how containerd pushes.

Source: OCI Distribution Specification 1.1, "Pushing Blobs", "POST then PUT".
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, replace
from http import HTTPStatus

import httpx

from image_promotion.errors import ContentMismatchError, PromotionError, RegistryError
from image_promotion.registry.challenge import delete_scope
from image_promotion.registry.claims import counted
from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.digest import Digest
from image_promotion.registry.failures import Attempt
from image_promotion.registry.session import Answer, Request, Session

STORING_TIMEOUT_S = 300.0
"""How long a registry may be silent after the last byte: some move large blobs in their storage."""

_CANCELLING_TIMEOUT_S = 5.0
_MISMATCH_CODES = ("DIGEST_INVALID", "SIZE_INVALID")


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload that a registry has begun.

    Args:
        session: The registry.
        attempt: What it is for; its URL is where the upload goes on.
        repository: The registry's own name of the repository.
        scopes: What a token for it must allow.
    """

    session: Session
    attempt: Attempt
    repository: str
    scopes: tuple[str, ...]

    @classmethod
    def begun(cls, session: Session, repository: str, request: Request, answer: Answer) -> Upload:
        """Read the answer that says where the upload goes on.

        Args:
            session: The registry.
            repository: The registry's own name of the repository.
            request: The POST that began it.
            answer: Its answer, a 202.

        Raises:
            ProtocolViolationError: The answer does not say it, or points to another host.
        """
        location = answer.headers.get("location", "")
        url = session.located(request.attempt, location, answer.status)
        return cls(session, replace(request.attempt, url=url), repository, request.scopes)

    async def fill(self, blob: Descriptor, content: AsyncIterator[bytes]) -> None:
        """Send all bytes of a blob and finish the upload; give it up when that fails.

        Args:
            blob: What is sent.
            content: Its bytes; an error of theirs ends the upload and passes.

        Raises:
            ContentMismatchError: The bytes are not as many as announced, or the registry says
                that they are not the digest's.
            RegistryError: The registry refuses them, or does not answer.
        """
        request = Request(
            replace(self.attempt, method="PUT", url=_with_digest(self.attempt.url, blob.digest)),
            self.scopes,
            expected=frozenset({HTTPStatus.CREATED}),
            headers={
                "Content-Length": str(blob.size_bytes),
                "Content-Type": "application/octet-stream",
            },
            read_timeout_s=STORING_TIMEOUT_S,
        )
        try:
            # Counted here: what does not fit Content-Length would break httpx's own rules.
            await self.session.send(request, counted(self.attempt, blob.size_bytes, content))
        except BaseException as error:
            await self.cancel()
            if isinstance(error, RegistryError) and _says_mismatch(error):
                raise ContentMismatchError(
                    f"{self.attempt.action} failed: other bytes arrived at the registry",
                    expected=str(blob.digest),
                    actual="another digest or size",
                    subject=self.attempt.subject,
                ) from error
            raise

    async def cancel(self) -> None:
        """Give the upload up, as far as the registry lets us; it forgets it by itself later.

        CNCF distribution 2 lets nobody once bytes have arrived that its address does not count.
        """
        request = Request(
            replace(self.attempt, action="giving an upload up", method="DELETE"),
            # A scope of its own: what a registry wants for this must not be added to what is asked
            # for the next blob, since some token services refuse whoever asks for too much.
            (delete_scope(self.repository),),
            expected=frozenset({HTTPStatus.OK, HTTPStatus.ACCEPTED, HTTPStatus.NO_CONTENT}),
        )
        with suppress(PromotionError, TimeoutError):
            async with asyncio.timeout(_CANCELLING_TIMEOUT_S):
                await self.session.ask(request)


def _with_digest(url: httpx.URL, digest: Digest) -> httpx.URL:
    """Add a digest to a query, the rest of which is the registry's own and goes back as it came."""
    return url.copy_with(
        query=b"&".join(part for part in (url.query, f"digest={digest}".encode()) if part)
    )


def _says_mismatch(error: RegistryError) -> bool:
    return any(code.code in _MISMATCH_CODES for code in error.codes)
