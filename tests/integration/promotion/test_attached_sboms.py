"""SBOMs made by the real syft and attached to promoted images, between real registries."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from image_promotion.ledger.records import Outcome, State
from image_promotion.policy.model import Policy
from image_promotion.promotion.journal import Journal
from image_promotion.promotion.reporting import RunReport
from image_promotion.promotion.sboms import Sboms
from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.digest import Digest
from image_promotion.registry.referrer_tags import fallback_tag
from sandbox.registry_process import RegistryProcess
from sandbox.sample_evidence import debian_layer
from sandbox.sample_images import push_image, push_index
from tests.integration.promotion.conftest import Workplace, policy_from
from tests.support.onlooker import Onlooker
from tests.support.scan_doubles import write_program
from tests.support.scanned_images import attached_content, descriptor_of, listed

SOURCE, TARGET = "dev/website", "qa/website"
TAG = "1.0-stable"
SPDX = "application/spdx+json"


def policy_of(**more: object) -> Policy:
    evidence = {"sources": ["referrers", {"syft": {"attach": True}}]}
    return policy_from(
        ("dev_registry", SOURCE), ("qa_registry", TARGET), **{"evidence": evidence, **more}
    )


@pytest.fixture
def connected(place: Workplace, dev: RegistryProcess, qa: RegistryProcess) -> Workplace:
    place.connect("dev_registry", dev.url)
    place.connect("qa_registry", qa.url)
    place.now = datetime.now(UTC)  # syft's clock is the real one
    return place


def push(dev: RegistryProcess, *packages: str, tag: str = TAG) -> Descriptor:
    return descriptor_of(push_image(dev.url, SOURCE, tag, layers=[debian_layer(*packages)]))


def lose_the_list(qa: RegistryProcess, image: Descriptor) -> None:
    with Onlooker(qa.url) as raw:
        raw.delete_tag(TARGET, fallback_tag(image.digest))


def sboms_of(qa: RegistryProcess, image: Digest) -> list[dict[str, object]]:
    return [json.loads(each) for each in attached_content(qa, TARGET, image, SPDX)]


def packages_of(sbom: dict[str, object]) -> dict[str, str]:
    packages = sbom["packages"]
    assert isinstance(packages, list)
    return {each["name"]: each.get("versionInfo", "") for each in packages}


def details(place: Workplace, report: RunReport) -> dict[State, str]:
    (promotion,) = report.verified
    return {each.to_state: each.detail for each in place.ledger.transitions(promotion.id)}


async def test_the_sbom_that_decided_is_attached_to_the_image_in_the_target(
    connected: Workplace, dev: RegistryProcess, qa: RegistryProcess
) -> None:
    image = push(dev, "busybox=1:1.35.0-4", "zlib1g=1:1.2.13")

    report = await connected.run(policy_of(triggers=[{"component": {"equals": "busybox"}}]))

    assert report.problems == ()
    said = details(connected, report)
    assert "1 SBOM by syft attached; " in said[State.COPIED], "it was made a second time"
    assert "; 1 SBOM by syft attached" in said[State.VERIFIED]
    (sbom,) = sboms_of(qa, image.digest)
    assert packages_of(sbom).items() >= {"busybox": "1:1.35.0-4", "zlib1g": "1:1.2.13"}.items()
    assert sbom["name"] == SOURCE
    (entry,) = listed(qa, TARGET, image.digest)
    assert entry["artifactType"] == SPDX
    creation = sbom["creationInfo"]
    assert isinstance(creation, dict)
    assert entry["annotations"] == {
        "org.opencontainers.image.created": creation["created"],
        "org.opencontainers.image.description": "SBOM (Tool: syft-1.18.1)",
    }
    assert listed(dev, SOURCE, image.digest) == [], "the source is only read"


async def test_every_promoted_image_gets_one_even_if_no_trigger_asks_for_evidence(
    connected: Workplace, dev: RegistryProcess, qa: RegistryProcess
) -> None:
    image = push(dev, "busybox=1:1.35.0-4")

    report = await connected.run(policy_of())

    assert report.problems == ()
    assert "1 SBOM by syft attached, 1 made just now" in details(connected, report)[State.COPIED]
    (sbom,) = sboms_of(qa, image.digest)
    assert "busybox" in packages_of(sbom)


async def test_an_image_that_is_not_promoted_gets_none(
    connected: Workplace, dev: RegistryProcess, qa: RegistryProcess
) -> None:
    push(dev, "busybox=1:1.35.0-4")

    report = await connected.run(policy_of(triggers=[{"component": {"equals": "toybox"}}]))

    assert report.decided[Outcome.REJECT] == 1
    with Onlooker(qa.url) as raw:
        assert raw.visible(TARGET) == {}


async def test_each_platform_gets_its_own_also_in_an_index_made_of_some(
    connected: Workplace, dev: RegistryProcess, qa: RegistryProcess
) -> None:
    index = push_index(
        dev.url,
        SOURCE,
        TAG,
        images={
            "linux/amd64": [debian_layer("for-amd64=1")],
            "linux/arm64": [debian_layer("for-arm64=1")],
            "linux/s390x": [debian_layer("for-s390x=1")],
        },
    )
    chosen = policy_of(platforms=["linux/amd64", "linux/arm64"])

    report = await connected.run(chosen)

    assert report.problems == ()
    assert "2 SBOMs by syft attached" in details(connected, report)[State.VERIFIED]
    found = [sboms_of(qa, descriptor_of(child).digest) for child in index.children]
    assert [[name for name in packages_of(each[0]) if "for-" in name] for each in found[:2]] == [
        ["for-amd64"],
        ["for-arm64"],
    ]
    assert found[2] == []


async def test_what_is_repeated_attaches_no_second_one_and_what_is_lost_comes_back(
    connected: Workplace, dev: RegistryProcess, qa: RegistryProcess
) -> None:
    image = push(dev, "busybox=1:1.35.0-4")
    await connected.run(policy_of(), key="the run")
    (first,) = attached_content(qa, TARGET, image.digest, SPDX)

    again = await connected.run(policy_of(), key="the run")
    (second,) = attached_content(qa, TARGET, image.digest, SPDX)
    lose_the_list(qa, image)
    (promotion,) = again.promotions
    async with connected.stores() as stores:
        journal = Journal(connected.ledger, "the run", lambda: connected.now)
        await Sboms().check(promotion, target=stores.of("qa_registry"), journal=journal)
    (found,) = attached_content(qa, TARGET, image.digest, SPDX)
    lose_the_list(qa, image)
    another = policy_of(name="another")
    await connected.run(another)
    (third,) = attached_content(qa, TARGET, image.digest, SPDX)

    assert again.problems == ()
    # SBOMs of syft differ in their time and name, so that these are of one making.
    assert first == second == found == third


async def test_an_sbom_that_cannot_be_made_fails_the_copy_and_no_tag_is_set(
    connected: Workplace,
    dev: RegistryProcess,
    qa: RegistryProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    image = push(dev, "busybox=1:1.35.0-4")
    write_program(tmp_path / "bin", "syft", "sys.exit('the disk is full')")
    with monkeypatch.context() as context:
        context.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
        failed = await connected.run(policy_of())
    with Onlooker(qa.url) as raw:
        tags = raw.visible(TARGET)
    healed = await connected.run(policy_of())

    (problem,) = failed.problems
    assert "the disk is full" in problem
    assert TAG not in tags
    assert healed.problems == ()
    assert len(sboms_of(qa, image.digest)) == 1
