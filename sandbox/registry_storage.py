"""Content of a registry, written straight into its folder: ten thousand tags in seconds.

A push over HTTP costs the registry some 15 ms an image, which is most of the time of whoever only
wants a large registry to look at. The registry must not be running while this writes.

Source: CNCF distribution, "registry/storage/paths.go", the layout of version 2.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sandbox.image_layers import sha256
from sandbox.image_pusher import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST

_VERSION = Path("docker/registry/v2")


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image that a registry's folder holds.

    Attributes:
        repository: Its repository.
        tag: Its tag.
        digest: Its manifest's digest.
    """

    repository: str
    tag: str
    digest: str


class RegistryStorage:
    """The storage of a registry that does not run.

    Args:
        content: The folder that its filesystem driver calls rootdirectory.
    """

    def __init__(self, content: Path) -> None:
        self._blobs = content / _VERSION / "blobs"
        self._repositories = content / _VERSION / "repositories"

    def add_image(
        self, repository: str, tag: str, *, layer: bytes, base: bytes | None = None
    ) -> StoredImage:
        """Add an image of one small layer, or of two.

        Args:
            repository: Its repository.
            tag: Its tag.
            layer: The content of its own layer, which need be no archive; another one is another
                image.
            base: The content of a layer below it, such as others have too.

        Returns:
            The image.
        """
        layers = [each for each in (base, layer) if each is not None]
        config = json.dumps(
            {
                "os": "linux",
                "architecture": "amd64",
                "rootfs": {"type": "layers", "diff_ids": [sha256(each) for each in layers]},
            }
        ).encode()
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "config": _descriptor(OCI_CONFIG, config),
                "layers": [_descriptor(OCI_LAYER, each) for each in layers],
            }
        ).encode()
        folder = self._repositories / repository
        for blob in (config, *layers):
            digest = self._add_blob(blob)
            _link(folder / "_layers" / _path_of(digest) / "link", digest)
        digest = self._add_blob(manifest)
        _link(folder / "_manifests" / "revisions" / _path_of(digest) / "link", digest)
        self.set_tag(repository, tag, digest)
        return StoredImage(repository, tag, digest)

    def set_tag(self, repository: str, tag: str, digest: str) -> None:
        """Point a tag at a manifest that the repository has."""
        folder = self._repositories / repository / "_manifests" / "tags" / tag
        _link(folder / "current" / "link", digest)
        _link(folder / "index" / _path_of(digest) / "link", digest)

    def set_tags(self, repository: str, tags: Iterable[str], digest: str) -> None:
        """Point many tags at one manifest that the repository has."""
        for tag in tags:
            self.set_tag(repository, tag, digest)

    def _add_blob(self, content: bytes) -> str:
        digest = sha256(content)
        hexadecimal = digest.removeprefix("sha256:")
        path = self._blobs / "sha256" / hexadecimal[:2] / hexadecimal / "data"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return digest


def _path_of(digest: str) -> Path:
    return Path(digest.replace(":", "/"))


def _descriptor(media_type: str, content: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": sha256(content), "size": len(content)}


def _link(path: Path, digest: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(digest)
