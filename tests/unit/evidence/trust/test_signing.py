"""Private keys as people put them into connections, and what must never be told of them."""

from __future__ import annotations

import base64
import json
import traceback

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

from image_promotion.errors import ConnectionSettingsError
from image_promotion.evidence.trust.authentication import authenticate
from image_promotion.evidence.trust.keys import read_public_key
from image_promotion.evidence.trust.sealing import seal
from image_promotion.evidence.trust.signers import KeySigner
from image_promotion.evidence.trust.signing import PrivateSigningKey, signing_key_of
from image_promotion.registry.digest import Digest
from tests.support.signatures import PrivateKey, rsa_key, statement

IMAGE = Digest.of(b"image")
PASSPHRASE = "correct horse canary"

KEYS: dict[str, PrivateKey] = {
    "ECDSA P-256": ec.generate_private_key(ec.SECP256R1()),
    "ECDSA P-384": ec.generate_private_key(ec.SECP384R1()),
    "ECDSA P-521": ec.generate_private_key(ec.SECP521R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate(),
    "RSA 2048": rsa_key().private,
}
P256 = KEYS["ECDSA P-256"]


def pem_of(
    key: PrivateKey,
    *,
    form: PrivateFormat = PrivateFormat.PKCS8,
    encryption: KeySerializationEncryption | None = None,
) -> str:
    return key.private_bytes(Encoding.PEM, form, encryption or NoEncryption()).decode()


def key_of(password: str | None, **extra: object) -> PrivateSigningKey:
    return signing_key_of("signing", conn_type="signing_key", password=password, extra=extra)


def refusal(password: str | None, **extra: object) -> ConnectionSettingsError:
    with pytest.raises(ConnectionSettingsError) as caught:
        key_of(password, **extra)
    assert "connection signing" in str(caught.value)
    return caught.value


@pytest.mark.parametrize("kind", KEYS)
def test_what_a_key_seals_is_believed_by_whoever_has_its_public_half(kind: str) -> None:
    key = key_of(pem_of(KEYS[kind]))
    payload = statement(IMAGE)

    bundle = seal(payload, key)

    public = read_public_key(key.public_key_pem)
    believed = authenticate(bundle, IMAGE, [KeySigner("us", public)])
    assert believed.statement is not None
    assert believed.statement.payload == payload
    assert (key.public.kind, key.key_id) == (kind, public.id)
    assert json.loads(bundle)["verificationMaterial"] == {"publicKey": {"hint": public.hint}}


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_whatever_the_curve_it_signs_over_sha256_which_cosign_expects(
    curve: ec.EllipticCurve,
) -> None:
    private = ec.generate_private_key(curve)
    signature = key_of(pem_of(private)).sign(b"message")
    private.public_key().verify(signature, b"message", ec.ECDSA(SHA256()))


@pytest.mark.parametrize("kind", KEYS)
def test_the_same_statement_is_sealed_to_the_same_bytes(kind: str) -> None:
    pem = pem_of(KEYS[kind])
    assert seal(statement(IMAGE), key_of(pem)) == seal(statement(IMAGE), key_of(pem))


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(lambda pem: pem.replace("\n", ""), id="as a form leaves it"),
        pytest.param(lambda pem: pem.replace("\n", " "), id="with blanks for its lines"),
        pytest.param(lambda pem: pem.replace("\n", "\\n"), id="with its line breaks spelled out"),
        pytest.param(lambda pem: pem.replace("\n", "\r\n"), id="from Windows"),
        pytest.param(lambda pem: f"  \n{pem}\n\n", id="with blanks around it"),
        pytest.param(
            lambda pem: (
                "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
                + pem
            ),
            id="after its parameters, as openssl ecparam writes it",
        ),
    ],
)
def test_a_key_is_read_however_it_came_into_the_field(written: object) -> None:
    pem = pem_of(P256, form=PrivateFormat.TraditionalOpenSSL)
    assert callable(written)
    assert key_of(written(pem)).public == key_of(pem).public
    assert key_of(written(pem_of(P256))).public == key_of(pem).public


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_an_encrypted_key_is_opened_by_its_passphrase_alone(form: PrivateFormat) -> None:
    encryption = BestAvailableEncryption(PASSPHRASE.encode())
    pem = pem_of(P256, form=form, encryption=encryption)

    assert key_of(pem, passphrase=PASSPHRASE).public == key_of(pem_of(P256)).public
    missing, wrong = refusal(pem), refusal(pem, passphrase="another canary")
    assert (missing.field, wrong.field) == ("passphrase", "passphrase")
    assert "canary" not in str(wrong)


def test_a_passphrase_beside_a_key_that_is_not_encrypted_does_no_harm() -> None:
    assert key_of(pem_of(P256), passphrase=PASSPHRASE).public == key_of(pem_of(P256)).public


def test_a_connection_of_another_type_is_refused_whatever_it_holds() -> None:
    with pytest.raises(ConnectionSettingsError) as caught:
        signing_key_of(
            "qa_registry", conn_type="container_registry", password=pem_of(P256), extra={}
        )
    assert caught.value.field == "conn_type"


_COSIGN = base64.b64encode(b'{"kdf":{"name":"scrypt"},"cipher":{"name":"nacl/secretbox"}}').decode()


@pytest.mark.parametrize(
    "password",
    [
        pytest.param(None, id="nothing"),
        pytest.param("canary-secret", id="a password"),
        pytest.param(
            "-----BEGIN PRIVATE KEY-----\nY2FuYXJ5\n-----END PRIVATE KEY-----", id="a broken key"
        ),
        pytest.param(
            "-----BEGIN PRIVATE KEY-----\n!canary!\n-----END PRIVATE KEY-----", id="no base64"
        ),
        pytest.param(key_of(pem_of(P256)).public_key_pem.decode(), id="the public half instead"),
        pytest.param(pem_of(ec.generate_private_key(ec.SECP256K1())), id="an unusual curve"),
        pytest.param(
            pem_of(rsa.generate_private_key(public_exponent=65537, key_size=1024)),  # noqa: S505 - meant to be
            id="a weak key",
        ),
        pytest.param(
            "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n"
            f"{_COSIGN}\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----",
            id="cosign's own encryption",
        ),
    ],
)
def test_what_is_no_usable_key_is_refused_and_its_text_never_told(password: str | None) -> None:
    error = refusal(password)

    assert error.field == "password"
    assert not error.retryable
    told = "".join(traceback.format_exception(error))
    assert "canary" not in told
    for line in (password or "").splitlines():
        if line and not line.startswith("-----"):
            assert line not in told
    assert error.advice


def test_a_key_does_not_show_itself() -> None:
    key = key_of(pem_of(P256))
    secret = pem_of(P256).splitlines()[1]
    assert secret not in repr(key)
    assert "EllipticCurvePrivateKey" not in repr(key)


def test_of_a_key_in_cosigns_encryption_the_advice_says_how_to_go_on() -> None:
    pem = (
        "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n"
        f"{_COSIGN}\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----"
    )
    assert "docs/how-to" in refusal(pem).advice
