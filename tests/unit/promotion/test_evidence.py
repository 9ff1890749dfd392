"""Tests of the evidence about the images of a run: asked of real sources, kept in a real ledger."""

from __future__ import annotations

from dataclasses import replace

import pytest

from image_promotion.errors import NotFoundError
from image_promotion.evidence.dossier import Dossier, pack, unpack
from image_promotion.ledger.records import Outcome
from image_promotion.policy.criteria.verdict import Need
from image_promotion.policy.model import Policy
from image_promotion.promotion.evidence import configuration_of, needs_evidence, weights_of
from image_promotion.registry.digest import Digest
from image_promotion.registry.manifest import OCI_MANIFEST, parse_manifest
from image_promotion.registry.referrer_tags import cosign_tags
from tests.support.exhibits import COMPONENT, CYCLONEDX_PREDICATE, NOW, RELEASE, STRANGER, sbom
from tests.support.memory_store import CONFIG_TYPE, entry
from tests.support.signatures import SigningKey, compact, envelope, statement
from tests.unit.promotion.conftest import SOURCE, START, World, policy_of

TRIGGER = {"component": {"equals": COMPONENT}}
SIGNERS = {"release": {"key": RELEASE.pem.decode()}}


def policy(*triggers: object, platforms: object = None, **evidence: object) -> Policy:
    further = {} if platforms is None else {"platforms": platforms}
    return policy_of(
        triggers=list(triggers or [TRIGGER]),
        evidence={"sources": ["referrers"], "signers": SIGNERS} | evidence,
        **further,
    )


def attach(world: World, image: Digest, key: SigningKey = RELEASE) -> None:
    """Attach a signed SBOM as cosign's older format has it, under a tag."""
    payload = statement(image, predicate_type=CYCLONEDX_PREDICATE, predicate=sbom(image, START))
    layer = world.source.hold_blob(
        SOURCE, envelope(key, payload=payload), "application/vnd.dsse.envelope.v1+json"
    )
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": entry(world.source.hold_blob(SOURCE, b"{}", CONFIG_TYPE)),
        "layers": [entry(layer)],
    }
    held = world.source.hold_manifest(SOURCE, parse_manifest(compact(manifest), OCI_MANIFEST))
    world.source.tags[SOURCE][cosign_tags(image)[1]] = held.digest


def kept(world: World, rules: Policy, digest: Digest) -> Dossier | None:
    key = (SOURCE, str(digest))
    found = world.ledger.kept_evidence("dev", configuration_of(rules), [key])
    return unpack(found[key]) if key in found else None


def opened(world: World) -> int:
    return len(world.source.asked("open_blob"))


async def test_what_is_attached_in_the_registry_passes_an_image_and_is_kept(world: World) -> None:
    digest = world.push("1-stable", "content")
    attach(world, digest)
    _, evaluation = await world.decide(policy())

    assert [each.outcome for each in evaluation.decisions] == [Outcome.PROMOTE]
    (reason,) = evaluation.decisions[0].reasons
    assert "signed by release" in reason.source
    dossier = kept(world, policy(), digest)
    assert dossier
    assert [(each.signed_by, each.problem) for each in dossier.entries] == [(("release",), "")]


async def test_a_waiting_image_passes_once_the_evidence_is_there(world: World) -> None:
    digest = world.push("1-stable", "content")
    _, first = await world.decide(policy())
    assert first.count(Outcome.WAIT) == 1

    attach(world, digest, STRANGER)
    _, second = await world.decide(policy())
    assert second.count(Outcome.WAIT) == 1
    assert "does not count" in second.decisions[0].reasons[0].found

    attach(world, digest)
    _, third = await world.decide(policy())
    assert third.count(Outcome.PROMOTE) == 1


@pytest.mark.parametrize("how", ["torn", "of another version", "of another image"])
async def test_what_is_kept_and_cannot_be_used_is_gathered_anew(world: World, how: str) -> None:
    digest = world.push("1-stable", "content")
    attach(world, digest)
    rules = policy()
    await world.decide(rules)
    dossier = kept(world, rules, digest)
    assert dossier
    torn = pack(dossier)[:-5]
    content = {
        "torn": torn,
        "of another version": pack(replace(dossier, version=99)),
        "of another image": pack(replace(dossier, image=str(Digest.of(b"other")))),
    }[how]
    world.ledger.keep_evidence(
        "dev", configuration_of(rules), {(SOURCE, str(digest)): content}, at=NOW
    )

    before = opened(world)
    planned = await world.plan(policy(TRIGGER, {"tag": {"contains": "1"}}))
    assert planned["1-stable"].outcome is Outcome.PROMOTE
    assert opened(world) == before + 1


async def test_kept_evidence_serves_another_policy_that_says_the_same_of_evidence(
    world: World,
) -> None:
    digest = world.push("1-stable", "content")
    attach(world, digest)
    await world.decide(policy())
    before = opened(world)

    other = policy({"component": {"starts_with": "b"}}, max_age="30d")
    await world.decide(other)
    assert opened(world) == before
    await world.decide(policy(trust={"referrers": "any"}))
    assert opened(world) == before + 1


async def test_deciding_again_gathers_again(world: World) -> None:
    digest = world.push("1-stable", "content")
    attach(world, digest)
    rules = policy({"component": {"equals": "log4j-core"}})
    await world.decide(rules)
    before = opened(world)

    await world.decide(rules, "1-stable")
    assert opened(world) == before
    await world.decide(rules, decide_again=True)
    assert opened(world) == before + 1


async def test_an_image_that_cannot_be_read_waits_and_the_others_go_on(world: World) -> None:
    bad, good = world.push("1-stable", "bad"), world.push("2-stable", "good")
    attach(world, good)
    run = world.begin(policy())
    await world.scan(policy(), run)
    del world.source.manifests[SOURCE][bad]

    evaluation = await world.evaluate(policy(), run)
    by_tag = {each.image.tag: each for each in evaluation.decisions}
    assert by_tag["2-stable"].outcome is Outcome.PROMOTE
    assert by_tag["1-stable"].outcome is Outcome.WAIT
    assert "cannot be read: there is no manifest" in by_tag["1-stable"].reasons[0].found


async def test_a_failing_registry_is_noted_and_keeps_the_image_waiting(world: World) -> None:
    digest = world.push("1-stable", "content")
    attach(world, digest)

    async def fail(event: object) -> None:
        if getattr(event, "action", "") == "open_blob":
            raise NotFoundError("it is gone", retryable=True)

    world.source.hook = fail
    _, evaluation = await world.decide(policy())
    assert evaluation.count(Outcome.WAIT) == 1
    assert "referrers: could not be asked: it is gone" in evaluation.decisions[0].reasons[0].found


async def test_a_decision_that_reads_the_same_is_not_recorded_anew(world: World) -> None:
    digest = world.push("1-stable", "content")
    attach(world, digest, STRANGER)
    _, first = await world.decide(policy())
    run, second = await world.decide(policy())

    assert first.decisions[0].reasons == second.decisions[0].reasons
    (candidate,) = world.ledger.candidates(run, decide_again=False)
    assert candidate.last
    assert candidate.last.times_asked == 2


def test_what_decides_what_is_gathered_tells_configurations_apart() -> None:
    base = policy()
    same = (
        policy({"tag": {"contains": "x"}}),
        policy(max_age="3d"),
        policy(
            exceptions=[{"id": "CVE-1", "reason": "so", "expires": "2026-12-31", "by": "alice"}]
        ),
    )
    others = (
        policy(sources=["referrers", "registry"]),
        policy(sources=["registry", "referrers"]),
        policy(trust={"referrers": "any"}),
        policy(signers={"release": {"key": STRANGER.pem.decode()}}),
        policy(platforms=["linux/amd64"]),
    )
    assert {configuration_of(each) for each in same} == {configuration_of(base)}
    assert len({configuration_of(each) for each in (base, *others)}) == 1 + len(others)


def test_the_rules_name_whose_signatures_are_asked_for_however_deep() -> None:
    signature = {"signature": {"signed_by": ["release"]}}
    rules = policy({"any": [TRIGGER, {"not": signature}]}, signature)

    assert weights_of(rules, NOW).signers == (frozenset({"release"}),)
    assert weights_of(policy(), NOW).signers == ()
    assert needs_evidence(rules) == {Need.COMPONENTS, Need.SIGNATURES}
    assert needs_evidence(policy({"tag": {"contains": "x"}})) == frozenset()
