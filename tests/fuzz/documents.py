"""Parsers of documents: policies, reports, statements, manifests, deliveries, connections."""

from __future__ import annotations

import json
import tempfile
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC
from functools import cache
from pathlib import Path

import httpx
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)
from pydantic import TypeAdapter

from image_promotion.errors import (
    ConnectionSettingsError,
    NotificationError,
    PolicyError,
    PromotionError,
    UnreadableEvidenceError,
)
from image_promotion.evidence.document import kind_of
from image_promotion.evidence.formats.recognition import read_predicate
from image_promotion.evidence.formats.text import read_json_report
from image_promotion.evidence.sources.artifact import moment_of
from image_promotion.evidence.summary import read_evidence, summarise
from image_promotion.evidence.trust.keys import read_public_key
from image_promotion.evidence.trust.signing import signing_key_of
from image_promotion.evidence.trust.simple_signing import read_simple_signing
from image_promotion.evidence.trust.statement import open_statement, unwrap
from image_promotion.moving.dtr import read_dtr
from image_promotion.moving.harbor import read_harbor
from image_promotion.moving.policy_file import make_files
from image_promotion.moving.regsync import read_regsync
from image_promotion.policy.exceptions import read_exception_entries
from image_promotion.policy.loading import check_policy_file
from image_promotion.policy.yaml_document import read_document
from image_promotion.promotion.creation import created_of
from image_promotion.registry.answers import Answer
from image_promotion.registry.digest import Digest
from image_promotion.registry.endpoint import RegistryEndpoint
from image_promotion.registry.failures import Attempt
from image_promotion.registry.layout_index import LayoutIndex
from image_promotion.registry.manifest import OCI_INDEX, OCI_MANIFEST, parse_manifest
from image_promotion.registry.products import docker_hub, dtr, harbor
from image_promotion.registry.products.api import read
from image_promotion.web.notifications.reading import read_notification
from sandbox.sample_evidence import demo_key, public_key_of
from tests.fuzz.harness import Target
from tests.support import policies, sboms, scans
from tests.support.signatures import (
    compact,
    sign_statement,
    simple_signing_payload,
    statement,
)
from tests.unit.web.notifications import deliveries

_POLICIES = Path(__file__).resolve().parents[2] / "include" / "policies"
_IMAGE = Digest("sha256", "5b" * 32)
_ATTEMPT = Attempt("asking", "GET", httpx.URL("https://registry.example.com/"))


@cache
def _folder() -> Path:
    """A folder for files, with what the example policies find beside them."""
    folder = tempfile.TemporaryDirectory(prefix="fuzz-", ignore_cleanup_errors=True)
    _FOLDERS.append(folder)
    path = Path(folder.name)
    keys = path / "keys"
    keys.mkdir()
    (keys / "demo-scanner.pub").write_bytes(public_key_of(demo_key()))
    return path


_FOLDERS: list[tempfile.TemporaryDirectory[str]] = []


def _file(name: str, content: bytes) -> Path:
    path = _folder() / name
    path.write_bytes(content)
    return path


def _policy(content: bytes) -> None:
    policy, faults = check_policy_file(_file("policy.yaml", content))
    _told(faults)
    assert (policy is None) == bool(faults)


def _exceptions(content: bytes) -> None:
    _told(read_exception_entries(_file("exceptions.yaml", content))[1])


def _told(faults: tuple[PolicyError, ...]) -> None:
    """Raise the first fault, once it is sure that all can be shown."""
    for fault in faults:
        str(fault).encode()
    if faults:
        raise faults[0]


def _evidence(content: bytes) -> None:
    kind_of(content)
    summarise(read_evidence(content))


def _predicate(predicate_type: str) -> Callable[[bytes], None]:
    def read_one(content: bytes) -> None:
        summarise(read_predicate(predicate_type, read_json_report(content)))

    return read_one


def _statement(content: bytes) -> None:
    kind_of(content)
    open_statement(content)


def _manifest(content: bytes) -> None:
    manifest = parse_manifest(content, None)
    assert parse_manifest(content, manifest.media_type) == manifest


def _product(adapter: TypeAdapter[object]) -> Callable[[bytes], None]:
    def read_one(content: bytes) -> None:
        read(_ATTEMPT, Answer(200, httpx.Headers(), content, None), adapter)

    return read_one


def _connection(content: bytes) -> None:
    fields = _object(content)
    host, login, password = (_text_or_none(fields.get(n)) for n in ("host", "login", "password"))
    port, extra = fields.get("port"), fields.get("extra")
    endpoint = RegistryEndpoint.from_fields(
        "fuzz",
        host=host,
        port=port if isinstance(port, int) else None,
        login=login,
        password=password,
        extra=extra if isinstance(extra, dict) else {},
    )
    httpx.URL(endpoint.url)


def _image_config(content: bytes) -> None:
    created = created_of(content)
    if created is None:
        raise PolicyError("it has no time")
    assert created.tzinfo is UTC


def _annotated_time(content: bytes) -> None:
    moment = moment_of(content.decode("utf-8", "replace"))
    assert moment is None or moment.tzinfo is UTC


def _signing_key(content: bytes) -> None:
    fields = _object(content)
    extra = fields.get("extra")
    key = signing_key_of(
        "fuzz",
        conn_type="signing_key",
        password=_text_or_none(fields.get("password")),
        extra=extra if isinstance(extra, dict) else {},
    )
    key.sign(b"message")


def _object(content: bytes) -> dict[str, object]:
    """Read what Airflow would take for a connection's extras; other texts are its own to refuse."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        document = None
    return document if isinstance(document, dict) else {"host": content.decode("utf-8", "replace")}


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _dtr_policies(content: bytes) -> None:
    make_files(read_dtr([_json(content)], local="dtr").drafts)


def _harbor_rules(content: bytes) -> None:
    make_files(read_harbor([_json(content)], local="harbor").drafts)


def _json(content: bytes) -> object:
    """Read a file that somebody exported; one that is no JSON is refused before it is read here."""
    try:
        document: object = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise PolicyError("it is no JSON") from error
    return document


def _regsync(content: bytes) -> None:
    document = read_document(_file("regsync.yml", content))
    make_files(read_regsync(document.content).drafts)


def _of(document: object) -> bytes:
    return json.dumps(document).encode()


def _wrapped(payload: bytes) -> dict[str, object]:
    return {
        "payload": b64encode(payload).decode(),
        "payloadType": "application/vnd.in-toto+json",
        "signatures": [{"sig": b64encode(b"s" * 64).decode(), "keyid": ""}],
    }


_STATEMENTS = (
    sign_statement(_IMAGE),
    statement(_IMAGE, predicate=sboms.spdx2(1)),
    compact(_wrapped(sign_statement(_IMAGE))),
    compact(
        {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {"publicKey": {"hint": "aGludA=="}},
            "dsseEnvelope": _wrapped(statement(_IMAGE, predicate=sboms.spdx2(1))),
        }
    ),
)
_WRAPPINGS = (
    *_STATEMENTS,
    compact(
        {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {"publicKey": {"hint": "aGludA=="}},
            "messageSignature": {
                "messageDigest": {"algorithm": "SHA2_256", "digest": b64encode(b"d" * 32).decode()},
                "signature": b64encode(b"s" * 64).decode(),
            },
        }
    ),
)

_REPORTS: dict[str, tuple[bytes, ...]] = {
    "trivy": (
        _of(
            scans.trivy(
                scans.trivy_result(
                    scans.trivy_vulnerability(),
                    Packages=[{"Name": "a", "Version": "1", "Epoch": 1, "Licenses": ["MIT"]}],
                    Licenses=[{"PkgName": "a", "Name": "MIT"}],
                )
            )
        ),
    ),
    "grype": (_of(scans.grype(scans.grype_match(), ignoredMatches=[scans.grype_match()])),),
    "sarif": (
        _of(scans.sarif("Trivy", [scans.trivy_rule()], [scans.trivy_sarif_result()])),
        _of(scans.sarif("grype", [scans.grype_rule()], [scans.grype_sarif_result()])),
    ),
    "openvex": (_of(scans.openvex(scans.vex_statement())),),
    "harbor": (
        _of(
            {
                "application/vnd.security.vulnerability.report; version=1.1": scans.harbor(
                    scans.harbor_vulnerability(), artifact={"digest": scans.IMAGE_DIGEST}
                )
            }
        ),
    ),
    "dtr": (_of({"digest": scans.IMAGE_DIGEST, "vuln_summary": scans.dtr_scan()}),),
    **{name: (content,) for name, content in sboms.in_each_format(2).items()},
}

_PREDICATES = {
    "cosign's": (
        "https://cosign.sigstore.dev/attestation/vuln/v1",
        scans.cosign_predicate(scans.grype(scans.grype_match())),
    ),
    "in-toto's": (
        "https://in-toto.io/attestation/vulns/v0.2",
        scans.in_toto_predicate({"id": "CVE-1", "severity": [{"method": "nvd", "score": "1.0"}]}),
    ),
}

_DELIVERIES = {
    "distribution": (_of(deliveries.distribution()),),
    "docker_hub": (_of(deliveries.docker_hub()),),
    "harbor": (_of(deliveries.harbor()), _of(deliveries.harbor_cloud_event())),
    "dtr": (_of(deliveries.dtr()),),
    "plain": (
        _of({"repository": "dev/website", "tag": "1.0", "digest": deliveries.DIGEST}),
        _of([{"repository": "dev/website"}, {"repository": "dev/shop", "tag": "2"}]),
    ),
}

_CONFIG = {
    "mediaType": "application/vnd.oci.image.config.v1+json",
    "digest": str(_IMAGE),
    "size": 7,
}
_MANIFEST = _of(
    {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": _CONFIG,
        "layers": [{**_CONFIG, "urls": ["https://example.com/a"], "annotations": {"a": "b"}}],
        "subject": {**_CONFIG, "mediaType": OCI_MANIFEST},
        "annotations": {"org.opencontainers.image.created": "2026-11-24T12:00:00Z"},
    }
)
_INDEX = _of(
    {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [
            {
                "mediaType": OCI_MANIFEST,
                "digest": str(_IMAGE),
                "size": 7,
                "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"},
                "annotations": {"org.opencontainers.image.ref.name": "1.0"},
            }
        ],
    }
)

_PRODUCT_ANSWERS: dict[str, tuple[TypeAdapter[object], bytes]] = {
    "docker hub's tags": (
        docker_hub._PAGE,  # type: ignore[dict-item]
        _of({"next": None, "results": [{"name": "1", "digest": str(_IMAGE)}]}),
    ),
    "harbor's artifacts": (
        harbor._ARTIFACTS,  # type: ignore[dict-item]
        _of([{"digest": str(_IMAGE), "push_time": "2026-11-24T12:00:00.0Z", "tags": []}]),
    ),
    "dtr's tags": (
        dtr._TAGS,  # type: ignore[dict-item]
        _of([{"name": "1", "digest": str(_IMAGE), "updatedAt": "2026-11-24T12:00:00Z"}]),
    ),
}

_EXCEPTIONS = b"""\
exceptions:
  - id: CVE-2026-1234
    package: zlib1g
    reason: the function is not called
    expires: 2027-01-31
    by: security@example.com
"""
_REGSYNC = b"""\
version: 1
creds: [{registry: registry.example.com, user: a, pass: '{{env "PW"}}'}]
defaults: {interval: 60m}
sync:
  - source: registry.example.com/team/app
    target: mirror.example.com/app
    type: repository
    tags: {allow: ["v1.*"], deny: [".*-rc"], semverRange: [">=1.2"]}
    platforms: [linux/amd64]
"""
_YAML_WORDS = (b"&a ", b"*a", b"<<: ", b"!!python/object:os.system ", b"? ", b"- ", b"|", b"---\n")
_POLICY_WORDS = (
    *(b"triggers:", b"not:", b"any:", b"tag:", b"vulnerabilities:", b"critical: ", b"matches: '("),
    *(b"semver: ", b"component:", b"evidence:", b"signers:", b"key_file: ../../etc/passwd", b"%Z"),
    *(b"schedule: ", b"approval:", b"soak: 9999999999999d", b"timezone: ../UTC", b"platforms: "),
)
_CONNECTION = {
    "host": "https://registry.example.com:5000",
    "port": 5000,
    "login": "ci",
    "password": "canary-password",
    "extra": {
        "registry_type": "harbor",
        "namespace": "team/site",
        "skip_tls_verification": "true",
        "requests_per_second": 5,
        "bytes_per_second": "1e6",
        "creates_projects": False,
        "test_repository": "dev/website",
        "webhook_secret": "canary-webhook-secret",
    },
}


def _key_connection() -> bytes:
    pem = demo_key().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"pass")
    )
    return _of({"password": pem.decode(), "extra": {"passphrase": "pass"}})


TARGETS = (
    Target(
        "policies",
        (policies.TEXT.encode(), *(each.read_bytes() for each in sorted(_POLICIES.glob("*.yaml")))),
        _policy,
        (PolicyError,),
        (*_YAML_WORDS, *_POLICY_WORDS),
    ),
    Target("exceptions", (_EXCEPTIONS,), _exceptions, (PolicyError,), _YAML_WORDS),
    *(
        Target(f"reports of {name}", samples, _evidence, (UnreadableEvidenceError,))
        for name, samples in _REPORTS.items()
    ),
    *(
        Target(f"{name} predicates", (_of(sample),), _predicate(kind), (UnreadableEvidenceError,))
        for name, (kind, sample) in _PREDICATES.items()
    ),
    Target("wrappings", _WRAPPINGS, unwrap, (UnreadableEvidenceError,)),
    Target("statements", _STATEMENTS, _statement, (UnreadableEvidenceError,)),
    Target(
        "simple signatures",
        (simple_signing_payload(_IMAGE),),
        read_simple_signing,
        (UnreadableEvidenceError,),
    ),
    *(
        Target(f"webhooks of {name}", samples, read_notification, (NotificationError,))
        for name, samples in _DELIVERIES.items()
    ),
    Target("manifests", (_MANIFEST, _INDEX), _manifest, (PromotionError,)),
    Target(
        "image configurations",
        (_of({"created": "2026-11-24T12:00:00.123456789Z", "os": "linux", "config": {}}),),
        _image_config,
        (PolicyError,),
        (b"9999-12-31T23:59:59-14:00", b"+14:00"),
    ),
    Target(
        "annotated times",
        (b"2026-11-24T12:00:00Z", b"9999-12-31T23:59:59+01:00", b"0001-01-01T00:00:00-01:00"),
        _annotated_time,
        (),
        (b"-23:59", b"+23:59", b"W01", b"24:00"),
    ),
    Target("layout indexes", (_INDEX,), LayoutIndex, (PromotionError,)),
    *(
        Target(name, (sample,), _product(adapter), (PromotionError,))
        for name, (adapter, sample) in _PRODUCT_ANSWERS.items()
    ),
    Target("connections", (_of(_CONNECTION),), _connection, (ConnectionSettingsError,)),
    Target("signing keys", (_key_connection(),), _signing_key, (ConnectionSettingsError,)),
    Target("public keys", (public_key_of(demo_key()),), read_public_key, (PolicyError,)),
    Target("regsync's files", (_REGSYNC,), _regsync, (PolicyError,), _YAML_WORDS),
    Target(
        "dtr's policies",
        (
            _of(
                {
                    "repository": "dev/website",
                    "promotionPolicies": [
                        {
                            "id": "4f1c",
                            "enabled": True,
                            "rules": [
                                {"field": "tag", "operator": "ew", "values": ["-stable"]},
                                {
                                    "field": "vulnerability_critical",
                                    "operator": "lte",
                                    "values": ["0"],
                                },
                            ],
                            "sourceRepository": "dev/website",
                            "targetRepository": "qa/website",
                            "tagTemplate": "%n-%Y",
                        }
                    ],
                }
            ),
        ),
        _dtr_policies,
        (PolicyError,),
    ),
    Target(
        "harbor's rules",
        (
            _of(
                {
                    "policies": [
                        {
                            "id": 1,
                            "name": "to-qa",
                            "dest_registry": {
                                "id": 2,
                                "name": "qa",
                                "url": "https://qa.example.com",
                            },
                            "dest_namespace": "qa",
                            "filters": [
                                {"type": "name", "value": "dev/**"},
                                {"type": "tag", "value": "*-stable", "decoration": "matches"},
                            ],
                            "trigger": {
                                "type": "scheduled",
                                "trigger_settings": {"cron": "0 0 * * * *"},
                            },
                            "enabled": True,
                            "override": True,
                        }
                    ],
                    "registries": [{"id": 2, "name": "qa", "url": "https://qa.example.com"}],
                }
            ),
        ),
        _harbor_rules,
        (PolicyError,),
    ),
)
"""Every parser of a document that somebody else writes."""
