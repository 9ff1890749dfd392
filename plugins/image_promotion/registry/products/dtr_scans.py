"""DTR's scans: of one tag, with the components of each layer, their licenses and vulnerabilities.

DTR knows its scans by tag. So the tag is looked up before and after: if it points at another image
by then, what was read is about nobody knows which of the two.

Source: DTR 2.6 API, ``/api/v0/imagescan``; DTR release notes 2.4 and 2.6, which put
``scansummary/repositories`` in the place of ``repositories``.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence

from pydantic import BaseModel, TypeAdapter

from image_promotion.errors import NotFoundError, Subject
from image_promotion.registry.answers import Answer
from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.digest import Digest
from image_promotion.registry.endpoint import RegistryEndpoint
from image_promotion.registry.failures import Attempt
from image_promotion.registry.products.api import Moment, ProductApi, basic_authorization, read
from image_promotion.registry.products.catalogue import ScanState
from image_promotion.registry.products.dtr import SCAN_STATES, repository_name
from image_promotion.registry.products.scans import MAX_REPORT_BYTES, ScanReport, ScanResult
from image_promotion.registry.session import Session

MEDIA_TYPE = "application/vnd.docker.dtr.scansummary+json"
"""Ours: DTR calls its answers JSON, and nothing more."""

Resolve = Callable[[str, str], Awaitable[Descriptor | None]]
"""Says what a tag of a repository points at now."""

_WORST_FIRST = (
    ScanState.FAILED,
    ScanState.UNKNOWN,
    ScanState.ABSENT,
    ScanState.WAITING,
    ScanState.RUNNING,
    ScanState.DONE,
)
_WORDS = {
    ScanState.FAILED: "the scan failed",
    ScanState.UNKNOWN: "the scan is in a state that is not documented",
    ScanState.ABSENT: "the image was not scanned",
    ScanState.WAITING: "the scan has not begun",
    ScanState.RUNNING: "the scan is running",
    ScanState.DONE: "the image was scanned",
}


class _Summary(BaseModel):
    last_scan_status: int | None = None
    check_completed_at: Moment = None
    should_rescan: bool = False
    has_foreign_layers: bool = False

    @property
    def state(self) -> ScanState:
        """The state; a scan that never ended is not done, whatever its status."""
        if self.last_scan_status is None:
            return ScanState.UNKNOWN
        state = SCAN_STATES.get(self.last_scan_status, ScanState.UNKNOWN)
        if state is ScanState.DONE and self.check_completed_at is None:
            return ScanState.RUNNING
        return state


_SUMMARIES = TypeAdapter(list[_Summary])
_RAW: TypeAdapter[list[dict[str, object]]] = TypeAdapter(list[dict[str, object]])


class DtrScans:
    """Scan results of DTR; implements ``scans.Scans``.

    Args:
        session: The registry.
        endpoint: The connection.
        resolve: Says what a tag points at now, by the distribution protocol.
    """

    whole_index = True

    def __init__(self, session: Session, endpoint: RegistryEndpoint, resolve: Resolve) -> None:
        self._endpoint = endpoint
        self._resolve = resolve
        self._api = ProductApi(session, authorization=basic_authorization(endpoint))

    async def result(self, repository: str, digest: Digest, tags: Sequence[str]) -> ScanResult:
        """Ask for the scan of a tag that points at the image.

        Of an image for several platforms DTR answers with several summaries; all must be done.
        """
        for tag in tags:
            if not await self._points_at(repository, tag, digest):
                continue
            full, subject = repository_name(self._endpoint, repository)
            subject = Subject(subject.registry, subject.repository, tag, str(digest))
            attempt, answer = await self._summaries(full, tag, subject)
            if await self._points_at(repository, tag, digest):
                return _result(attempt, answer)
        return ScanResult(
            ScanState.ABSENT, "DTR keeps scans by tag, and no known tag points at the image now"
        )

    async def _points_at(self, repository: str, tag: str, digest: Digest) -> bool:
        found = await self._resolve(repository, tag)
        return found is not None and found.digest == digest

    async def _summaries(self, full: str, tag: str, subject: Subject) -> tuple[Attempt, Answer]:
        """Ask by the present path, and where DTR is too old for it, by the one before."""
        paths = (
            f"/api/v0/imagescan/scansummary/repositories/{full}/{tag}",
            f"/api/v0/imagescan/repositories/{full}/{tag}",
        )
        try:
            return await self._ask(paths[0], subject)
        except NotFoundError:
            return await self._ask(paths[1], subject)

    async def _ask(self, path: str, subject: Subject) -> tuple[Attempt, Answer]:
        return await self._api.ask(
            "GET",
            path,
            "reading the scan",
            subject,
            query={"detailed": "true"},
            limit_bytes=MAX_REPORT_BYTES,
        )


def _result(attempt: Attempt, answer: Answer) -> ScanResult:
    summaries = read(attempt, answer, _SUMMARIES)
    raw = read(attempt, answer, _RAW)
    if not summaries:
        return ScanResult(ScanState.ABSENT, f"DTR says that {_WORDS[ScanState.ABSENT]}")
    state = min((each.state for each in summaries), key=_WORST_FIRST.index)
    said = f"DTR says that {_WORDS[state]}"
    if state is not ScanState.DONE:
        return ScanResult(state, said)
    return ScanResult(
        state,
        said,
        reports=tuple(
            ScanReport(json.dumps(document).encode(), MEDIA_TYPE, summary.check_completed_at)
            for document, summary in zip(raw, summaries, strict=True)
        ),
        remarks=_remarks(summaries),
    )


def _remarks(summaries: Sequence[_Summary]) -> tuple[str, ...]:
    remarks = []
    if any(each.should_rescan for each in summaries):
        remarks.append("DTR says that the image should be scanned again")
    if any(each.has_foreign_layers for each in summaries):
        remarks.append("DTR says that the image has layers that it does not hold and did not scan")
    return tuple(remarks)
