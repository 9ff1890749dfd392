"""What the evidence that runs have kept says about an image, in numbers."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime

from image_promotion.errors import PolicyError, UnreadableEvidenceError
from image_promotion.evidence.dossier import Dossier, unpack
from image_promotion.evidence.gathering import subjects_of
from image_promotion.evidence.trust.signers import read_signers
from image_promotion.evidence.weighing import weigh
from image_promotion.ledger.images import KeptEvidence
from image_promotion.ledger.ledger import Ledger
from image_promotion.policy.facts import Band, ImageFacts
from image_promotion.policy.inventory import distinct
from image_promotion.policy.model import Policy
from image_promotion.promotion.evidence import configuration_of, weights_of
from image_promotion.web.api.image_models import EvidenceSummary, Signature

MOST_LICENSES = 30
"""So many licenses are shown, those of most components."""


def evidence_of(
    ledger: Ledger, digests: tuple[str, ...], policies: Mapping[str, Policy], now: datetime
) -> tuple[EvidenceSummary, ...]:
    """Sum up what is kept about an image.

    Args:
        ledger: The ledger.
        digests: The image's digests.
        policies: The policies by whose rules it is read; what was gathered for others is not told.
        now: The present moment, which decides how old reports are.

    Returns:
        The evidence, for each way in which policies gather it and for each platform.
    """
    sharing: dict[str, list[Policy]] = defaultdict(list)
    for policy in policies.values():
        sharing[configuration_of(policy)].append(policy)
    if not sharing:
        return ()
    return tuple(
        summary
        for kept in ledger.images.evidence(digests, sharing)
        if (dossier := _read(kept)) is not None
        for summary in _summaries(kept, dossier, sharing[kept.configuration], now)
    )


def _read(kept: KeptEvidence) -> Dossier | None:
    try:
        return unpack(kept.content)
    except UnreadableEvidenceError:
        # The next run gathers it anew; till then it is as good as not there.
        return None


def _summaries(
    kept: KeptEvidence, dossier: Dossier, policies: list[Policy], now: datetime
) -> Iterator[EvidenceSummary]:
    weights = weights_of(policies[0], now)
    for platform, subjects in subjects_of(dossier).items():
        facts = weigh(dossier, subjects, weights, ImageFacts(tag=""))
        components = distinct(facts.components) if facts.components else ()
        under = Counter(license_ for each in components for license_ in each.licenses)
        yield EvidenceSummary(
            policies=tuple(sorted(each.name for each in policies)),
            repository=kept.repository,
            platform=platform,
            gathered_at=kept.gathered_at,
            components=len(components) if facts.components else None,
            components_source=facts.components.source if facts.components else "",
            vulnerabilities=_numbers(facts),
            vulnerabilities_source=_source(facts),
            licenses=dict(under.most_common(MOST_LICENSES)),
            signed_by=tuple(
                dict.fromkeys(each.by for each in facts.signatures.items)
                if facts.signatures
                else ()
            ),
            signatures=tuple(_signatures(dossier, policies[0])),
            set_aside=tuple(
                dict.fromkeys(
                    f"{each.location} {each.problem}"
                    for each in dossier.entries
                    if each.problem and not each.signs_image
                )
            ),
            notes=tuple(
                dict.fromkeys(
                    each
                    for each in (
                        facts.why_no_components,
                        facts.why_no_vulnerabilities,
                        facts.why_no_signatures,
                    )
                    if each
                )
            ),
        )


def _signatures(dossier: Dossier, policy: Policy) -> Iterator[Signature]:
    """Yield the signatures of the image itself, those that count first."""
    known = _signers(policy)
    found = [each for each in dossier.about((dossier.image,)) if each.signs_image]
    for each in sorted(found, key=lambda each: bool(each.problem)):
        yield Signature(
            signers=tuple(known.get(name, name) for name in each.signed_by),
            location=each.location,
            digest=each.digest,
            obtained_at=each.obtained_at,
            is_verified=not each.problem and bool(each.signed_by),
            problem=each.problem,
        )


def _signers(policy: Policy) -> Mapping[str, str]:
    """Return the policy's signers by name, in words that name the key or the identity."""
    # A key may lie in a file that this server does not have: then the name says who it is.
    with suppress(PolicyError):
        return {each.name: str(each) for each in read_signers(policy.evidence.signers)}
    return {}


def _numbers(facts: ImageFacts) -> dict[str, int] | None:
    """Count each vulnerability once, by DTR's bands."""
    if facts.vulnerabilities is not None:
        bands = Counter(
            band for band, _ in {(each.band, each.key) for each in facts.vulnerabilities.items}
        )
        return {band.value: bands[band] for band in Band}
    counts = facts.vulnerability_counts
    if counts is None:
        return None
    known = {
        Band.CRITICAL: counts.critical,
        Band.MAJOR: counts.major,
        Band.MINOR: counts.minor,
    }
    known[Band.OTHER] = max(counts.all - sum(known.values()), 0)
    return {band.value: number for band, number in known.items()}


def _source(facts: ImageFacts) -> str:
    if facts.vulnerabilities is not None:
        return facts.vulnerabilities.source
    return facts.vulnerability_counts.source if facts.vulnerability_counts else ""
