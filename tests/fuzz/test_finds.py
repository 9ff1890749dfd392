"""Inputs that a parser once neither read nor refused; most of them were found here."""

from __future__ import annotations

import json

import pytest

from tests.fuzz.command import target_named
from tests.fuzz.harness import Outcome, fault_of

DIGITS = "9" * 5000
LAST_MOMENT = "9999-12-31T23:59:59-14:00"
HALF = "\ud800"
PEM = f"-----BEGIN PRIVATE KEY-----\n{HALF}\n-----END PRIVATE KEY-----\n"


def connection(**fields: object) -> bytes:
    return json.dumps({"host": "registry.example.com", **fields}).encode()


def report_with_a_score_of(version: str) -> bytes:
    return json.dumps(
        {
            "scanner": {
                "result": {
                    "descriptor": {"name": "grype", "version": "1"},
                    "source": {"type": "image", "target": {}},
                    "matches": [
                        {
                            "vulnerability": {
                                "id": "CVE-2099-1",
                                "severity": "High",
                                "cvss": [{"version": version, "metrics": {"baseScore": 9.8}}],
                            },
                            "artifact": {"name": "a", "version": "1"},
                        }
                    ],
                }
            },
            "metadata": {},
        }
    ).encode()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("places of uploads", f"/v2/a/blobs/uploads/1\n{DIGITS}\n".encode()),
        ("pauses asked for", b"24 Nov 2026 12:00:00 +99999999999999999999"),
        ("image configurations", f'{{"created": "{LAST_MOMENT}"}}'.encode()),
        ("annotated times", LAST_MOMENT.encode()),
        ("cosign's predicates", report_with_a_score_of(DIGITS)),
        ("connections", connection(extra={"requests_per_second": 10**400})),
        ("connections", connection(extra={f"half a character {HALF}": 1})),
        ("connections", connection(port=True)),
        ("signing keys", connection(password=PEM)),
        ("regsync's files", b'version: 1\nsync: [{source: a.example/b, target: c.example/d, type: '
         b'repository, interval: 60m, tags: {semverRange: [">=' + DIGITS.encode() + b'"]}}]\n'),
    ],
)  # fmt: skip
def test_it_is_read_or_refused(name: str, content: bytes) -> None:
    assert fault_of(target_named(name), content, Outcome(name)) is None


def test_a_passphrase_with_half_a_character_is_refused() -> None:
    target = target_named("signing keys")
    document = json.loads(target.samples[0])
    document["extra"]["passphrase"] = HALF
    assert fault_of(target, json.dumps(document).encode(), Outcome("")) is None
