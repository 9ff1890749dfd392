"""A folder of OCI image layouts as a store: for images that travel on a disk, without a network.

Beneath the root folder each repository is a layout directory of its own, at the path that is its
name: ``dev/website`` is ``<root>/dev/website`` with ``oci-layout``, ``index.json`` and ``blobs/``
in it. So each can be handed on alone, and every tool that knows layouts reads it. The price is that
below another component a repository cannot be called ``blobs``, ``index.json`` or ``oci-layout``.

A tag is an entry of ``index.json`` with the annotation ``org.opencontainers.image.ref.name``. What
has no tag is found by its digest among the blobs.

Source: OCI Image Specification 1.1, "OCI Image Layout Specification".
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import httpx

from image_promotion.errors import (
    ContentMismatchError,
    InvalidReferenceError,
    NotFoundError,
    PromotionError,
    ProtocolViolationError,
    Subject,
    UnreachableError,
    UnsupportedContentError,
)
from image_promotion.registry.claims import verified
from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.digest import Digest
from image_promotion.registry.failures import Attempt
from image_promotion.registry.layout_folder import MARKER, OWN_NAMES, LayoutFolder, find_layouts
from image_promotion.registry.layout_index import LayoutIndex, tag_of
from image_promotion.registry.manifest import (
    MANIFEST_MEDIA_TYPES,
    MAX_MANIFEST_BYTES,
    ImageIndex,
    Manifest,
    parse_manifest,
)
from image_promotion.registry.reference import is_repository, is_tag
from image_promotion.registry.referrer_tags import fallback_tag

PIECE_BYTES = 1024 * 1024
"""How much of a blob is read, or written, at a time: a thread is asked once for each."""

LOCK_TIMEOUT_S = 30.0
_LOCK_INTERVAL_S = 0.005


class LayoutStore:
    """The layouts beneath one folder; implements ``store.Store``.

    Args:
        root: The folder. It need not exist before something is written.
        namespace: What goes before each repository, such as ``team``; empty for nothing.
        lock_timeout_s: How long another writer of an ``index.json`` is waited for, in seconds.
    """

    def __init__(
        self, root: Path, *, namespace: str = "", lock_timeout_s: float = LOCK_TIMEOUT_S
    ) -> None:
        self._root = root.resolve()
        self._namespace = namespace
        self._lock_timeout_s = lock_timeout_s
        self._indexes: dict[str, LayoutIndex] = {}
        self._made: set[str] = set()

    @property
    def name(self) -> str:
        """The root folder."""
        return str(self._root)

    @property
    def identity(self) -> str:
        """The root folder: between its repositories blobs are shared by hard links."""
        return self._root.as_uri()

    def full_repository(self, repository: str) -> str:
        """Return a repository's path beneath the root, the namespace before it."""
        full = f"{self._namespace}/{repository}" if self._namespace else repository
        if not is_repository(full):
            raise InvalidReferenceError(f"{full[:255]!a} is not a repository's name", text=full)
        _, *further = full.split("/")
        if inner := OWN_NAMES.intersection(further):
            raise InvalidReferenceError(
                f"{full[:255]!a} cannot be a repository in a folder of layouts, since "
                f"{min(inner)} is the name of a part of each layout",
                text=full,
            )
        return full

    async def list_tags(self, repository: str) -> AsyncGenerator[str, None]:
        """Yield each tag of a repository, in the order of its index."""
        full = self.full_repository(repository)
        index = await asyncio.to_thread(self._read_index, full)
        if index is None:
            raise NotFoundError(
                "there is no layout directory of this repository",
                subject=self._subject(full),
                advice=f"A layout is a folder with the file {MARKER} in it.",
            )
        for tag in index.tags:
            yield tag

    async def list_repositories(self) -> AsyncGenerator[str, None]:
        """Yield each layout beneath the root, as policies name it; links are not followed."""
        for full in await asyncio.to_thread(find_layouts, self._root):
            prefix = f"{self._namespace}/" if self._namespace else ""
            if full.startswith(prefix):
                yield full.removeprefix(prefix)

    async def resolve(self, repository: str, tag: str) -> Descriptor | None:
        """Return what a tag points at now, by the index alone."""
        full = self.full_repository(repository)
        entry = await asyncio.to_thread(self._entry, full, tag)
        if entry is None:
            return None
        return Descriptor(
            entry.media_type, entry.digest, entry.size_bytes, artifact_type=entry.artifact_type
        )

    async def get_manifest(self, repository: str, reference: str | Digest) -> Manifest:
        """Return a manifest, its bytes held against digest and size."""
        full = self.full_repository(repository)
        return await asyncio.to_thread(self._get_manifest, full, reference)

    async def has_manifest(self, repository: str, digest: Digest) -> bool:
        """Say whether a repository holds a manifest; one whose bytes are damaged does not count."""
        full = self.full_repository(repository)
        try:
            content = await asyncio.to_thread(self._read_manifest, full, digest)
        except (ContentMismatchError, UnsupportedContentError):
            return False
        return content is not None

    async def put_manifest(
        self, repository: str, reference: str | Digest, manifest: Manifest
    ) -> None:
        """Store a manifest's bytes, or set a tag to it; its parts must be there already.

        Raises:
            NotFoundError: The repository lacks a part of it.
        """
        full = self.full_repository(repository)
        expected = reference if isinstance(reference, Digest) else manifest.digest
        actual = Digest.of(manifest.content, expected.algorithm)
        if actual != expected:
            raise ContentMismatchError(
                "writing the manifest failed: the bytes are not those of the digest",
                expected=str(expected),
                actual=str(actual),
                subject=self._subject(full, digest=expected),
            )
        folder = await self._folder_to_write(full)
        await asyncio.to_thread(self._check_parts, full, folder, manifest)
        await asyncio.to_thread(folder.write_blob, expected, manifest.content)
        if isinstance(reference, Digest):
            return
        self._check_tag(full, reference)
        await self._wait_for_lock(full, lambda: self._set_tag(full, folder, reference, manifest))

    async def remove_tag(self, repository: str, tag: str, digest: Digest) -> bool:
        """Take the entry of a tag out of the index, if it points at the digest still.

        Returns:
            Whether it is gone.
        """
        full = self.full_repository(repository)
        self._check_tag(full, tag)
        folder = await self._folder_to_write(full)
        await self._wait_for_lock(full, lambda: self._remove_tag(full, folder, tag, digest))
        return await self.resolve(repository, tag) is None

    async def remove_manifest(self, repository: str, digest: Digest) -> None:
        """Take every entry of a manifest out of the index; its bytes stay among the blobs."""
        full = self.full_repository(repository)
        folder = await self._folder_to_write(full)
        await self._wait_for_lock(full, lambda: self._remove_manifest(full, folder, digest))

    async def blob_size(self, repository: str, digest: Digest) -> int | None:
        """Return the size of a blob in bytes; None when the repository does not hold it."""
        full = self.full_repository(repository)
        return await asyncio.to_thread(LayoutFolder(self._root, full).blob_size, digest)

    @asynccontextmanager
    async def open_blob(
        self, repository: str, blob: Descriptor
    ) -> AsyncGenerator[AsyncIterator[bytes], None]:
        """Open a blob for reading; the pieces are hashed and counted on the way."""
        full = self.full_repository(repository)
        folder = LayoutFolder(self._root, full)
        subject = self._subject(full, digest=blob.digest)
        file = await asyncio.to_thread(folder.open_blob, blob.digest)
        if file is None:
            raise NotFoundError(
                "reading the blob failed: the layout has no such blob", subject=subject
            )
        attempt = Attempt("reading the blob", "", httpx.URL(self.identity), subject)
        try:
            async with aclosing(verified(attempt, blob, _pieces(folder, blob, file))) as pieces:
                yield pieces
        finally:
            file.close()

    async def put_blob(
        self, repository: str, blob: Descriptor, content: AsyncIterator[bytes]
    ) -> None:
        """Store a blob from a stream; it is in its place only when it is whole and right."""
        full = self.full_repository(repository)
        folder = await self._folder_to_write(full)
        incoming = await asyncio.to_thread(folder.begin_blob, blob.digest)
        try:
            async for piece in _gathered(content):
                await asyncio.to_thread(incoming.write, piece)
                if incoming.size_bytes > blob.size_bytes:
                    break
            if (incoming.size_bytes, incoming.digest) != (blob.size_bytes, blob.digest):
                raise ContentMismatchError(
                    "writing the blob failed: the bytes are not those of the digest",
                    expected=f"{blob.digest}, {blob.size_bytes} bytes",
                    actual=f"{incoming.digest}, {incoming.size_bytes} bytes",
                    subject=self._subject(full, digest=blob.digest),
                )
            await asyncio.to_thread(incoming.commit)
        finally:
            incoming.discard()

    async def mount_blob(self, repository: str, digest: Digest, from_repository: str) -> bool:
        """Share a blob by a hard link, after its bytes were hashed."""
        folder = await self._folder_to_write(self.full_repository(repository))
        other = LayoutFolder(self._root, from_repository)
        return await asyncio.to_thread(_share, folder, other, digest)

    async def list_referrers(
        self, repository: str, digest: Digest
    ) -> tuple[Descriptor, ...] | None:
        """Return the untagged manifests of the index that are about a digest.

        Some tools keep referrers so, others list them under the fallback tag; in a layout with some
        of the first kind, those under the tag are returned with them.

        Args:
            repository: The repository, as policies name it.
            digest: What they are about.

        Returns:
            The referrers; None when the layout keeps none without a tag, about whatever it may be,
            so that the fallback tag counts.

        Raises:
            PromotionError: The layout is broken.
        """
        full = self.full_repository(repository)
        return await asyncio.to_thread(self._referrers, full, digest)

    async def aclose(self) -> None:
        """Forget what was read."""
        self._indexes.clear()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def _subject(
        self, full: str, *, tag: str | None = None, digest: Digest | None = None
    ) -> Subject:
        return Subject(self.name, full, tag, None if digest is None else str(digest))

    def _check_tag(self, full: str, tag: str) -> None:
        if not is_tag(tag):
            raise InvalidReferenceError(f"{tag[:128]!a} is not a tag", text=tag).about(
                self._subject(full)
            )

    async def _folder_to_write(self, full: str) -> LayoutFolder:
        folder = LayoutFolder(self._root, full)
        if full not in self._made:
            await self._wait_for_lock(full, folder.make)
            self._made.add(full)
        return folder

    async def _wait_for_lock(self, full: str, write: Callable[[], None]) -> None:
        """Do something that needs the lock of an index, as soon as nobody else has it."""
        deadline_s = time.monotonic() + self._lock_timeout_s
        while True:
            try:
                return await asyncio.to_thread(write)
            except BlockingIOError as error:
                if time.monotonic() > deadline_s:
                    raise UnreachableError(
                        f"writing index.json failed: another writer has held it for "
                        f"{self._lock_timeout_s:g} s",
                        subject=self._subject(full),
                        advice="See which process has the file .index.lock open.",
                    ) from error
            await asyncio.sleep(_LOCK_INTERVAL_S)

    def _set_tag(self, full: str, folder: LayoutFolder, tag: str, manifest: Manifest) -> None:
        with folder.locked(), self._errors_about(self._subject(full, tag=tag)):
            index = LayoutIndex(_required(folder.read_index()))
            folder.replace_index(index.with_tag(tag, manifest))

    def _remove_tag(self, full: str, folder: LayoutFolder, tag: str, digest: Digest) -> None:
        with folder.locked(), self._errors_about(self._subject(full, tag=tag)):
            index = LayoutIndex(_required(folder.read_index()))
            entry = index.entry(tag)
            if entry is not None and entry.digest == digest:
                folder.replace_index(index.without(lambda each: tag_of(each) == tag))

    def _remove_manifest(self, full: str, folder: LayoutFolder, digest: Digest) -> None:
        with folder.locked(), self._errors_about(self._subject(full, digest=digest)):
            index = LayoutIndex(_required(folder.read_index()))
            folder.replace_index(index.without(lambda each: each.digest == digest))

    def _read_index(self, full: str) -> LayoutIndex | None:
        """Read a repository's index; the text is read each time, and understood when it is new."""
        folder = LayoutFolder(self._root, full)
        if not folder.exists():
            return None
        known = self._indexes.get(full)
        with self._errors_about(self._subject(full)):
            content = _required(folder.read_index())
            if known is not None and known.content == content:
                return known
            index = LayoutIndex(content)
        self._indexes[full] = index
        return index

    def _entry(self, full: str, tag: str) -> Descriptor | None:
        self._check_tag(full, tag)
        index = self._read_index(full)
        with self._errors_about(self._subject(full, tag=tag)):
            return None if index is None else index.entry(tag)

    def _get_manifest(self, full: str, reference: str | Digest) -> Manifest:
        if isinstance(reference, Digest):
            entry, digest = None, reference
            subject = self._subject(full, digest=reference)
        else:
            subject = self._subject(full, tag=reference)
            entry = self._entry(full, reference)
            if entry is None:
                raise NotFoundError("reading the manifest failed: no such tag", subject=subject)
            digest = entry.digest
        content = self._read_manifest(full, digest)
        if content is None:
            raise NotFoundError("reading the manifest failed: no such manifest", subject=subject)
        if entry is not None and len(content) != entry.size_bytes:
            raise ContentMismatchError(
                "reading the manifest failed: its size is not the one in index.json",
                expected=f"{entry.size_bytes} bytes",
                actual=f"{len(content)} bytes",
                subject=subject,
            )
        with self._errors_about(subject):
            return parse_manifest(
                content, None if entry is None else entry.media_type, algorithm=digest.algorithm
            )

    def _read_manifest(self, full: str, digest: Digest) -> bytes | None:
        content = LayoutFolder(self._root, full).read_blob(digest, MAX_MANIFEST_BYTES)
        if content is None:
            return None
        subject = self._subject(full, digest=digest)
        if len(content) > MAX_MANIFEST_BYTES:
            raise UnsupportedContentError(
                f"reading the manifest failed: it is larger than {MAX_MANIFEST_BYTES} bytes",
                subject=subject,
            )
        actual = Digest.of(content, digest.algorithm)
        if actual != digest:
            raise ContentMismatchError(
                "reading the manifest failed: the bytes are not those of the digest",
                expected=str(digest),
                actual=str(actual),
                subject=subject,
            )
        return content

    def _check_parts(self, full: str, folder: LayoutFolder, manifest: Manifest) -> None:
        """Refuse what a registry refuses too: a manifest before its parts."""
        parts = (
            manifest.manifests
            if isinstance(manifest, ImageIndex)
            else tuple(blob for blob in manifest.blobs if not blob.is_foreign)
        )
        for part in parts:
            size_bytes = folder.blob_size(part.digest)
            if size_bytes != part.size_bytes:
                raise NotFoundError(
                    f"writing the manifest failed: the layout has no {part.digest} of "
                    f"{part.size_bytes} bytes, which it lists",
                    subject=self._subject(full, digest=manifest.digest),
                )

    def _referrers(self, full: str, digest: Digest) -> tuple[Descriptor, ...] | None:
        index = self._read_index(full)
        untagged = [
            self._get_manifest(full, entry.digest)
            for entry in (() if index is None else index.entries)
            if tag_of(entry) is None and entry.media_type in MANIFEST_MEDIA_TYPES
        ]
        about = [(each.subject, each) for each in untagged if each.subject is not None]
        if not about:
            return None
        found = {
            manifest.digest: manifest.descriptor
            for subject, manifest in about
            if subject.digest == digest
        }
        tag = fallback_tag(digest)
        listed = None if self._entry(full, tag) is None else self._get_manifest(full, tag)
        if isinstance(listed, ImageIndex):
            found |= {entry.digest: entry for entry in listed.manifests}
        return tuple(found.values())

    @contextmanager
    def _errors_about(self, subject: Subject) -> Iterator[None]:
        try:
            yield
        except PromotionError as error:
            error.about(subject)
            raise


def _required(index: bytes | None) -> bytes:
    if index is None:
        raise ProtocolViolationError("the layout has no index.json")
    return index


async def _pieces(
    folder: LayoutFolder, blob: Descriptor, file: BinaryIO
) -> AsyncGenerator[bytes, None]:
    while True:
        try:
            piece = await asyncio.to_thread(file.read, PIECE_BYTES)
        except OSError as error:
            folder.refuse(error, "reading the blob", blob.digest)
        if not piece:
            return
        yield piece


async def _gathered(pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """Make larger pieces of small ones, so that the disk is asked less often."""
    waiting = bytearray()
    async for piece in pieces:
        waiting += piece
        if len(waiting) >= PIECE_BYTES:
            yield bytes(waiting)
            waiting.clear()
    yield bytes(waiting)


def _share(folder: LayoutFolder, other: LayoutFolder, digest: Digest) -> bool:
    blob = other.open_blob(digest)
    if blob is None:
        return False
    hasher = digest.hasher()
    with blob:
        while piece := blob.read(PIECE_BYTES):
            hasher.update(piece)
    return hasher.hexdigest() == digest.encoded and folder.link_blob(digest, other)
