"""A registry over HTTP as a store: the distribution protocol, one method an endpoint.

What each method promises stands in ``store``. Here is how it is kept: digests are always
recomputed from the bytes, whatever header came with them; every request without a streamed body is
retried by ``session``; a stream that breaks is read on from where it broke; a stream is sent once,
and a source that can be opened again as often as it takes. It is longer than other modules because
the protocol has that many endpoints; none of them takes more than a screen.

Source: OCI Distribution Specification 1.1, "Endpoints"; for the catalogue, CNCF distribution, "HTTP
API V2", "Listing Repositories".
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from http import HTTPStatus
from types import TracebackType
from typing import Self

import httpx

from image_promotion.errors import (
    InvalidReferenceError,
    NotFoundError,
    ProtocolViolationError,
    Subject,
    UnsupportedContentError,
)
from image_promotion.registry import referrers_api, removal
from image_promotion.registry.answers import Answer
from image_promotion.registry.blob_source import BlobSource
from image_promotion.registry.challenge import CATALOG_SCOPE, pull_scope, push_scope
from image_promotion.registry.claims import (
    announced_digest,
    announced_size,
    compare_digests,
    verified,
)
from image_promotion.registry.delivery import Delivery
from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.digest import Digest
from image_promotion.registry.downloads import Download
from image_promotion.registry.endpoint import RegistryEndpoint
from image_promotion.registry.failures import (
    CHECK_ADDRESS,
    NOT_A_REGISTRY,
    Attempt,
    is_web_page,
    violation,
)
from image_promotion.registry.listing import PAGE_LENGTH, list_names
from image_promotion.registry.manifest import (
    MANIFEST_MEDIA_TYPES,
    MAX_MANIFEST_BYTES,
    SCHEMA_1_MEDIA_TYPES,
    Manifest,
    parse_manifest,
)
from image_promotion.registry.reference import is_tag
from image_promotion.registry.retry import DEFAULT_RULES, RetryRules
from image_promotion.registry.session import Request, Session
from image_promotion.registry.uploads import Upload

# Schema 1 is asked for too, to be told apart from what is missing, and refused.
_ACCEPT = {"Accept": ", ".join((*MANIFEST_MEDIA_TYPES, *SCHEMA_1_MEDIA_TYPES))}


class RegistryClient:
    """One registry; implements ``store.Store``.

    Args:
        endpoint: The registry, who we are, and how hard it may be asked. Its namespace goes before
            each repository.
        concurrency: How many blobs are read at once; as many connections again are kept for all
            else, so that blobs can be copied within one registry without waiting for each other.
        retry: How failed requests are tried again.
        sleep: How pauses are waited for; another one in tests.

    Raises:
        ConnectionSettingsError: The endpoint's CA certificate cannot be read.
    """

    def __init__(
        self,
        endpoint: RegistryEndpoint,
        *,
        concurrency: int = 8,
        retry: RetryRules = DEFAULT_RULES,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._endpoint = endpoint
        self._session = Session(
            endpoint, connections=2 * concurrency, rules=retry, pace=endpoint.pace, sleep=sleep
        )
        self._reading = asyncio.Semaphore(concurrency)

    @property
    def name(self) -> str:
        """The registry's host, with its port where one is needed."""
        return self._endpoint.host

    @property
    def identity(self) -> str:
        """The same for all connections to one registry."""
        return self._endpoint.host

    @property
    def session(self) -> Session:
        """The connections to the registry, for its product's own interface."""
        return self._session

    @property
    def was_asked_who_we_are(self) -> bool:
        """Whether the registry has wanted a login so far."""
        return self._session.authorizer.was_asked

    def full_repository(self, repository: str) -> str:
        """Return the registry's own name of a repository, with the namespace before it."""
        return self._endpoint.full_repository(repository)

    async def ping(self) -> None:
        """See that a registry is there and lets us in.

        Raises:
            ProtocolViolationError: Something answers, and it is no registry.
            RegistryError: It does not let us in, or does not answer.

        Source: OCI Distribution Specification 1.1, "Determining Support".
        """
        attempt = self._attempt("GET", self._session.url("/v2/"), "reaching the registry")
        try:
            answer = await self._session.ask(Request(attempt))
        except NotFoundError as error:
            raise violation(
                attempt,
                "nothing there speaks a registry's protocol",
                status=404,
                advice=CHECK_ADDRESS,
            ) from error
        _refuse_web_page(attempt, answer)

    async def probe_upload(self, repository: str) -> None:
        """Begin an upload and give it up: may we write?

        Raises:
            DeniedError: We may not.
            RegistryError: The registry answers with another error, or not at all.
        """
        full = self.full_repository(repository)
        attempt = self._attempt("POST", self._uploads_url(full), "starting an upload", full)
        upload = await self._begin_upload(attempt, full)
        await upload.cancel()

    async def list_tags(self, repository: str) -> AsyncGenerator[str, None]:
        """Yield each tag of a repository, page by page."""
        full = self.full_repository(repository)
        url = self._session.url(f"/v2/{full}/tags/list", n=str(PAGE_LENGTH))
        attempt = self._attempt("GET", url, "listing the tags", full)
        names = list_names(self._session, Request(attempt, (pull_scope(full),)), "tags")
        async with aclosing(names):
            async for tag in names:
                if not is_tag(tag):
                    raise violation(attempt, f"it lists {tag[:128]!a}, which is no tag", status=200)
                yield tag

    async def list_repositories(self) -> AsyncGenerator[str, None]:
        """Yield each repository within the connection's namespace, as policies name it."""
        url = self._session.url("/v2/_catalog", n=str(PAGE_LENGTH))
        attempt = self._attempt("GET", url, "listing the repositories")
        names = list_names(self._session, Request(attempt, (CATALOG_SCOPE,)), "repositories")
        async with aclosing(names):
            async for full in names:
                repository = self._endpoint.own_repository(full)
                if repository is not None:
                    yield repository

    async def resolve(self, repository: str, tag: str) -> Descriptor | None:
        """Return what a tag points at now, by HEAD where the registry says enough with it."""
        full = self.full_repository(repository)
        attempt = self._manifest_attempt("HEAD", full, tag, "looking the tag up")
        answer = await self._find(_reading(attempt, full))
        if answer is None:
            return None
        media_type = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        digest = announced_digest(attempt, answer.headers)
        size_bytes = announced_size(attempt, answer.headers)
        if media_type and digest is not None and size_bytes is not None:
            return Descriptor(media_type, digest, size_bytes)
        try:
            return (await self.get_manifest(repository, tag)).descriptor
        except NotFoundError:
            return None

    async def get_manifest(self, repository: str, reference: str | Digest) -> Manifest:
        """Return a manifest, its digest recomputed from its bytes."""
        full = self.full_repository(repository)
        attempt = self._manifest_attempt("GET", full, reference, "reading the manifest")
        answer = await self._session.ask(_reading(attempt, full), limit_bytes=MAX_MANIFEST_BYTES)
        _refuse_web_page(attempt, answer)
        if len(answer.body) > MAX_MANIFEST_BYTES:
            raise UnsupportedContentError(
                f"{attempt.action} failed: it is larger than {MAX_MANIFEST_BYTES} bytes",
                subject=attempt.subject,
                advice="No registry has to take a manifest of that size; build the image with "
                "fewer layers or annotations.",
            )
        announced = announced_digest(attempt, answer.headers)
        for promised in (reference, announced):
            if isinstance(promised, Digest):
                compare_digests(attempt, promised, Digest.of(answer.body, promised.algorithm))
        by = reference if isinstance(reference, Digest) else announced
        try:
            return parse_manifest(
                answer.body,
                answer.headers.get("content-type"),
                algorithm="sha256" if by is None else by.algorithm,
            )
        except ProtocolViolationError as error:
            raise violation(attempt, error.attempted, status=answer.status) from error
        except UnsupportedContentError as error:
            error.about(attempt.subject)
            raise

    async def has_manifest(self, repository: str, digest: Digest) -> bool:
        """Say whether a repository holds a manifest."""
        full = self.full_repository(repository)
        attempt = self._manifest_attempt("HEAD", full, digest, "looking the manifest up")
        answer = await self._find(_reading(attempt, full))
        if answer is None:
            return False
        announced = announced_digest(attempt, answer.headers)
        if announced is not None and announced.algorithm == digest.algorithm:
            compare_digests(attempt, digest, announced)
            return True
        # Whatever answers 200 to anything, such as the sign-in page of a proxy, is not believed.
        try:
            await self.get_manifest(repository, digest)
        except NotFoundError:
            return False
        return True

    async def put_manifest(
        self, repository: str, reference: str | Digest, manifest: Manifest
    ) -> None:
        """Store a manifest's bytes by digest, or set a tag to it."""
        full = self.full_repository(repository)
        action = "writing the manifest" if isinstance(reference, Digest) else "setting the tag"
        attempt = self._manifest_attempt("PUT", full, reference, action)
        if isinstance(reference, Digest):
            compare_digests(attempt, reference, Digest.of(manifest.content, reference.algorithm))
        request = Request(
            attempt,
            (push_scope(full),),
            expected=frozenset({201}),
            headers={"Content-Type": manifest.media_type},
            content=manifest.content,
        )
        answer = await self._session.ask(request)
        announced = announced_digest(attempt, answer.headers)
        if announced is not None:
            compare_digests(attempt, Digest.of(manifest.content, announced.algorithm), announced)

    async def remove_tag(self, repository: str, tag: str, digest: Digest) -> bool:  # noqa: ARG002 - for stores that want it
        """Take a tag away, if the registry deletes tags."""
        full = self.full_repository(repository)
        attempt = self._manifest_attempt("DELETE", full, tag, "removing the tag")
        return await removal.delete_tag(self._session, attempt, full)

    async def remove_manifest(self, repository: str, digest: Digest) -> None:
        """Take a manifest away, with every tag that points at it."""
        full = self.full_repository(repository)
        attempt = self._manifest_attempt("DELETE", full, digest, "removing the manifest")
        await removal.delete_manifest(self._session, attempt, full)

    async def blob_size(self, repository: str, digest: Digest) -> int | None:
        """Return the size of a blob in bytes; None when the repository does not hold it."""
        full = self.full_repository(repository)
        attempt = self._blob_attempt("HEAD", full, digest, "looking the blob up")
        answer = await self._find(Request(attempt, (pull_scope(full),), follows_redirects=True))
        if answer is None:
            return None
        size_bytes = announced_size(attempt, answer.headers)
        if size_bytes is None:
            raise violation(attempt, "it does not say how large the blob is", status=answer.status)
        return size_bytes

    @asynccontextmanager
    async def open_blob(
        self, repository: str, blob: Descriptor
    ) -> AsyncGenerator[AsyncIterator[bytes], None]:
        """Open a blob for reading; the pieces are hashed and counted on the way."""
        full = self.full_repository(repository)
        attempt = self._blob_attempt("GET", full, blob.digest, "reading the blob")
        async with (
            self.open_blob_at(repository, blob, 0) as content,
            aclosing(verified(attempt, blob, content)) as pieces,
        ):
            yield pieces

    @asynccontextmanager
    async def open_blob_at(
        self, repository: str, blob: Descriptor, offset_bytes: int
    ) -> AsyncGenerator[AsyncIterator[bytes], None]:
        """Open a blob for reading from the middle on; nothing is hashed or counted.

        Args:
            repository: The repository, as policies name it.
            blob: What is read.
            offset_bytes: Where reading begins, from 0.

        Raises:
            NotFoundError: The repository does not hold the blob.
            ContentMismatchError: The blob has another size.
            RegistryError: The registry answers with an error, or the connection breaks too often.
        """
        full = self.full_repository(repository)
        attempt = self._blob_attempt("GET", full, blob.digest, "reading the blob")
        request = Request(attempt, (pull_scope(full),), follows_redirects=True)
        download = Download(self._session, request, blob, offset_bytes=offset_bytes)
        async with self._reading, download, aclosing(download.pieces()) as pieces:
            yield pieces

    async def put_blob(
        self, repository: str, blob: Descriptor, content: AsyncIterator[bytes]
    ) -> None:
        """Store a blob from a stream, in one go."""
        full = self.full_repository(repository)
        upload = await self._begin_blob(full, blob)
        await upload.fill(blob, content)

    async def upload_blob(self, repository: str, blob: Descriptor, source: BlobSource) -> None:
        """Store a blob; where the connection breaks, go on from what the registry has.

        Args:
            repository: The repository, as policies name it.
            blob: What is stored.
            source: Its bytes; errors of theirs end the upload and leave this method as they are.

        Raises:
            ContentMismatchError: The bytes are not the digest's.
            RegistryError: The registry refuses them, or the connection breaks too often.
        """
        full = self.full_repository(repository)
        await Delivery(
            self._session.persistence(),
            blob,
            source,
            begin=lambda: self._begin_blob(full, blob),
            find_size=lambda: self.blob_size(repository, blob.digest),
        ).run()

    async def mount_blob(self, repository: str, digest: Digest, from_repository: str) -> bool:
        """Let a repository share a blob with another one, which is given by its full name.

        Source: OCI Distribution Specification 1.1, "Mounting a blob from another repository".
        """
        full = self.full_repository(repository)
        url = self._uploads_url(full, mount=str(digest), **{"from": from_repository})
        attempt = self._attempt("POST", url, "mounting the blob", full, digest=digest)
        request = Request(
            attempt,
            (push_scope(full), pull_scope(from_repository)),
            expected=frozenset({HTTPStatus.CREATED, HTTPStatus.ACCEPTED}),
        )
        answer = await self._session.ask(request)
        if answer.status == HTTPStatus.CREATED:
            return True
        # An upload was begun instead. It is given up, since the caller has not read the blob yet.
        await Upload.begun(self._session, full, request, answer).cancel()
        return False

    async def list_referrers(
        self, repository: str, digest: Digest
    ) -> tuple[Descriptor, ...] | None:
        """Return what the registry lists as being about a digest, by its referrers API.

        Args:
            repository: The repository, as policies name it.
            digest: What the referrers are about.

        Returns:
            What it lists, unverified; None without such an API, so that the fallback tag counts.

        Raises:
            ProtocolViolationError: It answers what is no list.
            RegistryError: It answers with an error, or not at all.
        """
        full = self.full_repository(repository)
        return await referrers_api.list_referrers(self._session, self.name, full, digest)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._session.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def _find(self, request: Request) -> Answer | None:
        try:
            return await self._session.ask(request)
        except NotFoundError:
            return None

    async def _begin_upload(self, attempt: Attempt, full_repository: str) -> Upload:
        request = Request(
            attempt, (push_scope(full_repository),), expected=frozenset({HTTPStatus.ACCEPTED})
        )
        return Upload.begun(
            self._session, full_repository, request, await self._session.ask(request)
        )

    async def _begin_blob(self, full_repository: str, blob: Descriptor) -> Upload:
        url = self._uploads_url(full_repository)
        attempt = self._attempt(
            "POST", url, "uploading the blob", full_repository, digest=blob.digest
        )
        return await self._begin_upload(attempt, full_repository)

    def _uploads_url(self, full_repository: str, **query: str) -> httpx.URL:
        return self._session.url(f"/v2/{full_repository}/blobs/uploads/", **query)

    def _attempt(
        self,
        method: str,
        url: httpx.URL,
        action: str,
        full_repository: str | None = None,
        *,
        tag: str | None = None,
        digest: Digest | None = None,
    ) -> Attempt:
        subject = Subject(self.name, full_repository, tag, None if digest is None else str(digest))
        return Attempt(action, method, url, subject)

    def _manifest_attempt(
        self, method: str, full_repository: str, reference: str | Digest, action: str
    ) -> Attempt:
        url = self._session.url(f"/v2/{full_repository}/manifests/{reference}")
        if isinstance(reference, Digest):
            return self._attempt(method, url, action, full_repository, digest=reference)
        if not is_tag(reference):
            raise InvalidReferenceError(f"{reference[:128]!a} is not a tag", text=reference)
        return self._attempt(method, url, action, full_repository, tag=reference)

    def _blob_attempt(
        self, method: str, full_repository: str, digest: Digest, action: str
    ) -> Attempt:
        url = self._session.url(f"/v2/{full_repository}/blobs/{digest}")
        return self._attempt(method, url, action, full_repository, digest=digest)


def _reading(attempt: Attempt, full_repository: str) -> Request:
    """Ask for a manifest, or its head.

    Registries that are a front for others, such as Kubernetes', redirect these too; what comes from
    there is held against the digest like everything else.
    """
    scopes = (pull_scope(full_repository),)
    return Request(attempt, scopes, headers=_ACCEPT, follows_redirects=True)


def _refuse_web_page(attempt: Attempt, answer: Answer) -> None:
    if is_web_page(answer.headers, answer.body):
        raise violation(attempt, NOT_A_REGISTRY, status=answer.status, advice=CHECK_ADDRESS)
