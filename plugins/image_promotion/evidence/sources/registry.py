"""The source ``registry``: what the source registry's own scanner has found.

"Running" and "not begun" are answers to wait for, "failed" and "not scanned" are answers of their
own, and none of them is a report.
"""

from __future__ import annotations

from image_promotion.errors import EvidenceError, PromotionError, Subject
from image_promotion.evidence.document import Document, Kind
from image_promotion.evidence.report import ScanState
from image_promotion.evidence.sources.artifact import ArtifactReader, Found, is_for_good
from image_promotion.evidence.sources.source import Basket, Image, SourceAnswer, on_one_line
from image_promotion.policy.evidence_sources import SourceName
from image_promotion.registry.digest import Digest
from image_promotion.registry.products.catalogue import INTERFACE_FAULTS
from image_promotion.registry.products.catalogue import ScanState as ProductState
from image_promotion.registry.products.scans import HasScans, ScanResult, Scans
from image_promotion.registry.store import Store

_STATES = {
    ProductState.DONE: ScanState.COMPLETE,
    ProductState.WAITING: ScanState.PENDING,
    ProductState.RUNNING: ScanState.RUNNING,
    ProductState.FAILED: ScanState.FAILED,
    ProductState.ABSENT: ScanState.NOT_SCANNED,
    ProductState.UNKNOWN: ScanState.FAILED,
}
"""A state that nobody documents is no reason to wait for ever; it needs somebody to look."""


class RegistrySource:
    """A registry's own scan results; implements ``source.EvidenceSource``.

    Args:
        store: The source registry.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def name(self) -> SourceName:
        """Its name in policies."""
        return SourceName.REGISTRY

    async def documents(self, image: Image) -> SourceAnswer:
        """Ask the registry for the scan of the image, or of each of its parts.

        A registry without a scanner has nothing, and says so. One that does not let us see its
        results, or answers what is not documented, has something that cannot be had.
        """
        basket = Basket(Subject(self._store.name, image.repository, digest=str(image.digest)))
        scans = self._store.scans if isinstance(self._store, HasScans) else None
        if scans is None:
            basket.note(image.digest, "the registry's type has no scan results to be asked for")
            return basket.answer()
        digests = (image.digest,) if scans.whole_index else image.manifests
        for digest in digests:
            await self._ask(scans, image, digest, basket)
        return basket.answer()

    async def _ask(self, scans: Scans, image: Image, digest: Digest, basket: Basket) -> None:
        try:
            result = await scans.result(image.repository, digest, image.tags)
        except PromotionError as error:
            if not (is_for_good(error) or isinstance(error, INTERFACE_FAULTS)):
                raise
            basket.note(digest, "the registry's scan results cannot be had", error=error)
            return
        state = _STATES[result.state]
        if state is not ScanState.COMPLETE:
            basket.note(digest, result.said, state=state)
        elif not result.reports:
            basket.note(
                digest,
                f"{result.said}, and gives no report",
                error=EvidenceError("the registry gives no report of a scan that it calls done"),
            )
        for remark in result.remarks:
            basket.note(digest, remark)
        self._take_reports(result, image, digest, basket)
        if result.sbom is not None:
            await self._take_sbom(result.sbom, image, digest, basket)

    def _take_reports(
        self, result: ScanResult, image: Image, digest: Digest, basket: Basket
    ) -> None:
        for position, report in enumerate(result.reports, 1):
            location = f"scan of {image.repository}@{digest} by the registry"
            if len(result.reports) > 1:
                location += f", part {position} of {len(result.reports)}"
            basket.reserve(len(report.content))
            basket.add(
                Document(
                    content=report.content,
                    kind=Kind.REPORT,
                    media_type=on_one_line(report.media_type),
                    source=self.name,
                    location=location,
                    subject=str(digest),
                    at=report.made_at,
                )
            )

    async def _take_sbom(self, sbom: Digest, image: Image, digest: Digest, basket: Basket) -> None:
        """Read the SBOM of which the registry says that it made it itself, by its digest."""
        place = f"SBOM {sbom} that the registry made of {image.repository}@{digest}"
        try:
            manifest = await self._store.get_manifest(image.repository, sbom)
        except PromotionError as error:
            if not is_for_good(error):
                raise
            basket.note(digest, f"{place} cannot be had", error=error)
            return
        reader = ArtifactReader(self._store, image.repository, self.name, basket)
        await reader.read([Found(manifest, digest, place)])
