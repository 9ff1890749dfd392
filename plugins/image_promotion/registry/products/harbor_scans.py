"""Harbor's scans: of one artifact, its vulnerability report, and the SBOM that Harbor made.

Robot accounts need "read artifact" and "read artifact addition" in the project.

Source: Harbor API 2.0, getArtifact and getVulnerabilitiesAddition; Harbor, "SBOM generation".
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

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
    read,
)
from image_promotion.registry.products.catalogue import ScanState
from image_promotion.registry.products.harbor import (
    REPORT_TYPES,
    ScanOverview,
    artifacts_path,
    scan_state,
)
from image_promotion.registry.products.scans import MAX_REPORT_BYTES, ScanReport, ScanResult
from image_promotion.registry.session import Session

_ADVICE = 'Give the account "read" on the project\'s artifacts and artifact additions.'


class _Overview(ScanOverview):
    end_time: Moment = None


class _Sbom(BaseModel):
    scan_status: str | None = None
    sbom_digest: str | None = None


class _Artifact(BaseModel):
    digest: str
    scan_overview: dict[str, _Overview] | None = None
    sbom_overview: _Sbom | None = None


_ARTIFACT = TypeAdapter(_Artifact)
_REPORTS: TypeAdapter[dict[str, object]] = TypeAdapter(dict[str, object])


class HarborScans:
    """Scan results of Harbor; implements ``scans.Scans``.

    Args:
        session: The registry.
        endpoint: The connection.
    """

    whole_index = False

    def __init__(self, session: Session, endpoint: RegistryEndpoint) -> None:
        self._endpoint = endpoint
        self._api = ProductApi(session, authorization=basic_authorization(endpoint))

    async def result(self, repository: str, digest: Digest, tags: Sequence[str]) -> ScanResult:
        """Ask for an artifact's scan, and for the report when the scan is done.

        Source: Harbor API 2.0, getArtifact with ``with_scan_overview`` and ``with_sbom_overview``.
        """
        del tags  # Harbor knows its scans by digest
        path, subject = artifacts_path(self._endpoint, repository)
        path = f"{path}/{quote(str(digest), safe='')}"
        subject = Subject(subject.registry, subject.repository, digest=str(digest))
        artifact = await self._artifact(path, digest, subject)
        if artifact is None:
            return ScanResult(ScanState.ABSENT, "Harbor does not know the image")
        overviews = artifact.scan_overview or {}
        state = scan_state(dict(overviews))
        sbom = self._sbom(artifact)
        if state is not ScanState.DONE:
            return ScanResult(state, _said(overviews), sbom=sbom)
        report = await self._report(path, subject, overviews)
        if report is None:
            return ScanResult(
                ScanState.ABSENT, "Harbor's scan succeeded, and has no report", sbom=sbom
            )
        return ScanResult(state, "Harbor has scanned the image", (report,), sbom)

    async def _artifact(self, path: str, digest: Digest, subject: Subject) -> _Artifact | None:
        try:
            attempt, answer = await self._api.ask(
                "GET",
                path,
                "reading the state of the scan",
                subject,
                query={"with_scan_overview": "true", "with_sbom_overview": "true"},
                headers={"X-Accept-Vulnerabilities": ", ".join(REPORT_TYPES)},
            )
        except NotFoundError:
            return None
        except RegistryError as error:
            raise _advised(error) from error.__cause__
        artifact = read(attempt, answer, _ARTIFACT)
        if known_digest(attempt, artifact.digest) != digest:
            raise violation(attempt, "it answers with another artifact", status=answer.status)
        return artifact

    async def _report(
        self, path: str, subject: Subject, overviews: dict[str, _Overview]
    ) -> ScanReport | None:
        """Fetch the report; None where Harbor answers 200 and an empty object.

        Source: Harbor API 2.0, getVulnerabilitiesAddition: the first type with a report is given.
        """
        try:
            attempt, answer = await self._api.ask(
                "GET",
                f"{path}/additions/vulnerabilities",
                "reading the vulnerability report",
                subject,
                headers={"X-Accept-Vulnerabilities": ", ".join(REPORT_TYPES)},
                limit_bytes=MAX_REPORT_BYTES,
            )
        except NotFoundError:
            return None
        except RegistryError as error:
            raise _advised(error) from error.__cause__
        reports = read(attempt, answer, _REPORTS)
        if not any(reports.values()):
            return None
        kind = next((each for each in REPORT_TYPES if reports.get(each)), next(iter(reports)))
        overview = overviews.get(kind)
        return ScanReport(answer.body, kind, overview.end_time if overview else None)

    def _sbom(self, artifact: _Artifact) -> Digest | None:
        overview = artifact.sbom_overview
        if overview is None or overview.scan_status != "Success" or not overview.sbom_digest:
            return None
        try:
            return Digest.parse(overview.sbom_digest)
        except InvalidReferenceError:
            return None


def _advised(error: RegistryError) -> RegistryError:
    if isinstance(error, DeniedError):
        error.advice = _ADVICE
    return error


def _said(overviews: dict[str, _Overview]) -> str:
    words = sorted({each.scan_status for each in overviews.values() if each.scan_status})
    if not words:
        return "Harbor has not scanned the image"
    return f"Harbor says that its scan is {', '.join(words)[:60]!a}"
