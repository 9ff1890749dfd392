"""Tests of public keys."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from image_promotion.errors import PolicyError
from image_promotion.evidence.trust.keys import read_public_key
from image_promotion.registry.digest import Digest
from tests.support.signatures import SigningKey, ecdsa_key, ed25519_key, rsa_key

MESSAGE = b"what is signed"
KINDS = {
    "ECDSA P-256": ecdsa_key(),
    "ECDSA P-384": ecdsa_key(ec.SECP384R1()),
    "ECDSA P-521": ecdsa_key(ec.SECP521R1()),
    "Ed25519": ed25519_key(),
    "RSA 2048": rsa_key(),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_knows_its_own_signatures_and_no_others(kind: str) -> None:
    key = read_public_key(KINDS[kind].pem)

    assert key.kind == kind
    assert key.has_signed(MESSAGE, KINDS[kind].sign(MESSAGE))
    assert not key.has_signed(MESSAGE + b"!", KINDS[kind].sign(MESSAGE))
    for other in KINDS.values():
        # A signature of another kind must end in "no", not in an error of the library.
        if other is not KINDS[kind]:
            assert not key.has_signed(MESSAGE, other.sign(MESSAGE))


@pytest.mark.parametrize("kind", KINDS)
def test_every_changed_bit_of_a_signature_is_noticed(kind: str) -> None:
    key, signature = read_public_key(KINDS[kind].pem), KINDS[kind].sign(MESSAGE)

    for bit in range(len(signature) * 8):
        changed = bytearray(signature)
        changed[bit // 8] ^= 1 << bit % 8
        assert not key.has_signed(MESSAGE, bytes(changed)), bit


@pytest.mark.parametrize("kind", KINDS)
@given(signature=st.binary(max_size=300))
def test_no_bytes_pass_for_a_signature(kind: str, signature: bytes) -> None:
    key = read_public_key(KINDS[kind].pem)

    assert not key.has_signed(MESSAGE, signature)
    assert not key.has_signed_content_of(Digest.of(MESSAGE), signature)


@pytest.mark.parametrize("kind", ["ECDSA P-256", "Ed25519", "RSA 2048"])
def test_every_changed_bit_of_a_key_is_noticed(kind: str) -> None:
    pem, signature = KINDS[kind].pem, KINDS[kind].sign(MESSAGE)

    for bit in range(len(pem) * 8):
        changed = bytearray(pem)
        changed[bit // 8] ^= 1 << bit % 8
        try:
            key = read_public_key(bytes(changed))
        except PolicyError:
            continue
        assert not key.has_signed(MESSAGE, signature), bit


def test_rsa_signatures_count_with_either_padding() -> None:
    private = rsa_key().private
    assert isinstance(private, rsa.RSAPrivateKey)
    key = read_public_key(rsa_key().pem)

    for salt_length in (padding.PSS.DIGEST_LENGTH, padding.PSS.MAX_LENGTH):
        pss = padding.PSS(padding.MGF1(SHA256()), salt_length)
        assert key.has_signed(MESSAGE, private.sign(MESSAGE, pss, SHA256()))


@pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP521R1()])
def test_ecdsa_over_sha256_counts_on_larger_curves_too(curve: ec.EllipticCurve) -> None:
    private = ec.generate_private_key(curve)

    signature = private.sign(MESSAGE, ec.ECDSA(SHA256()))
    assert read_public_key(SigningKey(private).pem).has_signed(MESSAGE, signature)


def test_no_signature_counts_over_a_hash_that_the_kind_of_key_does_not_use() -> None:
    curve, modulus = ec.generate_private_key(ec.SECP256R1()), rsa_key().private
    assert isinstance(modulus, rsa.RSAPrivateKey)

    for algorithm in (SHA384(), SHA512()):
        by_curve = curve.sign(MESSAGE, ec.ECDSA(algorithm))
        by_modulus = modulus.sign(MESSAGE, padding.PKCS1v15(), algorithm)
        assert not read_public_key(SigningKey(curve).pem).has_signed(MESSAGE, by_curve)
        assert not read_public_key(rsa_key().pem).has_signed(MESSAGE, by_modulus)


def test_a_signature_over_known_content_is_checked_by_its_digest() -> None:
    for kind in ("ECDSA P-256", "RSA 2048"):
        key, signature = read_public_key(KINDS[kind].pem), KINDS[kind].sign(MESSAGE)
        assert key.has_signed_content_of(Digest.of(MESSAGE), signature)
        assert not key.has_signed_content_of(Digest.of(b"other"), signature)
        assert not key.has_signed_content_of(Digest.of(MESSAGE, "sha512"), signature)
    p521 = KINDS["ECDSA P-521"]
    assert read_public_key(p521.pem).has_signed_content_of(
        Digest.of(MESSAGE, "sha512"), p521.sign(MESSAGE)
    )


def test_a_key_has_a_short_name_for_people_and_the_hint_that_cosign_writes() -> None:
    key = read_public_key(KINDS["ECDSA P-256"].pem)

    assert key.id == hashlib.sha256(key.encoded).hexdigest()[:16]
    assert key.hint == KINDS["ECDSA P-256"].hint


def test_the_same_key_with_other_line_ends_is_the_same_key() -> None:
    pem = KINDS["Ed25519"].pem

    assert read_public_key(pem.replace(b"\n", b"\r\n")) == read_public_key(pem)


def _pem(public: PublicKeyTypes) -> bytes:
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


UNUSABLE = {
    "empty": b"",
    "two keys": KINDS["Ed25519"].pem + KINDS["ECDSA P-256"].pem,
    "text before it": b"release key\n" + KINDS["Ed25519"].pem,
    "nothing in it": b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
    "a private key": ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    ),
    "a short RSA key": rsa_key(1024).pem,
    "a curve that cosign does not use": _pem(ec.generate_private_key(ec.SECP256K1()).public_key()),
    "Ed448": _pem(ed448.Ed448PrivateKey.generate().public_key()),
}


@pytest.mark.parametrize("pem", UNUSABLE.values(), ids=UNUSABLE)
def test_what_is_no_usable_key_is_refused_with_what_is_allowed(pem: bytes) -> None:
    with pytest.raises(PolicyError) as refused:
        read_public_key(pem)

    assert "ECDSA on P-256" in refused.value.allowed
    assert "PRIVATE" not in str(refused.value)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_key_or_a_policy_error(content: bytes) -> None:
    with pytest.raises(PolicyError):
        read_public_key(content)
