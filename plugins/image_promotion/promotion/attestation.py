"""The attestation: a verified promotion leaves a signed statement in the target, at its image.

It is written once: the ledger is asked first, then what is attached to the image. Whoever is killed
between writing the statement and noting it makes the same bytes again, or finds those that are
there.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import version
from typing import TypeAlias

from image_promotion.errors import (
    EvidenceError,
    NotFoundError,
    UnreadableEvidenceError,
)
from image_promotion.evidence.dossier import Dossier, unpack
from image_promotion.evidence.sources.artifact import CREATED, read_blob
from image_promotion.evidence.sources.attaching import attach_report
from image_promotion.evidence.trust.authentication import authenticate
from image_promotion.evidence.trust.keys import read_public_key
from image_promotion.evidence.trust.sealing import (
    BUNDLE_TYPE,
    CONTENT_ANNOTATION,
    ENVELOPE_CONTENT,
    PREDICATE_ANNOTATION,
    seal,
)
from image_promotion.evidence.trust.signers import KeySigner
from image_promotion.evidence.trust.signing import SigningKey
from image_promotion.evidence.trust.wrapping import MAX_WRAPPED_BYTES
from image_promotion.ledger.attestations import Attestation, Background
from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.records import Promotion, Run, State
from image_promotion.policy.model import Policy
from image_promotion.promotion.evidence import configuration_of
from image_promotion.promotion.journal import Journal
from image_promotion.promotion.statement import (
    PREDICATE_TYPE,
    PRODUCT,
    Origin,
    identity_of,
    is_about_same,
    statement_of,
)
from image_promotion.registry.concurrency import ask_each
from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.digest import Digest
from image_promotion.registry.fallback_index import PATIENCE, Patience
from image_promotion.registry.manifest import ImageIndex, Manifest
from image_promotion.registry.referrer_tags import fallback_tag
from image_promotion.registry.referrers import HoldsReferrers, artifact_type_of
from image_promotion.registry.store import Store

IDENTITY_ANNOTATION = "image-promotion.promotion"
"""Tells the statements of one image apart without opening them; it is not signed, nor believed."""

FindSigningKey: TypeAlias = Callable[[str], SigningKey]
"""Gives the key of a connection; raises ConnectionSettingsError where there is none."""

FindRunUrl: TypeAlias = Callable[[Run], str | None]
"""Says where a run can be looked at."""

_READ_AT_ONCE = 4


def no_url(_run: Run) -> str | None:
    """Know no place where runs can be looked at."""
    return None


@dataclass(frozen=True, slots=True)
class AttestationReport:
    """What became of a promotion's statement.

    Attributes:
        digest: The manifest that holds it; None where none is wanted.
        is_new: Whether it was written just now.
    """

    digest: str | None
    is_new: bool = False

    def __str__(self) -> str:
        if self.digest is None:
            return "no statement is wanted"
        return f"statement {self.digest} {'attached' if self.is_new else 'was attached already'}"


@dataclass(frozen=True, slots=True)
class Attestor:
    """Writes the statements of a run.

    Args:
        key: What signs them.
        run_url: Says where runs can be looked at.
        patience: How a list that others write at the same time is written.
    """

    key: SigningKey
    run_url: FindRunUrl = no_url
    patience: Patience = PATIENCE
    _turns: defaultdict[tuple[str, str, str], asyncio.Lock] = field(
        default_factory=lambda: defaultdict(asyncio.Lock), init=False, repr=False
    )

    async def attest(
        self, promotion: Promotion, *, source: Store | None, target: Store, journal: Journal
    ) -> AttestationReport:
        """See that a promotion has its statement in the target, once.

        Args:
            promotion: The promotion, verified.
            source: The store of its source connection, which is only asked for names; None where
                the connection is gone.
            target: The store of its target connection.
            journal: Knows what the ledger knows, and notes the statement.

        Returns:
            What became of it.

        Raises:
            ConnectionSettingsError: The key cannot be used.
            PromotionError: The statement cannot be signed, attached or noted; it may be tried
                again, and the promotion stays verified.
        """
        if not _is_wanted(promotion, journal):
            return AttestationReport(None)
        noted = journal.ledger.attestations.of_promotions([promotion.id]).get(promotion.id)
        # Promotions of one image write one list: within this process one after the other.
        turn = self._turns[target.identity, promotion.target_repository, promotion.target_digest]
        async with turn:
            listed = await _listed(target, promotion)
            if noted is not None and any(str(each.digest) == noted.digest for each in listed):
                return AttestationReport(noted.digest)
            statement = _statement(
                promotion, source=source, target=target, journal=journal, run_url=self.run_url
            )
            earlier = await self._find(promotion, statement, listed, target)
            if earlier is None:
                attached = await self._attach(promotion, statement, target)
        digest = str(attached.digest if earlier is None else earlier)
        journal.ledger.attestations.note(
            Attestation(
                promotion.id, digest, self.key.key_id, at=journal.clock(), run_key=journal.run_key
            )
        )
        return AttestationReport(digest, is_new=earlier is None)

    async def _attach(self, promotion: Promotion, statement: bytes, target: Store) -> Descriptor:
        bundle = await asyncio.to_thread(seal, statement, self.key)
        image = await target.get_manifest(
            promotion.target_repository, Digest.parse(promotion.target_digest)
        )
        return await attach_report(
            target,
            promotion.target_repository,
            image.descriptor,
            bundle,
            media_type=BUNDLE_TYPE,
            artifact_type=BUNDLE_TYPE,
            annotations={
                CONTENT_ANNOTATION: ENVELOPE_CONTENT,
                PREDICATE_ANNOTATION: PREDICATE_TYPE,
                CREATED: json.loads(statement)["predicate"]["times"]["verified"],
                IDENTITY_ANNOTATION: identity_of(statement),
            },
            patience=self.patience,
        )

    async def _find(
        self,
        promotion: Promotion,
        statement: bytes,
        listed: Sequence[Descriptor],
        target: Store,
    ) -> Digest | None:
        """Find the statement about the same promotion that this key has signed before."""
        identity = identity_of(statement)

        async def holds_it(entry: Descriptor) -> bool:
            said = await _signed_statement(promotion, entry, target, self.key)
            return said is not None and is_about_same(statement, said)

        possible = [each for each in listed if _may_be(each, identity)]
        held = await ask_each(holds_it, possible, at_once=_READ_AT_ONCE)
        return next(
            (entry.digest for entry, is_it in zip(possible, held, strict=True) if is_it), None
        )


def wants_attestations(policy: Policy) -> bool:
    """Say whether what a policy promotes leaves a statement."""
    return policy.attestation is not None


def attestor_of(
    ledger: Ledger, run_key: str, find_key: FindSigningKey, *, run_url: FindRunUrl = no_url
) -> Attestor | None:
    """Make what writes the statements of a run, with the key that its policy names.

    Args:
        ledger: The ledger.
        run_key: The run. Its version of the policy counts, and not the one that decided: a
            connection that was wrong can be put right for what is verified already.
        find_key: Gives the key of a connection.
        run_url: Says where runs can be looked at.

    Returns:
        The attestor; None for a run whose policy wants no statements.

    Raises:
        ConnectionSettingsError: The connection is not there, or holds no key that can be used.
        LedgerError: The ledger cannot be read.
    """
    run = ledger.run(run_key)
    attestation = Policy.from_document(run.document).attestation if run is not None else None
    return None if attestation is None else Attestor(find_key(attestation.connection), run_url)


def unattested(
    ledger: Ledger, policy: Policy, *, verified_before: datetime | None = None
) -> tuple[Promotion, ...]:
    """List the verified promotions of a policy that lack the statement that they are to leave.

    Args:
        ledger: The ledger.
        policy: The policy as a run goes by it. What versions without the key decided is left alone.
        verified_before: Only those that were verified before; None for all.

    Returns:
        The promotions, the eldest first; none if the policy wants no statements any more.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    if not wants_attestations(policy):
        return ()
    hashes = [
        each.hash
        for each in ledger.attestations.policy_versions(policy.name)
        if json.loads(each.document).get("attestation") is not None
    ]
    missing = ledger.attestations.missing(policy.name, hashes)
    return tuple(
        each
        for each in missing
        if verified_before is None
        or (each.verified_at is not None and each.verified_at < verified_before)
    )


def _is_wanted(promotion: Promotion, journal: Journal) -> bool:
    return promotion.state is State.VERIFIED and wants_attestations(journal.policy_of(promotion))


def _statement(
    promotion: Promotion,
    *,
    source: Store | None,
    target: Store,
    journal: Journal,
    run_url: FindRunUrl,
) -> bytes:
    background = journal.ledger.attestations.background(promotion)
    named = promotion.source_repository
    origin = Origin(
        source_repository=named if source is None else source.full_repository(named),
        target_repository=target.full_repository(promotion.target_repository),
        version=version(PRODUCT),
        run_url=run_url(background.run),
        documents=_documents(promotion, background, journal),
    )
    return statement_of(promotion, background, origin)


def _documents(
    promotion: Promotion, background: Background, journal: Journal
) -> Sequence[tuple[str, str]]:
    """Return where each report that was looked at was found, and its digest.

    What was gathered after the decision is not what it was made of, and is left out.
    """
    key = promotion.source_repository, promotion.digest
    kept = journal.ledger.kept_evidence(
        promotion.source_registry, configuration_of(journal.policy_of(promotion)), {key}
    )
    dossier = _unpacked(kept.get(key))
    if dossier is None or dossier.gathered_at > background.decided_at:
        return ()
    return [(each.location, each.digest) for each in dossier.entries if not each.problem]


def _unpacked(content: bytes | None) -> Dossier | None:
    if content is None:
        return None
    try:
        return unpack(content)
    except UnreadableEvidenceError:
        return None


async def _listed(target: Store, promotion: Promotion) -> Sequence[Descriptor]:
    """Return what the target lists as attached to the promoted image; nothing of it is believed."""
    repository, digest = promotion.target_repository, Digest.parse(promotion.target_digest)
    listed = (
        await target.list_referrers(repository, digest)
        if isinstance(target, HoldsReferrers)
        else None
    )
    if listed is not None:
        return listed
    try:
        index = await target.get_manifest(repository, fallback_tag(digest))
    except NotFoundError:
        return ()
    # What else stands there is refused when something is to be attached.
    return index.manifests if isinstance(index, ImageIndex) else ()


def _may_be(entry: Descriptor, identity: str) -> bool:
    """Say whether an entry may be the statement; a list may lack types and annotations."""
    return (
        entry.artifact_type in (None, "", BUNDLE_TYPE)
        and entry.annotations.get(PREDICATE_ANNOTATION, PREDICATE_TYPE) == PREDICATE_TYPE
        and entry.annotations.get(IDENTITY_ANNOTATION, identity) == identity
    )


async def _signed_statement(
    promotion: Promotion, entry: Descriptor, target: Store, key: SigningKey
) -> bytes | None:
    """Return the statement that an attachment holds, if this key has signed it."""
    repository = promotion.target_repository
    digest = Digest.parse(promotion.target_digest)
    try:
        manifest = await target.get_manifest(repository, entry.digest)
        layer = _bundle_in(manifest)
        if layer is None or layer.size_bytes > MAX_WRAPPED_BYTES:
            return None
        content = await read_blob(target, repository, layer)
        signer = KeySigner(PRODUCT, read_public_key(key.public_key_pem))
        statement = authenticate(content, digest, [signer]).statement
    except (NotFoundError, EvidenceError):
        # Listed and gone, or by somebody else.
        return None
    if statement is None or statement.predicate_type != PREDICATE_TYPE:
        return None
    return statement.payload


def _bundle_in(manifest: Manifest) -> Descriptor | None:
    if isinstance(manifest, ImageIndex) or artifact_type_of(manifest) != BUNDLE_TYPE:
        return None
    return manifest.layers[0] if len(manifest.layers) == 1 else None
