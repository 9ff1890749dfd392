from __future__ import annotations

from datetime import timedelta

import pytest

from image_promotion.errors import InvalidReferenceError, NotFoundError, ProtocolViolationError
from image_promotion.ledger.records import Outcome
from image_promotion.policy.model import Policy
from image_promotion.promotion.explaining import (
    NOT_LOOKED_AT,
    NOT_NEEDED,
    Explanation,
    explain,
)
from image_promotion.registry.descriptor import Descriptor
from tests.support.memory_store import MemoryStore
from tests.unit.promotion.conftest import SOURCE, TARGET, World, policy_of

NEEDS_EVIDENCE = [{"tag": {"ends_with": "-stable"}}, {"vulnerabilities": {"critical": "= 0"}}]


async def explained(world: World, policy: Policy, tag: str) -> Explanation:
    return await explain(
        policy,
        tag,
        source=world.source,
        target_of=world.target_of,
        ledger=world.ledger,
        now=world.now,
    )


async def test_an_explanation_says_what_a_run_would_decide_and_writes_nothing(
    world: World,
) -> None:
    digest = world.push("1.4-stable", "a")

    found = await explained(world, policy_of(), "1.4-stable")

    assert (found.outcome, found.digest) == (Outcome.PROMOTE, str(digest))
    assert str(found.target) == f"{TARGET}:1.4-stable"
    assert found.why_no_evidence == NOT_NEEDED
    assert found.recorded == ()
    assert world.target.manifests == {}
    assert world.ledger.history() == ()
    _, evaluation = await world.decide(policy_of())
    assert evaluation.decisions[0].reasons == found.reasons


async def test_a_tag_that_its_name_rules_out_is_explained_without_looking_for_evidence(
    world: World,
) -> None:
    world.push("1.5-rc1", "b")

    found = await explained(world, policy_of(triggers=NEEDS_EVIDENCE), "1.5-rc1")

    assert found.outcome is Outcome.REJECT
    assert [each.verdict for each in found.reasons] == ["not_held", "unknown"]
    assert found.evidence is None
    assert found.why_no_evidence == NOT_LOOKED_AT
    assert str(found.target) == f"{TARGET}:1.5-rc1"


async def test_an_image_without_evidence_waits_and_the_sources_are_quoted(world: World) -> None:
    world.push("1.4-stable", "a")

    found = await explained(world, policy_of(triggers=NEEDS_EVIDENCE), "1.4-stable")

    assert found.outcome is Outcome.WAIT
    assert found.evidence
    assert found.evidence.documents == ()
    assert not found.evidence.was_kept
    assert "registry" in {each.note.source for each in found.evidence.notes}
    assert world.ledger.history() == ()


async def test_an_image_that_has_been_promoted_is_decided_about_and_left_as_it_is(
    world: World,
) -> None:
    world.push("1.4-stable", "a")
    await world.promote(policy_of())
    found = await explained(world, policy_of(), "1.4-stable")
    assert found.outcome is Outcome.PROMOTE
    assert found.recorded
    assert found.recorded[0].promotion
    assert found.run == "leaves it as it is, since it has been promoted"


async def test_a_target_tag_with_the_time_in_it_stays_as_it_was_set(world: World) -> None:
    policy = policy_of(target={"connection": "q", "repository": TARGET, "tag": "%n-%H%M"})
    world.push("1.4-stable", "a")
    await world.promote(policy)
    first = await explained(world, policy, "1.4-stable")
    world.now += timedelta(hours=1)
    assert (await explained(world, policy, "1.4-stable")).target == first.target


async def test_what_was_recorded_of_the_digest_before_is_told_as_such(world: World) -> None:
    before = world.push("1.4-stable", "a")
    await world.decide(policy_of())
    after = world.push("1.4-stable", "b")

    found = await explained(world, policy_of(), "1.4-stable")

    assert found.digest == str(after)
    assert found.recorded
    assert found.recorded[0].observation.digest == str(before)
    assert found.run == ""


async def test_what_a_run_does_with_existing_images_is_told(world: World) -> None:
    policy = policy_of(existing_images="ignore")
    world.push("1.4-stable", "a")
    assert "existing_images is ignore" in (await explained(world, policy, "1.4-stable")).run
    await world.decide(policy)
    found = await explained(world, policy, "1.4-stable")
    assert found.outcome is Outcome.PROMOTE
    assert found.recorded
    assert found.recorded[0].decision.outcome is Outcome.REJECT
    assert "leaves it rejected" in found.run


async def test_a_wait_says_until_when(world: World) -> None:
    policy = policy_of(triggers=[{"updated": {"older_than": "1d"}}])
    created = world.now - timedelta(hours=1)
    image = world.source.hold_image(
        SOURCE, b"a", config=f'{{"created": "{created.isoformat()}"}}'.encode()
    )
    world.source.tags.setdefault(SOURCE, {})["1.4"] = image.digest
    found = await explained(world, policy, "1.4")
    assert found.outcome is Outcome.WAIT
    assert found.wait_until == created + timedelta(days=1)


async def test_what_is_attached_to_images_is_told_to_be_no_image(world: World) -> None:
    digest = world.push("1.4-stable", "a")
    name = f"sha256-{digest.encoded}.sig"
    world.source.tags[SOURCE][name] = digest
    found = await explained(world, policy_of(), name)
    assert found.outcome is Outcome.REJECT
    assert "names what is attached to an image" in found.reasons[0].found


async def test_a_tag_that_cannot_be_read_is_told_with_the_reason(world: World) -> None:
    class Broken(MemoryStore):
        async def resolve(self, repository: str, tag: str) -> Descriptor | None:
            raise ProtocolViolationError(f"{repository}:{tag} has no digest")

    world.source = Broken("dev", "dev")
    found = await explained(world, policy_of(), "1.4-stable")
    assert found.outcome is None
    assert "has no digest" in found.problem


async def test_a_tag_that_is_not_there_is_an_error_that_names_those_like_it(world: World) -> None:
    world.push("1.4-stable", "a")
    with pytest.raises(NotFoundError) as caught:
        await explained(world, policy_of(), "1.4-stabel")
    assert caught.value.advice == "There is 1.4-stable."
    with pytest.raises(NotFoundError) as caught:
        await explained(world, policy_of(), "nothing-like-it")
    assert caught.value.advice == "None of its 1 is like it."


class TestPattern:
    POLICY = policy_of(
        source={"connection": "d", "repository": "dev/*"},
        target={"connection": "q", "repository": "qa/{name}"},
    )

    async def test_a_tag_that_one_repository_has_needs_no_repository(self, world: World) -> None:
        world.push("1.4-stable", "a", "dev/website")
        world.push("2.0-stable", "b", "dev/shop")
        found = await explained(world, self.POLICY, "2.0-stable")
        assert (found.repository, str(found.target)) == ("dev/shop", "qa/shop:2.0-stable")

    async def test_a_tag_that_several_have_must_be_named_with_its_repository(
        self, world: World
    ) -> None:
        world.push("1.4-stable", "a", "dev/website")
        shop = world.push("1.4-stable", "b", "dev/shop")
        with pytest.raises(InvalidReferenceError) as caught:
            await explained(world, self.POLICY, "1.4-stable")
        assert "dev/shop:1.4-stable, dev/website:1.4-stable" in caught.value.advice
        found = await explained(world, self.POLICY, "dev/shop:1.4-stable")
        assert found.digest == str(shop)

    async def test_a_tag_that_none_has_is_an_error(self, world: World) -> None:
        world.push("1.4-stable", "a")
        world.push("1.4-stable", "b", "dev/shop")
        with pytest.raises(NotFoundError, match="none of the 2 repositories"):
            await explained(world, self.POLICY, "9-stable")


@pytest.mark.parametrize("text", ["", "a b", "dev/other:1.4-stable", "dev/website:", ":1.4"])
async def test_what_is_no_tag_of_the_policys_source_is_refused(world: World, text: str) -> None:
    world.push("1.4-stable", "a")
    with pytest.raises(InvalidReferenceError) as caught:
        await explained(world, policy_of(), text)
    assert caught.value.advice
