"""The evidence about the images of a run: kept from earlier runs, or gathered now."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from image_promotion.errors import UnreadableEvidenceError
from image_promotion.evidence.dossier import Dossier, Note, PlatformImage, pack, unpack
from image_promotion.evidence.examination import Trusted
from image_promotion.evidence.gathering import (
    EVIDENCE_NEEDS,
    TrustedSource,
    gather,
    is_sufficient,
    subjects_of,
)
from image_promotion.evidence.sources.files import FilesSource
from image_promotion.evidence.sources.referrers import ReferrersSource
from image_promotion.evidence.sources.registry import RegistrySource
from image_promotion.evidence.sources.scanners import GRYPE, SYFT, TRIVY, ScannerSource
from image_promotion.evidence.sources.source import EvidenceSource, Image
from image_promotion.evidence.trust.signers import read_signers
from image_promotion.evidence.weighing import Weights, weigh
from image_promotion.ledger.ledger import Ledger
from image_promotion.policy.criteria.verdict import Need
from image_promotion.policy.evidence_sources import Source, SourceName
from image_promotion.policy.facts import ImageFacts
from image_promotion.policy.model import Policy
from image_promotion.promotion.decision import ImageName
from image_promotion.promotion.scanning import FAULTS_OF_ONE_IMAGE
from image_promotion.promotion.selection import select
from image_promotion.registry.concurrency import ask_each
from image_promotion.registry.digest import Digest
from image_promotion.registry.manifest import ImageIndex
from image_promotion.registry.platforms import ABOUT
from image_promotion.registry.store import Store

IMAGES_AT_ONCE = 8


def needs_evidence(policy: Policy) -> frozenset[Need]:
    """Return what the triggers of a policy look at that is not known from the tag and its time."""
    return EVIDENCE_NEEDS & policy.criterion.needs


def configuration_of(policy: Policy) -> str:
    """Return what tells evidence that was gathered for one policy from that for another.

    Policies that say the same about sources, signers and platforms share what is kept. How old
    reports may be, and which vulnerabilities are accepted, is looked at each time.
    """
    content = policy.evidence.model_dump(
        mode="json", exclude_none=True, exclude={"max_age", "exceptions", "exceptions_file"}
    )
    content["platforms"] = list(policy.platforms or ())
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


@dataclass(frozen=True, slots=True)
class GatheredEvidence:
    """The dossiers of some images.

    Attributes:
        weights: Which reports count now.
        dossiers: By image.
        gathered: Those of them that were gathered now, and are not kept yet.
    """

    weights: Weights
    dossiers: Mapping[ImageName, Dossier]
    gathered: Collection[ImageName]

    def facts(self, image: ImageName, facts: ImageFacts) -> Mapping[str, ImageFacts]:
        """Add what is known of an image by evidence.

        Args:
            image: The image.
            facts: What is known otherwise.

        Returns:
            The facts for each platform; by the empty text for a single image.
        """
        dossier = self.dossiers[image]
        return {
            platform: weigh(dossier, subjects, self.weights, facts)
            for platform, subjects in subjects_of(dossier).items()
        }


async def evidence_about(
    policy: Policy,
    images: Sequence[ImageName],
    *,
    source: Store,
    ledger: Ledger,
    now: datetime,
    afresh: bool = False,
) -> GatheredEvidence:
    """Find the evidence about images, writing nothing.

    Args:
        policy: The policy.
        images: The images.
        source: The store they are in.
        ledger: Asked for what earlier runs have gathered.
        now: The present moment.
        afresh: Whether it is gathered anew even if what is kept would do.

    Returns:
        The evidence. An image that cannot be read, and a source that cannot be asked, leave a note
        in the dossier: what is not known makes the image wait.

    Raises:
        PolicyError: A signer's key cannot be used.
        LedgerError: The ledger cannot be asked.
    """
    needs = needs_evidence(policy)
    weights = Weights(policy.evidence.max_age, now)
    dossiers: dict[ImageName, Dossier] = {}
    if not afresh:
        dossiers = {
            image: dossier
            for image, dossier in _kept(policy, images, source, ledger).items()
            if is_sufficient(dossier, needs, weights)
        }
    sources = trusted_sources(policy, source)
    # Tags that point at one digest share what is found about it.
    missing = {(image.repository, image.digest): image for image in images if image not in dossiers}

    async def ask(image: ImageName) -> Dossier:
        return await _gather(policy, image, source=source, sources=sources, weights=weights)

    answers = await ask_each(ask, list(missing.values()), at_once=IMAGES_AT_ONCE)
    found = dict(zip(missing, answers, strict=True))
    gathered = [image for image in images if image not in dossiers]
    dossiers |= {image: found[image.repository, image.digest] for image in gathered}
    return GatheredEvidence(weights, dossiers, gathered)


def keep_evidence(
    policy: Policy, evidence: GatheredEvidence, *, source: Store, ledger: Ledger
) -> None:
    """Keep what was gathered, for later runs and for whoever asks why.

    Args:
        policy: The policy.
        evidence: The evidence.
        source: The store the images are in.
        ledger: Where it is kept.

    Raises:
        LedgerError: It cannot be written.
    """
    ledger.keep_evidence(
        source.name,
        configuration_of(policy),
        {
            (image.repository, image.digest): pack(evidence.dossiers[image])
            for image in evidence.gathered
        },
        at=evidence.weights.now,
    )


def trusted_sources(policy: Policy, source: Store) -> list[TrustedSource]:
    """Return the sources of a policy, in its order, each with whose word counts.

    Args:
        policy: The policy.
        source: The store the images are in.

    Returns:
        The sources.

    Raises:
        PolicyError: A signer's key cannot be used.
    """
    settings = policy.evidence
    signers = read_signers(settings.signers)
    trusted = []
    for each in settings.sources:
        required = settings.signers_for(each.name)
        names = None if required is None else frozenset(required)
        trusted.append(TrustedSource(_source(each, source), Trusted(signers, names)))
    return trusted


def _source(settings: Source, store: Store) -> EvidenceSource:
    match settings.name:
        case SourceName.REFERRERS:
            return ReferrersSource(store)
        case SourceName.REGISTRY:
            return RegistrySource(store)
        case SourceName.SYFT:
            return ScannerSource(SYFT, store)
        case SourceName.TRIVY:
            return ScannerSource(TRIVY, store)
        case SourceName.GRYPE:
            return ScannerSource(GRYPE, store)
        case SourceName.FILES:
            return FilesSource(settings.folder or "")


def _kept(
    policy: Policy, images: Sequence[ImageName], source: Store, ledger: Ledger
) -> Mapping[ImageName, Dossier]:
    kept = ledger.kept_evidence(
        source.name,
        configuration_of(policy),
        {(image.repository, image.digest) for image in images},
    )
    dossiers = {}
    for image in images:
        content = kept.get((image.repository, image.digest))
        dossier = None if content is None else _unpacked(content)
        if dossier is not None and dossier.image == image.digest:
            dossiers[image] = dossier
    return dossiers


def _unpacked(content: bytes) -> Dossier | None:
    try:
        return unpack(content)
    except UnreadableEvidenceError:
        # What cannot be read is as good as not there: it is gathered anew.
        return None


async def _gather(
    policy: Policy,
    image: ImageName,
    *,
    source: Store,
    sources: Sequence[TrustedSource],
    weights: Weights,
) -> Dossier:
    digest = Digest.parse(image.digest)
    try:
        platforms = await _platforms(policy, source, image.repository, digest)
    except FAULTS_OF_ONE_IMAGE as fault:
        note = Note("image", image.digest, f"cannot be read: {fault}")
        return Dossier(image.digest, (), (), (note,), weights.now)
    return await gather(
        Image(
            image.repository,
            digest,
            parts=tuple(Digest.parse(each.digest) for each in platforms),
            tags=(image.tag,),
        ),
        platforms,
        sources=sources,
        needs=needs_evidence(policy),
        weights=weights,
    )


async def _platforms(
    policy: Policy, source: Store, repository: str, digest: Digest
) -> tuple[PlatformImage, ...]:
    """Return the images of an index that are promoted; none for a single image."""
    chosen = (await select(policy, source, repository, digest)).image
    if not isinstance(chosen, ImageIndex):
        return ()
    # Attestations about the images stand beside them.
    images = [entry for entry in chosen.manifests if ABOUT not in entry.annotations]
    names = [str(entry.platform) if entry.platform else str(entry.digest) for entry in images]
    return tuple(
        # Two images for one platform, such as for two versions of an operating system.
        PlatformImage(
            name if names.count(name) == 1 else f"{name} {entry.digest}", str(entry.digest)
        )
        for name, entry in zip(names, images, strict=True)
    )
