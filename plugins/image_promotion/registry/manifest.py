"""Image manifests and indexes: their bytes, kept as they are, and what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from image_promotion.errors import (
    InvalidReferenceError,
    UnsupportedContentError,
)
from image_promotion.registry.descriptor import Descriptor, Platform
from image_promotion.registry.digest import Digest
from image_promotion.registry.document import Fields, read_fields

MAX_MANIFEST_BYTES = 4 * 1024 * 1024
"""The largest manifest that is read.

Source: OCI Distribution Specification 1.1, "Pushing Manifests": registries should take 4 megabytes
at least, so what is larger cannot be relied on to arrive anywhere.
"""

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_MANIFEST_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"

MANIFEST_MEDIA_TYPES = (OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_MANIFEST_LIST)
"""Every kind of manifest that is promoted; what a request for one accepts."""

SCHEMA_1_MEDIA_TYPES = (
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
)

_INDEX_MEDIA_TYPES = (OCI_INDEX, DOCKER_MANIFEST_LIST)

_TYPES_THAT_SAY_NOTHING = ("", "application/json", "application/octet-stream")
"""Content-Types that plain file servers send for anything; then the document speaks for itself."""

_MANIFEST_NAMES = (
    "schemaVersion",
    "mediaType",
    "artifactType",
    "config",
    "layers",
    "manifests",
    "fsLayers",
    "subject",
    "annotations",
)
_DESCRIPTOR_NAMES = (
    "mediaType",
    "digest",
    "size",
    "urls",
    "annotations",
    "data",
    "artifactType",
    "platform",
)

_MAX_MEDIA_TYPE_CHARACTERS = 255  # RFC 6838, section 4.2: twice 127 and a slash


@dataclass(frozen=True, slots=True)
class ImageManifest:
    """One image, or one artifact: a configuration and layers.

    Args:
        content: The very bytes; the digest is theirs.
        media_type: ``OCI_MANIFEST`` or ``DOCKER_MANIFEST``.
        digest: The digest of ``content``.
        config: The configuration blob.
        layers: The layer blobs, in their order; the same one may come more than once.
        subject: The manifest that this one is about; None when it stands for itself.
        artifact_type: What kind of artifact it is; None for an image.
        annotations: Facts by key.

    Source: OCI Image Specification 1.1, "OCI Image Manifest Specification"; Docker, "Image Manifest
    Version 2, Schema 2".
    """

    content: bytes = field(repr=False)
    media_type: str
    digest: Digest
    config: Descriptor
    layers: tuple[Descriptor, ...]
    subject: Descriptor | None = None
    artifact_type: str | None = None
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def descriptor(self) -> Descriptor:
        """The descriptor of this manifest."""
        return Descriptor(
            self.media_type, self.digest, len(self.content), artifact_type=self.artifact_type
        )

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """The configuration and the layers, each once."""
        return tuple({blob.digest: blob for blob in (self.config, *self.layers)}.values())


@dataclass(frozen=True, slots=True)
class ImageIndex:
    """Several manifests under one name, mostly one a platform.

    Args:
        content: The very bytes; the digest is theirs.
        media_type: ``OCI_INDEX`` or ``DOCKER_MANIFEST_LIST``.
        digest: The digest of ``content``.
        manifests: The manifests it lists, in their order.
        subject: The manifest that this one is about; None when it stands for itself.
        artifact_type: What kind of artifact it is; None for an image.
        annotations: Facts by key.

    Source: OCI Image Specification 1.1, "OCI Image Index Specification"; Docker, "Image Manifest
    Version 2, Schema 2", "Manifest List".
    """

    content: bytes = field(repr=False)
    media_type: str
    digest: Digest
    manifests: tuple[Descriptor, ...]
    subject: Descriptor | None = None
    artifact_type: str | None = None
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def descriptor(self) -> Descriptor:
        """The descriptor of this index."""
        return Descriptor(
            self.media_type, self.digest, len(self.content), artifact_type=self.artifact_type
        )


Manifest = ImageManifest | ImageIndex


def parse_manifest(
    content: bytes, media_type: str | None, *, algorithm: str = "sha256"
) -> Manifest:
    """Read a manifest or an index.

    Args:
        content: Its bytes.
        media_type: The Content-Type it came with, parameters and all, or the media type that a
            descriptor announced; None when nothing was said.
        algorithm: The algorithm of its digest.

    Returns:
        What the bytes mean, with the bytes and the digest computed from them.

    Raises:
        UnsupportedContentError: It is larger than MAX_MANIFEST_BYTES, of schema 1, or of a media
            type that is not promoted.
        ProtocolViolationError: It is broken, ambiguous, or not of the type it was announced to be.
        InvalidReferenceError: The algorithm is not supported.

    Source: OCI Image Specification 1.1, "OCI Image Manifest Specification" and "OCI Image Index
    Specification"; OCI Distribution Specification 1.1, "Pulling manifests".
    """
    if len(content) > MAX_MANIFEST_BYTES:
        raise UnsupportedContentError(
            f"cannot read a manifest of {len(content)} bytes: the limit is {MAX_MANIFEST_BYTES}",
        )
    fields = read_fields(content, "the manifest")
    fields.refuse_lookalikes(_MANIFEST_NAMES)
    announced = _announced_type(media_type)
    if announced in SCHEMA_1_MEDIA_TYPES or fields.whole_number("schemaVersion") == 1:
        raise UnsupportedContentError(
            "cannot promote a manifest of schema version 1",
            advice="Docker retired the format in 2017; build or pull and push the image again.",
        )
    if fields.whole_number("schemaVersion") != 2:  # noqa: PLR2004 - the format's own number
        fields.refuse("schemaVersion", "is not 2")
    kind = _agreed_type(fields, announced)
    digest = Digest.of(content, algorithm)
    if kind in _INDEX_MEDIA_TYPES:
        return ImageIndex(
            content=content,
            media_type=kind,
            digest=digest,
            manifests=_consistent(fields, "manifests", fields.each_fields("manifests")),
            subject=_optional_descriptor(fields, "subject"),
            artifact_type=fields.optional_text("artifactType"),
            annotations=fields.text_by_key("annotations"),
        )
    config, *layers = _consistent(
        fields, "layers", (fields.fields("config"), *fields.each_fields("layers"))
    )
    return ImageManifest(
        content=content,
        media_type=kind,
        digest=digest,
        config=config,
        layers=tuple(layers),
        subject=_optional_descriptor(fields, "subject"),
        artifact_type=fields.optional_text("artifactType"),
        annotations=fields.text_by_key("annotations"),
    )


def _announced_type(media_type: str | None) -> str | None:
    """Return what a Content-Type announces, without parameters; None when it says nothing."""
    announced = (media_type or "").partition(";")[0].strip().lower()
    return None if announced in _TYPES_THAT_SAY_NOTHING else announced


def _agreed_type(fields: Fields, announced: str | None) -> str:
    """Return the media type on which the header, the document's word and its shape agree."""
    stated = fields.optional_text("mediaType")
    if stated is not None and announced is not None and stated != announced:
        fields.refuse("mediaType", f"is {stated[:255]!a}, but it was announced as {announced!a}")
    kind = stated or announced
    if kind is None:
        # Only OCI's formats may leave the media type out; Docker's require it.
        kind = OCI_INDEX if "manifests" in fields else OCI_MANIFEST
    if kind not in MANIFEST_MEDIA_TYPES:
        raise UnsupportedContentError(
            f"cannot promote a manifest of the media type {kind[:255]!a}",
            advice="Images and indexes of OCI and of Docker's schema 2 are promoted.",
        )
    # CVE-2021-41190: one document that is an image to some readers and an index to others.
    foreign = ("config", "layers") if kind in _INDEX_MEDIA_TYPES else ("manifests",)
    for name in (*foreign, "fsLayers"):
        if name in fields:
            fields.refuse(name, f"does not belong into a document of the type {kind}")
    return kind


def _consistent(parent: Fields, name: str, entries: tuple[Fields, ...]) -> tuple[Descriptor, ...]:
    """Read descriptors, of which no two may tell a different size for one digest."""
    descriptors = tuple(_descriptor(entry) for entry in entries)
    sizes: dict[Digest, int] = {}
    for descriptor in descriptors:
        if sizes.setdefault(descriptor.digest, descriptor.size_bytes) != descriptor.size_bytes:
            parent.refuse(name, f"tells two different sizes of {descriptor.digest}")
    return descriptors


def _optional_descriptor(fields: Fields, name: str) -> Descriptor | None:
    entry = fields.optional_fields(name)
    return None if entry is None else _descriptor(entry)


def _descriptor(fields: Fields) -> Descriptor:
    fields.refuse_lookalikes(_DESCRIPTOR_NAMES)
    media_type = fields.text("mediaType")
    if not 0 < len(media_type) <= _MAX_MEDIA_TYPE_CHARACTERS or not media_type.isprintable():
        fields.refuse("mediaType", "is not a media type")
    try:
        digest = Digest.parse(fields.text("digest"))
    except InvalidReferenceError as error:
        fields.refuse("digest", f"is no digest: {error.attempted}")
    return Descriptor(
        media_type=media_type,
        digest=digest,
        size_bytes=fields.whole_number("size"),
        platform=_platform(fields),
        annotations=fields.text_by_key("annotations"),
        artifact_type=fields.optional_text("artifactType"),
        urls=fields.texts("urls") if "urls" in fields else (),
    )


def _platform(fields: Fields) -> Platform | None:
    platform = fields.optional_fields("platform")
    if platform is None:
        return None
    return Platform(
        os=platform.text("os"),
        architecture=platform.text("architecture"),
        variant=platform.optional_text("variant"),
        os_version=platform.optional_text("os.version"),
    )
