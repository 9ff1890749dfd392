"""Verified promotions as a ledger knows them, a key to attest them, and their statements."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from image_promotion.errors import UntrustedEvidenceError
from image_promotion.evidence.trust.authentication import authenticate
from image_promotion.evidence.trust.keys import read_public_key
from image_promotion.evidence.trust.signers import KeySigner
from image_promotion.evidence.trust.signing import SigningKey, signing_key_of
from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.records import (
    NewDecision,
    NewPromotion,
    Outcome,
    Promotion,
    Reason,
    Run,
    Sighting,
    State,
)
from image_promotion.policy.model import Policy
from image_promotion.promotion.journal import Journal
from image_promotion.promotion.scanning import version_of
from image_promotion.registry.digest import Digest
from image_promotion.registry.manifest import ImageIndex
from image_promotion.registry.referrers import find_attachments
from image_promotion.registry.store import Store

START = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SOURCE, TARGET = "dev/website", "qa/website"
HELD = (Reason('tag ends with "-stable"', "held", "-stable", "1.4-stable", ""),)


def new_pem(curve: ec.EllipticCurve | None = None) -> str:
    """Make a private key as openssl writes it."""
    key = ec.generate_private_key(curve or ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def new_key() -> SigningKey:
    return signing_key_of("signing", conn_type="signing_key", password=new_pem(), extra={})


@dataclass
class Verified:
    """A policy's promotions, noted as verified without any of it having been done.

    Attributes:
        ledger: The ledger.
        attestation: The policy's key of this name; None for a policy without it.
    """

    ledger: Ledger
    attestation: Mapping[str, str] | None = field(default_factory=lambda: {"connection": "signing"})
    now: datetime = START
    _runs: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def policy(self) -> Policy:
        document: dict[str, object] = {
            "name": "website-stable-to-qa",
            "source": {"connection": "dev_registry", "repository": SOURCE},
            "target": {"connection": "qa_registry", "repository": TARGET},
            "triggers": [{"tag": {"ends_with": "-stable"}}],
        }
        if self.attestation is not None:
            document["attestation"] = self.attestation
        return Policy.model_validate(document)

    def clock(self) -> datetime:
        """Give a moment later than any before."""
        self.now += timedelta(seconds=1)
        return self.now

    def begin(self) -> Run:
        key = f"website-stable-to-qa/run-{next(self._runs)}"
        return self.ledger.begin_run(
            version_of(self.policy), key=key, kind="manual", at=self.clock()
        )

    def journal(self, run: Run) -> Journal:
        return Journal(self.ledger, run.key, self.clock)

    def promote(
        self, run: Run, image: Digest, tags: Sequence[str] = ("1.4-stable",)
    ) -> list[Promotion]:
        """Take tags of one image from their first sight to verified."""
        promotions = self.plan(run, image, tags)
        for promotion in promotions:
            for state in (State.COPIED, State.TAGGED, State.VERIFIED):
                self.ledger.advance(promotion.id, state, at=self.clock(), run_key=run.key)
        return list(self.ledger.promotions([each.id for each in promotions]))

    def plan(self, run: Run, image: Digest, tags: Sequence[str]) -> list[Promotion]:
        seen = self.ledger.observe(
            run,
            [Sighting(SOURCE, tag, str(image)) for tag in tags],
            complete_repositories=[],
            tags_seen=len(tags),
            tags_rejected_by_name=0,
            at=self.clock(),
        )
        decided = self.ledger.decide(
            run, [NewDecision(each.id, Outcome.PROMOTE, HELD) for each in seen], self.clock()
        )
        return list(
            self.ledger.plan(
                run,
                [
                    NewPromotion(
                        observation_id=each.id,
                        decision_id=decision.id,
                        source_connection="dev_registry",
                        source_registry="dev",
                        target_connection="qa_registry",
                        target_registry="qa",
                        target_repository=TARGET,
                        target_tag=each.tag,
                        target_key=f"qa_registry/{TARGET}:%n",
                        existing_tag="fail",
                        target_digest=str(image),
                    )
                    for each, decision in zip(seen, decided, strict=True)
                ],
                self.clock(),
            )
        )


async def statements_of(
    store: Store, repository: str, image: Digest, public_key_pem: bytes
) -> list[dict[str, Any]]:
    """Read all statements about an image that a key has signed, as a consumer would."""
    signer = KeySigner("promotions", read_public_key(public_key_pem))
    found = []
    for each in (await find_attachments(store, repository, image)).found:
        manifest = await store.get_manifest(repository, each.digest)
        assert not isinstance(manifest, ImageIndex)
        (layer,) = manifest.layers
        async with store.open_blob(repository, layer) as pieces:
            content = b"".join([piece async for piece in pieces])
        try:
            statement = authenticate(content, image, [signer]).statement
        except UntrustedEvidenceError:
            continue
        assert statement is not None
        found.append(json.loads(statement.payload))
    return found
