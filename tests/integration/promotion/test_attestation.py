"""Statements about promotions, between real registries: written, found, carried on, believed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from image_promotion.errors import ConnectionSettingsError
from image_promotion.evidence.dossier import Entry
from image_promotion.evidence.sources.attaching import attach_report
from image_promotion.evidence.trust.signing import SigningKey
from image_promotion.ledger.records import Outcome, State
from image_promotion.policy.model import Policy
from image_promotion.promotion.attestation import Attestor, unattested
from image_promotion.promotion.decision import ImageName
from image_promotion.promotion.evidence import evidence_about
from image_promotion.promotion.journal import Journal
from image_promotion.promotion.pipeline import run_policy
from image_promotion.promotion.reporting import RunReport
from image_promotion.registry.digest import Digest
from image_promotion.registry.referrer_tags import fallback_tag
from image_promotion.registry.referrers import find_attachments
from image_promotion.registry.transfer import NO_PROGRESS
from sandbox.image_layers import noise_layer
from sandbox.image_pusher import PushedImage
from sandbox.registry_process import RegistryProcess
from sandbox.sample_images import push_image
from tests.integration.promotion.conftest import Workplace, policy_from
from tests.support.attestations import new_key, statements_of
from tests.support.listing_registry import ListingRegistry

DEV, QA, PROD = "dev/website", "qa/website", "prod/website"
KEY = new_key()


def to_qa(**more: object) -> Policy:
    return policy_from(
        ("dev_registry", DEV), ("qa_registry", QA), attestation={"connection": "signing"}, **more
    )


@pytest.fixture(params=["fallback tag", "referrers API"])
async def listing(
    request: pytest.FixtureRequest, place: Workplace, dev: RegistryProcess, qa: RegistryProcess
) -> AsyncIterator[ListingRegistry | None]:
    """The target: a registry without the referrers API, or with it."""
    place.connect("dev_registry", dev.url)
    if request.param == "fallback tag":
        place.connect("qa_registry", qa.url)
        yield None
    else:
        async with ListingRegistry(qa.url) as registry:
            place.connect("qa_registry", registry.url)
            yield registry


def push(dev: RegistryProcess, *tags: str) -> PushedImage:
    """Push one image under each of some tags."""
    for tag in tags:
        image = push_image(dev.url, DEV, tag, layers=[noise_layer(1_000)])
    return image


async def run(
    place: Workplace, policy: Policy, key: SigningKey | ConnectionSettingsError = KEY
) -> RunReport:
    def find_key(_connection_id: str) -> SigningKey:
        if isinstance(key, ConnectionSettingsError):
            raise key
        return key

    async with place.stores() as stores:
        return await run_policy(
            policy,
            stores=stores,
            ledger=place.ledger,
            clock=lambda: place.now,
            run_key=next(place.keys),
            progress_of=lambda _: NO_PROGRESS,
            find_signing_key=find_key,
        )


async def tags_said(place: Workplace, image: PushedImage, repository: str = QA) -> list[str]:
    connection_id = f"{repository.partition('/')[0]}_registry"
    async with place.stores() as stores:
        found = await statements_of(
            stores.of(connection_id), repository, Digest.parse(image.digest), KEY.public_key_pem
        )
    return sorted(each["predicate"]["target"]["tag"] for each in found)


async def test_each_verified_tag_has_its_statement_and_a_second_run_adds_none(
    place: Workplace, dev: RegistryProcess, listing: ListingRegistry | None
) -> None:
    image = push(dev, "1-stable", "2-stable", "3-stable")

    report = await run(place, to_qa())
    first = await tags_said(place, image)
    again = await run(place, to_qa())

    assert (report.problems, again.problems) == ((), ())
    assert first == ["1-stable", "2-stable", "3-stable"]
    assert await tags_said(place, image) == first
    if listing is not None:
        assert fallback_tag(Digest.parse(image.digest)) not in listing.tags_put()


async def test_without_a_key_all_is_promoted_and_the_run_says_so_until_there_is_one(
    place: Workplace, dev: RegistryProcess, listing: ListingRegistry | None
) -> None:
    del listing
    image = push(dev, "1-stable", "2-stable")
    dead = ConnectionSettingsError("it holds no private key", connection_id="signing")

    failed = await run(place, to_qa(), dead)
    still = await run(place, to_qa(), dead)
    assert await tags_said(place, image) == []
    healed = await run(place, to_qa())

    assert [each.state for each in failed.promotions] == [State.VERIFIED] * 2
    expected = {f"{DEV}:{n}-stable is verified, and not attested" for n in (1, 2)}
    for report in (failed, still):
        assert expected | {str(dead)} == set(report.problems)
    assert healed.problems == ()
    assert await tags_said(place, image) == ["1-stable", "2-stable"]


async def test_of_many_that_write_at_once_none_loses_anything(
    place: Workplace, dev: RegistryProcess, listing: ListingRegistry | None
) -> None:
    del listing
    image = push(dev, "1-stable", "2-stable", "3-stable")
    dead = ConnectionSettingsError("it holds no private key", connection_id="signing")
    await run(place, to_qa(), dead)
    promotions = unattested(place.ledger, to_qa())
    journal = Journal(place.ledger, "run-1", lambda: place.now)
    digest = Digest.parse(image.digest)

    async with place.stores() as stores:
        target = stores.of("qa_registry")
        subject = (await target.get_manifest(QA, digest)).descriptor
        await asyncio.gather(
            # Each has an attestor of its own, as several processes would; two do the same work.
            *(
                Attestor(KEY).attest(each, source=None, target=target, journal=journal)
                for each in (*promotions, promotions[0])
            ),
            *(
                attach_report(
                    target,
                    QA,
                    subject,
                    json.dumps({"number": number}).encode(),
                    media_type="application/json",
                    artifact_type="application/vnd.example+json",
                )
                for number in range(3)
            ),
        )
        found = await find_attachments(target, QA, digest)

    assert await tags_said(place, image) == ["1-stable", "2-stable", "3-stable"]
    others = [each for each in found.found if "vnd.example" in each.artifact_type]
    assert (len(found.found), len(others)) == (6, 3)


async def test_the_next_hop_brings_the_statement_along_and_adds_its_own(
    place: Workplace, dev: RegistryProcess, listing: ListingRegistry | None
) -> None:
    del listing
    place.connect("prod_registry", dev.url)
    image = push(dev, "1-stable")
    await run(place, to_qa())
    to_prod = policy_from(
        ("qa_registry", QA),
        ("prod_registry", PROD),
        attestation={"connection": "signing"},
    )

    report = await run(place, to_prod)

    assert report.problems == ()
    assert await tags_said(place, image, PROD) == ["1-stable", "1-stable"]


async def test_a_statement_of_ours_is_neither_a_report_nor_a_signature_to_the_next_stage(
    place: Workplace, dev: RegistryProcess, listing: ListingRegistry | None
) -> None:
    """It is believed, since its signer is; what it says answers none of the triggers."""
    del listing
    place.connect("prod_registry", dev.url)
    image = push(dev, "1-stable")
    await run(place, to_qa())
    signers = {"promotions": {"key": KEY.public_key_pem.decode()}}
    for trigger in (
        {"vulnerabilities": {"critical": "= 0"}},
        {"component": {"starts_with": "b"}},
        {"signature": {"signed_by": ["promotions"]}},
    ):
        to_prod = policy_from(
            ("qa_registry", QA),
            ("prod_registry", PROD),
            name=f"prod-{next(iter(trigger))}",
            triggers=[trigger],
            evidence={"sources": ["referrers"], "signers": signers},
        )

        report = await run(place, to_prod)

        assert report.decided[Outcome.WAIT] == 1, trigger
        (entry,) = await documents(place, to_prod, image)
        assert entry.signed_by == ("promotions",)
        assert (entry.report, entry.signs_image, entry.speaks_of) == (None, False, frozenset())
        assert entry.problem == ""


async def documents(place: Workplace, policy: Policy, image: PushedImage) -> tuple[Entry, ...]:
    """Give what the next stage has looked at."""
    name = ImageName(QA, "1-stable", image.digest)
    async with place.stores() as stores:
        found = await evidence_about(
            policy,
            [name],
            source=stores.of("qa_registry"),
            ledger=place.ledger,
            now=place.now,
        )
    return found.dossiers[name].entries
