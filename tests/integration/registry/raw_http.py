"""What a registry holds, asked without the product: plain HTTP, and hashes of the very bytes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import httpx

from image_promotion.registry.client import RegistryClient
from image_promotion.registry.digest import Digest
from image_promotion.registry.endpoint import RegistryEndpoint
from image_promotion.registry.retry import NO_RETRY
from sandbox.image_layers import sha256
from sandbox.image_pusher import PushedImage
from sandbox.registry_process import RegistryProcess

EVERY_MANIFEST = (
    "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, "
    "application/vnd.docker.distribution.manifest.v2+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json"
)


@dataclass(frozen=True)
class Held:
    """A manifest as a registry gives it, and the digest of these bytes."""

    content: bytes
    digest: str
    media_type: str


def client_of(
    registry: RegistryProcess,
    *,
    username: str | None = None,
    password: str | None = None,
    namespace: str = "",
    ca_certificate: str | None = None,
    skip_tls_verification: bool = False,
) -> RegistryClient:
    """The product's client of a registry; it tries nothing twice, which would hide failures."""
    endpoint = RegistryEndpoint(
        "sandbox",
        registry.url,
        username=username,
        password=password,
        namespace=namespace,
        ca_certificate=ca_certificate,
        skip_tls_verification=skip_tls_verification,
    )
    return RegistryClient(endpoint, retry=NO_RETRY)


def digest_of(image: PushedImage) -> Digest:
    """The digest of what was pushed, as the product writes it."""
    return Digest.parse(image.digest)


class RawRegistry:
    """Asks a registry by plain HTTP.

    Args:
        registry: The registry.
        auth: User name and password, or any flow of httpx.
        verify: Whether its certificate counts.
    """

    def __init__(
        self,
        registry: RegistryProcess,
        *,
        auth: httpx.Auth | tuple[str, str] | None = None,
        verify: bool = True,
    ) -> None:
        self._registry = registry
        self._auth = auth
        self._verify = verify

    def ask(self, path: str) -> httpx.Response:
        return httpx.get(
            f"{self._registry.url}{path}",
            headers={"Accept": EVERY_MANIFEST},
            auth=self._auth,
            verify=self._verify,
            trust_env=False,
        )

    def manifest(self, repository: str, reference: str) -> Held:
        answer = self.ask(f"/v2/{repository}/manifests/{reference}").raise_for_status()
        return Held(answer.content, sha256(answer.content), answer.headers["Content-Type"])

    def blob(self, repository: str, digest: str) -> bytes:
        return self.ask(f"/v2/{repository}/blobs/{digest}").raise_for_status().content

    def has_blob(self, repository: str, digest: str) -> bool:
        return self.ask(f"/v2/{repository}/blobs/{digest}").status_code == httpx.codes.OK

    def has_manifest(self, repository: str, reference: str) -> bool:
        return self.ask(f"/v2/{repository}/manifests/{reference}").status_code == httpx.codes.OK

    def delete_blob(self, repository: str, digest: str) -> None:
        url = f"{self._registry.url}/v2/{repository}/blobs/{digest}"
        httpx.delete(url, auth=self._auth, trust_env=False).raise_for_status()
        assert not self.has_blob(repository, digest)

    def tags(self, repository: str) -> list[str]:
        answer = self.ask(f"/v2/{repository}/tags/list")
        if answer.status_code == httpx.codes.NOT_FOUND:
            return []  # how distribution says that no tag was ever set
        return answer.raise_for_status().json()["tags"] or []

    def assert_holds(self, repository: str, image: PushedImage) -> None:
        """Read an image back by digest, its children and its blobs too, and hash all of it."""
        held = self.manifest(repository, image.digest)
        assert held == Held(image.manifest, image.digest, image.media_type)
        for blob in image.blobs:
            content = self.blob(repository, blob.digest)
            assert (sha256(content), len(content)) == (blob.digest, blob.size_bytes)
        for child in image.children:
            self.assert_holds(repository, child)


def files_of(registry: RegistryProcess) -> set[Path]:
    """Every file that a registry's storage consists of."""
    return {path for path in registry.content.rglob("*") if path.is_file()}


def unfinished_uploads(registry: RegistryProcess) -> set[Path]:
    """The files of uploads that were begun and neither finished nor given up.

    CNCF distribution keeps the state of the hash of a given-up upload, some bytes; not counted.
    """
    return {
        path
        for path in files_of(registry)
        if "_uploads" in path.parts and "hashstates" not in path.parts
    }


def stored_blob(registry: RegistryProcess, digest: str) -> Path:
    """The file in which a registry's storage keeps a blob, for tests that tamper with it.

    Source: CNCF distribution, registry/storage/paths.go.
    """
    algorithm, _, encoded = digest.partition(":")
    blobs = registry.content / "docker" / "registry" / "v2" / "blobs"
    return blobs / algorithm / encoded[:2] / encoded / "data"
