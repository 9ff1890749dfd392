"""What a place that holds images can be asked: the seam between registries and everything else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.digest import Digest
from image_promotion.registry.manifest import Manifest


class Store(Protocol):
    """Anything that holds images by digest and tag: a registry over HTTP, a layout directory.

    A store raises errors of the project's tree only. Repository names are those of policies; a
    store that puts a namespace before them does so by itself.

    Source: OCI Distribution Specification 1.1, "Endpoints".
    """

    @property
    def name(self) -> str:
        """What people call the store, such as ``localhost:5000``; never holds a secret."""

    @property
    def identity(self) -> str:
        """Equal for two stores that are one registry, between whose repositories blobs mount.

        The namespace is no part of it: two connections may reach one registry by two namespaces.
        """

    def full_repository(self, repository: str) -> str:
        """Return the name that the registry itself uses, the store's namespace put before it.

        Raises:
            InvalidReferenceError: The result names no repository.
        """

    def list_tags(self, repository: str) -> AsyncIterator[str]:
        """Yield each tag of a repository, page by page, in the registry's order.

        Raises:
            NotFoundError: There is no such repository.
            RegistryError: The registry answers with an error, or not at all.
        """

    def list_repositories(self) -> AsyncIterator[str]:
        """Yield each repository that the store admits to have, page by page.

        Raises:
            RegistryError: The registry has no catalogue, does not show it, or does not answer.
        """

    async def resolve(self, repository: str, tag: str) -> Descriptor | None:
        """Return what a tag points at now; None when there is no such tag.

        Raises:
            RegistryError: The registry answers with an error, or not at all.
        """

    async def get_manifest(self, repository: str, reference: str | Digest) -> Manifest:
        """Return a manifest by tag or digest, its digest recomputed from its bytes.

        Raises:
            NotFoundError: There is no such manifest.
            ContentMismatchError: The bytes are not those that the digest names.
            UnsupportedContentError: It is of a kind, or a size, that is not promoted.
            ProtocolViolationError: It is broken.
            RegistryError: The registry answers with an error, or not at all.
        """

    async def has_manifest(self, repository: str, digest: Digest) -> bool:
        """Say whether a repository holds a manifest.

        Raises:
            RegistryError: The registry answers with an error, or not at all.
        """

    async def put_manifest(
        self, repository: str, reference: str | Digest, manifest: Manifest
    ) -> None:
        """Store a manifest's very bytes by digest, or set a tag to it.

        Raises:
            ContentMismatchError: The registry stored it under another digest.
            RegistryError: The registry refuses it, or does not answer.
        """

    async def remove_tag(self, repository: str, tag: str, digest: Digest) -> bool:
        """Take a tag away; what it points at stays, as long as the store keeps what has no tag.

        Args:
            repository: The repository.
            tag: The tag.
            digest: What it points at, as the caller has just seen.

        Returns:
            Whether it is gone; False when the store only removes manifests, with all their tags.

        Raises:
            RegistryError: The registry refuses, or does not answer.
        """

    async def remove_manifest(self, repository: str, digest: Digest) -> None:
        """Take a manifest away, with every tag that points at it; one that is gone is no error.

        Raises:
            RegistryError: The registry refuses, or removes nothing, or does not answer.
        """

    async def blob_size(self, repository: str, digest: Digest) -> int | None:
        """Return the size of a blob in bytes; None when the repository does not hold it.

        Raises:
            RegistryError: The registry answers with an error, or not at all.
        """

    def open_blob(
        self, repository: str, blob: Descriptor
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Open a blob for reading, piece by piece; memory does not grow with its size.

        The iterator hashes and counts what passes. It raises at the end, or as soon as there is
        too much, so whoever stores the pieces must not commit before the iterator has ended.

        Raises:
            NotFoundError: The repository does not hold the blob.
            ContentMismatchError: From the iterator: digest or size are not the descriptor's.
            RegistryError: The registry answers with an error, or the connection breaks.
        """

    async def put_blob(
        self, repository: str, blob: Descriptor, content: AsyncIterator[bytes]
    ) -> None:
        """Store a blob from a stream that can be read once; so it is tried once.

        Whoever wants another attempt opens the content again and calls again. An error of the
        stream ends the upload without a trace and leaves this function as it is.

        Raises:
            ContentMismatchError: The registry says that the bytes are not the digest's.
            RegistryError: The registry refuses them, or does not answer.
        """

    async def mount_blob(self, repository: str, digest: Digest, from_repository: str) -> bool:
        """Let a repository share a blob with another one of the same registry.

        Args:
            repository: The repository that is to have the blob.
            digest: The blob.
            from_repository: The *full* name of the repository that has it, as ``full_repository``
                of its own store gives it: that store's namespace may be another than this one's.

        Returns:
            True when it does now; False when the registry would rather be sent the bytes.

        Raises:
            RegistryError: The registry answers with an error, or not at all.
        """

    async def aclose(self) -> None:
        """Let go of connections; the store is not used afterwards."""
