"""Pushes images to a registry by plain HTTP, without a container engine.

It does not use the product's client, so that a test never checks our client against itself. Equal
arguments give equal bytes: a second push finds everything there and sends nothing.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from sandbox.image_layers import Layer, sha256

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_MANIFEST_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"

LONG_AGO = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
"""When an image was "built" that nobody says more about; constant, for equal digests."""

_TIMEOUT_S = 30.0


class PushRefusedError(Exception):
    """A registry did not take what was pushed.

    Args:
        response: What it answered.
    """

    def __init__(self, response: httpx.Response) -> None:
        request = response.request
        super().__init__(
            f"{request.method} {request.url} was answered {response.status_code}: "
            f"{response.text[:500]}"
        )
        self.status = response.status_code


@dataclass(frozen=True, slots=True)
class PushedBlob:
    """A blob that a registry now has, and whether this push brought it."""

    digest: str
    size_bytes: int
    media_type: str
    is_new: bool


@dataclass(frozen=True, slots=True)
class PushedImage:
    """An image or index that a registry now has.

    `blobs` begins with the configuration, then the layers from the base up; it is empty for an
    index, which has `children` instead. `is_new` tells whether this push set the manifest.
    """

    repository: str
    tag: str | None
    digest: str
    media_type: str
    platform: str | None
    manifest: bytes = field(repr=False)
    blobs: tuple[PushedBlob, ...]
    children: tuple[PushedImage, ...]
    is_new: bool

    @property
    def size_bytes(self) -> int:
        """The bytes of its manifest, its blobs and its children; a shared blob counts each time."""
        own = len(self.manifest) + sum(blob.size_bytes for blob in self.blobs)
        return own + sum(child.size_bytes for child in self.children)

    @property
    def sent_bytes(self) -> int:
        """The bytes that this push really sent."""
        own = sum(blob.size_bytes for blob in self.blobs if blob.is_new)
        own += len(self.manifest) if self.is_new else 0
        return own + sum(child.sent_bytes for child in self.children)


class ImagePusher:
    """Pushes images to one registry over one connection; a context manager.

    Args:
        registry_url: Scheme, host and port.
        auth: User name and password, or any flow of httpx.
        verify: Whether the certificate counts, or the PEM file of the CA it must come from.
    """

    def __init__(
        self,
        registry_url: str,
        *,
        auth: httpx.Auth | tuple[str, str] | None = None,
        verify: bool | Path = True,
    ) -> None:
        trusted: bool | ssl.SSLContext
        if isinstance(verify, Path):
            trusted = ssl.create_default_context(cafile=verify)
        else:
            # Loading the machine's CAs takes longer than filling a registry that needs none.
            trusted = verify and registry_url.startswith("https:")
        self._http = httpx.Client(
            base_url=registry_url, auth=auth, verify=trusted, timeout=_TIMEOUT_S, trust_env=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._http.close()

    def push_blob(
        self, repository: str, content: bytes, media_type: str = "application/octet-stream"
    ) -> PushedBlob:
        """Bring a blob, unless the repository has it.

        The upload is a POST, then one PUT (distribution specification, "Pushing a blob
        monolithically").

        Args:
            repository: The repository's name.
            content: The blob.
            media_type: What a manifest will call it.

        Returns:
            The blob as a manifest describes it.

        Raises:
            PushRefusedError: The registry did not take it.
        """
        digest = sha256(content)
        head = self._http.head(f"/v2/{repository}/blobs/{digest}")
        is_new = head.status_code != httpx.codes.OK
        if is_new:
            begun = self._http.post(f"/v2/{repository}/blobs/uploads/")
            _expect(begun, httpx.codes.ACCEPTED)
            location = begun.request.url.join(begun.headers["Location"])
            put = self._http.put(
                location.copy_merge_params({"digest": digest}),
                content=content,
                headers={"Content-Type": "application/octet-stream"},
            )
            _expect(put, httpx.codes.CREATED)
        return PushedBlob(digest, len(content), media_type, is_new)

    def push_manifest_bytes(
        self, repository: str, reference: str | None, content: bytes, media_type: str
    ) -> str:
        """Set a manifest of any bytes and any media type, as a hostile or future client would.

        Args:
            repository: The repository's name.
            reference: A tag or a digest; None for the digest of `content`.
            content: The manifest.
            media_type: Its Content-Type.

        Returns:
            The digest of `content`.

        Raises:
            PushRefusedError: The registry did not take it.
        """
        digest = sha256(content)
        put = self._http.put(
            f"/v2/{repository}/manifests/{reference or digest}",
            content=content,
            headers={"Content-Type": media_type},
        )
        _expect(put, httpx.codes.CREATED)
        return digest

    def push_image(
        self,
        repository: str,
        tag: str | None,
        *,
        layers: Sequence[Layer | bytes],
        platform: str = "linux/amd64",
        created: datetime = LONG_AGO,
        labels: Mapping[str, str] | None = None,
        docker_schema2: bool = False,
    ) -> PushedImage:
        """Bring an image: its blobs first, then its manifest.

        Args:
            repository: The repository's name.
            tag: Its tag; None leaves it untagged.
            layers: Its layers from the base up; bytes are taken as `Layer.of` takes them.
            platform: ``os/architecture`` or ``os/architecture/variant``.
            created: When it was "built", aware.
            labels: The labels of its configuration.
            docker_schema2: Use Docker's media types (manifest version 2, schema 2), not OCI's.

        Returns:
            The image.

        Raises:
            PushRefusedError: The registry did not take it.
        """
        stack = [layer if isinstance(layer, Layer) else Layer.of(layer) for layer in layers]
        config = _json(_configuration(stack, platform, created, labels or {}))
        config_type = DOCKER_CONFIG if docker_schema2 else OCI_CONFIG
        blobs = (
            self.push_blob(repository, config, config_type),
            *(
                self.push_blob(repository, layer.content, _layer_type(layer, docker_schema2))
                for layer in stack
            ),
        )
        media_type = DOCKER_MANIFEST if docker_schema2 else OCI_MANIFEST
        described = [_descriptor(blob.media_type, blob.digest, blob.size_bytes) for blob in blobs]
        manifest = _json(
            {
                "schemaVersion": 2,
                "mediaType": media_type,
                "config": described[0],
                "layers": described[1:],
            }
        )
        return PushedImage(
            repository,
            tag,
            digest=sha256(manifest),
            media_type=media_type,
            platform=platform,
            manifest=manifest,
            blobs=blobs,
            children=(),
            is_new=self._set_manifest(repository, tag, manifest, media_type),
        )

    def push_index(
        self,
        repository: str,
        tag: str | None,
        *,
        images: Mapping[str, Sequence[Layer | bytes]],
        created: datetime = LONG_AGO,
        labels: Mapping[str, str] | None = None,
        docker_schema2: bool = False,
    ) -> PushedImage:
        """Bring an index (Docker: a manifest list): its images first, untagged, then itself.

        Args:
            repository: The repository's name.
            tag: Its tag; None leaves it untagged.
            images: The layers of each image by platform.
            created: When the images were "built", aware.
            labels: The labels of each image's configuration.
            docker_schema2: Use Docker's media types, not OCI's.

        Returns:
            The index, its images as `children`.

        Raises:
            PushRefusedError: The registry did not take it.
        """
        children = tuple(
            self.push_image(
                repository,
                None,
                layers=layers,
                platform=platform,
                created=created,
                labels=labels,
                docker_schema2=docker_schema2,
            )
            for platform, layers in images.items()
        )
        media_type = DOCKER_MANIFEST_LIST if docker_schema2 else OCI_INDEX
        index = _json(
            {
                "schemaVersion": 2,
                "mediaType": media_type,
                "manifests": [
                    _descriptor(child.media_type, child.digest, len(child.manifest))
                    | {"platform": _platform(platform)}
                    for platform, child in zip(images, children, strict=True)
                ],
            }
        )
        return PushedImage(
            repository,
            tag,
            digest=sha256(index),
            media_type=media_type,
            platform=None,
            manifest=index,
            blobs=(),
            children=children,
            is_new=self._set_manifest(repository, tag, index, media_type),
        )

    def _set_manifest(
        self, repository: str, tag: str | None, content: bytes, media_type: str
    ) -> bool:
        """Set a manifest unless its tag, or its digest when it has none, gives it already."""
        digest = sha256(content)
        head = self._http.head(
            f"/v2/{repository}/manifests/{tag or digest}", headers={"Accept": media_type}
        )
        if head.is_success and head.headers.get("Docker-Content-Digest") == digest:
            return False
        self.push_manifest_bytes(repository, tag, content, media_type)
        return True


def _expect(response: httpx.Response, status: int) -> None:
    if response.status_code != status:
        raise PushRefusedError(response)


def _json(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, indent=2).encode()


def _descriptor(media_type: str, digest: str, size_bytes: int) -> dict[str, object]:
    return {"mediaType": media_type, "digest": digest, "size": size_bytes}


def _platform(text: str) -> dict[str, str]:
    """Give the fields of ``os/architecture[/variant]`` that indexes and configurations share."""
    return dict(zip(("os", "architecture", "variant"), text.split("/"), strict=False))


def _layer_type(layer: Layer, docker_schema2: bool) -> str:
    if docker_schema2:
        return DOCKER_LAYER + (".gzip" if layer.compressed else "")
    return OCI_LAYER + ("+gzip" if layer.compressed else "")


def _configuration(
    layers: Sequence[Layer], platform: str, created: datetime, labels: Mapping[str, str]
) -> dict[str, object]:
    """Give an image's configuration (OCI image specification, "Image Configuration")."""
    moment = created.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return {
        **_platform(platform),
        "created": moment,
        "config": {
            "Env": ["PATH=/usr/local/bin:/usr/bin:/bin"],
            "Cmd": ["python3", "-m", "http.server"],
            "WorkingDir": "/srv",
            "Labels": dict(labels),
        },
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": [
            {"created": moment, "created_by": f"sandbox: layer {number}"}
            for number, _ in enumerate(layers, 1)
        ],
    }
