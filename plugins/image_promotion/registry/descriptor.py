"""Descriptors: what one piece of content says about another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from image_promotion.registry.digest import Digest

_NON_DISTRIBUTABLE = (
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
)
"""How the media types of layers begin whose licence forbids to push them; compression follows."""


@dataclass(frozen=True, slots=True)
class Platform:
    """What an image runs on; ``str()`` gives ``linux/arm64/v8``.

    Args:
        os: Such as ``linux``.
        architecture: Such as ``arm64``.
        variant: Such as ``v8``; None when there is none.
        os_version: Windows' build, such as ``10.0.20348.2113``; None when not said.

    Source: OCI Image Specification 1.1, "OCI Image Index Specification", platform.
    """

    os: str
    architecture: str
    variant: str | None = None
    os_version: str | None = None

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A promise about content: its type, its digest and its size.

    Args:
        media_type: What the content is, such as ``application/vnd.oci.image.layer.v1.tar+gzip``.
        digest: The digest of its bytes.
        size_bytes: Their number.
        platform: What the image runs on; in an index only.
        annotations: Facts by key, such as ``org.opencontainers.image.created``.
        artifact_type: The type of the artifact, where the descriptor points at one.
        urls: Where else the content may be fetched; how Docker marks layers that are not pushed.

    Source: OCI Image Specification 1.1, "OCI Content Descriptors".
    """

    media_type: str
    digest: Digest
    size_bytes: int
    platform: Platform | None = None
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    artifact_type: str | None = None
    urls: tuple[str, ...] = ()

    @property
    def is_foreign(self) -> bool:
        """Whether this is a layer that registries need not hold, since it is fetched elsewhere.

        Source: OCI Image Specification 1.1, "Non-Distributable Layers"; Docker, "Image Manifest
        Version 2, Schema 2", ``urls``.
        """
        return bool(self.urls) and self.media_type.startswith(_NON_DISTRIBUTABLE)
