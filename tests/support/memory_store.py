"""A double: a store in memory, as strict as a registry should be.

It stands in for registries only where a test needs to see the order of what is asked of a store, or
to make a store fail in a way that a real one will not. What registries really do is tested against
real ones, in tests/integration.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from image_promotion.errors import ContentMismatchError, NotFoundError, ProtocolViolationError
from image_promotion.registry.descriptor import Descriptor, Platform
from image_promotion.registry.digest import Digest
from image_promotion.registry.manifest import (
    OCI_INDEX,
    OCI_MANIFEST,
    ImageIndex,
    ImageManifest,
    Manifest,
    parse_manifest,
)

PIECE_BYTES = 4
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that was asked of the store."""

    action: str
    digest: Digest


Hook = Callable[[Event], Awaitable[None]]


async def do_nothing(_event: Event) -> None:
    pass


@dataclass
class MemoryStore:
    """Images by repository, in memory.

    Refuses, as registries do, a manifest whose parts it does not hold and a blob whose bytes are
    not the digest's. ``events`` has everything that was asked, in order; ``hook`` is called before
    each and may raise, or wait.
    """

    name: str = "memory"
    identity: str = "memory"
    namespace: str = ""
    mounts: bool = True
    removes_tags: bool = True
    hook: Hook = do_nothing
    events: list[Event] = field(default_factory=list)
    blobs: dict[str, dict[Digest, bytes]] = field(default_factory=dict)
    manifests: dict[str, dict[Digest, Manifest]] = field(default_factory=dict)
    tags: dict[str, dict[str, Digest]] = field(default_factory=dict)

    def full_repository(self, repository: str) -> str:
        return f"{self.namespace}/{repository}" if self.namespace else repository

    def asked(self, action: str) -> list[Digest]:
        """Return the digests of one kind of event, in order."""
        return [event.digest for event in self.events if event.action == action]

    def hold_blob(
        self, repository: str, content: bytes, media_type: str = LAYER_TYPE
    ) -> Descriptor:
        """Fill the store, before a test: a blob."""
        digest = Digest.of(content)
        self.blobs.setdefault(self.full_repository(repository), {})[digest] = content
        return Descriptor(media_type, digest, len(content))

    def hold_manifest(self, repository: str, manifest: Manifest) -> Descriptor:
        """Fill the store, before a test: a manifest, whether its parts are there or not."""
        self.manifests.setdefault(self.full_repository(repository), {})[manifest.digest] = manifest
        return manifest.descriptor

    def hold_image(self, repository: str, *layers: bytes, config: bytes = b"{}") -> Descriptor:
        """Fill the store, before a test: an image with its blobs."""
        return self.hold_manifest(
            repository,
            image_of(
                self.hold_blob(repository, config, CONFIG_TYPE),
                *(self.hold_blob(repository, layer) for layer in layers),
            ),
        )

    async def list_tags(self, repository: str) -> AsyncIterator[str]:
        for tag in self.tags.get(self.full_repository(repository), {}):
            yield tag

    async def list_repositories(self) -> AsyncIterator[str]:
        for repository in self.manifests:
            yield repository

    async def resolve(self, repository: str, tag: str) -> Descriptor | None:
        full = self.full_repository(repository)
        digest = self.tags.get(full, {}).get(tag)
        return None if digest is None else self.manifests[full][digest].descriptor

    async def get_manifest(self, repository: str, reference: str | Digest) -> Manifest:
        full = self.full_repository(repository)
        digest = (
            reference if isinstance(reference, Digest) else self.tags.get(full, {}).get(reference)
        )
        if digest is not None:
            await self._happens("get_manifest", digest)
        if digest is None or digest not in self.manifests.get(full, {}):
            raise NotFoundError(f"there is no manifest {reference}")
        return self.manifests[full][digest]

    async def has_manifest(self, repository: str, digest: Digest) -> bool:
        await self._happens("has_manifest", digest)
        return digest in self.manifests.get(self.full_repository(repository), {})

    async def put_manifest(
        self, repository: str, reference: str | Digest, manifest: Manifest
    ) -> None:
        full = self.full_repository(repository)
        await self._happens("put_manifest", manifest.digest)
        held = {**self.blobs.get(full, {}), **self.manifests.get(full, {})}
        missing = [part.digest for part in parts_of(manifest) if part.digest not in held]
        if missing:
            raise ProtocolViolationError(f"the manifest {manifest.digest} lacks {missing}")
        # What a registry keeps is what it is sent: bytes and a media type.
        kept = parse_manifest(bytes(manifest.content), manifest.media_type)
        self.manifests.setdefault(full, {})[kept.digest] = kept
        if not isinstance(reference, Digest):
            self.tags.setdefault(full, {})[reference] = kept.digest

    async def remove_tag(self, repository: str, tag: str, digest: Digest) -> bool:
        await self._happens("remove_tag", digest)
        if not self.removes_tags:
            return False
        tags = self.tags.get(self.full_repository(repository), {})
        if tags.get(tag) == digest:
            del tags[tag]
        return tag not in tags

    async def remove_manifest(self, repository: str, digest: Digest) -> None:
        await self._happens("remove_manifest", digest)
        full = self.full_repository(repository)
        self.manifests.get(full, {}).pop(digest, None)
        for tag in [tag for tag, held in self.tags.get(full, {}).items() if held == digest]:
            del self.tags[full][tag]

    async def blob_size(self, repository: str, digest: Digest) -> int | None:
        await self._happens("blob_size", digest)
        content = self.blobs.get(self.full_repository(repository), {}).get(digest)
        return None if content is None else len(content)

    @asynccontextmanager
    async def open_blob(
        self, repository: str, blob: Descriptor
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        await self._happens("open_blob", blob.digest)
        content = self.blobs.get(self.full_repository(repository), {}).get(blob.digest)
        if content is None:
            raise NotFoundError(f"there is no blob {blob.digest}")
        yield self._pieces(content, blob)

    async def _pieces(self, content: bytes, blob: Descriptor) -> AsyncIterator[bytes]:
        for start in range(0, len(content), PIECE_BYTES):
            yield content[start : start + PIECE_BYTES]
            await self._happens("piece", blob.digest)
        if Digest.of(content) != blob.digest or len(content) != blob.size_bytes:
            raise ContentMismatchError(
                f"the blob {blob.digest} is not what it should be",
                expected=f"{blob.digest}, {blob.size_bytes} bytes",
                actual=f"{Digest.of(content)}, {len(content)} bytes",
            )

    async def put_blob(
        self, repository: str, blob: Descriptor, content: AsyncIterator[bytes]
    ) -> None:
        await self._happens("put_blob", blob.digest)
        received = b"".join([piece async for piece in content])
        assert Digest.of(received) == blob.digest, "committed what the stream did not vouch for"
        self.blobs.setdefault(self.full_repository(repository), {})[blob.digest] = received
        await self._happens("blob_stored", blob.digest)

    async def mount_blob(self, repository: str, digest: Digest, from_repository: str) -> bool:
        await self._happens("mount_blob", digest)
        content = self.blobs.get(from_repository, {}).get(digest)
        if content is None or not self.mounts:
            return False
        self.blobs.setdefault(self.full_repository(repository), {})[digest] = content
        return True

    async def aclose(self) -> None:
        pass

    async def _happens(self, action: str, digest: Digest) -> None:
        event = Event(action, digest)
        self.events.append(event)
        await self.hook(event)


def parts_of(manifest: Manifest) -> tuple[Descriptor, ...]:
    """Return what a manifest lists directly, less what registries need not hold."""
    if isinstance(manifest, ImageIndex):
        return manifest.manifests
    return tuple(blob for blob in manifest.blobs if not blob.is_foreign)


def image_of(config: Descriptor, *layers: Descriptor) -> ImageManifest:
    """Write an image manifest."""
    manifest = parse_manifest(
        json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "config": entry(config),
                "layers": [entry(layer) for layer in layers],
            }
        ).encode(),
        OCI_MANIFEST,
    )
    assert isinstance(manifest, ImageManifest)
    return manifest


def index_of(*manifests: Descriptor, note: str = "") -> ImageIndex:
    """Write an index; the note makes two of the same manifests differ."""
    index = parse_manifest(
        json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": OCI_INDEX,
                "manifests": [entry(manifest) for manifest in manifests],
                "annotations": {"note": note},
            },
            indent=3,
        ).encode(),
        OCI_INDEX,
    )
    assert isinstance(index, ImageIndex)
    return index


def platform_index_of(*entries: tuple[Descriptor, Platform | None]) -> ImageIndex:
    """Write an index of images for platforms; annotations of descriptors are written too."""
    index = parse_manifest(
        json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": OCI_INDEX,
                "manifests": [
                    entry(descriptor)
                    | ({"annotations": dict(notes)} if (notes := descriptor.annotations) else {})
                    | ({"platform": {"os": on.os, "architecture": on.architecture}} if on else {})
                    for descriptor, on in entries
                ],
            }
        ).encode(),
        OCI_INDEX,
    )
    assert isinstance(index, ImageIndex)
    return index


def entry(descriptor: Descriptor) -> dict[str, object]:
    """Write a descriptor as it stands in a manifest."""
    written: dict[str, object] = {
        "mediaType": descriptor.media_type,
        "digest": str(descriptor.digest),
        "size": descriptor.size_bytes,
    }
    if descriptor.urls:
        written["urls"] = list(descriptor.urls)
    return written
