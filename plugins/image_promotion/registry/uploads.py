"""Uploads of blobs, one request a method: begun, added to, asked about, finished or given up.

A blob is sent in two requests: a POST opens an upload, and one PUT brings all bytes and finishes
it. That is one request less than with a PATCH between, the bytes stream just the same, and every
registry takes it, since it is how containerd pushes. When to send it in chunks instead, and what
to do when it breaks, is the matter of ``delivery``.

Source: OCI Distribution Specification 1.1, "Pushing Blobs", "POST then PUT" and "Pushing a blob in
chunks".
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, replace
from http import HTTPStatus

import httpx

from image_promotion.errors import ContentMismatchError, PromotionError, RegistryError
from image_promotion.registry.answers import Answer
from image_promotion.registry.challenge import delete_scope
from image_promotion.registry.claims import counted
from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.digest import Digest
from image_promotion.registry.failures import Attempt, violation
from image_promotion.registry.session import Request, Session

STORING_TIMEOUT_S = 300.0
"""How long a registry may be silent after the last byte: some move large blobs in their storage."""

_CANCELLING_TIMEOUT_S = 5.0
_MISMATCH_CODES = ("DIGEST_INVALID", "SIZE_INVALID")
_NUMBER = re.compile(r"[0-9]{1,18}")
_RANGE = re.compile(r"(?:bytes=)?0-([0-9]{1,18})")


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload that a registry has begun.

    Args:
        session: The registry.
        attempt: What it is for; its URL is where the upload goes on.
        repository: The registry's own name of the repository.
        scopes: What a token for it must allow.
        shortest_chunk_bytes: What chunks must have, but for the last one, in bytes.
    """

    session: Session
    attempt: Attempt
    repository: str
    scopes: tuple[str, ...]
    shortest_chunk_bytes: int = 0

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
        shortest = answer.headers.get("oci-chunk-min-length", "")
        return cls(
            session,
            replace(request.attempt, url=url),
            repository,
            request.scopes,
            int(shortest) if _NUMBER.fullmatch(shortest) else 0,
        )

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
        try:
            await self.finish(blob, 0, content)
        except BaseException:
            await self.cancel()
            raise

    async def finish(
        self, blob: Descriptor, offset_bytes: int, content: AsyncIterator[bytes]
    ) -> None:
        """Send all bytes that are missing, and make them the blob.

        Args:
            blob: What is sent.
            offset_bytes: How many of its bytes the registry has.
            content: The others; an error of theirs ends the request and passes.

        Raises:
            ContentMismatchError: As from ``fill``.
            RegistryError: As from ``fill``.
        """
        request = Request(
            replace(self.attempt, method="PUT", url=_with_digest(self.attempt.url, blob.digest)),
            self.scopes,
            expected=frozenset({HTTPStatus.CREATED}),
            headers=_describing(offset_bytes, blob.size_bytes, is_part=offset_bytes > 0),
            read_timeout_s=STORING_TIMEOUT_S,
        )
        # Counted here: what does not fit Content-Length would break httpx's own rules.
        missing = counted(self.attempt, blob.size_bytes - offset_bytes, content)
        try:
            await self.session.send(request, missing)
        except RegistryError as error:
            if not _says_mismatch(error):
                raise
            raise ContentMismatchError(
                f"{self.attempt.action} failed: other bytes arrived at the registry",
                expected=str(blob.digest),
                actual="another digest or size",
                subject=self.attempt.subject,
            ) from error

    async def add(
        self, offset_bytes: int, size_bytes: int, content: AsyncIterator[bytes]
    ) -> tuple[Upload, int]:
        """Send one chunk.

        Args:
            offset_bytes: How many bytes the registry has.
            size_bytes: How many the chunk has.
            content: Its bytes; an error of theirs ends the request and passes.

        Returns:
            Where the upload goes on, and how many bytes the registry has now.

        Raises:
            ContentMismatchError: The content has fewer bytes, or more.
            RegistryError: The registry refuses it, or does not answer.

        Source: OCI Distribution Specification 1.1, "Pushing a blob in chunks".
        """
        request = Request(
            replace(self.attempt, method="PATCH"),
            self.scopes,
            # 202 says the specification; some registries say 204, as long as there is more to come.
            expected=frozenset({HTTPStatus.ACCEPTED, HTTPStatus.NO_CONTENT}),
            headers=_describing(offset_bytes, offset_bytes + size_bytes, is_part=True),
            read_timeout_s=STORING_TIMEOUT_S,
        )
        chunk = counted(self.attempt, size_bytes, content)
        answer = await self.session.send(request, chunk)
        return self._moved(answer), self._has_bytes(answer, offset_bytes + size_bytes)

    async def ask(self) -> tuple[Upload, int]:
        """Ask how many bytes have arrived.

        Returns:
            Where the upload goes on, and how many bytes the registry has.

        Raises:
            NotFoundError: The registry knows nothing of the upload any more.
            RegistryError: It answers with another error, or not at all.

        Source: OCI Distribution Specification 1.1, "Pushing a blob in chunks": a GET of the
        location.
        """
        request = Request(
            replace(self.attempt, method="GET"),
            self.scopes,
            expected=frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.OK, HTTPStatus.ACCEPTED}),
        )
        answer = await self.session.ask(request)
        return self._moved(answer), self._has_bytes(answer, 0)

    def _moved(self, answer: Answer) -> Upload:
        location = answer.headers.get("location")
        if not location:
            return self
        url = self.session.located(self.attempt, location, answer.status)
        return replace(self, attempt=replace(self.attempt, url=url))

    def _has_bytes(self, answer: Answer, otherwise: int) -> int:
        text = answer.headers.get("range")
        if text is None:
            return otherwise
        match = _RANGE.fullmatch(text.strip())
        if match is None:
            raise violation(
                self.attempt, "it does not say how much has arrived", status=answer.status
            )
        last = int(match[1])
        # Ambiguous: CNCF distribution says 0-0 of an upload without a byte.
        return last + 1 if last else 0

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


def _describing(start_bytes: int, end_bytes: int, *, is_part: bool) -> dict[str, str]:
    """Return the header fields of some bytes of a blob; an empty range cannot be written."""
    fields = {
        "Content-Length": str(end_bytes - start_bytes),
        "Content-Type": "application/octet-stream",
    }
    if is_part and end_bytes > start_bytes:
        fields["Content-Range"] = f"{start_bytes}-{end_bytes - 1}"
    return fields


def _with_digest(url: httpx.URL, digest: Digest) -> httpx.URL:
    """Add a digest to a query, the rest of which is the registry's own and goes back as it came."""
    return url.copy_with(
        query=b"&".join(part for part in (url.query, f"digest={digest}".encode()) if part)
    )


def _says_mismatch(error: RegistryError) -> bool:
    return any(code.code in _MISMATCH_CODES for code in error.codes)
