"""Tests of who vouches for a document, and of all that must not pass for it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_promotion.errors import (
    Distrust,
    EvidenceError,
    UnreadableEvidenceError,
    UntrustedEvidenceError,
)
from image_promotion.evidence.trust.authentication import (
    Authenticated,
    authenticate,
    authenticate_simple_signing,
)
from image_promotion.evidence.trust.envelope import MAX_SIGNATURES
from image_promotion.evidence.trust.signers import KeylessSigner, Signer
from image_promotion.registry.digest import Digest
from tests.support.signatures import (
    SIGN_PREDICATE,
    SPDX_PREDICATE,
    STATEMENT_V1,
    SigningKey,
    base64,
    bundle,
    compact,
    ecdsa_key,
    ed25519_key,
    envelope,
    message_bundle,
    pre_authentication_encoding,
    rsa_key,
    sign_statement,
    simple_signing_payload,
    statement,
)

IMAGE = Digest.of(b"image")
OTHER_IMAGE = Digest.of(b"other image")
KEY, STRANGER = ecdsa_key(), ecdsa_key()
RELEASE = KEY.signer("release")
TRUSTED = (RELEASE,)
SBOM = statement(IMAGE)
KEYS = {"ECDSA": KEY, "Ed25519": ed25519_key(), "RSA": rsa_key()}


def _reason(
    content: bytes, digest: Digest = IMAGE, signers: Sequence[Signer] = TRUSTED
) -> Distrust | None:
    with pytest.raises(UntrustedEvidenceError) as refused:
        authenticate(content, digest, signers)
    assert refused.value.subject.digest == str(digest)
    return refused.value.reason


def _simple(
    payload: bytes,
    signature: bytes,
    digest: Digest = IMAGE,
    signers: Sequence[Signer] = TRUSTED,
) -> Authenticated:
    return authenticate_simple_signing(payload, base64(signature), digest, signers)


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("wrap", [lambda k, p: envelope(k, payload=p), bundle])
def test_an_attestation_counts_by_whoever_signed_it(
    kind: str, wrap: Callable[[SigningKey, bytes], bytes]
) -> None:
    signers = (STRANGER.signer("qa"), KEYS[kind].signer("release"))

    found = authenticate(wrap(KEYS[kind], SBOM), IMAGE, signers)

    assert found.signers == signers[1:]
    assert found.by == str(signers[1])
    assert not found.signs_image
    assert found.statement is not None
    assert found.statement.predicate_type == SPDX_PREDICATE


@pytest.mark.parametrize("kind", KEYS)
def test_a_simple_signing_payload_signs_the_image(kind: str) -> None:
    payload = simple_signing_payload(IMAGE, reference="registry.example.com/elsewhere")

    found = _simple(payload, KEYS[kind].sign(payload), signers=(KEYS[kind].signer(),))

    assert found.signs_image
    assert found.docker_reference == "registry.example.com/elsewhere"
    found.require_image_signature()


@pytest.mark.parametrize(
    "content",
    [bundle(KEY, sign_statement(IMAGE)), message_bundle(KEY, b"image")],
    ids=["sign predicate", "manifest itself"],
)
def test_a_bundle_by_cosign_sign_signs_the_image(content: bytes) -> None:
    found = authenticate(content, IMAGE, TRUSTED)

    assert found.signs_image
    found.require_image_signature()


def test_an_attestation_does_not_sign_the_image() -> None:
    found = authenticate(bundle(KEY, SBOM), IMAGE, TRUSTED)

    with pytest.raises(UntrustedEvidenceError) as refused:
        found.require_image_signature()
    assert refused.value.reason is Distrust.NOT_IMAGE_SIGNATURE


def test_a_signature_of_an_index_is_none_of_its_images() -> None:
    index, child = Digest.of(b"index"), Digest.of(b"child")

    assert _reason(bundle(KEY, sign_statement(index)), child) is Distrust.OTHER_IMAGE


def test_all_trusted_signers_of_an_envelope_are_named() -> None:
    signers = (RELEASE, STRANGER.signer("qa"))

    found = authenticate(envelope(STRANGER, KEY, payload=SBOM), IMAGE, signers)

    assert found.signers == signers
    assert " and " in found.by


def test_one_signature_by_a_trusted_signer_is_enough() -> None:
    assert authenticate(envelope(STRANGER, KEY, payload=SBOM), IMAGE, TRUSTED).signers == TRUSTED


def test_both_versions_of_statements_and_both_digests_of_images_count() -> None:
    long = Digest.of(b"image", "sha512")

    assert authenticate(envelope(KEY, payload=statement(IMAGE, long)), long, TRUSTED).signers
    content = envelope(KEY, payload=statement(IMAGE, version=STATEMENT_V1))
    assert authenticate(content, IMAGE, TRUSTED).signers


@pytest.mark.parametrize("wrap", [lambda k, p: envelope(k, payload=p), bundle])
def test_another_key_does_not_count(wrap: Callable[[SigningKey, bytes], bytes]) -> None:
    assert _reason(wrap(STRANGER, SBOM)) is Distrust.NOT_BY_SIGNER


def test_an_attestation_for_another_image_does_not_count() -> None:
    assert _reason(bundle(KEY, SBOM), OTHER_IMAGE) is Distrust.OTHER_IMAGE
    assert _reason(envelope(KEY, payload=statement())) is Distrust.OTHER_IMAGE
    assert _reason(message_bundle(KEY, b"other image")) is Distrust.OTHER_IMAGE


def test_the_digest_beside_a_message_signature_is_not_believed() -> None:
    lying = json.loads(message_bundle(KEY, b"other image"))
    lying["messageSignature"]["messageDigest"]["digest"] = base64(hashlib.sha256(b"image").digest())

    assert _reason(compact(lying)) is Distrust.NOT_BY_SIGNER
    del lying["messageSignature"]["messageDigest"]
    assert _reason(compact(lying)) is Distrust.NOT_BY_SIGNER


def test_a_signature_of_another_image_does_not_count() -> None:
    payload = simple_signing_payload(OTHER_IMAGE)

    with pytest.raises(UntrustedEvidenceError) as refused:
        _simple(payload, KEY.sign(payload))
    assert refused.value.reason is Distrust.OTHER_IMAGE


def test_a_signed_payload_of_another_type_signs_no_image() -> None:
    payload = simple_signing_payload(IMAGE, kind="atomic container signature")

    with pytest.raises(UntrustedEvidenceError) as refused:
        _simple(payload, KEY.sign(payload))
    assert refused.value.reason is Distrust.OTHER_PAYLOAD


@pytest.mark.parametrize(
    ("signature", "reason"),
    [
        ("", Distrust.NO_SIGNATURE),
        ("*", Distrust.NOT_BY_SIGNER),
        (base64(STRANGER.sign(simple_signing_payload(IMAGE))), Distrust.NOT_BY_SIGNER),
        (base64(KEY.sign(simple_signing_payload(IMAGE))) + "\n", Distrust.NOT_BY_SIGNER),
    ],
    # A signature is another one each time, and processes that share the tests know them by name.
    ids=["none", "no base64", "a stranger's", "with a line break"],
)
def test_a_payload_without_its_signature_does_not_count(signature: str, reason: Distrust) -> None:
    with pytest.raises(UntrustedEvidenceError) as refused:
        authenticate_simple_signing(simple_signing_payload(IMAGE), signature, IMAGE, TRUSTED)
    assert refused.value.reason is reason


@pytest.mark.parametrize(
    "content",
    [SBOM, b'{"bomFormat": "CycloneDX"}', b"<bom/>", b"", envelope(payload=SBOM)],
    ids=["bare statement", "bare report", "xml", "empty", "no signatures"],
)
def test_what_nobody_signed_does_not_count(content: bytes) -> None:
    assert _reason(content) is Distrust.NO_SIGNATURE


def test_a_bundle_without_its_signatures_does_not_count() -> None:
    stripped = json.loads(bundle(KEY, SBOM))
    stripped["dsseEnvelope"]["signatures"] = []

    assert _reason(compact(stripped)) is Distrust.NO_SIGNATURE


@pytest.mark.parametrize("material", [None, {}, {"publicKey": {}, "certificate": {}}])
def test_a_bundle_without_its_verification_material_is_unreadable(material: object) -> None:
    stripped = {**json.loads(bundle(KEY, SBOM)), "verificationMaterial": material}

    with pytest.raises(UnreadableEvidenceError):
        authenticate(compact(stripped), IMAGE, TRUSTED)


@pytest.mark.parametrize("missing", ["dsseEnvelope", "messageSignature"])
def test_a_bundle_with_both_contents_or_none_is_unreadable(missing: str) -> None:
    both = {**json.loads(bundle(KEY, SBOM)), **json.loads(message_bundle(KEY, b"image"))}
    none = {k: v for k, v in json.loads(bundle(KEY, SBOM)).items() if k != "dsseEnvelope"}

    for content in (both, none):
        with pytest.raises(UnreadableEvidenceError, match=missing):
            authenticate(compact(content), IMAGE, TRUSTED)


def test_a_bundle_has_one_signature_and_an_envelope_not_too_many() -> None:
    twice = json.loads(bundle(KEY, SBOM))
    twice["dsseEnvelope"]["signatures"] *= 2
    many = json.loads(envelope(KEY, payload=SBOM))
    many["signatures"] *= MAX_SIGNATURES + 1

    for content in (twice, many):
        with pytest.raises(UnreadableEvidenceError, match="signatures"):
            authenticate(compact(content), IMAGE, TRUSTED)


def test_another_payload_type_does_not_count_even_when_signed() -> None:
    content = envelope(KEY, payload=SBOM, payload_type="application/json")

    assert _reason(content) is Distrust.OTHER_PAYLOAD


def test_the_payload_type_is_signed_with_the_payload() -> None:
    """Otherwise whoever gets a text signed could present it as a statement."""
    content = envelope(KEY, payload=SBOM, payload_type="application/json").replace(
        b"application/json", b"application/vnd.in-toto+json"
    )

    assert _reason(content) is Distrust.NOT_BY_SIGNER


def test_a_signature_over_the_payload_alone_does_not_count() -> None:
    unwrapped = json.loads(envelope(payload=SBOM))
    unwrapped["signatures"] = [{"sig": base64(KEY.sign(SBOM))}]

    assert _reason(compact(unwrapped)) is Distrust.NOT_BY_SIGNER


def test_lengths_bind_type_and_payload_where_they_meet() -> None:
    """The pre-authentication encoding of one pair must not be that of another."""
    moved = json.loads(envelope(KEY, payload=b" " + SBOM))
    moved["payloadType"] += " "
    moved["payload"] = base64(SBOM)

    assert _reason(compact(moved)) is Distrust.NOT_BY_SIGNER


@pytest.mark.parametrize("claimed", KEYS)
def test_nothing_in_a_document_chooses_the_algorithm(claimed: str) -> None:
    """A key identifier, a hint or an `alg` of another key changes nothing."""
    other = KEYS[claimed]
    signed = pre_authentication_encoding("application/vnd.in-toto+json", SBOM)
    told = json.loads(bundle(other, SBOM))
    told["verificationMaterial"]["publicKey"] = {"hint": KEY.hint, "alg": "none"}
    told["dsseEnvelope"]["signatures"] = [
        {"sig": base64(other.sign(signed)), "keyid": KEY.hint, "alg": "RS256"}
    ]

    if other is KEY:
        assert authenticate(compact(told), IMAGE, TRUSTED).signers == TRUSTED
    else:
        assert _reason(compact(told)) is Distrust.NOT_BY_SIGNER


@pytest.mark.parametrize("name", ["payload", "payloadType", "signatures"])
def test_a_key_that_stands_twice_is_refused(name: str) -> None:
    content = envelope(KEY, payload=SBOM)
    twice = content.replace(b"{", b'{"%b":"",' % name.encode(), 1)

    with pytest.raises(UnreadableEvidenceError, match="twice"):
        authenticate(twice, IMAGE, TRUSTED)


def test_a_key_that_some_programs_read_as_another_is_refused() -> None:
    content = envelope(KEY, payload=SBOM).replace(b"{", b'{"Payload":"",', 1)

    with pytest.raises(UnreadableEvidenceError, match="Payload"):
        authenticate(content, IMAGE, TRUSTED)


def test_a_signed_document_that_is_no_statement_is_unreadable() -> None:
    with pytest.raises(UnreadableEvidenceError):
        authenticate(envelope(KEY, payload=b"{}"), IMAGE, TRUSTED)


def test_nobody_trusted_means_that_nothing_counts() -> None:
    assert _reason(bundle(KEY, SBOM), signers=()) is Distrust.NO_SIGNER


def test_a_keyless_signer_is_not_satisfied_by_a_key() -> None:
    keyless = KeylessSigner("ci", "ci@example.com", "https://tokens.example.com", b"{}")
    payload = simple_signing_payload(IMAGE)

    assert _reason(bundle(KEY, SBOM), signers=(keyless,)) is Distrust.NOT_BY_SIGNER
    with pytest.raises(UntrustedEvidenceError):
        _simple(payload, KEY.sign(payload), signers=(keyless,))


def test_a_refusal_names_the_signers_and_says_what_an_ed25519_key_needs() -> None:
    with pytest.raises(UntrustedEvidenceError) as refused:
        authenticate(bundle(STRANGER, SBOM), IMAGE, (RELEASE, KEYS["Ed25519"].signer("qa")))

    assert str(RELEASE) in str(refused.value)
    assert "Ed25519ph" in refused.value.advice


def _flipped(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_every_changed_bit_of_an_envelope_is_refused() -> None:
    content = envelope(KEY, payload=sign_statement(IMAGE))

    for bit in range(len(content) * 8):
        with pytest.raises(EvidenceError):
            authenticate(_flipped(content, bit), IMAGE, TRUSTED)


def test_every_changed_bit_of_a_simple_signing_payload_or_its_signature_is_refused() -> None:
    payload = simple_signing_payload(IMAGE)
    signature = base64(KEY.sign(payload)).encode()

    for bit in range(len(payload) * 8):
        with pytest.raises(EvidenceError):
            authenticate_simple_signing(_flipped(payload, bit), signature.decode(), IMAGE, TRUSTED)
    for bit in range(len(signature) * 8):
        changed = _flipped(signature, bit).decode("latin-1")
        with pytest.raises(EvidenceError):
            authenticate_simple_signing(payload, changed, IMAGE, TRUSTED)


def test_every_changed_bit_of_a_bundle_is_refused_but_in_the_hint() -> None:
    content = bundle(KEY, statement(IMAGE, predicate_type=SIGN_PREDICATE))
    start = content.index(b"hint")
    hint = range(start, start + len(b'hint":"') + len(KEY.hint))

    for bit in range(len(content) * 8):
        if bit // 8 not in hint:
            with pytest.raises(EvidenceError):
                authenticate(_flipped(content, bit), IMAGE, TRUSTED)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_with_one_of_the_two_errors(content: bytes) -> None:
    with pytest.raises((UntrustedEvidenceError, UnreadableEvidenceError)):
        authenticate(content, IMAGE, TRUSTED)
    with pytest.raises((UntrustedEvidenceError, UnreadableEvidenceError)):
        _simple(content, content)
    # What a trusted signer signed may be anything, too.
    with pytest.raises((UntrustedEvidenceError, UnreadableEvidenceError)):
        authenticate(envelope(KEY, payload=content), IMAGE, TRUSTED)
    with pytest.raises((UntrustedEvidenceError, UnreadableEvidenceError)):
        _simple(content, KEY.sign(content))
