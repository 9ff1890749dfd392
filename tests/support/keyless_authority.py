"""A sigstore instance of our own: it certifies identities, logs, and gives its trust root.

Fulcio's, the certificate log's and Rekor's parts are played with keys made here, after their
specifications, so that keyless bundles can be verified offline and for real.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from image_promotion.evidence.trust.envelope import PAYLOAD_TYPE
from tests.support.signatures import BUNDLE_TYPE, SigningKey, base64, compact, envelope_members

IDENTITY = "https://git.example.com/acme/website/.ci/release.yml@refs/heads/main"
ISSUER = "https://tokens.example.com"
SIGNED_AT = datetime(2026, 1, 15, 12, tzinfo=UTC)

_SCT_LIST = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_ISSUER_V1 = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_ISSUER_V2 = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
_VALID = timedelta(minutes=10)
_ORIGIN = "rekor.example.com - 1"
_LONG = 128


class KeylessAuthority:
    """A certificate authority, a certificate log and a transparency log."""

    def __init__(self) -> None:
        self._ca = ec.generate_private_key(ec.SECP256R1())
        self._certificate_log = SigningKey(ec.generate_private_key(ec.SECP256R1()))
        self._transparency_log = SigningKey(ec.generate_private_key(ec.SECP256R1()))
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sigstore.example.com")])
        self._root = self._make_root()

    @property
    def trust_root(self) -> bytes:
        """The trust root, as its operator would hand it out."""
        valid = {"start": "2025-01-01T00:00:00Z"}
        return compact(
            {
                "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
                "tlogs": [_log(self._transparency_log, "https://rekor.example.com", valid)],
                "certificateAuthorities": [
                    {
                        "subject": {"organization": "example", "commonName": "sigstore"},
                        "uri": "https://fulcio.example.com",
                        "certChain": {
                            "certificates": [
                                {"rawBytes": base64(self._root.public_bytes(Encoding.DER))}
                            ]
                        },
                        "validFor": valid,
                    }
                ],
                "ctlogs": [_log(self._certificate_log, "https://ctlog.example.com", valid)],
                "timestampAuthorities": [],
            }
        )

    def bundle(
        self,
        payload: bytes,
        *,
        payload_type: str = PAYLOAD_TYPE,
        identity: str = IDENTITY,
        issuer: str = ISSUER,
        logged_at: datetime = SIGNED_AT,
    ) -> bytes:
        """Sign a payload in an envelope, keyless.

        Args:
            payload: Such as a statement.
            payload_type: What it is.
            identity: Whom the certificate names; it is valid for ten minutes from `SIGNED_AT`.
            issuer: Who vouches for the identity.
            logged_at: When the signature is logged.
        """
        key = SigningKey(ec.generate_private_key(ec.SECP256R1()))
        certificate = self._certify(key, identity, issuer)
        envelope = envelope_members([key], payload, payload_type)
        signatures = envelope["signatures"]
        assert isinstance(signatures, list)
        body = {
            "apiVersion": "0.0.1",
            "kind": "dsse",
            "spec": {
                "envelopeHash": _hash(compact(envelope)),
                "payloadHash": _hash(payload),
                "signatures": [{"signature": signatures[0]["sig"], "verifier": _pem(certificate)}],
            },
        }
        return self._bundle(certificate, body, logged_at, {"dsseEnvelope": envelope})

    def message_bundle(self, message: bytes) -> bytes:
        """Sign bytes that are elsewhere, keyless."""
        key = SigningKey(ec.generate_private_key(ec.SECP256R1()))
        certificate = self._certify(key, IDENTITY, ISSUER)
        signature = base64(key.sign(message))
        body = {
            "apiVersion": "0.0.1",
            "kind": "hashedrekord",
            "spec": {
                "data": {"hash": _hash(message)},
                "signature": {"content": signature, "publicKey": {"content": _pem(certificate)}},
            },
        }
        digest = {"algorithm": "SHA2_256", "digest": base64(hashlib.sha256(message).digest())}
        signed = {"messageSignature": {"messageDigest": digest, "signature": signature}}
        return self._bundle(certificate, body, SIGNED_AT, signed)

    def _bundle(
        self,
        certificate: x509.Certificate,
        body: Mapping[str, object],
        logged_at: datetime,
        signed: Mapping[str, object],
    ) -> bytes:
        return compact(
            {
                "mediaType": BUNDLE_TYPE,
                "verificationMaterial": {
                    "certificate": {"rawBytes": base64(certificate.public_bytes(Encoding.DER))},
                    "tlogEntries": [self._entry(body, logged_at)],
                },
                **signed,
            }
        )

    def _make_root(self) -> x509.Certificate:
        public = self._ca.public_key()
        return (
            x509.CertificateBuilder()
            .subject_name(self._name)
            .issuer_name(self._name)
            .public_key(public)
            .serial_number(1)
            .not_valid_before(SIGNED_AT - timedelta(days=365))
            .not_valid_after(SIGNED_AT + timedelta(days=3650))
            .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
            .add_extension(_key_usage(certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .sign(self._ca, SHA256())
        )

    def _certify(self, key: SigningKey, identity: str, issuer: str) -> x509.Certificate:
        """Issue a certificate as Fulcio does, with the certificate log's promise in it."""
        name: x509.GeneralName = (
            x509.UniformResourceIdentifier(identity)
            if "://" in identity
            else x509.RFC822Name(identity)
        )
        assert isinstance(key.private, ec.EllipticCurvePrivateKey)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self._name)
            .public_key(key.private.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(SIGNED_AT)
            .not_valid_after(SIGNED_AT + _VALID)
            .add_extension(_key_usage(certificates=False), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._ca.public_key()),
                critical=False,
            )
            .add_extension(x509.SubjectAlternativeName([name]), critical=True)
            .add_extension(x509.UnrecognizedExtension(_ISSUER_V1, issuer.encode()), critical=False)
            .add_extension(
                x509.UnrecognizedExtension(_ISSUER_V2, _der(0x0C, issuer.encode())), critical=False
            )
        )
        precertificate = builder.sign(self._ca, SHA256())
        promise = self._certificate_timestamp(precertificate.tbs_certificate_bytes)
        return builder.add_extension(
            x509.UnrecognizedExtension(_SCT_LIST, _der(0x04, promise)), critical=False
        ).sign(self._ca, SHA256())

    def _certificate_timestamp(self, precertificate: bytes) -> bytes:
        """Promise to log a certificate: a list of one signed certificate timestamp.

        Source: RFC 6962, sections 3.2 and 3.3.
        """
        issuer_key = self._ca.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )
        at = int(SIGNED_AT.timestamp() * 1000)
        signature = self._certificate_log.sign(
            struct.pack("!BBQH", 0, 0, at, 1)
            + hashlib.sha256(issuer_key).digest()
            + len(precertificate).to_bytes(3, "big")
            + precertificate
            + struct.pack("!H", 0)
        )
        timestamp = (
            struct.pack("!B32sQH", 0, _key_id(self._certificate_log), at, 0)
            + struct.pack("!BBH", 4, 3, len(signature))
            + signature
        )
        listed = struct.pack("!H", len(timestamp)) + timestamp
        return struct.pack("!H", len(listed)) + listed

    def _entry(self, members: Mapping[str, object], logged_at: datetime) -> dict[str, object]:
        """Log an entry as Rekor does, as the only one of the log.

        Source: RFC 6962, section 2.1; the log's checkpoint is a signed note.
        """
        body, at = compact(members), int(logged_at.timestamp())
        key_id = _key_id(self._transparency_log)
        root = hashlib.sha256(b"\x00" + body).digest()
        note = f"{_ORIGIN}\n1\n{base64(root)}\n"
        signed_note = base64(key_id[:4] + self._transparency_log.sign(note.encode()))
        promise = compact(
            {"body": base64(body), "integratedTime": at, "logID": key_id.hex(), "logIndex": 0}
        )
        return {
            "logIndex": "0",
            "logId": {"keyId": base64(key_id)},
            "kindVersion": {"kind": members["kind"], "version": members["apiVersion"]},
            "integratedTime": str(at),
            "inclusionPromise": {
                "signedEntryTimestamp": base64(self._transparency_log.sign(promise))
            },
            "inclusionProof": {
                "logIndex": "0",
                "rootHash": base64(root),
                "treeSize": "1",
                "hashes": [],
                "checkpoint": {
                    "envelope": f"{note}\n\N{EM DASH} rekor.example.com {signed_note}\n"
                },
            },
            "canonicalizedBody": base64(body),
        }


def _log(key: SigningKey, url: str, valid: dict[str, str]) -> dict[str, object]:
    return {
        "baseUrl": url,
        "hashAlgorithm": "SHA2_256",
        "publicKey": {
            "rawBytes": base64(_public(key)),
            "keyDetails": "PKIX_ECDSA_P256_SHA_256",
            "validFor": valid,
        },
        "logId": {"keyId": base64(_key_id(key))},
    }


def _public(key: SigningKey) -> bytes:
    return key.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _key_id(key: SigningKey) -> bytes:
    return hashlib.sha256(_public(key)).digest()


def _hash(content: bytes) -> dict[str, str]:
    return {"algorithm": "sha256", "value": hashlib.sha256(content).hexdigest()}


def _pem(certificate: x509.Certificate) -> str:
    return base64(certificate.public_bytes(Encoding.PEM))


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < _LONG:
        return bytes((tag, size)) + content
    encoded = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, _LONG | len(encoded))) + encoded + content


def _key_usage(*, certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificates,
        crl_sign=certificates,
        encipher_only=False,
        decipher_only=False,
    )
