"""Where an image is along the pipeline, in one look, and what it waits for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from image_promotion.ledger.images import Passage, Sight
from image_promotion.ledger.records import Kind, Outcome, Reason
from image_promotion.policy.criteria.verdict import Verdict
from image_promotion.policy.model import Policy
from image_promotion.policy.repositories import name_in, with_name
from image_promotion.web.api.image_models import Stop, StopTag, Wait
from image_promotion.web.pages.passages import Background
from image_promotion.web.pages.pipeline import Where, stages_of

_WHY_NOT = {
    None: "not decided",
    Outcome.PROMOTE: "to be promoted",
    Outcome.WAIT: "waiting",
    Outcome.REJECT: "rejected",
    Outcome.CONFLICT: "conflict",
}


@dataclass(frozen=True, slots=True)
class _Leg:
    """That the image went, or would go, from one repository to another."""

    source: Where
    target: Where
    tag: StopTag


def journey_of(sights: Sequence[Sight], policies: Mapping[str, Policy]) -> tuple[Stop, ...]:
    """Say where an image is along the pipeline.

    Args:
        sights: What policies saw of it, the oldest first.
        policies: The policies, as far as they are known.

    Returns:
        The repositories that it is in, or would come to, by stage.
    """
    tags: dict[Where, dict[str, StopTag]] = defaultdict(dict)
    into: dict[Where, set[Where]] = defaultdict(set)
    for sight in sights:
        for leg in _legs(sight, policies.get(sight.observation.policy)):
            into[leg.source] |= set()
            into[leg.target].add(leg.source)
            # Of several promotions to one tag the last one says how it stands.
            tags[leg.target][leg.tag.tag] = leg.tag
    for sight in sights:
        seen = sight.observation
        place = _source(sight, policies.get(seen.policy))
        into[place] |= set()
        state = "present" if sight.is_present else "gone"
        if not tags[place].get(seen.tag) or not tags[place][seen.tag].policy:
            tags[place][seen.tag] = StopTag(tag=seen.tag, state=state, policy="")
    stages = stages_of(into)
    return tuple(
        Stop(
            stage=stages[place],
            connection=place[0],
            repository=place[1],
            tags=tuple(tags[place].values()),
        )
        for place in sorted(into, key=lambda each: (stages[each], each))
    )


def waits_of(sights: Sequence[Sight], around: Background) -> Iterator[Wait]:
    """Say what an image waits for, and until when.

    Args:
        sights: What policies saw of it.
        around: What is known around it.

    Yields:
        Of each tag that is there still, what its policy does not know or have yet.
    """
    for sight in sights:
        seen, decision = sight.observation, sight.decision
        if not sight.is_present:
            continue
        for passage in sight.passages:
            until = [each.expires_at for each in passage.requests if each.expires_at > around.now]
            if until:
                yield Wait(
                    policy=seen.policy,
                    tag=seen.tag,
                    what=(f"people's approval of {passage.promotion.target_tag}",),
                    until=max(until),
                )
        if decision and decision.outcome in (Outcome.WAIT, Outcome.CONFLICT):
            yield Wait(
                policy=seen.policy,
                tag=seen.tag,
                what=tuple(_open_questions(decision.reasons)),
                until=decision.wait_until,
            )


def _open_questions(reasons: Sequence[Reason]) -> Iterator[str]:
    """Yield what is not known yet, or stands in the way, as it was found."""
    for each in reasons:
        if each.verdict == Verdict.HELD:
            continue
        if each.parts:
            yield from _open_questions(each.parts)
        else:
            yield f"{each.trigger}: {each.found}"


def _legs(sight: Sight, policy: Policy | None) -> Iterator[_Leg]:
    source = _source(sight, policy)
    passages = [each for each in sight.passages if each.promotion.kind is Kind.PROMOTION]
    for passage in [*passages, *(each for each in sight.passages if each not in passages)]:
        done = passage.promotion
        tag = StopTag(tag=done.target_tag, state=_state(passage), policy=done.policy)
        yield _Leg(source, (done.target_connection, done.target_repository), tag)
    if passages or policy is None or not sight.is_present:
        return
    name = name_in(policy.source.repository, sight.observation.repository)
    outcome = sight.decision.outcome if sight.decision else None
    for each in policy.destinations:
        target = each.target.connection, with_name(each.target.repository, name or "")
        tag = StopTag(tag=each.template, state=_WHY_NOT[outcome], policy=policy.name)
        yield _Leg(source, target, tag)


def _source(sight: Sight, policy: Policy | None) -> Where:
    repository = sight.observation.repository
    if policy is not None:
        return policy.source.connection, repository
    known = [each.promotion.source_connection for each in sight.passages]
    return (known[-1] if known else ""), repository


def _state(passage: Passage) -> str:
    if passage.marks.removal:
        return "removed"
    return "rolled back" if passage.marks.is_rolled_back else passage.promotion.state.value
