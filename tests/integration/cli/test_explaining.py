"""Evidence decides, from end to end: real registries, an SBOM of syft's, signed attestations."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from image_promotion.evidence.sources.attaching import attach_report
from image_promotion.evidence.sources.scanners import SYFT, ScannerSource
from image_promotion.evidence.sources.source import Image
from image_promotion.registry.client import RegistryClient
from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.digest import Digest
from image_promotion.registry.endpoint import RegistryEndpoint
from sandbox.image_layers import Layer
from sandbox.image_pusher import PushedImage
from sandbox.sample_images import push_image
from tests.integration.cli.conftest import (
    NAME,
    PASSWORD,
    SOURCE,
    TARGET,
    USER,
    Result,
    Workplace,
)
from tests.support.json_shape import Record, documented_fields, fields_of, records
from tests.support.scans import GRYPE_DATABASE
from tests.support.signatures import (
    BUNDLE_TYPE,
    SPDX_PREDICATE,
    VULNERABILITIES_PREDICATE,
    SigningKey,
    bundle,
    ecdsa_key,
    statement,
)

DOCUMENTATION = Path(__file__).parents[3] / "docs" / "command-line.md"
TAG = "1.4-stable"
SPDX_TYPE = "application/spdx+json"

_PACKAGES = {"busybox": "GPL-2.0-only", "musl": "MIT", "zlib": "Zlib"}


def image_with_packages(seed: str) -> Layer:
    """What syft reads packages from: the database of Alpine's package manager."""
    packages = "\n\n".join(
        f"P:{name}\nV:1.2.3-r{seed}\nA:x86_64\nL:{license_}\nT:a package\no:{name}"
        for name, license_ in _PACKAGES.items()
    )
    return Layer.from_files(
        {
            "etc/os-release": b"ID=alpine\nVERSION_ID=3.20.0\nNAME=Alpine\n",
            "lib/apk/db/installed": f"{packages}\n\n".encode(),
        }
    )


def grype_report(*severities: str) -> dict[str, object]:
    """What Grype says, of so many vulnerabilities."""
    return {
        "matches": [
            {
                "vulnerability": {
                    "id": f"CVE-2099-{number:04}",
                    "severity": severity,
                    "fix": {"versions": ["1.2.4-r0"], "state": "fixed"},
                },
                "artifact": {"name": "zlib", "version": "1.2.3-r0", "type": "apk"},
            }
            for number, severity in enumerate(severities, 1)
        ],
        "descriptor": {
            "name": "grype",
            "version": "0.104.0",
            "db": GRYPE_DATABASE,
            "timestamp": datetime.now(UTC).isoformat(),
        },
    }


@dataclass(frozen=True, slots=True)
class Attic:
    """The workplace, a key that the policy trusts, and what is attached to images."""

    place: Workplace
    key: SigningKey

    def push(self, tag: str = TAG, seed: str = "0") -> PushedImage:
        layers = [image_with_packages(seed)]
        return push_image(self.place.source.url, SOURCE, tag, layers=layers, auth=(USER, PASSWORD))

    def write_policy(self, name: str, *triggers: object, **changes: object) -> str:
        evidence = {
            "signers": {"release": {"key": self.key.pem.decode()}},
            "max_age": "7d",
        }
        self.place.write_policy(name, triggers=list(triggers), evidence=evidence, **changes)
        return name

    def sbom(self, image: PushedImage) -> bytes:
        """Have syft look into the image in the registry."""

        made: list[bytes] = []

        async def ask() -> None:
            async with self._client() as client:
                source = ScannerSource(
                    SYFT,
                    client,
                    path=str(Path(sys.executable).parent),
                    take_sbom=lambda _repository, _digest, sbom: made.append(sbom),
                )
                await source.documents(Image(SOURCE, Digest.parse(image.digest)))

        asyncio.run(ask())
        (sbom,) = made
        return sbom

    def attach(self, image: PushedImage, content: bytes, media_type: str = BUNDLE_TYPE) -> None:
        subject = Descriptor(image.media_type, Digest.parse(image.digest), len(image.manifest))

        async def send() -> None:
            async with self._client() as client:
                await attach_report(
                    client,
                    SOURCE,
                    subject,
                    content,
                    media_type=media_type,
                    artifact_type=media_type,
                )

        asyncio.run(send())

    def attest_sbom(self, image: PushedImage, sbom: bytes) -> None:
        self.attach(image, self._signed(image, SPDX_PREDICATE, json.loads(sbom), None))

    def attest_scan(
        self, image: PushedImage, *severities: str, key: SigningKey | None = None
    ) -> None:
        now = datetime.now(UTC).isoformat()
        predicate: dict[str, object] = {
            "scanner": {"uri": "grype", "version": "0.104.0", "result": grype_report(*severities)},
            "metadata": {"scanStartedOn": now, "scanFinishedOn": now},
        }
        self.attach(image, self._signed(image, VULNERABILITIES_PREDICATE, predicate, key))

    def _signed(
        self,
        image: PushedImage,
        predicate_type: str,
        predicate: dict[str, object],
        key: SigningKey | None,
    ) -> bytes:
        about = statement(
            Digest.parse(image.digest), predicate_type=predicate_type, predicate=predicate
        )
        return bundle(key or self.key, about)

    def _client(self) -> RegistryClient:
        endpoint = RegistryEndpoint("dev", self.place.source.url, username=USER, password=PASSWORD)
        return RegistryClient(endpoint)

    def explain(self, policy: str, tag: str = TAG, *options: str) -> Record:
        done = self.place.promotion("explain", policy, tag, "--json", *options)
        assert not done.stderr or "no ledger" in done.stderr, done.stderr
        return records([done.json])[0]

    def told(self, policy: str, tag: str = TAG, *options: str) -> Result:
        return self.place.promotion("explain", policy, tag, *options)


@pytest.fixture
def attic(place: Workplace) -> Attic:
    return Attic(place, ecdsa_key())


IS_STABLE = {"tag": {"ends_with": "-stable"}}
HAS_BUSYBOX = {"component": {"starts_with": "b"}}
NO_CRITICAL = {"vulnerabilities": {"critical": "= 0"}}


def test_signed_evidence_promotes_rejects_or_makes_wait_and_the_explanation_says_by_what(
    attic: Attic,
) -> None:
    clean, ill, unscanned = attic.push(), attic.push("1.5-stable", "5"), attic.push("1.6-stable")
    sbom = attic.sbom(clean)
    for image in (clean, ill):
        attic.attest_sbom(image, sbom)
    attic.attest_scan(clean, "Low")
    attic.attest_scan(ill, "Critical", "Medium", "High")
    # Nobody signed the one, and nobody we know the other.
    moved = attic.push("1.6-stable", "6")
    assert moved.digest != unscanned.digest
    attic.attach(moved, sbom, SPDX_TYPE)
    attic.attest_scan(moved, key=ecdsa_key())
    policy = attic.write_policy("evident", IS_STABLE, HAS_BUSYBOX, NO_CRITICAL)

    planned = {
        row["tag"]: row for row in records(attic.place.promotion("plan", policy, "--json").json)
    }
    table = attic.place.promotion("plan", policy).stdout
    promoted, rejected, waiting = (
        attic.explain(policy, tag) for tag in (TAG, "1.5-stable", "1.6-stable")
    )

    for explained in (promoted, rejected, waiting):
        row = planned[str(explained["tag"])]
        for field in ("decision", "digest", "reasons"):
            assert explained[field] == row[field]
    assert [each["decision"] for each in (promoted, rejected, waiting)] == [
        "promote",
        "reject",
        "wait",
    ]
    assert max(map(len, table.splitlines())) < 700, "a long reason has wrecked the table"
    assert f"`promotion explain {policy} TAG`" not in table or " ..." in table
    assert "is not signed, and the policy wants a signature" in table

    _, component, vulnerabilities = records(promoted["reasons"])
    assert (component["verdict"], component["count"]) == ("held", 1)
    assert component["items"] == ["busybox 1.2.3-r0"]
    assert str(component["source"]).startswith("syft report of ")
    assert str(component["source"]).endswith("signed by release")
    assert (vulnerabilities["verdict"], vulnerabilities["count"]) == ("held", 0)
    assert str(vulnerabilities["source"]).startswith("grype report of ")

    (failed,) = [each for each in records(rejected["reasons"]) if each["verdict"] == "not_held"]
    assert (failed["count"], failed["items"]) == (
        2,
        ["CVE-2099-0001 in zlib 1.2.3-r0", "CVE-2099-0003 in zlib 1.2.3-r0"],
    )

    evidence = records([waiting["evidence"]])[0]
    unused = {each["why_unused"]: each for each in records(evidence["documents"])}
    assert all(each["used_for"] == [] for each in unused.values())
    assert "is not signed, and the policy wants a signature" in unused
    assert any("the signature is not by release" in str(why) for why in unused)
    assert {each["verdict"] for each in records(waiting["reasons"])} == {"held", "unknown"}
    assert not attic.place.target_tags(), "an explanation touched the target"
    assert not attic.place.ledger.exists(), "an explanation made a ledger"


def test_after_a_run_the_explanation_says_what_is_recorded_and_takes_the_kept_evidence(
    attic: Attic,
) -> None:
    image = attic.push()
    attic.attest_sbom(image, attic.sbom(image))
    attic.attest_scan(image)
    policy = attic.write_policy("evident", IS_STABLE, HAS_BUSYBOX, NO_CRITICAL)
    ran = attic.place.promotion("run", policy)
    assert ran.status == 0, ran.stderr

    kept, afresh = attic.explain(policy), attic.explain(policy, TAG, "--afresh")
    told = attic.told(policy, f"{SOURCE}:{TAG}")
    [entry] = records(attic.place.promotion("history", "--json").json)

    assert [records([each["evidence"]])[0]["kept"] for each in (kept, afresh)] == [True, False]
    assert kept["reasons"] == afresh["reasons"] == entry["reasons"]
    assert kept["recorded"] == entry
    assert kept["run"] == "leaves it as it is, since it has been promoted"
    assert kept["target"] == f"{TARGET}:{TAG}"
    assert told.status == 0
    assert f"verified at {TARGET}:{TAG}" in told.stdout
    assert "busybox 1.2.3-r0\n" in told.stdout


def test_every_documented_field_of_an_explanation_is_there_and_no_other(attic: Attic) -> None:
    image = attic.push()
    attic.attest_scan(image, "High")
    attic.attest_scan(image, key=ecdsa_key())
    policy = attic.write_policy("evident", IS_STABLE, NO_CRITICAL)
    assert attic.place.promotion("run", policy).status == 0
    named = attic.push("1.5-rc1", "5")

    explained, by_name = attic.explain(policy), attic.explain(policy, "1.5-rc1")

    documented = documented_fields(DOCUMENTATION)
    assert (by_name["decision"], by_name["digest"]) == ("reject", named.digest)
    assert by_name["evidence"] is None
    evidence = records([explained["evidence"]])
    assert fields_of([explained, by_name]) == documented["explain"]
    assert fields_of(evidence) == documented["explain, evidence"]
    documents = records(evidence[0]["documents"])
    assert len(documents) == 2
    assert fields_of(documents) == documented["explain, document"]
    assert fields_of(records(evidence[0]["notes"])) == documented["explain, note"]
    assert fields_of(records(explained["reasons"])) == documented["reason"]
    assert fields_of(records([explained["recorded"]])) == documented["history"]
    assert by_name["life"] is None


def test_the_life_of_a_tag_is_told_although_it_is_there_no_more(attic: Attic) -> None:
    image = attic.push()
    policy = attic.write_policy("evident", IS_STABLE)
    assert attic.place.promotion("run", policy).status == 0
    there = attic.explain(policy)
    attic.place.delete(SOURCE, image.digest)

    gone = attic.place.promotion("explain", policy, TAG, "--json")
    never = attic.place.promotion("explain", policy, "9.9-stable", "--json")

    assert (gone.status, never.status) == (1, 1)
    (explained,) = records([gone.json])
    assert "there is no tag" in str(explained["problem"])
    (stay,) = records(records([explained["life"]])[0]["stays"])
    assert stay["digest"] == image.digest
    (passage,) = records(stay["promotions"])
    assert [each["to"] for each in records(passage["steps"])] == [
        *("planned", "copied", "tagged", "verified")
    ]
    assert never.stdout == ""
    documented = documented_fields(DOCUMENTATION)
    assert fields_of(records(there["targets"])) == documented["explain, target"]
    assert fields_of(records(there["promotions"])) == documented["promotion"]
    (life,) = records([there["life"]])
    assert set(life) == documented["explain, life"]
    stays = records(life["stays"])
    assert fields_of(stays) == documented["explain, stay"]
    assert fields_of(records(stays[0]["decisions"])) == documented["explain, decision"]
    passages = records(stays[0]["promotions"])
    assert fields_of(passages) == documented["explain, promotion"]
    assert fields_of(records(passages[0]["steps"])) == documented["explain, step"]
    assert fields_of(records([passages[0]["marks"]])) == documented["marks"]
    assert fields_of(records(life["runs"])) == documented["explain, run"]


def test_an_unknown_tag_is_an_error_that_names_those_like_it(place: Workplace) -> None:
    for tag in ("1.4-stable", "1.5-stable", "latest"):
        place.push(tag, tag)
    done = place.promotion("explain", NAME, "1.4-stabel", "--json")
    assert done.status == 1
    assert not done.stdout
    assert "there is no tag 1.4-stabel. There is 1.4-stable, 1.5-stable." in done.stderr


def test_a_conflict_exits_with_1(place: Workplace) -> None:
    place.push("1-stable", "one")
    assert place.promotion("run", NAME).status == 0
    place.push("1-stable", "another one")
    done = place.promotion("explain", NAME, "1-stable")
    assert done.status == 1
    assert re.search(r"^  decision +conflict$", done.stdout, re.MULTILINE)
    assert "when the tag pointed at sha256:" in done.stdout
