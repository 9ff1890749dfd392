"""Platforms: which images of an index are wanted, and the new index that holds them alone.

What is left of an index is another document with another digest, so whatever was said about the old
digest, a signature above all, says nothing about the new one. It stays an index even when one image
is left in it: its annotations and those of the entry live there, an attestation beside the image
keeps its place, and a reader finds the same kind of thing under the tag whatever was chosen.

The same choice from the same index gives the same bytes, so that a repeated copy changes nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from image_promotion.errors import ProtocolViolationError, UnsupportedContentError
from image_promotion.registry.descriptor import Descriptor, Platform
from image_promotion.registry.digest import Digest
from image_promotion.registry.document import read_fields
from image_promotion.registry.manifest import (
    ImageIndex,
    ImageManifest,
    Manifest,
    parse_manifest,
)
from image_promotion.registry.referrers import HoldsReferrers
from image_promotion.registry.store import Store

MAX_CONFIG_BYTES = 4 * 1024 * 1024
"""The largest configuration that is read; real ones have some kilobytes."""

ABOUT = "vnd.docker.reference.digest"
"""The annotation by which an entry of an index says that it is about another one.

Source: Docker BuildKit, "Image attestation storage".
"""

_PART = re.compile(r"[a-z0-9][a-z0-9._-]*")
_PARTS = (2, 3)  # os/architecture and os/architecture/variant

_CONFIG_MEDIA_TYPES = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)

_USUAL_VARIANTS = {"amd64": "v1", "arm64": "v8", "arm": "v7"}
"""What is meant where no variant is written.

Source: containerd, ``platforms`` package, normalization.
"""


@dataclass(frozen=True, slots=True)
class Selection:
    """What was chosen of an image.

    Args:
        image: What is to be brought: the image as it was found where all of it is wanted, else a
            new index.
        original: The digest of the image as it was found.
        platforms: The platforms of the images chosen, in the order of the index.
        left_out: What the new index does not list any more.
    """

    image: Manifest
    original: Digest
    platforms: tuple[Platform, ...]
    left_out: tuple[Descriptor, ...] = ()

    @property
    def is_new(self) -> bool:
        """Whether it has another digest, so that signatures over the original do not apply."""
        return self.image.digest != self.original


def parse_platform(text: str) -> Platform:
    """Read a platform as people write it.

    Args:
        text: Such as ``linux/amd64`` or ``linux/arm/v7``.

    Returns:
        The platform.

    Raises:
        ValueError: The text is none; says what is allowed.

    Source: containerd, ``platforms`` package, "Platform Specifiers", without its short forms.
    """
    parts = text.split("/")
    if len(parts) not in _PARTS or not all(_PART.fullmatch(part) for part in parts):
        raise ValueError(
            f"{text[:80]!a} is not a platform: it is OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT in "
            "lower case, such as linux/amd64 or linux/arm/v7"
        )
    return Platform(*parts)


def keep_platforms(index: ImageIndex, wanted: Sequence[Platform]) -> Selection:
    """Make a new index of the images for some platforms.

    A platform without a variant means every variant. Kept entries stand in their old order and
    as they were written, annotations and unknown members included, and so does all else in the
    index. An entry that is about another one, such as BuildKit's attestation manifests, is kept
    with what it is about, and dropped without it. Nested indexes are entries like others: they are
    kept by the platform they are listed with.

    Args:
        index: The index.
        wanted: The platforms, one at least.

    Returns:
        The choice; the very index where nothing of it is left out.

    Raises:
        UnsupportedContentError: The index has no image for one of the platforms; says which it has.
        ProtocolViolationError: The index cannot be written anew.

    Source: OCI Image Specification 1.1, "OCI Image Index Specification", platform.
    """
    images = [entry for entry in index.manifests if ABOUT not in entry.annotations]
    available = tuple(entry.platform for entry in images if entry.platform is not None)
    missing = [each for each in wanted if not any(_fits(one, each) for one in available)]
    if missing:
        raise _missing(missing, available)
    chosen = [entry for entry in images if _is_wanted(entry, wanted)]
    digests = {str(entry.digest) for entry in chosen}
    is_kept = [
        entry.annotations[ABOUT] in digests
        if ABOUT in entry.annotations
        else _is_wanted(entry, wanted)
        for entry in index.manifests
    ]
    left_out = tuple(
        entry for entry, kept in zip(index.manifests, is_kept, strict=True) if not kept
    )
    return Selection(
        image=_narrowed(index, is_kept) if left_out else index,
        original=index.digest,
        platforms=tuple(dict.fromkeys(e.platform for e in chosen if e.platform is not None)),
        left_out=left_out,
    )


async def choose_platforms(
    store: Store, repository: str, image: Manifest, wanted: Sequence[Platform]
) -> Selection:
    """Choose platforms of an image; a single image must be for one of them.

    Args:
        store: Where the image is.
        repository: Its repository, as policies name it.
        image: The image: a manifest or an index.
        wanted: The platforms, one at least.

    Returns:
        The choice. A single image is never changed.

    Raises:
        UnsupportedContentError: An index has no image for one of the platforms; a single image is
            for none of them; or it is no image.
        ProtocolViolationError: Its configuration is broken.
        ContentMismatchError: Its configuration is not what its digest says.
        NotFoundError: Its configuration is missing.
        RegistryError: The registry refuses, or does not answer.

    Source: OCI Image Specification 1.1, "OCI Image Configuration", os, architecture and variant.
    """
    if isinstance(image, ImageIndex):
        return keep_platforms(image, wanted)
    found = await _platform_of(store, repository, image)
    if not any(_fits(found, each) for each in wanted):
        raise _missing(wanted, (found,))
    return Selection(image, image.digest, (found,))


def with_manifest(store: Store, repository: str, manifest: Manifest) -> Store:
    """Return a view of a store in which a repository holds one manifest more.

    So what was made here is copied as what lies there is, with the same checks in the same order.

    Args:
        store: The store. It is not changed.
        repository: The repository, as policies name it.
        manifest: The manifest; what it lists must be in the repository.

    Returns:
        The view, to be read from; closing it closes the store.
    """
    if isinstance(store, HoldsReferrers):
        return cast("Store", _WithManifestAndReferrers(store, repository, manifest))
    return cast("Store", _WithManifest(store, repository, manifest))


class _WithManifest:
    """A store and one manifest more; all else is the store's own."""

    def __init__(self, store: Store, repository: str, manifest: Manifest) -> None:
        self._store = store
        self._repository = repository
        self._manifest = manifest

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    async def get_manifest(self, repository: str, reference: str | Digest) -> Manifest:
        if (repository, reference) == (self._repository, self._manifest.digest):
            return self._manifest
        return await self._store.get_manifest(repository, reference)


class _WithManifestAndReferrers(_WithManifest):
    """The same of a store that lists referrers, which is asked of the class since Python 3.12."""

    async def list_referrers(
        self, repository: str, digest: Digest
    ) -> tuple[Descriptor, ...] | None:
        return await cast("HoldsReferrers", self._store).list_referrers(repository, digest)


def _fits(platform: Platform, wanted: Platform) -> bool:
    """Say whether an image's platform is one that is wanted."""
    if (platform.os, platform.architecture) != (wanted.os, wanted.architecture):
        return False
    return wanted.variant is None or _variant(platform) == _variant(wanted)


def _variant(platform: Platform) -> str | None:
    return platform.variant or _USUAL_VARIANTS.get(platform.architecture)


def _is_wanted(entry: Descriptor, wanted: Sequence[Platform]) -> bool:
    platform = entry.platform
    return platform is not None and any(_fits(platform, each) for each in wanted)


def _missing(missing: Sequence[Platform], available: Sequence[Platform]) -> UnsupportedContentError:
    names = ", ".join(dict.fromkeys(_shown(each) for each in available))
    lacked = ", ".join(dict.fromkeys(str(each) for each in missing))
    return UnsupportedContentError(
        f"there is no image for {lacked}",
        advice=f"There is {names}." if names else "The index says no platform of any image.",
    )


def _shown(platform: Platform) -> str:
    """Return a stranger's platform fit for a message."""
    text = str(platform).encode("ascii", "backslashreplace").decode("ascii")
    return "".join(c if c.isprintable() else "?" for c in text)[:80]


def _narrowed(index: ImageIndex, is_kept: Sequence[bool]) -> ImageIndex:
    """Write an index anew without some of its entries."""
    # It was read with all its bounds before, by parse_manifest.
    document: Mapping[str, object] = json.loads(index.content)
    entries = cast("list[object]", document["manifests"])
    kept = [entry for entry, keep in zip(entries, is_kept, strict=True) if keep]
    try:
        text = json.dumps({**document, "manifests": kept}, separators=(",", ":"), allow_nan=False)
    except ValueError as error:
        raise ProtocolViolationError(
            "the index holds a number that cannot be written again"
        ) from error
    narrowed = parse_manifest(
        text.encode("ascii"), index.media_type, algorithm=index.digest.algorithm
    )
    if not isinstance(narrowed, ImageIndex):  # the media type says so, and parse_manifest holds it
        raise ProtocolViolationError("the index is none")
    return narrowed


async def _platform_of(store: Store, repository: str, image: ImageManifest) -> Platform:
    """Read what a single image runs on from its configuration."""
    config = image.config
    if config.media_type not in _CONFIG_MEDIA_TYPES:
        raise UnsupportedContentError(
            "it is no image, and so it runs on no platform",
            advice="Leave the platform out: artifacts are the same for all.",
        )
    if config.size_bytes > MAX_CONFIG_BYTES:
        raise UnsupportedContentError(
            f"the image's configuration is larger than {MAX_CONFIG_BYTES} bytes"
        )
    async with store.open_blob(repository, config) as pieces:
        content = b"".join([piece async for piece in pieces])
    fields = read_fields(content, "the image's configuration")
    return Platform(
        os=fields.text("os"),
        architecture=fields.text("architecture"),
        variant=fields.optional_text("variant") or None,
        os_version=fields.optional_text("os.version"),
    )
