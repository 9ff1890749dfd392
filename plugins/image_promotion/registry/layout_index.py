"""``index.json`` of a layout directory: which tags it has, and the text with one of them changed.

Source: OCI Image Specification 1.1, "OCI Image Layout Specification", ``index.json`` file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from image_promotion.errors import ProtocolViolationError, UnsupportedContentError
from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.document import read_fields
from image_promotion.registry.manifest import (
    MAX_MANIFEST_BYTES,
    OCI_INDEX,
    ImageIndex,
    Manifest,
    parse_manifest,
)
from image_promotion.registry.reference import is_tag

MAX_INDEX_BYTES = MAX_MANIFEST_BYTES
"""The largest ``index.json``, which is the largest manifest: some 15,000 tags."""

TAG_ANNOTATION = "org.opencontainers.image.ref.name"

LAYOUT_VERSION = "1.0.0"
LAYOUT_MARKER = json.dumps({"imageLayoutVersion": LAYOUT_VERSION}).encode()
"""What the file ``oci-layout`` says.

Source: OCI Image Specification 1.1, "OCI Image Layout Specification", ``oci-layout`` file.
"""

EMPTY_INDEX = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}).encode()


class LayoutIndex:
    """The entries of one ``index.json``.

    Args:
        content: The file's bytes.

    Raises:
        ProtocolViolationError: They are no index.
        UnsupportedContentError: They are more than MAX_INDEX_BYTES.
    """

    def __init__(self, content: bytes) -> None:
        if len(content) > MAX_INDEX_BYTES:
            raise UnsupportedContentError(
                f"the layout's index.json is larger than {MAX_INDEX_BYTES} bytes",
                advice="Spread its tags over several repositories.",
            )
        try:
            index = parse_manifest(content, OCI_INDEX)
        except ProtocolViolationError as error:
            raise ProtocolViolationError(
                f"the layout's index.json is broken: {error.attempted}", advice=error.advice
            ) from error
        assert isinstance(index, ImageIndex)  # noqa: S101 - it is read as OCI_INDEX, or not at all
        self.content = content
        self.entries = index.manifests
        self._by_tag: dict[str, list[Descriptor]] = {}
        for entry in self.entries:
            if (tag := tag_of(entry)) is not None:
                self._by_tag.setdefault(tag, []).append(entry)

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags, in the order in which they stand first."""
        return tuple(self._by_tag)

    def entry(self, tag: str) -> Descriptor | None:
        """Return what a tag points at; None when there is no such tag.

        Raises:
            ProtocolViolationError: The tag stands at several manifests, and nothing says which.
        """
        entries = self._by_tag.get(tag)
        if entries is None:
            return None
        if len({entry.digest for entry in entries}) > 1:
            raise ProtocolViolationError(
                f"the layout's index.json gives the tag {tag} to {len(entries)} manifests",
                advice="Remove all but one of them, or name the image by its digest.",
            )
        return entries[0]

    def with_tag(self, tag: str, manifest: Manifest) -> bytes:
        """Return the text in which a tag points at a manifest.

        All else stays: entries without a tag, annotations, and members that are not known here.

        Args:
            tag: The tag; it is taken away from whatever has it now.
            manifest: What it is to point at.

        Raises:
            UnsupportedContentError: The text would be larger than MAX_INDEX_BYTES.
        """
        document, kept = self._kept(lambda entry: tag_of(entry) == tag)
        document["manifests"] = [*kept, _written(manifest, tag)]
        content = json.dumps(document, indent=2).encode()
        if len(content) > MAX_INDEX_BYTES:
            raise UnsupportedContentError(
                f"with one more tag the layout's index.json would be larger than "
                f"{MAX_INDEX_BYTES} bytes",
                advice="Spread its tags over several repositories.",
            )
        return content

    def without(self, is_removed: Callable[[Descriptor], bool]) -> bytes:
        """Return the text without some entries; all else stays.

        Args:
            is_removed: Says of an entry whether it is left out.
        """
        document, kept = self._kept(is_removed)
        document["manifests"] = kept
        return json.dumps(document, indent=2).encode()

    def _kept(
        self, is_removed: Callable[[Descriptor], bool]
    ) -> tuple[dict[str, object], list[object]]:
        """Return the document, and its entries as they stand in it but for the removed ones."""
        document: dict[str, object] = json.loads(self.content)
        raw = document.get("manifests")
        entries: list[object] = raw if isinstance(raw, list) else []
        kept = [
            entry
            for entry, descriptor in zip(entries, self.entries, strict=True)
            if not is_removed(descriptor)
        ]
        return document, kept


def tag_of(entry: Descriptor) -> str | None:
    """Return the tag that an entry of ``index.json`` has; None when it has none.

    A ``ref.name`` may be more than a tag, such as a path; that names nothing in a repository.
    """
    name = entry.annotations.get(TAG_ANNOTATION)
    return name if name is not None and is_tag(name) else None


def check_marker(content: bytes) -> None:
    """Check what the file ``oci-layout`` says.

    Args:
        content: The file's bytes.

    Raises:
        ProtocolViolationError: It is broken, or of another version than LAYOUT_VERSION.
    """
    version = read_fields(content, "the layout's file oci-layout").text("imageLayoutVersion")
    if version != LAYOUT_VERSION:
        raise ProtocolViolationError(
            f"the layout is of the version {version[:32]!a}, not {LAYOUT_VERSION}"
        )


def _written(manifest: Manifest, tag: str) -> Mapping[str, object]:
    descriptor = manifest.descriptor
    artifact = {} if descriptor.artifact_type is None else {"artifactType": manifest.artifact_type}
    return {
        "mediaType": descriptor.media_type,
        "digest": str(descriptor.digest),
        "size": descriptor.size_bytes,
        **artifact,
        "annotations": {TAG_ANNOTATION: tag},
    }
