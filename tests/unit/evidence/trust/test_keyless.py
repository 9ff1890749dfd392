"""Tests of keyless signatures, against a sigstore instance made for them."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from datetime import timedelta
from typing import NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sigstore.verify import Verifier

from image_promotion.errors import Distrust, EvidenceError, UntrustedEvidenceError
from image_promotion.evidence.trust.authentication import authenticate
from image_promotion.evidence.trust.signers import KeylessSigner
from image_promotion.registry.digest import Digest
from tests.support.keyless_authority import IDENTITY, ISSUER, SIGNED_AT, KeylessAuthority
from tests.support.signatures import (
    base64,
    bundle,
    compact,
    ecdsa_key,
    sign_statement,
    statement,
)

IMAGE = Digest.of(b"image")
AUTHORITY = KeylessAuthority()
CI = KeylessSigner("ci", IDENTITY, ISSUER, AUTHORITY.trust_root)
SIGNED = AUTHORITY.bundle(sign_statement(IMAGE))


def _reason(content: bytes, signer: KeylessSigner = CI, digest: Digest = IMAGE) -> Distrust | None:
    with pytest.raises(UntrustedEvidenceError) as refused:
        authenticate(content, digest, (signer,))
    assert refused.value.subject.digest == str(digest)
    return refused.value.reason


@pytest.fixture
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> NoReturn:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.usefixtures("_no_network")
def test_a_signature_by_the_identity_counts_offline() -> None:
    # A trust root that nothing has been kept of yet.
    authority = KeylessAuthority()
    signer = KeylessSigner("ci", IDENTITY, ISSUER, authority.trust_root)

    found = authenticate(authority.bundle(sign_statement(IMAGE)), IMAGE, (signer,))

    assert found.signers == (signer,)
    assert found.signs_image
    assert IDENTITY in found.by


def test_an_attestation_by_the_identity_counts_and_does_not_sign_the_image() -> None:
    found = authenticate(AUTHORITY.bundle(statement(IMAGE)), IMAGE, (CI,))

    assert not found.signs_image
    assert found.statement is not None


def test_a_signature_over_the_manifest_itself_counts() -> None:
    assert authenticate(AUTHORITY.message_bundle(b"image"), IMAGE, (CI,)).signs_image


def test_an_identity_may_be_an_address() -> None:
    signer = KeylessSigner("qa", "qa@example.com", ISSUER, AUTHORITY.trust_root)

    content = AUTHORITY.bundle(statement(IMAGE), identity="qa@example.com")

    assert authenticate(content, IMAGE, (signer,)).signers == (signer,)


def test_of_several_signers_the_one_who_signed_is_named() -> None:
    signers = (ecdsa_key().signer(), KeylessSigner("qa", "q", ISSUER, AUTHORITY.trust_root), CI)

    assert authenticate(SIGNED, IMAGE, signers).signers == (CI,)


def test_another_identity_does_not_count() -> None:
    fork = "https://git.example.com/acme/website/.ci/release.yml@refs/heads/fork"

    content = AUTHORITY.bundle(statement(IMAGE), identity=fork)

    assert _reason(content) is Distrust.OTHER_IDENTITY


def test_the_identity_vouched_for_by_another_issuer_does_not_count() -> None:
    content = AUTHORITY.bundle(statement(IMAGE), issuer="https://tokens.example.org")

    assert _reason(content) is Distrust.OTHER_IDENTITY


def test_the_same_identity_from_another_authority_does_not_count() -> None:
    assert _reason(KeylessAuthority().bundle(statement(IMAGE))) is Distrust.NOT_BY_SIGNER


@pytest.mark.parametrize("part", ["certificateAuthorities", "ctlogs", "tlogs"])
def test_each_part_of_the_trust_root_must_agree(part: str) -> None:
    mixed = json.loads(AUTHORITY.trust_root)
    mixed[part] = json.loads(KeylessAuthority().trust_root)[part]
    signer = KeylessSigner("ci", IDENTITY, ISSUER, compact(mixed))

    assert _reason(SIGNED, signer) is Distrust.NOT_BY_SIGNER


@pytest.mark.parametrize("late", [timedelta(hours=1), timedelta(hours=-1)])
def test_a_signature_outside_the_certificates_ten_minutes_does_not_count(late: timedelta) -> None:
    content = AUTHORITY.bundle(statement(IMAGE), logged_at=SIGNED_AT + late)

    assert _reason(content) is Distrust.NOT_BY_SIGNER


def test_a_keyless_attestation_for_another_image_does_not_count() -> None:
    other = Digest.of(b"other image")

    assert _reason(SIGNED, digest=other) is Distrust.OTHER_IMAGE
    assert _reason(AUTHORITY.message_bundle(b"image"), digest=other) is Distrust.OTHER_IMAGE


def test_a_bundle_with_a_key_is_not_by_an_identity() -> None:
    assert _reason(bundle(ecdsa_key(), statement(IMAGE))) is Distrust.NOT_BY_SIGNER


def _without_log(members: dict[str, dict[str, object]]) -> None:
    members["verificationMaterial"]["tlogEntries"] = []


def _with_another_log_entry(members: dict[str, dict[str, object]]) -> None:
    other = json.loads(AUTHORITY.bundle(statement(IMAGE)))["verificationMaterial"]
    members["verificationMaterial"]["tlogEntries"] = other["tlogEntries"]


def _with_another_certificate(members: dict[str, dict[str, object]]) -> None:
    other = json.loads(AUTHORITY.bundle(statement(IMAGE)))["verificationMaterial"]
    members["verificationMaterial"]["certificate"] = other["certificate"]


def _with_another_payload(members: dict[str, dict[str, object]]) -> None:
    members["dsseEnvelope"]["payload"] = base64(statement(IMAGE))


def _with_another_reading(members: dict[str, dict[str, object]]) -> None:
    """The spelling of protocol buffers, which the library reads and we do not."""
    members["dsse_envelope"] = members["dsseEnvelope"]
    other = json.loads(AUTHORITY.bundle(statement(IMAGE)))
    members["dsseEnvelope"] = other["dsseEnvelope"]


@pytest.mark.parametrize(
    "change",
    [
        _without_log,
        _with_another_log_entry,
        _with_another_certificate,
        _with_another_payload,
        _with_another_reading,
    ],
)
def test_a_bundle_put_together_from_several_does_not_count(
    change: Callable[[dict[str, dict[str, object]]], None],
) -> None:
    members = json.loads(SIGNED)
    change(members)

    assert _reason(compact(members)) is Distrust.NOT_BY_SIGNER


def test_what_the_library_verified_must_be_what_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def read_otherwise(*_: object) -> tuple[str, bytes]:
        return ("application/vnd.in-toto+json", statement(IMAGE))

    monkeypatch.setattr(Verifier, "verify_dsse", read_otherwise)

    assert _reason(SIGNED) is Distrust.NOT_BY_SIGNER


@pytest.mark.parametrize("trust_root", [b"", b"{}", b"\xff", AUTHORITY.trust_root[:-9]])
def test_a_trust_root_that_cannot_be_used_trusts_nobody(trust_root: bytes) -> None:
    signer = KeylessSigner("ci", IDENTITY, ISSUER, trust_root)

    assert _reason(SIGNED, signer) is Distrust.NO_SIGNER


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(SIGNED) * 8 - 1))
def test_a_changed_bit_is_refused_or_changes_nothing_that_is_signed(bit: int) -> None:
    changed = bytearray(SIGNED)
    changed[bit // 8] ^= 1 << bit % 8

    try:
        found = authenticate(bytes(changed), IMAGE, (CI,))
    except EvidenceError:
        return
    assert found.statement is not None
    assert found.statement.payload == sign_statement(IMAGE)
    assert json.loads(changed)["dsseEnvelope"] == json.loads(SIGNED)["dsseEnvelope"]
