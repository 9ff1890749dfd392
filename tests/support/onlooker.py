"""What a registry shows by plain HTTP, without the product's client: each tag, to its last blob."""

from __future__ import annotations

import json
import threading
import time
from types import TracebackType
from typing import Self

import httpx

from sandbox.image_layers import sha256
from sandbox.image_pusher import DOCKER_MANIFEST, DOCKER_MANIFEST_LIST, OCI_INDEX, OCI_MANIFEST

_ACCEPT = {"Accept": ", ".join((OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_MANIFEST_LIST))}


PAUSE_S = 0.02
"""Between two looks, so that whoever is watched gets on too."""


LOOK_TIMEOUT_S = 300.0

_LOOKS_AT_A_BROKEN_LINK = 100


class HalfVisibleError(AssertionError):
    """A tag leads to content that is not there, or not whole."""


class Onlooker:
    """One registry, read past every proxy; a context manager.

    Args:
        url: Its URL.
        auth: User name and password, if it wants them, or any flow of httpx.
    """

    def __init__(self, url: str, auth: httpx.Auth | tuple[str, str] | None = None) -> None:
        # Loading the CAs of the machine takes longer than asking a registry that needs none.
        is_tls = url.startswith("https:")
        self._http = httpx.Client(
            base_url=url, auth=auth, timeout=60, trust_env=False, verify=is_tls
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

    def visible(self, repository: str) -> dict[str, str]:
        """Read all that the tags of a repository lead to.

        Args:
            repository: The repository; it need not exist.

        Returns:
            The digest of each tag.

        Raises:
            HalfVisibleError: Something that a tag leads to is missing or of another digest or size.
        """
        answer = self._http.get(f"/v2/{repository}/tags/list")
        if answer.status_code == httpx.codes.NOT_FOUND:
            return {}
        tags = answer.raise_for_status().json()["tags"] or []
        found = {tag: self._read_tag(repository, tag) for tag in tags}
        return {tag: digest for tag, digest in found.items() if digest is not None}

    def manifest(self, repository: str, reference: str) -> bytes:
        """Read a manifest."""
        answer = self._http.get(f"/v2/{repository}/manifests/{reference}", headers=_ACCEPT)
        return answer.raise_for_status().content

    def blob(self, repository: str, digest: str) -> bytes:
        """Read the bytes of a blob."""
        return self._http.get(f"/v2/{repository}/blobs/{digest}").raise_for_status().content

    def blobs(self, repository: str, digest: str) -> list[str]:
        """List the blobs of an image, or of all images of an index, by their digests."""
        document = json.loads(self.manifest(repository, digest))
        found = [each["digest"] for each in document.get("layers", [])]
        if "config" in document:
            found.append(document["config"]["digest"])
        for child in document.get("manifests", []):
            found += self.blobs(repository, child["digest"])
        return found

    def holds(self, repository: str, digest: str) -> bool:
        """Say whether a repository holds a manifest, be it under no tag."""
        head = self._http.head(f"/v2/{repository}/manifests/{digest}", headers=_ACCEPT)
        return head.status_code == httpx.codes.OK

    def has_blob(self, repository: str, digest: str) -> bool:
        """Say whether a repository holds a blob."""
        head = self._http.head(f"/v2/{repository}/blobs/{digest}")
        return head.status_code == httpx.codes.OK

    def delete_tag(self, repository: str, tag: str) -> None:
        """Delete what a tag points at, with all tags that point at it."""
        digest = sha256(self.manifest(repository, tag))
        self._http.delete(f"/v2/{repository}/manifests/{digest}").raise_for_status()

    def _read_tag(self, repository: str, tag: str) -> str | None:
        """Read all that a tag leads to; None when it does not lead anywhere yet.

        CNCF distribution sets a tag in two steps, and lists its name already after the first. Who
        reads in between is answered 404, or 500 while the file that says where it leads is empty.
        """
        answer = self._http.get(f"/v2/{repository}/manifests/{tag}", headers=_ACCEPT)
        if answer.status_code in (httpx.codes.NOT_FOUND, httpx.codes.INTERNAL_SERVER_ERROR):
            return None
        content = answer.raise_for_status().content
        self._check_parts(repository, content, tag)
        return sha256(content)

    def _check_parts(self, repository: str, content: bytes, tag: str) -> None:
        document = json.loads(content)
        for child in document.get("manifests", []):
            digest = child["digest"]
            answer = self._ask("GET", f"/v2/{repository}/manifests/{digest}")
            if answer.status_code != httpx.codes.OK or sha256(answer.content) != digest:
                raise HalfVisibleError(f"{tag}: manifest {digest}: {answer.status_code}")
            self._check_parts(repository, answer.content, tag)
        for blob in [document.get("config"), *document.get("layers", [])]:
            if blob is not None:
                self._check_blob(repository, blob["digest"], blob["size"], tag)

    def _check_blob(self, repository: str, digest: str, size_bytes: int, tag: str) -> None:
        head = self._ask("HEAD", f"/v2/{repository}/blobs/{digest}")
        found = head.headers.get("Content-Length")
        if head.status_code != httpx.codes.OK or found != str(size_bytes):
            raise HalfVisibleError(
                f"{tag}: blob {digest}: {head.status_code}, {found} bytes instead of {size_bytes}"
            )

    def _ask(self, method: str, path: str) -> httpx.Response:
        """Ask again as long as the answer is 500, which says nothing of what is there.

        When the same content is uploaded once more, CNCF distribution writes the file anew that
        links it to the repository, and cannot read it while it is empty.
        """
        for _ in range(_LOOKS_AT_A_BROKEN_LINK):
            answer = self._http.request(method, path, headers=_ACCEPT)
            if answer.status_code != httpx.codes.INTERNAL_SERVER_ERROR:
                break
            time.sleep(PAUSE_S)
        return answer


class Watch:
    """Looks at a repository again and again while its context is open: is every tag whole?

    Leaving the context raises what was seen to be half visible.

    Args:
        url: The registry's URL.
        repository: The repository.
        pause_s: How long it rests between two looks, in seconds.
        auth: As in `Onlooker`.

    Attributes:
        looks: How often it has looked.
        seen: What was visible, one entry for each change.
    """

    def __init__(
        self,
        url: str,
        repository: str,
        *,
        pause_s: float = PAUSE_S,
        auth: httpx.Auth | tuple[str, str] | None = None,
    ) -> None:
        self._url = url
        self._auth = auth
        self._pause_s = pause_s
        self._repository = repository
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._looked = threading.Event()
        self._trouble: Exception | None = None
        self.looks = 0
        self.seen: list[dict[str, str]] = []

    def wait_for_looks(self, count: int) -> None:
        """Wait until so many more looks were begun and ended, or nothing more will be seen."""
        for _ in range(count + 1):  # one may be under way already
            self._looked.clear()
            assert self._looked.wait(LOOK_TIMEOUT_S), "nobody looks"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        if error is None:
            if self._trouble:
                raise self._trouble
            assert self.looks, "nobody has looked"

    def _look(self) -> None:
        try:
            with Onlooker(self._url, self._auth) as registry:
                while not self._stop.wait(self._pause_s):
                    visible = registry.visible(self._repository)
                    self.looks += 1
                    if not self.seen or self.seen[-1] != visible:
                        self.seen.append(visible)
                    self._looked.set()
        except Exception as error:  # noqa: BLE001 - a thread's error must reach the test
            self._trouble = error
            while not self._stop.wait(self._pause_s):
                self._looked.set()
