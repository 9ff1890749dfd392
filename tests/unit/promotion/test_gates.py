"""`requires` and `soak`: what keeps an image waiting, and until when."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from image_promotion.ledger.rechecks import NewRecheck
from image_promotion.ledger.records import Outcome, Promotion, Reason, State
from image_promotion.ledger.rollbacks import NewRollback
from image_promotion.ledger.upstream import Arrival
from image_promotion.policy.criteria.verdict import Verdict
from image_promotion.policy.model import Policy
from image_promotion.promotion.decision import ImageDecision, ImageName
from image_promotion.promotion.gates import judge_gates
from image_promotion.promotion.scanning import version_of
from tests.support.memory_store import MemoryStore
from tests.support.promotions import promotion_of
from tests.unit.promotion.conftest import START, World, policy_of

QA, PROD = "qa/website", "prod/website"
IMAGE = ImageName(QA, "1-stable", "sha256:a")


def first(**changes: object) -> Policy:
    return policy_of(**{"name": "dev-to-qa", **changes})


def second(**changes: object) -> Policy:
    """A policy that takes from where the first brings."""
    return policy_of(
        name="qa-to-prod",
        source={"connection": "qa_registry", "repository": QA},
        target={"connection": "prod_registry", "repository": PROD},
        **changes,
    )


def downstream(world: World) -> World:
    """The world as the second policy sees it: the first one's target is its source."""
    return replace(world, source=world.target, target=MemoryStore("prod", "prod"), runs=1000)


async def decide(world: World, policy: Policy) -> ImageDecision:
    _, evaluation = await world.decide(policy)
    (decision,) = evaluation.decisions
    return decision


def words(decision: ImageDecision, trigger: str) -> str:
    (reason,) = [each for each in decision.reasons if each.trigger == trigger]
    return f"{reason.verdict}: {reason.found} ({reason.source})"


async def test_an_image_waits_until_the_policy_it_requires_has_verified_the_digest(
    world: World,
) -> None:
    digest = world.push("1-stable", "one")
    world.target.hold_image(QA, b"one", config=b'{"c":1}')
    world.target.tags[QA] = {"1-stable": digest}
    prod, policy = downstream(world), second(requires=["dev-to-qa"])

    waits = await decide(prod, policy)
    await world.promote(first())
    prod.now = world.now
    goes = await decide(prod, policy)

    assert (waits.outcome, waits.wait_until) == (Outcome.WAIT, None)
    assert words(waits, "requires dev-to-qa") == (
        "not_held: dev-to-qa has not verified this digest there yet (ledger)"
    )
    assert goes.outcome is Outcome.PROMOTE
    assert words(goes, "requires dev-to-qa").startswith("held: verified there as 1-stable at 2026")


async def test_another_digest_that_the_required_policy_verified_does_not_count(
    world: World,
) -> None:
    world.push("1-stable", "one")
    await world.promote(first())
    other = world.target.hold_image(QA, b"other", config=b'{"c":1}')
    world.target.tags[QA]["1-stable"] = other.digest

    decision = await decide(downstream(world), second(requires="dev-to-qa"))

    assert decision.outcome is Outcome.WAIT


async def test_soaking_begins_when_the_last_required_policy_has_verified_the_digest(
    world: World,
) -> None:
    world.push("1-stable", "one")
    await world.promote(first())
    arrived = world.now
    world.now += timedelta(hours=1)
    await world.promote(first(name="scan", target=_target(tag="%n-scanned")))
    prod = downstream(world)
    policy = second(requires=["dev-to-qa", "scan"], soak="24h")

    run, evaluation = await prod.decide(policy)
    first_tag = next(each for each in evaluation.decisions if each.image.tag == "1-stable")

    until = world.now + timedelta(hours=24)
    assert until > arrived + timedelta(hours=24)
    assert (first_tag.outcome, first_tag.wait_until) == (Outcome.WAIT, until)
    assert f"until {until:%Y-%m-%d %H:%M:%S}Z" in words(first_tag, "soak 1d")
    prod.now = until
    _, later = await prod.decide(policy)
    assert {each.outcome for each in later.decisions} == {Outcome.PROMOTE}
    assert run.id


async def test_without_requirements_an_image_soaks_since_its_digest_was_seen_first(
    world: World,
) -> None:
    world.push("1-stable", "one")
    seen = await decide(world, policy_of(soak="2h"))
    first_sight = world.now
    world.now += timedelta(hours=1)
    world.push("again-stable", "one")

    _, evaluation = await world.decide(policy_of(soak="2h"))

    assert seen.wait_until == first_sight + timedelta(hours=2)
    assert {each.wait_until for each in evaluation.decisions} == {seen.wait_until}
    world.now = first_sight + timedelta(hours=2)
    assert (await world.plan(policy_of(soak="2h")))["1-stable"].outcome is Outcome.PROMOTE


async def test_a_policy_that_soaks_says_the_same_as_long_as_nothing_changes(world: World) -> None:
    world.push("1-stable", "one")
    for _ in range(3):
        await world.decide(policy_of(soak="2h"))

    (entry,) = world.ledger.history()
    assert entry.decision.times_asked == 3


async def test_a_trigger_that_does_not_hold_rejects_whatever_the_gates_say(world: World) -> None:
    world.push("1-rc", "one")
    policy = policy_of(soak="2h", triggers=[{"any": [{"tag": {"ends_with": "-stable"}}]}])

    assert (await world.plan(policy))["1-rc"].outcome is Outcome.REJECT


async def test_no_evidence_is_gathered_about_an_image_that_soaks(world: World) -> None:
    world.push("1-stable", "one")
    policy = policy_of(
        soak="2h",
        triggers=[{"tag": {"ends_with": "-stable"}}, {"vulnerabilities": {"critical": "= 0"}}],
    )

    decision = await decide(world, policy)

    asked = {event.action for event in world.source.events}
    assert decision.outcome is Outcome.WAIT
    assert not any("manifest" in action for action in asked), asked
    world.now += timedelta(hours=2)
    world.source.events.clear()
    await decide(world, policy)
    assert any("manifest" in event.action for event in world.source.events)


async def test_a_soaking_image_whose_evidence_is_open_is_not_said_to_go_at_a_time(
    world: World,
) -> None:
    world.push("1-stable", "one")
    triggers = [{"tag": {"ends_with": "-stable"}}, {"vulnerabilities": {"critical": "= 0"}}]

    decision = await decide(world, policy_of(soak="2h", triggers=triggers))

    assert (decision.outcome, decision.wait_until) == (Outcome.WAIT, None)


async def test_what_was_rolled_back_has_to_be_brought_again(world: World) -> None:
    old = world.push("1-stable", "old")
    await world.promote(first(target=_target(tag="now", existing_tag="overwrite")))
    new = world.push("1-stable", "new")
    await world.promote(first(target=_target(tag="now", existing_tag="overwrite")))
    world.target.tags[QA]["kept-stable"] = new
    prod, policy = downstream(world), second(requires="dev-to-qa")
    before = await decide(prod, policy)
    _roll_back(world, old=str(old), new=str(new))

    prod.now = world.now
    plan = await prod.plan(policy_of(**{**_keys(policy), "name": "another-to-prod"}))

    assert before.outcome is Outcome.PROMOTE
    row = plan["kept-stable"]
    assert row.outcome is Outcome.WAIT
    assert "rolled back since" in row.why


async def test_what_would_not_be_promoted_today_goes_no_further(world: World) -> None:
    world.push("1-stable", "one")
    await world.promote(first())
    (entry,) = world.ledger.history()
    assert entry.promotion
    prod = downstream(world)

    assert await _outcome_after_look(world, prod, entry.promotion, Outcome.REJECT) is Outcome.WAIT
    assert await _outcome_after_look(world, prod, entry.promotion, Outcome.WAIT) is Outcome.WAIT
    assert (
        await _outcome_after_look(world, prod, entry.promotion, Outcome.PROMOTE) is Outcome.PROMOTE
    )


async def _outcome_after_look(
    world: World, prod: World, promotion: Promotion, outcome: Outcome
) -> Outcome | None:
    world.now += timedelta(days=1)
    run = world.begin(first())
    reason = Reason("vulnerabilities: critical = 0", "not_held", "= 0", "2 critical", "trivy")
    world.ledger.rechecks.record(run, [NewRecheck(promotion.id, outcome, (reason,))], world.now)
    prod.now = world.now
    row = (await prod.plan(second()))["1-stable"]
    if row.outcome is Outcome.WAIT:
        assert "dev-to-qa would not promote it since" in row.why
    return row.outcome


def _target(**changes: object) -> dict[str, object]:
    return {"connection": "qa_registry", "repository": QA, **changes}


def _keys(policy: Policy) -> dict[str, object]:
    return {
        "source": policy.source.model_dump(),
        "target": {"connection": "prod_registry", "repository": PROD},
        "requires": policy.requires,
    }


def _roll_back(world: World, *, old: str, new: str) -> None:
    """Let the ledger know that the target tag was set back."""
    run = world.begin(first())
    promotion = world.ledger.rollbacks.plan(
        run,
        NewRollback(
            source_repository="dev/website",
            source_tag="1-stable",
            digest=old,
            source_connection="dev_registry",
            source_registry="dev",
            target_connection="qa_registry",
            target_registry="qa",
            target_repository=QA,
            target_tag="now",
            target_digest=old,
            former_digest=new,
            reason=Reason("rollback", "held", "", "it was bad", "somebody"),
        ),
        world.now,
    )
    for state in (State.COPIED, State.TAGGED, State.VERIFIED):
        world.ledger.advance(promotion.id, state, at=world.now, run_key=run.key)


HOURS = st.integers(-100, 100).map(lambda hours: START + timedelta(hours=hours))


@st.composite
def arrivals(draw: st.DrawFn, promotion: Promotion) -> Arrival | None:
    if draw(st.booleans()):
        return None
    done = replace(promotion, verified_at=draw(HOURS))
    return Arrival(done, is_undone=draw(st.booleans()))


PROMOTION = promotion_of(1)


@given(
    data=st.data(),
    names=st.lists(st.sampled_from("abc"), unique=True),
    soak_h=st.none() | st.integers(1, 100),
    first_sight=st.none() | HOURS,
    now=HOURS,
)
@settings(max_examples=300, deadline=None)
def test_gates_are_open_when_all_required_stand_and_the_last_of_them_long_enough(
    data: st.DataObject,
    names: list[str],
    soak_h: int | None,
    first_sight: datetime | None,
    now: datetime,
) -> None:
    found = {name: data.draw(arrivals(PROMOTION), label=name) for name in names}
    changes: dict[str, object] = {"requires": names} if names else {}
    if soak_h is not None:
        changes["soak"] = f"{soak_h}h"

    def ask(at: datetime) -> tuple[bool, datetime | None]:
        gates = judge_gates(
            second(**changes), IMAGE, arrivals=found, first_sight=first_sight, doubt=None, now=at
        )
        assert len(gates.reasons) == len(names) + (soak_h is not None)
        held = all(each.verdict == Verdict.HELD for each in gates.reasons)
        assert gates.is_open == held
        return gates.is_open, gates.opens_at

    is_open, opens_at = ask(now)

    stand = [each.since for each in found.values() if each and not each.is_undone]
    all_stand = len(stand) == len(names)
    since = max(stand, default=first_sight or now)
    until = since + timedelta(hours=soak_h or 0)
    if soak_h is None:
        assert (is_open, opens_at) == (all_stand, None)
    else:
        assert is_open == (all_stand and now >= until)
        assert opens_at == (until if all_stand and now < until else None)
    if opens_at and (names or first_sight):
        # A second before it is closed still, and then it opens, and stays so.
        assert not ask(opens_at - timedelta(seconds=1))[0]
        assert ask(opens_at)[0]
        assert ask(opens_at + timedelta(days=1))[0]


def test_the_version_of_a_policy_without_gates_stays() -> None:
    assert "soak" not in version_of(policy_of()).document
