"""All the manifests of an image: an index, what it lists, and what that lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from image_promotion.errors import (
    ContentMismatchError,
    ProtocolViolationError,
    UnsupportedContentError,
)
from image_promotion.registry.concurrency import ask_each
from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.digest import Digest
from image_promotion.registry.manifest import MANIFEST_MEDIA_TYPES, ImageIndex, Manifest
from image_promotion.registry.store import Store

MAX_DEPTH = 8
"""How deep indexes may list indexes; real ones go to 2."""

MAX_MANIFESTS = 1000
"""How many manifests one image may consist of; real ones have some tens."""

MAX_MANIFESTS_BYTES = 64 * 1024 * 1024
"""How large they may be together, since all of them are held in memory."""


async def read_by_height(
    store: Store,
    repository: str,
    digest: Digest,
    concurrency: int,
    *,
    image: Manifest | None = None,
) -> tuple[tuple[Manifest, ...], ...]:
    """Read an image's manifests.

    Args:
        store: Where the image is.
        repository: Its repository, as policies name it.
        digest: The image: a manifest or an index.
        concurrency: How many manifests are read at a time.
        image: The image's own manifest, where it was read already; it is held against the digest.

    Returns:
        The manifests in levels, each once: first those that list no others, then those that list
        only such, and so on; the last level is the image itself. To put level after level is to
        put children before parents.

    Raises:
        NotFoundError: The store lacks one of them.
        ContentMismatchError: One is not of the digest or size it is listed with.
        UnsupportedContentError: One is of a type that is not promoted, or they are too many, too
            large, or too deep.
        ProtocolViolationError: One is broken, or of another type than it is listed with.
        RegistryError: The registry refuses, or does not answer.

    Source: OCI Image Specification 1.1, "OCI Image Index Specification".
    """
    if image is None:
        image = await store.get_manifest(repository, digest)
    if image.digest != digest:
        raise _mismatch("the manifest has another digest", str(digest), str(image.digest))
    found: dict[Digest, Manifest] = {digest: image}

    async def read(listed: Descriptor) -> Manifest:
        manifest = await store.get_manifest(repository, listed.digest)
        _check_is_what_was_listed(manifest, listed)
        return manifest

    to_read = _listed_by((image,), found)
    while to_read:
        if len(found) + len(to_read) > MAX_MANIFESTS:
            raise UnsupportedContentError(
                f"the image consists of more than {MAX_MANIFESTS} manifests"
            )
        size_bytes = sum(listed.size_bytes for listed in to_read)
        if size_bytes + sum(len(known.content) for known in found.values()) > MAX_MANIFESTS_BYTES:
            raise UnsupportedContentError(
                f"the image's manifests are larger than {MAX_MANIFESTS_BYTES} bytes together"
            )
        children = await ask_each(read, to_read, at_once=concurrency)
        found |= {child.digest: child for child in children}
        to_read = _listed_by(children, found)
    heights: dict[Digest, int] = {}
    _measure(digest, found, heights, depth=0)
    return tuple(
        tuple(found[known] for known, height in heights.items() if height == level)
        for level in range(heights[digest] + 1)
    )


def _listed_by(
    parents: Sequence[Manifest], found: Mapping[Digest, Manifest]
) -> tuple[Descriptor, ...]:
    """Return the manifests that some indexes list and that were not read yet, each once."""
    listed: dict[Digest, Descriptor] = {}
    for parent in parents:
        for child in parent.manifests if isinstance(parent, ImageIndex) else ():
            if child.media_type not in MANIFEST_MEDIA_TYPES:
                raise UnsupportedContentError(
                    f"the index {parent.digest} lists {child.digest} of the media type "
                    f"{child.media_type}, which is not promoted"
                )
            if child.digest not in found:
                listed[child.digest] = child
            else:
                _check_is_what_was_listed(found[child.digest], child)
    return tuple(listed.values())


def _check_is_what_was_listed(manifest: Manifest, listed: Descriptor) -> None:
    if manifest.digest != listed.digest:
        raise _mismatch("a manifest has another digest", str(listed.digest), str(manifest.digest))
    if len(manifest.content) != listed.size_bytes:
        raise _mismatch(
            f"the manifest {listed.digest} is not of the size it is listed with",
            f"{listed.size_bytes} bytes",
            f"{len(manifest.content)} bytes",
        )
    if manifest.media_type != listed.media_type:
        raise ProtocolViolationError(
            f"the manifest {listed.digest} is {manifest.media_type}, but it is listed as "
            f"{listed.media_type}"
        )


def _measure(
    digest: Digest, found: Mapping[Digest, Manifest], heights: dict[Digest, int], *, depth: int
) -> int:
    """Fill in how many levels of manifests are below each one.

    A manifest cannot list one that lists it, short of a broken hash; should a store ever claim so,
    the depth ends the walk. The height is checked too, since what is known already is not entered.
    """
    if depth <= MAX_DEPTH and digest not in heights:
        manifest = found[digest]
        children = manifest.manifests if isinstance(manifest, ImageIndex) else ()
        heights[digest] = max(
            (_measure(child.digest, found, heights, depth=depth + 1) + 1 for child in children),
            default=0,
        )
    if max(depth, heights.get(digest, 0)) > MAX_DEPTH:
        raise UnsupportedContentError(
            f"the image's indexes are nested more than {MAX_DEPTH} levels deep"
        )
    return heights[digest]


def _mismatch(attempted: str, expected: str, actual: str) -> ContentMismatchError:
    return ContentMismatchError(attempted, expected=expected, actual=actual)
