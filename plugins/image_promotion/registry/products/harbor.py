"""Harbor, and Mirantis Secure Registry 4, which is Harbor: artifacts with their tags and scans.

Source: Harbor API 2.0, "artifact" and "project".
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from http import HTTPStatus

from pydantic import BaseModel, TypeAdapter

from image_promotion.errors import (
    DeniedError,
    InvalidReferenceError,
    NotFoundError,
    RegistryError,
    Subject,
)
from image_promotion.registry.digest import Digest
from image_promotion.registry.endpoint import RegistryEndpoint
from image_promotion.registry.failures import violation
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
"""The longest page that Harbor gives."""

MAX_PAGES = 10_000

REPORT_TYPES = (
    "application/vnd.security.vulnerability.report; version=1.1",
    "application/vnd.scanner.adapter.vuln.report.harbor+json; version=1.0",
)

_SCAN_STATES = {
    "Pending": ScanState.WAITING,
    "Scheduled": ScanState.WAITING,
    "Running": ScanState.RUNNING,
    "Success": ScanState.DONE,
    "Error": ScanState.FAILED,
    "Stopped": ScanState.FAILED,
}


class _Tag(BaseModel):
    name: str
    push_time: Moment = None
    immutable: bool | None = None


class ScanOverview(BaseModel):
    """What Harbor says of one report of a scan, before anybody asks for the report itself."""

    scan_status: str | None = None


class _Artifact(BaseModel):
    digest: str
    push_time: Moment = None
    tags: list[_Tag] | None = None
    scan_overview: dict[str, ScanOverview] | None = None


_ARTIFACTS = TypeAdapter(list[_Artifact])


class HarborCatalogue:
    """Harbor's own listing; implements ``catalogue.Catalogue``.

    Args:
        session: The registry.
        endpoint: The connection; user names and robot accounts (``robot$name``) alike are sent with
            each request, to the registry alone.
        creates_projects: Whether a project that is missing is created, as a private one.
    """

    def __init__(
        self, session: Session, endpoint: RegistryEndpoint, *, creates_projects: bool = False
    ) -> None:
        self._endpoint = endpoint
        self._creates_projects = creates_projects
        self._api = ProductApi(session, authorization=basic_authorization(endpoint))
        self._ready: set[str] = set()

    async def list_tags(self, repository: str) -> AsyncGenerator[TagRecord, None]:
        """Yield each tag with digest, time of push, state of the scan, and whether it is immutable.

        Source: Harbor API 2.0, listArtifacts; ``tags=*`` leaves untagged artifacts out.
        """
        path, subject = artifacts_path(self._endpoint, repository)
        listed: set[str] = set()
        for page in range(1, MAX_PAGES + 1):
            attempt, answer = await self._api.ask(
                "GET",
                path,
                "listing the artifacts",
                subject,
                query={
                    "page": str(page),
                    "page_size": str(PAGE_LENGTH),
                    "q": "tags=*",
                    "with_tag": "true",
                    "with_scan_overview": "true",
                    "with_immutable_status": "true",
                },
                headers={"X-Accept-Vulnerabilities": ", ".join(REPORT_TYPES)},
            )
            artifacts = read(attempt, answer, _ARTIFACTS)
            for artifact in artifacts:
                digest = known_digest(attempt, artifact.digest)
                for tag in artifact.tags or ():
                    # What is pushed meanwhile shifts the pages, so that some come twice.
                    if tag.name not in listed:
                        listed.add(tag.name)
                        yield TagRecord(
                            known_tag(attempt, tag.name),
                            digest,
                            tag.push_time or artifact.push_time,
                            scan_state(artifact.scan_overview),
                            tag.immutable,
                        )
            if len(artifacts) < PAGE_LENGTH:
                return
        raise violation(attempt, "its pages never end", status=answer.status)

    async def ensure_repository(self, repository: str) -> bool:
        """See, once, that the project is there; repositories in it come into being by a push.

        Raises:
            NotFoundError: It is missing, and this connection does not create projects.
            DeniedError: It is missing, and this account may not create projects.

        Source: Harbor API 2.0, headProject and createProject.
        """
        project, _, subject = self._parts(repository)
        if project in self._ready:
            return False
        is_new = not await self._has_project(project, subject) and await self._create(
            project, subject
        )
        self._ready.add(project)
        return is_new

    async def _create(self, project: str, subject: Subject) -> bool:
        if not self._creates_projects:
            raise NotFoundError(
                f"the project {project} does not exist",
                subject=subject,
                advice="Create it, or let the connection create projects.",
            )
        try:
            await self._api.ask(
                "POST",
                "/api/v2.0/projects",
                "creating the project",
                subject,
                document={"project_name": project, "metadata": {"public": "false"}},
                expected=frozenset({HTTPStatus.CREATED}),
            )
        except RegistryError as error:
            if error.status == HTTPStatus.CONFLICT:
                return False  # somebody was faster
            if isinstance(error, DeniedError):
                error.advice = "Projects are created by users who may, not by a project's robots."
            raise
        return True

    async def remove_tag(self, repository: str, tag: str, digest: Digest) -> bool | None:
        """Take a tag away; an immutable one Harbor keeps, and answers 412.

        Source: Harbor API 2.0, deleteTag.
        """
        path, subject = artifacts_path(self._endpoint, repository)
        try:
            await self._api.ask(
                "DELETE", f"{path}/{digest}/tags/{tag}", "removing the tag", subject
            )
        except NotFoundError:
            # Of the tag or of the artifact: the caller asked for neither to be there.
            return True
        return True

    async def allowances(self, repository: str, tag: str) -> tuple[str, ...]:
        """Say nothing: it does not limit how often it is asked."""
        del repository, tag
        return ()

    async def has_immutable_tags(self, repository: str) -> bool | None:
        """Say that it depends on the tag: Harbor's rules match tags, and the listing tells."""
        self._parts(repository)
        return None

    async def _has_project(self, project: str, subject: Subject) -> bool:
        try:
            await self._api.ask(
                "HEAD",
                "/api/v2.0/projects",
                "looking the project up",
                subject,
                query={"project_name": project},
            )
        except NotFoundError:
            return False
        return True

    def _parts(self, repository: str) -> tuple[str, str, Subject]:
        return _parts(self._endpoint, repository)


def artifacts_path(endpoint: RegistryEndpoint, repository: str) -> tuple[str, Subject]:
    """Return where the artifacts of a repository are in Harbor's interface.

    Args:
        endpoint: The connection.
        repository: The repository, as policies name it.

    Returns:
        The path, percent-encoded, and what errors about it are about.

    Raises:
        InvalidReferenceError: Harbor cannot have a repository of this name.
    """
    project, name, subject = _parts(endpoint, repository)
    # A slash is encoded twice, since Harbor's router decodes once before it splits the path.
    encoded = name.replace("/", "%252F")
    return f"/api/v2.0/projects/{project}/repositories/{encoded}/artifacts", subject


def _parts(endpoint: RegistryEndpoint, repository: str) -> tuple[str, str, Subject]:
    full = endpoint.full_repository(repository)
    project, slash, name = full.partition("/")
    if not slash:
        raise InvalidReferenceError(
            f"{full[:255]!a} cannot be a repository of Harbor",
            text=full,
            advice="Harbor's repositories are a project, a slash and a name.",
        )
    return project, name, Subject(endpoint.host, full)


def scan_state(overview: Mapping[str, ScanOverview] | None) -> ScanState:
    """Return the state of the first report that there is; without one, nothing was scanned.

    Args:
        overview: Harbor's ``scan_overview`` of an artifact: a report by its media type.
    """
    reports = overview or {}
    for kind in (*REPORT_TYPES, *reports):
        status = reports[kind].scan_status if kind in reports else None
        if status is not None:
            return _SCAN_STATES.get(status, ScanState.UNKNOWN)
    return ScanState.ABSENT
