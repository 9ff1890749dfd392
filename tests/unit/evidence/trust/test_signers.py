"""Tests of the signers of a policy."""

from __future__ import annotations

import pytest

from image_promotion.errors import PolicyError
from image_promotion.evidence.trust.signers import KeylessSigner, read_signers
from image_promotion.policy.signers import Signer as SignerEntry
from tests.support.signatures import ecdsa_key, rsa_key

KEY = ecdsa_key()


def test_the_signers_of_a_policy_are_read_in_their_order() -> None:
    signers = read_signers(
        {
            "release": SignerEntry(key=KEY.pem.decode()),
            "ci": SignerEntry(
                identity="ci@example.com", issuer="https://tokens.example.com", trust_root="{}"
            ),
        }
    )

    assert signers == (
        KEY.signer("release"),
        KeylessSigner("ci", "ci@example.com", "https://tokens.example.com", b"{}"),
    )


def test_a_signer_is_said_by_name_with_the_key_or_the_identity() -> None:
    key, keyless = (
        KEY.signer("release"),
        KeylessSigner("ci", "ci@example.com", "https://tokens.example.com", b"{}"),
    )

    assert str(key) == f"release (key {key.key.id})"
    assert str(keyless) == "ci (ci@example.com, vouched for by https://tokens.example.com)"


def test_a_key_that_cannot_be_used_is_refused_with_its_place_in_the_policy() -> None:
    with pytest.raises(PolicyError) as refused:
        read_signers({"release": SignerEntry(key=rsa_key(1024).pem.decode())})

    assert refused.value.key == "evidence.signers.release.key"


def test_a_signer_whose_file_was_not_read_is_refused() -> None:
    with pytest.raises(PolicyError) as refused:
        read_signers({"release": SignerEntry(key_file="cosign.pub")})

    assert refused.value.key == "evidence.signers.release"
