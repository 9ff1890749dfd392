"""Evidence decides, from the attachment at the source to the target, by the installed command.

The SBOM is made by the real syft, from the image in the registry.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.referrer_tags import cosign_tags
from sandbox.sample_evidence import debian_layer
from sandbox.sample_images import push_image, push_index
from tests.integration.cli.conftest import NAME, PASSWORD, SOURCE, TARGET, USER, Workplace
from tests.support.attachments import SBOM_TYPE, Built, artifact
from tests.support.json_shape import records
from tests.support.scanned_images import (
    attach,
    attestation,
    descriptor_of,
    listed,
    scan_attestation,
    scan_report,
    sign,
)
from tests.support.signatures import SPDX_PREDICATE, SigningKey, compact, ecdsa_key, ed25519_key

LOGIN = (USER, PASSWORD)
TAG = "1.0-stable"
SYFT = Path(sys.executable).with_name("syft")
TRIVY_TYPE = "application/vnd.aquasec.trivy.report+json"

SCANNER, STRANGER = ecdsa_key(), ed25519_key()

CLEAN: list[object] = [
    {"component": {"equals": "busybox"}},
    {"vulnerabilities": {"critical": "= 0", "major": "<= 1"}},
    {"license": {"is_not_one_of": ["AGPL-3.0-only"]}},
]


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC)


def push(place: Workplace, *packages: str) -> Descriptor:
    layers = [debian_layer(*packages)]
    return descriptor_of(push_image(place.source.url, SOURCE, TAG, layers=layers, auth=LOGIN))


def attach_to_source(place: Workplace, *built: Built) -> None:
    attach(place.source, SOURCE, *built, auth=LOGIN)


def write_policy(place: Workplace, triggers: list[object], key: SigningKey = SCANNER) -> None:
    """Write a policy that believes what the scanner of the build signed in the last week."""
    (place.policies / "scanner.pub").write_bytes(key.pem)
    place.write_policy(
        triggers=triggers,
        evidence={
            "sources": ["referrers"],
            "max_age": "7d",
            "signers": {"scanner": {"key_file": "scanner.pub"}},
        },
    )


def sbom_of(place: Workplace, image: Descriptor) -> dict[str, object]:
    """Make an SBOM as a build does, of the image in the registry."""
    made = subprocess.run(
        [SYFT, "scan", f"registry:{place.source.host}/{SOURCE}@{image.digest}", "-o", "spdx-json"],
        env={
            **place.environment,
            "SYFT_CHECK_FOR_APP_UPDATE": "false",
            "SYFT_REGISTRY_INSECURE_USE_HTTP": "true",
            "SYFT_REGISTRY_AUTH_AUTHORITY": place.source.host,
            "SYFT_REGISTRY_AUTH_USERNAME": USER,
            "SYFT_REGISTRY_AUTH_PASSWORD": PASSWORD,
        },
        capture_output=True,
        check=True,
        timeout=60,
    )
    document: dict[str, object] = json.loads(made.stdout)
    return document


def run(place: Workplace) -> Mapping[str, int]:
    """Run the policy; return how many images were decided how."""
    (report,) = records([place.promotion("run", NAME, "--json").json])
    decided = report["decided"]
    assert isinstance(decided, dict)
    return {outcome: number for outcome, number in decided.items() if number}


def why(place: Workplace) -> dict[str, str]:
    """Read from the ledger what the last decision found, by trigger."""
    newest, *_ = records(place.promotion("history", "--json").json)
    return {str(each["trigger"]): str(each["found"]) for each in records(newest["reasons"])}


def test_an_image_waits_until_its_evidence_is_there_signed_and_fresh(
    place: Workplace, now: datetime
) -> None:
    write_policy(place, CLEAN)
    image = push(place, "busybox=1:1.35.0-4", "zlib1g=1:1.2.13 Zlib")
    sbom = sbom_of(place, image)
    clean = scan_report(image, now)

    def of_vulnerabilities() -> str:
        (found,) = (found for trigger, found in why(place).items() if "critical" in trigger)
        return found

    assert run(place) == {"wait": 1}
    assert of_vulnerabilities() == "no vulnerability report yet"

    attach_to_source(
        place,
        artifact(image, TRIVY_TYPE, compact(clean)),
        artifact(image, SBOM_TYPE, compact(sbom)),
    )
    assert run(place) == {"wait": 1}
    assert "is not signed, and the policy wants a signature" in of_vulnerabilities()

    explained = place.promotion("explain", NAME, TAG)
    assert explained.status == 0
    assert "not signed" in explained.stdout

    attach_to_source(place, attestation(image, SPDX_PREDICATE, sbom, SCANNER))
    attach_to_source(place, scan_attestation(image, now, STRANGER))
    assert run(place) == {"wait": 1}
    assert "not by scanner" in of_vulnerabilities()

    attach_to_source(place, scan_attestation(image, now - timedelta(days=8), SCANNER))
    assert run(place) == {"wait": 1}
    assert "longer ago than max_age" in of_vulnerabilities()
    assert place.target_tags() == {}

    fresh = scan_attestation(image, now, SCANNER, "MEDIUM")
    attach_to_source(place, fresh)
    table = place.promotion("plan", NAME).stdout
    assert run(place) == {"promote": 1}

    assert f"{TAG} " in table
    assert "1 major" in table
    (promotion,) = [
        records([each["promotion"]])[0]
        for each in records(place.promotion("history", "--json").json)
        if each["promotion"]
    ]
    assert promotion["state"] == "verified"
    assert place.target_tags()[f"{TARGET}:{TAG}"] == str(image.digest)
    carried = {each["digest"] for each in listed(place.target, TARGET, image.digest)}
    there = {each["digest"] for each in listed(place.source, SOURCE, image.digest, LOGIN)}
    assert carried == there
    assert str(fresh.digest) in carried


def test_a_signed_report_speaks_against_an_image_as_well(place: Workplace, now: datetime) -> None:
    write_policy(place, [{"vulnerabilities": {"severity": {"CRITICAL": "= 0"}}}])
    image = push(place, "busybox=1:1.35.0-4")
    attach_to_source(place, scan_attestation(image, now, SCANNER, "CRITICAL", "LOW"))

    assert run(place) == {"reject": 1}

    (found,) = why(place).values()
    assert "CVE-2099-0001" in found
    (entry,) = records(place.promotion("history", "--json").json)
    (reason,) = records(entry["reasons"])
    assert "signed by scanner" in str(reason["source"])
    assert place.target_tags() == {}


def test_the_signature_of_the_image_itself_is_a_trigger(place: Workplace) -> None:
    write_policy(place, [{"signature": {"signed_by": ["scanner"]}}])
    image = push(place, "busybox=1:1.35.0-4")
    assert run(place) == {"wait": 1}
    (found,) = why(place).values()
    assert found == "no signature yet"

    sign(place.source, SOURCE, image, STRANGER, auth=LOGIN)
    assert run(place) == {"wait": 1}
    (found,) = why(place).values()
    assert "not by scanner" in found

    sign(place.source, SOURCE, image, STRANGER, SCANNER, auth=LOGIN)
    assert run(place) == {"promote": 1}

    signature_tag = cosign_tags(image.digest)[0]
    assert place.target_tags().keys() == {f"{TARGET}:{TAG}", f"{TARGET}:{signature_tag}"}


def test_every_platform_must_pass_and_the_reason_names_the_one_that_does_not(
    place: Workplace, now: datetime
) -> None:
    write_policy(place, [{"vulnerabilities": {"major": "= 0"}}])
    index = push_index(
        place.source.url,
        SOURCE,
        TAG,
        images={
            "linux/amd64": [debian_layer("busybox=1:1.35.0-4")],
            "linux/arm64": [debian_layer("busybox=1:1.30.0-1")],
        },
        auth=LOGIN,
    )
    amd64, arm64 = (descriptor_of(child) for child in index.children)
    attach_to_source(place, scan_attestation(amd64, now, SCANNER))
    assert run(place) == {"wait": 1}
    (found,) = why(place).values()
    assert "linux/arm64: no vulnerability report yet" in found

    attach_to_source(place, scan_attestation(arm64, now, SCANNER, "MEDIUM"))
    assert run(place) == {"reject": 1}

    (found,) = why(place).values()
    assert "linux/arm64: 1" in found
    assert "CVE-2099-0001" in found
    assert place.target_tags() == {}

    place.write_policy(
        triggers=[{"vulnerabilities": {"major": "= 0"}}],
        evidence={"signers": {"scanner": {"key_file": "scanner.pub"}}},
        platforms=["linux/amd64"],
    )
    assert run(place) == {"promote": 1}
