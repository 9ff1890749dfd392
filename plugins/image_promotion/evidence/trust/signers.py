"""Signers: whose signatures count, by key or by identity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from image_promotion.errors import PolicyError
from image_promotion.evidence.trust.keys import PublicKey, read_public_key
from image_promotion.policy.signers import Signer as SignerEntry


@dataclass(frozen=True, slots=True)
class KeySigner:
    """Whoever holds the private half of a key.

    Args:
        name: The signer's name in the policy.
        key: The public key.
    """

    name: str
    key: PublicKey

    def __str__(self) -> str:
        return f"{self.name} (key {self.key.id})"


@dataclass(frozen=True, slots=True)
class KeylessSigner:
    """Whoever an issuer vouched for at the time of signing.

    Args:
        name: The signer's name in the policy.
        identity: What the certificate must name, to the letter: an e-mail address or a URI.
        issuer: Who must have vouched for the identity: the URL of the OpenID Connect issuer.
        trust_root: The authorities and logs that are believed, as JSON
            (``application/vnd.dev.sigstore.trustedroot+json;version=0.1``).
    """

    name: str
    identity: str
    issuer: str
    trust_root: bytes = field(repr=False)

    def __str__(self) -> str:
        return f"{self.name} ({self.identity}, vouched for by {self.issuer})"


Signer: TypeAlias = KeySigner | KeylessSigner


def read_signers(entries: Mapping[str, SignerEntry]) -> tuple[Signer, ...]:
    """Read the signers of a policy, whose files have been read.

    Args:
        entries: The policy's signers by name.

    Returns:
        The same, ready to check signatures, in the same order.

    Raises:
        PolicyError: A key cannot be used, or a file was not read.
    """
    return tuple(_read_signer(name, entry) for name, entry in entries.items())


def _read_signer(name: str, entry: SignerEntry) -> Signer:
    if entry.key is not None:
        try:
            return KeySigner(name, read_public_key(entry.key.encode()))
        except PolicyError as error:
            error.key = error.key or f"evidence.signers.{name}.key"
            raise
    if entry.identity is not None and entry.issuer is not None and entry.trust_root is not None:
        return KeylessSigner(name, entry.identity, entry.issuer, entry.trust_root.encode())
    raise PolicyError(
        "the file with the key or the trust root was not read",
        key=f"evidence.signers.{name}",
        advice="Load the policy from its file.",
    )
