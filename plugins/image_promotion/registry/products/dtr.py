"""Docker Trusted Registry, later Mirantis Secure Registry up to 3: repositories and their tags.

Source: DTR 2.6 API, ``/api/v0/repositories``.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

from pydantic import BaseModel, Field, TypeAdapter

from image_promotion.errors import InvalidReferenceError, NotFoundError, RegistryError, Subject
from image_promotion.registry.digest import Digest
from image_promotion.registry.endpoint import RegistryEndpoint
from image_promotion.registry.paging import Paging
from image_promotion.registry.products.api import (
    Moment,
    ProductApi,
    basic_authorization,
    known_digest,
    known_tag,
    read,
)
from image_promotion.registry.products.catalogue import ScanState, TagRecord
from image_promotion.registry.session import Session

PAGE_LENGTH = 100

SCAN_STATES = {
    0: ScanState.FAILED,
    1: ScanState.ABSENT,
    2: ScanState.RUNNING,
    3: ScanState.WAITING,
    4: ScanState.RUNNING,
    5: ScanState.RUNNING,
    6: ScanState.DONE,
}
"""``last_scan_status``: failed, unscanned, scanning, pending, scanned, checking, completed.

What is scanned is not yet checked against the database of vulnerabilities; only completed is done.
"""

_CREATED_MEANWHILE = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.CONFLICT})


@dataclass(frozen=True, slots=True)
class NewRepository:
    """How a repository is made that is missing.

    Args:
        visibility: ``private`` or ``public``.
        immutable_tags: Whether a tag can be set only once.
        scan_on_push: Whether DTR scans what is pushed.
    """

    visibility: str = "private"
    immutable_tags: bool = False
    scan_on_push: bool = True


class _Summary(BaseModel):
    last_scan_status: int | None = None


class _Tag(BaseModel):
    name: str
    digest: str | None = None
    updated_at: Annotated[Moment, Field(alias="updatedAt")] = None
    vuln_summary: _Summary | None = None


class _Repository(BaseModel):
    immutable_tags: Annotated[bool, Field(alias="immutableTags")] = False


_TAGS = TypeAdapter(list[_Tag])
_REPOSITORY = TypeAdapter(_Repository)


class DtrCatalogue:
    """DTR's own listing; implements ``catalogue.Catalogue``.

    Args:
        session: The registry.
        endpoint: The connection; its user name and password or access token are sent with each
            request, to the registry alone.
        new_repository: How a missing repository is made.
    """

    def __init__(
        self,
        session: Session,
        endpoint: RegistryEndpoint,
        new_repository: NewRepository | None = None,
    ) -> None:
        self._session = session
        self._endpoint = endpoint
        self._new_repository = new_repository or NewRepository()
        self._api = ProductApi(session, authorization=basic_authorization(endpoint))
        self._ready: set[str] = set()

    async def list_tags(self, repository: str) -> AsyncGenerator[TagRecord, None]:
        """Yield each tag with its digest and the time of its last push.

        Source: DTR 2.6 API, GET ``/tags``; the next page begins where X-Next-Page-Start says.
        """
        path, subject = self._path(repository)
        start = "0"
        paging = Paging(start)
        listed: set[str] = set()
        while start:
            with paging.waiting():
                attempt, answer = await self._api.ask(
                    "GET",
                    f"{path}/tags",
                    "listing the tags",
                    subject,
                    query={"pageSize": str(PAGE_LENGTH), "pageStart": start},
                )
            for tag in read(attempt, answer, _TAGS):
                if tag.name not in listed:
                    listed.add(tag.name)
                    yield TagRecord(
                        known_tag(attempt, tag.name),
                        known_digest(attempt, tag.digest),
                        tag.updated_at,
                        _scan_state(tag.vuln_summary),
                    )
            start = answer.headers.get("x-next-page-start", "")
            if start:
                paging.turn(attempt, start, answer.status)

    async def ensure_repository(self, repository: str) -> bool:
        """Create a repository that is missing, once; DTR takes no push before.

        Source: DTR 2.6 API, POST ``/api/v0/repositories/{namespace}``.
        """
        path, _ = self._path(repository)
        if path in self._ready:
            return False
        is_new = await self._find(repository) is None and await self._create(repository)
        self._ready.add(path)
        return is_new

    async def _create(self, repository: str) -> bool:
        path, subject = self._path(repository)
        namespace, _, name = path.rpartition("/")
        new = self._new_repository
        try:
            await self._api.ask(
                "POST",
                namespace,
                "creating the repository",
                subject,
                document={
                    "name": name,
                    "visibility": new.visibility,
                    "immutableTags": new.immutable_tags,
                    "scanOnPush": new.scan_on_push,
                    "enableManifestLists": True,
                },
                expected=frozenset({HTTPStatus.OK, HTTPStatus.CREATED}),
            )
        except RegistryError as error:
            if error.status in _CREATED_MEANWHILE and await self._find(repository) is not None:
                return False
            raise
        return True

    async def remove_tag(self, repository: str, tag: str, digest: Digest) -> bool | None:
        """Take a tag away; its manifest goes with DTR's own collection of garbage.

        Source: DTR 2.6 API, DELETE ``/tags/{reference}``; 204 also for a tag that is not there.
        """
        del digest
        path, subject = self._path(repository)
        await self._api.ask(
            "DELETE",
            f"{path}/tags/{tag}",
            "removing the tag",
            subject,
            expected=frozenset({HTTPStatus.OK, HTTPStatus.NO_CONTENT}),
        )
        return True

    async def allowances(self, repository: str, tag: str) -> tuple[str, ...]:
        """Say nothing: it does not limit how often it is asked."""
        del repository, tag
        return ()

    async def has_immutable_tags(self, repository: str) -> bool | None:
        """Say whether a tag of a repository can be set only once.

        Raises:
            NotFoundError: There is no such repository.
        """
        found = await self._find(repository)
        if found is None:
            _, subject = self._path(repository)
            raise NotFoundError("there is no such repository", subject=subject)
        return found.immutable_tags

    async def _find(self, repository: str) -> _Repository | None:
        path, subject = self._path(repository)
        try:
            attempt, answer = await self._api.ask("GET", path, "reading the repository", subject)
        except NotFoundError:
            return None
        return read(attempt, answer, _REPOSITORY)

    def _path(self, repository: str) -> tuple[str, Subject]:
        full, subject = repository_name(self._endpoint, repository)
        return f"/api/v0/repositories/{full}", subject


def repository_name(endpoint: RegistryEndpoint, repository: str) -> tuple[str, Subject]:
    """Return DTR's own name of a repository.

    Args:
        endpoint: The connection.
        repository: The repository, as policies name it.

    Returns:
        The name, as it stands in DTR's paths, and what errors about it are about.

    Raises:
        InvalidReferenceError: DTR cannot have a repository of this name.
    """
    full = endpoint.full_repository(repository)
    if full.count("/") != 1:
        raise InvalidReferenceError(
            f"{full[:255]!a} cannot be a repository of DTR",
            text=full,
            advice="DTR's repositories are a namespace, a slash and a name.",
        )
    return full, Subject(endpoint.host, full)


def _scan_state(summary: _Summary | None) -> ScanState | None:
    if summary is None or summary.last_scan_status is None:
        return None
    return SCAN_STATES.get(summary.last_scan_status, ScanState.UNKNOWN)
