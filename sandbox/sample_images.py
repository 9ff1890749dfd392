"""Sample images made from real files, pushed by plain HTTP; among them what the demo starts with.

Nothing here uses the product's client, so that a test never checks our client against itself. Equal
arguments give equal bytes: a second push finds everything there and sends nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import httpx

from sandbox.image_layers import Layer, base_layer, standard_library
from sandbox.image_pusher import LONG_AGO, ImagePusher, PushedBlob, PushedImage

Auth = httpx.Auth | tuple[str, str] | None

DEV_REPOSITORY = "dev/website"
"""The repository that `fill_dev_registry` fills."""

# In the order they were "built", a day apart.
_TAGS = (
    *("1.0-rc1", "1.0-stable", "1.1-stable", "1.2-rc1", "1.2-stable", "1.3-stable"),
    *("1.4-rc1", "1.4-rc2", "1.4-stable", "pr-17", "1.5-rc1", "1.5-stable", "1.6-stable"),
    *("1.7-rc1", "1.7-stable", "pr-23", "1.9-rc1", "1.9-stable", "2.0-rc1", "2.0-rc2"),
    *("2.0-stable", "nightly-20260127", "nightly-20260128", "nightly-20260129"),
)
_BUILT_BY_DOCKER = frozenset({"1.0-rc1", "1.0-stable", "1.1-stable"})
_TWO_PLATFORMS = "2.0-stable"
_LATEST = "2.0-stable"
_PAGES_PER_VERSION = 4

FillProgress = Callable[[PushedImage, int, int], None]
"""Called after each image with the image, how many are done, and how many there are."""


def push_image(
    registry_url: str,
    repository: str,
    tag: str | None,
    *,
    layers: Sequence[Layer | bytes],
    platform: str = "linux/amd64",
    created: datetime | None = None,
    labels: Mapping[str, str] | None = None,
    docker_schema2: bool = False,
    auth: Auth = None,
    verify: bool | Path = True,
) -> PushedImage:
    """Push one image; `ImagePusher.push_image` with a connection of its own.

    Args:
        registry_url: Scheme, host and port.
        repository: The repository's name.
        tag: Its tag; None leaves it untagged.
        layers: Its layers from the base up.
        platform: ``os/architecture`` or ``os/architecture/variant``.
        created: When it was "built", aware; the same moment for all by default.
        labels: The labels of its configuration.
        docker_schema2: Use Docker's media types, not OCI's.
        auth: User name and password, or any flow of httpx.
        verify: Whether the certificate counts, or the PEM file of the CA it must come from.

    Returns:
        The image.

    Raises:
        PushRefusedError: The registry did not take it.
    """
    with ImagePusher(registry_url, auth=auth, verify=verify) as pusher:
        return pusher.push_image(
            repository,
            tag,
            layers=layers,
            platform=platform,
            created=created or LONG_AGO,
            labels=labels,
            docker_schema2=docker_schema2,
        )


def push_index(
    registry_url: str,
    repository: str,
    tag: str | None,
    *,
    images: Mapping[str, Sequence[Layer | bytes]],
    created: datetime | None = None,
    docker_schema2: bool = False,
    auth: Auth = None,
    verify: bool | Path = True,
) -> PushedImage:
    """Push an index and its images; `ImagePusher.push_index` with a connection of its own.

    Args:
        registry_url: Scheme, host and port.
        repository: The repository's name.
        tag: Its tag; None leaves it untagged.
        images: The layers of each image by platform.
        created: When the images were "built", aware; the same moment for all by default.
        docker_schema2: Push a Docker manifest list, not an OCI index.
        auth: User name and password, or any flow of httpx.
        verify: Whether the certificate counts, or the PEM file of the CA it must come from.

    Returns:
        The index, its images as `children`.

    Raises:
        PushRefusedError: The registry did not take it.
    """
    with ImagePusher(registry_url, auth=auth, verify=verify) as pusher:
        return pusher.push_index(
            repository,
            tag,
            images=images,
            created=created or LONG_AGO,
            docker_schema2=docker_schema2,
        )


def push_manifest_bytes(
    registry_url: str,
    repository: str,
    reference: str | None,
    content: bytes,
    media_type: str,
    *,
    auth: Auth = None,
    verify: bool | Path = True,
) -> str:
    """Push a manifest of any bytes and type; `ImagePusher.push_manifest_bytes` in one call.

    Args:
        registry_url: Scheme, host and port.
        repository: The repository's name.
        reference: A tag or a digest; None for the digest of `content`.
        content: The manifest.
        media_type: Its Content-Type.
        auth: User name and password, or any flow of httpx.
        verify: Whether the certificate counts, or the PEM file of the CA it must come from.

    Returns:
        The digest of `content`.

    Raises:
        PushRefusedError: The registry did not take it.
    """
    with ImagePusher(registry_url, auth=auth, verify=verify) as pusher:
        return pusher.push_manifest_bytes(repository, reference, content, media_type)


def push_blob(
    registry_url: str,
    repository: str,
    content: bytes,
    *,
    auth: Auth = None,
    verify: bool | Path = True,
) -> PushedBlob:
    """Push a blob unless the repository has it; `ImagePusher.push_blob` in one call.

    Args:
        registry_url: Scheme, host and port.
        repository: The repository's name.
        content: The blob.
        auth: User name and password, or any flow of httpx.
        verify: Whether the certificate counts, or the PEM file of the CA it must come from.

    Returns:
        The blob as a manifest describes it.

    Raises:
        PushRefusedError: The registry did not take it.
    """
    with ImagePusher(registry_url, auth=auth, verify=verify) as pusher:
        return pusher.push_blob(repository, content)


def fill_dev_registry(url: str, on_progress: FillProgress | None = None) -> tuple[PushedImage, ...]:
    """Fill a registry with the website's history: some twenty tags, ten of them ``-stable``.

    They share one base layer. ``2.0-stable`` is an index of two platforms and ``latest`` is the
    same; the oldest are Docker's schema 2. A second fill sends nothing and gives the same digests.

    Args:
        url: The registry's scheme, host and port; it lets anybody push.
        on_progress: Told of each image.

    Returns:
        The images in the order they were "built".

    Raises:
        PushRefusedError: The registry did not take one.
    """
    images: list[PushedImage] = []
    tags = [(tag, tag) for tag in _TAGS] + [("latest", _LATEST)]
    with ImagePusher(url) as pusher:
        for tag, version in tags:
            image = _push_website(pusher, tag, version)
            images.append(image)
            if on_progress is not None:
                on_progress(image, len(images), len(tags))
    return tuple(images)


def _push_website(pusher: ImagePusher, tag: str, version: str) -> PushedImage:
    created = LONG_AGO + timedelta(days=_TAGS.index(version))
    labels = {
        "org.opencontainers.image.title": "website",
        "org.opencontainers.image.version": version,
    }
    layers = (base_layer(), _website_layer(version))
    if version == _TWO_PLATFORMS:
        return pusher.push_index(
            DEV_REPOSITORY,
            tag,
            images={
                platform: (*layers, Layer.from_files({"srv/platform": f"{platform}\n".encode()}))
                for platform in ("linux/amd64", "linux/arm64")
            },
            created=created,
            labels=labels,
        )
    return pusher.push_image(
        DEV_REPOSITORY,
        tag,
        layers=layers,
        created=created,
        labels=labels,
        docker_schema2=version in _BUILT_BY_DOCKER,
    )


def _website_layer(version: str) -> Layer:
    """Make the website of a version: an index page, and pages that are real files of this machine.

    Each version takes the next few modules of the standard library, so that no two are equal.
    """
    modules = [path for path in standard_library().values() if path.stat().st_size > 0]
    first = _TAGS.index(version) * _PAGES_PER_VERSION
    pages = {path.name: path for path in modules[first : first + _PAGES_PER_VERSION]}
    index = "".join(f"<li>{name}</li>" for name in sorted(pages))
    files: dict[str, bytes | Path] = {f"srv/website/{name}": path for name, path in pages.items()}
    files["srv/website/index.html"] = f"<h1>Website {version}</h1><ul>{index}</ul>\n".encode()
    return Layer.from_files(files)
