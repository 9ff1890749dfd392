"""What the source registry holds for each workload: made once, by plain HTTP, and kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

import httpx

from sandbox.image_layers import Layer, noise_layer
from sandbox.image_pusher import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, ImagePusher

MB = 1_000_000
GB = 1_000_000_000

_PIECE_BYTES = 4 * 1024 * 1024
_TIMEOUT_S = 600.0


def push_large(pusher: ImagePusher, repository: str, layers: int, layer_bytes: int) -> None:
    """Push one image of a few large layers that do not compress."""
    noise = [noise_layer(layer_bytes, f"{repository}-{number}") for number in range(layers)]
    pusher.push_image(repository, "v1", layers=noise)


def push_sharing(pusher: ImagePusher, repository: str, images: int, base_bytes: int) -> None:
    """Push images with one base layer and a small layer of their own."""
    base = noise_layer(base_bytes, f"{repository}-base")
    for number in range(images):
        pusher.push_image(repository, f"v{number}", layers=[base, _small(repository, number)])


def push_tiny(pusher: ImagePusher, repository: str, images: int) -> None:
    """Push images of one small layer each, which share nothing."""
    for number in range(images):
        pusher.push_image(repository, f"v{number}", layers=[_small(repository, number)])


def push_huge(pusher: ImagePusher, url: str, repository: str, layer_bytes: int) -> None:
    """Push an image of one layer that is larger than what one would hold in memory."""
    hasher = hashlib.sha256()
    for piece in _noise(layer_bytes):
        hasher.update(piece)
    digest = f"sha256:{hasher.hexdigest()}"
    with httpx.Client(base_url=url, timeout=_TIMEOUT_S, trust_env=False) as http:
        begun = http.post(f"/v2/{repository}/blobs/uploads/").raise_for_status()
        location = begun.request.url.join(begun.headers["Location"])
        http.put(
            location.copy_merge_params({"digest": digest}),
            content=_noise(layer_bytes),
            headers={"Content-Length": str(layer_bytes)},
        ).raise_for_status()
    config = pusher.push_blob(
        repository,
        json.dumps(
            {
                "os": "linux",
                "architecture": "amd64",
                "rootfs": {"type": "layers", "diff_ids": [digest]},
            }
        ).encode(),
        OCI_CONFIG,
    )
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {
            "mediaType": config.media_type,
            "digest": config.digest,
            "size": config.size_bytes,
        },
        "layers": [{"mediaType": OCI_LAYER, "digest": digest, "size": layer_bytes}],
    }
    pusher.push_manifest_bytes(repository, "v1", json.dumps(manifest).encode(), OCI_MANIFEST)


def _small(repository: str, number: int) -> Layer:
    return Layer.from_files({"etc/image": f"{repository} {number}\n".encode()})


def _noise(size_bytes: int) -> Iterator[bytes]:
    """Give bytes that no layer of another size begins with, in pieces."""
    piece = hashlib.shake_256(str(size_bytes).encode()).digest(_PIECE_BYTES)
    left_bytes = size_bytes
    number = 0
    while left_bytes > 0:
        numbered = number.to_bytes(8, "big") + piece[8:]
        yield numbered[:left_bytes]
        left_bytes -= len(numbered)
        number += 1
