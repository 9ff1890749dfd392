"""The SBOMs that syft makes of promoted images, attached to them in the target.

A policy whose source syft has `attach` wants one for each image it promotes, whether or not a
trigger needed it. One is made when the image is decided, where syft is asked then, or else when it
is copied, and kept in the ledger: SBOMs of one image differ in their time and their name, and each
that is made anew would be attached beside the others.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from image_promotion.errors import EvidenceError, Subject, VerificationError
from image_promotion.evidence.formats.text import read_json_report
from image_promotion.evidence.sources.attaching import attach_report, report_artifact
from image_promotion.evidence.sources.scanners import SYFT, ScannerSource
from image_promotion.evidence.sources.source import Image
from image_promotion.policy.evidence_sources import SourceName
from image_promotion.promotion.attachments import WITHOUT_SETTLING
from image_promotion.promotion.selection import images_of
from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.digest import Digest
from image_promotion.registry.fallback_index import PATIENCE, Patience
from image_promotion.registry.manifest import ImageIndex
from image_promotion.registry.referrer_transfer import check_attachments
from image_promotion.registry.referrers import Attachment
from image_promotion.registry.store import Store

if TYPE_CHECKING:
    # The journal and the ledger need a database toolkit; who verifies without one does not load it.
    from image_promotion.ledger.ledger import Ledger
    from image_promotion.ledger.records import Promotion
    from image_promotion.policy.model import Policy
    from image_promotion.promotion.journal import Journal

SPDX_TYPE = "application/spdx+json"
"""What others look for: syft's own format is read here alone."""

SbomKey = tuple[str, str]
"""Repository at the source, and digest of the image of one platform."""

_CONFIGURATION = "syft: spdx-json"
"""Under what the ledger keeps them: an SBOM is the same whatever the policy."""


def attaches_sboms(policy: Policy) -> bool:
    """Say whether a policy wants SBOMs attached to what it promotes."""
    return any(each.name is SourceName.SYFT and each.attach for each in policy.evidence.sources)


def keep_sboms(
    sboms: Mapping[SbomKey, bytes], *, registry: str, ledger: Ledger, at: datetime
) -> None:
    """Keep SBOMs, but for images that have one: it may be attached somewhere already.

    Args:
        sboms: The SBOMs.
        registry: What the ledger calls the source.
        ledger: Where they are kept.
        at: The present moment.

    Raises:
        LedgerError: They cannot be written.
    """
    kept = kept_sboms(sboms.keys(), registry=registry, ledger=ledger) if sboms else {}
    ledger.keep_evidence(
        registry,
        _CONFIGURATION,
        {key: zlib.compress(content) for key, content in sboms.items() if key not in kept},
        at=at,
    )


def kept_sboms(
    keys: Collection[SbomKey], *, registry: str, ledger: Ledger
) -> Mapping[SbomKey, bytes]:
    """Return the SBOMs that are kept of images.

    Args:
        keys: The images.
        registry: What the ledger calls the source.
        ledger: Where they are kept.

    Returns:
        Those that are there. What cannot be read is as good as not there.

    Raises:
        LedgerError: The ledger cannot be asked.
    """
    found = {}
    for key, content in ledger.kept_evidence(registry, _CONFIGURATION, set(keys)).items():
        try:
            found[key] = zlib.decompress(content)
        except zlib.error:
            continue
    return found


@dataclass(frozen=True, slots=True)
class SbomReport:
    """The SBOMs of a promoted image.

    Attributes:
        number: How many are attached, one for each platform.
        made: How many of them had to be made.
    """

    number: int
    made: int = 0

    def __str__(self) -> str:
        said = f"{self.number} SBOM{'' if self.number == 1 else 's'} by syft attached"
        return f"{said}, {self.made} made just now" if self.made else said


class Sboms:
    """Sees that promoted images have their SBOMs in the target; one image is scanned at a time."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(1)

    async def attach(
        self,
        promotion: Promotion,
        *,
        target: Store,
        journal: Journal,
        patience: Patience = WITHOUT_SETTLING,
    ) -> SbomReport | None:
        """Attach an SBOM to the image of each platform; to do it again changes nothing.

        Args:
            promotion: The promotion; its image is in the target.
            target: The store of its target connection.
            journal: Knows the version of the policy that decided, and keeps the SBOMs.
            patience: How a list that others write at the same time is written.

        Returns:
            What is attached now; None where the policy wants none.

        Raises:
            EvidenceError: No SBOM can be made.
            PromotionError: It cannot be attached; it may be tried again.
        """
        if not attaches_sboms(journal.policy_of(promotion)):
            return None
        images = await _images(promotion, target)
        sboms = dict(_kept(promotion, images, journal))
        missing = [each for each in images if each.digest not in sboms]
        for image in missing:
            sboms[image.digest] = await self._make(promotion, image, target, journal)
        for image in images:
            content = sboms[image.digest]
            await attach_report(
                target,
                promotion.target_repository,
                image,
                content,
                media_type=SPDX_TYPE,
                artifact_type=SPDX_TYPE,
                annotations=_annotations(content),
                patience=patience,
            )
        return SbomReport(len(images), len(missing))

    async def check(
        self, promotion: Promotion, *, target: Store, journal: Journal
    ) -> SbomReport | None:
        """See that the SBOMs are attached in the target, whole and listed; one that is not, is now.

        Args:
            promotion: The promotion, tagged.
            target: The store of its target connection.
            journal: Knows the version of the policy that decided, and keeps the SBOMs.

        Returns:
            What is attached; None where the policy wants none.

        Raises:
            VerificationError: One is missing or different, although it was attached.
            EvidenceError: No SBOM can be made.
            RegistryError: The target cannot be asked.
        """
        if not attaches_sboms(journal.policy_of(promotion)):
            return None
        problems = await self._problems(promotion, target, journal)
        if problems:
            await self.attach(promotion, target=target, journal=journal, patience=PATIENCE)
            problems = await self._problems(promotion, target, journal)
        if problems:
            raise VerificationError(
                "the target does not hold the SBOM that was attached to the image",
                problems=problems,
                subject=Subject(
                    target.name,
                    promotion.target_repository,
                    promotion.target_tag,
                    promotion.target_digest,
                ),
                advice="Run the promotion again: it attaches what is missing. If it happens again, "
                "something else writes to or cleans up this repository.",
            )
        return SbomReport(len(await _images(promotion, target)))

    async def _problems(
        self, promotion: Promotion, target: Store, journal: Journal
    ) -> tuple[str, ...]:
        images = await _images(promotion, target)
        sboms = _kept(promotion, images, journal)
        missing = tuple(
            f"the SBOM of {each.digest} is not kept any more"
            for each in images
            if each.digest not in sboms
        )
        expected = [
            Attachment(image.digest, _artifact(image, sboms[image.digest]))
            for image in images
            if image.digest in sboms
        ]
        return missing + await check_attachments(expected, target, promotion.target_repository)

    async def _make(
        self, promotion: Promotion, image: Descriptor, target: Store, journal: Journal
    ) -> bytes:
        made: list[bytes] = []
        source = ScannerSource(
            SYFT, target, take_sbom=lambda _repository, _digest, sbom: made.append(sbom)
        )
        async with self._turn:
            answer = await source.documents(Image(promotion.target_repository, image.digest))
        if not made:
            errors = [note.error for note in answer.notes if note.error]
            raise errors[0] if errors else EvidenceError("syft made no SBOM of the image")
        key = promotion.source_repository, str(image.digest)
        keep_sboms(
            {key: made[0]},
            registry=promotion.source_registry,
            ledger=journal.ledger,
            at=journal.clock(),
        )
        # Another run may have been faster; then its SBOM counts for both.
        return _kept(promotion, [image], journal).get(image.digest, made[0])


def _kept(
    promotion: Promotion, images: Collection[Descriptor], journal: Journal
) -> Mapping[Digest, bytes]:
    repository = promotion.source_repository
    kept = kept_sboms(
        {(repository, str(each.digest)) for each in images},
        registry=promotion.source_registry,
        ledger=journal.ledger,
    )
    return {Digest.parse(digest): content for (_, digest), content in kept.items()}


async def _images(promotion: Promotion, target: Store) -> tuple[Descriptor, ...]:
    """Return the promoted images that have layers: the image, or those of an index."""
    top = await target.get_manifest(
        promotion.target_repository, Digest.parse(promotion.target_digest)
    )
    if not isinstance(top, ImageIndex):
        return (top.descriptor,)
    return tuple(
        Descriptor(each.media_type, each.digest, each.size_bytes) for each in images_of(top)
    )


def _artifact(image: Descriptor, sbom: bytes) -> Descriptor:
    return report_artifact(
        image,
        sbom,
        media_type=SPDX_TYPE,
        artifact_type=SPDX_TYPE,
        annotations=_annotations(sbom),
    ).descriptor


def _annotations(sbom: bytes) -> Mapping[str, str]:
    """Say beside an SBOM what it says of itself, so that to attach it again changes nothing."""
    creation = read_json_report(sbom).fields("creationInfo")
    tools = [each for each in creation.texts("creators") if each.startswith("Tool: ")]
    return {
        "org.opencontainers.image.created": creation.text("created"),
        "org.opencontainers.image.description": f"SBOM ({', '.join(tools)})",
    }
