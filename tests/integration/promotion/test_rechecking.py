"""Second thoughts about promoted images, on reports attached later, between real registries."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from image_promotion.errors import ConnectionSettingsError
from image_promotion.ledger.records import Kind, Outcome, Run
from image_promotion.policy.model import Policy
from image_promotion.promotion.rechecking import Rechecking, connections_due, recheck
from image_promotion.promotion.reporting import report
from image_promotion.promotion.scanning import version_of
from image_promotion.promotion.setting_back import Act, Result, SetBack, set_back_failed
from image_promotion.promotion.stores import Stores
from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.endpoint import RegistryEndpoint
from image_promotion.registry.transfer import NO_PROGRESS
from sandbox.registry_process import RegistryProcess
from sandbox.sample_evidence import debian_layer
from sandbox.sample_images import push_image
from tests.integration.promotion.conftest import Workplace
from tests.support.onlooker import Onlooker
from tests.support.scanned_images import attach, descriptor_of, scan_attestation
from tests.support.signatures import ecdsa_key

SOURCE, TARGET = "dev/website", "qa/website"
KEY = ecdsa_key()
DAY = timedelta(days=1)


@dataclass
class Scene:
    """A policy between two registries, and reports that are attached to its images."""

    place: Workplace
    dev: RegistryProcess
    qa: RegistryProcess

    def policy(self, *exceptions: str, **more: object) -> Policy:
        evidence: dict[str, object] = {
            "sources": ["referrers"],
            "signers": {"scanner": {"key": KEY.pem.decode()}},
        }
        if exceptions:
            evidence["exceptions"] = [
                {
                    "id": each,
                    "repository": SOURCE,
                    "reason": "not reachable",
                    "expires": "2999-12-31",
                    "by": "alice@example.com",
                }
                for each in exceptions
            ]
        document: dict[str, object] = {
            "name": "website-to-qa",
            "source": {"connection": "dev_registry", "repository": SOURCE},
            "target": {"connection": "qa_registry", "repository": TARGET},
            "triggers": [
                {"tag": {"ends_with": "-stable"}},
                {"updated": {"newer_than": "7d"}},
                {"vulnerabilities": {"critical": "= 0"}},
            ],
            "evidence": evidence,
            "recheck": "daily",
        }
        return Policy.model_validate({**document, **more})

    def push(self, tag: str) -> Descriptor:
        layers = [debian_layer("busybox=1:1.35.0-4", content=tag)]
        pushed = push_image(self.dev.url, SOURCE, tag, layers=layers, created=self.place.now)
        return descriptor_of(pushed)

    def report(
        self, image: Descriptor, *severities: str, at: RegistryProcess | None = None
    ) -> None:
        """Attach a report of this moment, as the scanner signs it."""
        registry = at or self.dev
        attestation = scan_attestation(image, self.place.now, KEY, *severities)
        attach(registry, SOURCE if registry is self.dev else TARGET, attestation)

    def promoted(self, tag: str, policy: Policy | None = None) -> Descriptor:
        """Push an image and promote it by a clean report."""
        image = self.push(tag)
        self.report(image, "LOW")
        done = asyncio.run(self.place.run(policy or self.policy()))
        assert [each.target_digest for each in done.verified] == [str(image.digest)]
        return image

    def find(self, connection_id: str) -> RegistryEndpoint:
        found = self.place.endpoints.get(connection_id)
        if found is None:
            raise ConnectionSettingsError("there is none", connection_id=connection_id)
        return found

    def begin(self, policy: Policy) -> Run:
        return self.place.ledger.begin_run(
            version_of(policy), key=next(self.place.keys), kind="manual", at=self.place.now
        )

    def recheck(self, policy: Policy, run: Run | None = None) -> Rechecking:
        ledger, now = self.place.ledger, self.place.now
        needed, perhaps = connections_due(policy, ledger, now=now)
        stores = Stores(self.find, needed, perhaps=perhaps)
        begun = run or self.begin(policy)
        return with_stores(
            stores,
            lambda stores: recheck(policy, stores=stores, ledger=ledger, run=begun, now=now),
        )

    def set_back(self, policy: Policy, run: Run) -> SetBack:
        return set_back_failed(
            policy,
            ledger=self.place.ledger,
            run=run,
            clock=lambda: self.place.now,
            find_endpoint=self.find,
            with_stores=with_stores,
            progress_of=lambda _: NO_PROGRESS,
        )

    def failed(self, image: Descriptor) -> bool:
        digest = str(image.digest)
        found = self.place.ledger.rechecks.failed_digests(
            self.qa.url.removeprefix("http://"), TARGET, [digest]
        )
        return digest in found

    def visible(self) -> dict[str, str]:
        with Onlooker(self.qa.url) as raw:
            tags = raw.visible(TARGET)
        return {tag: digest for tag, digest in tags.items() if not tag.startswith("sha256-")}


def with_stores(stores: Stores, act: Act[Result], /) -> Result:
    async def within() -> Result:
        async with stores:
            return await act(stores)

    return asyncio.run(within())


@pytest.fixture
def scene(place: Workplace, dev: RegistryProcess, qa: RegistryProcess) -> Scene:
    place.connect("dev_registry", dev.url)
    place.connect("qa_registry", qa.url)
    place.now = datetime.now(UTC)
    return Scene(place, dev, qa)


def test_a_report_that_comes_later_fails_a_promoted_image_until_it_is_excepted(
    scene: Scene,
) -> None:
    image = scene.promoted("1.0-stable")
    policy = scene.policy()
    assert scene.recheck(policy).looks == ()  # looked at when it was decided, not a day ago
    scene.place.now += DAY * 10
    (clean,) = scene.recheck(policy).looks
    # Its age, and its tag, are behind it.
    assert clean.outcome is Outcome.PROMOTE

    scene.place.now += DAY
    scene.report(image, "CRITICAL")
    run = scene.begin(policy)
    found = scene.recheck(policy, run)

    assert [each.promotion.target_tag for each in found.failed] == ["1.0-stable"]
    (problem,) = report(scene.place.ledger, run).problems
    assert f"qa/website:1.0-stable ({image.digest}) was promoted" in problem
    assert "CVE-2099-0001" in problem
    assert scene.failed(image)
    # Only reported: nobody said more.
    assert scene.set_back(policy, run) == SetBack()
    assert scene.visible() == {"1.0-stable": str(image.digest)}

    scene.place.now += DAY
    excepted = scene.policy("CVE-2099-0001")
    (passes,) = scene.recheck(excepted).looks

    assert passes.outcome is Outcome.PROMOTE
    assert not scene.failed(image)


def test_an_image_that_has_left_its_source_is_judged_in_the_target(scene: Scene) -> None:
    image = scene.promoted("1.0-stable")
    policy = scene.policy("CVE-2099-0002")
    with Onlooker(scene.dev.url) as raw:
        raw.delete_tag(SOURCE, "1.0-stable")
    scene.place.now += DAY * 2
    scene.report(image, "LOW", "CRITICAL", at=scene.qa)
    (excepted,) = scene.recheck(policy).looks
    assert excepted.outcome is Outcome.PROMOTE

    scene.place.now += DAY * 2
    scene.report(image, "CRITICAL", at=scene.qa)
    # Its connection may be gone, too.
    del scene.place.endpoints["dev_registry"]
    (fails,) = scene.recheck(policy).looks

    assert fails.outcome is Outcome.REJECT
    assert scene.failed(image)


def test_a_tag_that_somebody_else_has_moved_is_not_judged(scene: Scene) -> None:
    scene.promoted("1.0-stable")
    push_image(scene.qa.url, TARGET, "1.0-stable", layers=[debian_layer("busybox=1:1.36.1-1")])
    scene.place.now += DAY * 2

    (look,) = scene.recheck(scene.policy()).looks

    assert look.outcome is Outcome.CONFLICT
    assert not scene.place.ledger.rechecks.failing(scene.policy().name)


def test_without_evidence_nobody_knows_and_nothing_fails(scene: Scene) -> None:
    scene.promoted("1.0-stable")
    stale = scene.policy()
    stale = Policy.from_document(
        stale.document().replace('"evidence":{', '"evidence":{"max_age":"7d",')
    )
    scene.place.now += DAY * 30

    (look,) = scene.recheck(stale).looks

    assert look.outcome is Outcome.WAIT
    assert not scene.place.ledger.rechecks.failing(stale.name)


ROLL_BACK = {"every": "1d", "on_failure": "roll_back"}
LATEST = {
    "connection": "qa_registry",
    "repository": TARGET,
    "tag": "latest",
    "existing_tag": "overwrite",
}


def test_where_the_policy_says_so_the_tag_is_set_back_once(scene: Scene) -> None:
    policy = scene.policy(recheck=ROLL_BACK, target=LATEST)
    good, bad = scene.promoted("1-stable", policy), scene.promoted("2-stable", policy)
    assert scene.visible() == {"latest": str(bad.digest)}
    scene.place.now += DAY * 2
    scene.report(bad, "CRITICAL")
    run = scene.begin(policy)
    scene.recheck(policy, run)
    audit = Policy.from_document(policy.document().replace('"mode":"promote"', '"mode":"audit"'))
    assert audit.mode == "audit"
    assert scene.set_back(audit, run) == SetBack()

    done = scene.set_back(policy, run)

    assert [(each.kind, each.target_digest) for each in done.done] == [
        (Kind.ROLLBACK, str(good.digest))
    ]
    assert scene.visible() == {"latest": str(good.digest)}
    # The task may be run again, and the next run looks at what is there now.
    assert scene.set_back(policy, run) == SetBack()
    assert scene.failed(bad)
    scene.place.now += DAY * 2
    (look,) = scene.recheck(policy).looks
    assert (look.promotion.target_digest, look.outcome) == (str(good.digest), Outcome.PROMOTE)


def test_a_tag_is_not_set_back_to_what_fails_as_well(scene: Scene) -> None:
    policy = scene.policy(recheck=ROLL_BACK, target=LATEST)
    first = scene.promoted("1-stable", policy)
    scene.place.now += DAY * 2
    scene.report(first, "CRITICAL")
    assert scene.recheck(policy).failed
    # There is nothing earlier that the tag could be set back to.
    assert len(scene.set_back(policy, scene.begin(policy)).refused) == 1
    second = scene.promoted("2-stable", policy)
    scene.place.now += DAY * 2
    scene.report(second, "CRITICAL")
    run = scene.begin(policy)
    scene.recheck(policy, run)

    done = scene.set_back(policy, run)

    assert done.done == ()
    assert "does not pass either" in str(done.refused[0])
    assert scene.visible() == {"latest": str(second.digest)}
