"""The example policy on evidence, on the sample images that are made for it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from image_promotion.ledger.records import Outcome
from image_promotion.policy.loading import load_policy
from sandbox.registry_process import RegistryProcess
from sandbox.sample_evidence import (
    CLEAN,
    EVIDENCE_REPOSITORY,
    UNSCANNED,
    UNSIGNED,
    VULNERABLE,
    demo_key,
    fill_with_evidence,
    public_key_of,
)
from tests.integration.promotion.conftest import Workplace
from tests.support.onlooker import Onlooker
from tests.support.scanned_images import attached_content, descriptor_of

POLICIES = Path(__file__).parents[3] / "include" / "policies"


async def test_each_sample_is_decided_as_the_example_says(
    place: Workplace, dev: RegistryProcess, qa: RegistryProcess
) -> None:
    place.connect("dev_registry", dev.url)
    place.connect("qa_registry", qa.url)
    place.now = datetime.now(UTC)
    images = {each.tag: each for each in fill_with_evidence(dev.url)}
    again = fill_with_evidence(dev.url)
    policy = load_policy(POLICIES / "images-scanned-to-qa.yaml")

    report = await place.run(policy)
    rows = await place.plan(policy)

    assert report.problems == ()
    assert {tag: rows[tag].outcome for tag in images if tag} == {
        CLEAN: Outcome.PROMOTE,
        VULNERABLE: Outcome.REJECT,
        UNSIGNED: Outcome.WAIT,
        UNSCANNED: Outcome.WAIT,
    }
    assert "CVE-2099-0001" in rows[VULNERABLE].why
    assert "not signed" in rows[UNSIGNED].why
    assert "no vulnerability report yet" in rows[UNSCANNED].why
    with Onlooker(qa.url) as raw:
        assert raw.visible("qa-scanned/api")[CLEAN] == images[CLEAN].digest
    clean = descriptor_of(images[CLEAN])
    (sbom,) = attached_content(qa, "qa-scanned/api", clean.digest, "application/spdx+json")
    assert b'"busybox"' in sbom
    assert not any(each.sent_bytes for each in again)
    assert images[CLEAN].repository == EVIDENCE_REPOSITORY


def test_the_key_of_the_example_is_the_demos_own() -> None:
    assert (POLICIES / "keys" / "demo-scanner.pub").read_bytes() == public_key_of(demo_key())
