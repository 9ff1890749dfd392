"""The evidence about the images of a run: kept from earlier runs, or gathered now."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeAlias

from image_promotion.errors import UnreadableEvidenceError
from image_promotion.evidence.dossier import Dossier, Note, PlatformImage, pack, unpack
from image_promotion.evidence.examination import Trusted
from image_promotion.evidence.gathering import (
    EVIDENCE_NEEDS,
    TrustedSource,
    gather,
    is_sufficient,
    steady,
    subjects_of,
)
from image_promotion.evidence.sources.files import FilesSource
from image_promotion.evidence.sources.referrers import ReferrersSource
from image_promotion.evidence.sources.registry import RegistrySource
from image_promotion.evidence.sources.scanners import (
    GRYPE,
    SYFT,
    TRIVY,
    ScannerSource,
    TakeSbom,
)
from image_promotion.evidence.sources.source import EvidenceSource, Image, WithheldSource
from image_promotion.evidence.trust.signers import read_signers
from image_promotion.evidence.weighing import Weights, weigh
from image_promotion.ledger.ledger import Ledger
from image_promotion.policy.criteria.verdict import Need
from image_promotion.policy.evidence_sources import Source, SourceName
from image_promotion.policy.facts import ImageFacts
from image_promotion.policy.model import Policy
from image_promotion.promotion.decision import ImageName
from image_promotion.promotion.sboms import SbomKey, attaches_sboms, keep_sboms
from image_promotion.promotion.scanning import FAULTS_OF_ONE_IMAGE
from image_promotion.promotion.selection import images_of, select
from image_promotion.registry.concurrency import ask_each
from image_promotion.registry.digest import Digest
from image_promotion.registry.manifest import ImageIndex
from image_promotion.registry.store import Store

IMAGES_AT_ONCE = 8

ImageKey: TypeAlias = tuple[str, str]
"""Repository and digest."""


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
        gathered: Those images whose dossiers were gathered now, and are not kept yet.
        sboms: What syft made on the way, where the policy wants it attached.
    """

    weights: Weights
    dossiers: Mapping[ImageName, Dossier]
    gathered: Collection[ImageName]
    sboms: Mapping[SbomKey, bytes] = field(default_factory=dict)

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
    withheld: Collection[SourceName] = (),
) -> GatheredEvidence:
    """Find the evidence about images, writing nothing.

    Args:
        policy: The policy.
        images: The images.
        source: The store they are in.
        ledger: Asked for what earlier runs have gathered.
        now: The present moment.
        afresh: Whether it is gathered anew even if what is kept would do.
        withheld: The sources that are not asked, since somebody waits; dossiers say so.

    Returns:
        The evidence. An image that cannot be read, and a source that cannot be asked, leave a note
        in the dossier: what is not known makes the image wait.

    Raises:
        PolicyError: A signer's key cannot be used.
        LedgerError: The ledger cannot be asked.
    """
    needs = needs_evidence(policy)
    weights = weights_of(policy, now)
    kept = {} if afresh else _kept(policy, images, source, ledger)
    dossiers = {
        image: dossier
        for image in images
        if (dossier := kept.get(_key(image))) and is_sufficient(dossier, needs, weights)
    }
    sboms: dict[SbomKey, bytes] = {}

    def take(repository: str, digest: Digest, sbom: bytes) -> None:
        sboms[repository, str(digest)] = sbom

    sources = trusted_sources(
        policy, source, take_sbom=take if attaches_sboms(policy) else None, withheld=withheld
    )
    # Tags that point at one digest share what is found about it.
    tags: dict[ImageKey, list[str]] = {}
    for image in images:
        if image not in dossiers:
            tags.setdefault(_key(image), []).append(image.tag)

    async def ask(key: ImageKey) -> Dossier:
        repository, digest = key
        wanted = Image(repository, Digest.parse(digest), tags=tuple(tags[key]))
        return await _gather(
            policy, wanted, source=source, sources=sources, weights=weights, earlier=kept.get(key)
        )

    answers = await ask_each(ask, list(tags), at_once=IMAGES_AT_ONCE)
    found = dict(zip(tags, answers, strict=True))
    gathered = [image for image in images if image not in dossiers]
    dossiers |= {image: found[_key(image)] for image in gathered}
    return GatheredEvidence(weights, dossiers, gathered, sboms)


def weights_of(policy: Policy, now: datetime) -> Weights:
    """Return the rules by which reports count for a policy.

    Args:
        policy: The policy.
        now: The present moment.

    Returns:
        The rules: how old reports may be, and whose signatures its triggers ask for.
    """
    return Weights(
        policy.evidence.max_age,
        now,
        tuple(
            dict.fromkeys(
                frozenset(named.names) for trigger in policy.triggers for named in trigger.signers()
            )
        ),
    )


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
            key: pack(evidence.dossiers[image])
            # Once for all tags of an image.
            for key, image in {_key(image): image for image in evidence.gathered}.items()
        },
        at=evidence.weights.now,
    )
    keep_sboms(evidence.sboms, registry=source.name, ledger=ledger, at=evidence.weights.now)


def trusted_sources(
    policy: Policy,
    source: Store,
    *,
    take_sbom: TakeSbom | None = None,
    withheld: Collection[SourceName] = (),
) -> list[TrustedSource]:
    """Return the sources of a policy, in its order, each with whose word counts.

    Args:
        policy: The policy.
        source: The store the images are in.
        take_sbom: Takes the SBOMs that syft makes for others to read; None when nobody wants them.
        withheld: Those that are not asked.

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
        found = (
            WithheldSource(each.name) if each.name in withheld else _source(each, source, take_sbom)
        )
        trusted.append(TrustedSource(found, Trusted(signers, names)))
    return trusted


def _source(settings: Source, store: Store, take_sbom: TakeSbom | None) -> EvidenceSource:
    match settings.name:
        case SourceName.REFERRERS:
            return ReferrersSource(store)
        case SourceName.REGISTRY:
            return RegistrySource(store)
        case SourceName.SYFT:
            return ScannerSource(SYFT, store, take_sbom=take_sbom)
        case SourceName.TRIVY:
            return ScannerSource(TRIVY, store)
        case SourceName.GRYPE:
            return ScannerSource(GRYPE, store)
        case SourceName.FILES:
            return FilesSource(settings.folder or "")


def _key(image: ImageName) -> ImageKey:
    return image.repository, image.digest


def _kept(
    policy: Policy, images: Sequence[ImageName], source: Store, ledger: Ledger
) -> Mapping[ImageKey, Dossier]:
    kept = ledger.kept_evidence(source.name, configuration_of(policy), set(map(_key, images)))
    unpacked = ((key, _unpacked(content)) for key, content in kept.items())
    return {
        key: dossier for key, dossier in unpacked if dossier is not None and dossier.image == key[1]
    }


def _unpacked(content: bytes) -> Dossier | None:
    try:
        return unpack(content)
    except UnreadableEvidenceError:
        # What cannot be read is as good as not there: it is gathered anew.
        return None


async def _gather(
    policy: Policy,
    image: Image,
    *,
    source: Store,
    sources: Sequence[TrustedSource],
    weights: Weights,
    earlier: Dossier | None,
) -> Dossier:
    try:
        platforms = await _platforms(policy, source, image.repository, image.digest)
    except FAULTS_OF_ONE_IMAGE as fault:
        said = f"cannot be read: {steady(fault)}"
        note = Note("image", str(image.digest), said, is_failure=True)
        return Dossier(str(image.digest), (), (), (note,), weights.now)
    return await gather(
        replace(image, parts=tuple(Digest.parse(each.digest) for each in platforms)),
        platforms,
        sources=sources,
        needs=needs_evidence(policy),
        weights=weights,
        earlier=earlier,
    )


async def _platforms(
    policy: Policy, source: Store, repository: str, digest: Digest
) -> tuple[PlatformImage, ...]:
    """Return the images of an index that are promoted; none for a single image.

    Whoever writes an index writes its annotations and platforms too, so that neither can be a way
    for an image past the triggers.
    """
    chosen = (await select(policy, source, repository, digest)).image
    if not isinstance(chosen, ImageIndex):
        return ()
    entries = {str(each.digest): each for each in images_of(chosen)}
    names = {each: str(entry.platform or each) for each, entry in entries.items()}
    often = Counter(names.values())
    # Two images for one platform, such as for two versions of an operating system.
    unique = {each: name if often[name] == 1 else f"{name} {each}" for each, name in names.items()}
    if len(set(unique.values())) < len(unique):
        unique = {each: each for each in unique}
    return tuple(PlatformImage(name, each) for each, name in unique.items())
