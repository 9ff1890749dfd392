"""The check after a history: source, target and ledger are compared with what really happened.

It knows nothing of how the product works, only what it promises. What happened stands in the tag
records, which the proxies and the other people keep; what the product says of itself stands in the
ledger.

Between the product's last look at a tag and its own write others may come: registries have no
compare-and-set. What came in between, nobody can be blamed for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.lifecycle import FINAL
from image_promotion.ledger.records import Promotion, State, Transition
from image_promotion.policy.model import Policy
from image_promotion.policy.places import ExistingTag
from tests.soak.tag_record import TagChange, TagRecord


class Rule(StrEnum):
    """What must hold after every history."""

    WHOLE = "a tag never leads to content that is not there"
    ARRIVED = "each wanted image is there under the right tag"
    ONCE = "each image is promoted once"
    SETTLED = "nothing is left half done"
    TRUE = "what the ledger says was done had been done"
    RECORDED = "what is in the target stands in the ledger"
    RESPECTED = "other people's tags are theirs, unless the policy says otherwise"
    FRESH = "what its developers have replaced is not given out"
    IN_ORDER = "content comes before its tag"
    QUIET = "a run that finds nothing to do does nothing"
    UNSURPRISED = "a task fails with an error that says what to do"


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that did not hold, and where."""

    rule: Rule
    what: str

    def __str__(self) -> str:
        return f"{self.rule.name}: {self.rule}: {self.what}"


@dataclass(frozen=True)
class Life:
    """A promotion and its steps."""

    promotion: Promotion
    steps: tuple[Transition, ...]

    def first(self, state: State) -> Transition | None:
        """Return the first step to a state; None when it was never taken."""
        return next((step for step in self.steps if step.to_state is state), None)

    def __str__(self) -> str:
        it = self.promotion
        way = ", ".join(step.to_state for step in self.steps)
        return f"promotion {it.id} ({it.source_tag} {it.digest[:19]} -> {it.target_tag}): {way}" + (
            f"; {it.error}" if it.error else ""
        )


def lives_of(ledger: Ledger, policy: str) -> tuple[Life, ...]:
    """Return all promotions of a policy that a ledger has, in the order of their planning."""
    history = ledger.history(policy=policy, limit=10_000)
    promotions = {each.promotion.id: each.promotion for each in history if each.promotion}
    return tuple(
        Life(promotions[number], tuple(ledger.transitions(number))) for number in sorted(promotions)
    )


@dataclass(frozen=True)
class History:
    """All that the checker looks at.

    Attributes:
        policy: The policy.
        source: What the source's tags held.
        target: What the target's tags held.
        lives: The promotions in the ledger.
        visible: What the target shows in the end, read to the last byte.
    """

    policy: Policy
    source: TagRecord
    target: TagRecord
    lives: Sequence[Life]
    visible: Mapping[str, str]

    @property
    def respects_others(self) -> bool:
        """Whether the policy leaves target tags alone that hold other images."""
        return self.policy.target.existing_tag is not ExistingTag.OVERWRITE


def check(history: History) -> Iterator[Violation]:
    """Compare a history with what must hold.

    Args:
        history: What happened, and what the ledger says.

    Yields:
        Each rule that did not hold.
    """
    yield from check_end(history)
    yield from _ledger_is_true(history)
    for change in history.target.ours():
        yield from _change_was_right(history, change)


def check_end(history: History) -> Iterator[Violation]:
    """Compare what there is in the end alone, where clocks cannot be trusted.

    Args:
        history: As in `check`.

    Yields:
        Each rule that did not hold.
    """
    yield from _record_is_what_is_there(history)
    yield from _all_arrived(history)
    yield from _promoted_once(history)
    yield from _settled(history)


def _record_is_what_is_there(history: History) -> Iterator[Violation]:
    recorded = history.target.at_end()
    for tag in sorted(recorded.keys() | history.visible.keys()):
        there, expected = history.visible.get(tag), recorded.get(tag)
        if there != expected:
            yield Violation(Rule.RECORDED, f"{tag} holds {there}, and was last set to {expected}")


def _all_arrived(history: History) -> Iterator[Violation]:
    by_image: dict[tuple[str, str], list[Life]] = defaultdict(list)
    for life in history.lives:
        by_image[life.promotion.source_tag, life.promotion.digest].append(life)
    for tag, digest in history.source.at_end().items():
        if not tag.endswith("-stable"):
            continue
        lives = by_image.get((tag, digest), [])
        done = [each for each in lives if each.promotion.state is State.VERIFIED]
        if not any(_stands(history, life) for life in done) and not _is_barred(
            history, tag, digest, lives
        ):
            told = "; ".join(map(str, lives)) or "the ledger has no promotion of it"
            yield Violation(Rule.ARRIVED, f"{tag} ({digest[:19]}) is not there: {told}")


def _stands(history: History, life: Life) -> bool:
    """Say whether a verified promotion is to be seen, or others moved its tag since."""
    promotion = life.promotion
    if history.visible.get(promotion.target_tag) == promotion.target_digest:
        return True
    last = history.target.changes(promotion.target_tag)[-1:]
    verified = life.first(State.VERIFIED)
    tagged = [step for step in life.steps if step.to_state is State.TAGGED]
    return bool(
        last and verified and tagged and not last[0].is_ours and last[0].ended >= tagged[-1].at
    )


def _is_barred(history: History, tag: str, digest: str, lives: Sequence[Life]) -> bool:
    """Say whether the tag that an image is to get holds another one, and the policy respects it.

    A policy that skips does not ask again: there it is enough that the tag once held another one.
    """
    # Where the template has a time in it, nobody else can have taken the tag that it comes to.
    unplanned = str(history.policy.target.tag).replace("%n", tag)
    wanted = {life.promotion.target_tag for life in lives} or {unplanned}
    held = {history.visible[each] for each in wanted if each in history.visible}
    match history.policy.target.existing_tag:
        case ExistingTag.FAIL:
            return bool(held - {digest})
        case ExistingTag.SKIP:
            once = {change.digest for each in wanted for change in history.target.changes(each)}
            return bool(once - {digest, None})
        case ExistingTag.OVERWRITE:
            return False


def _promoted_once(history: History) -> Iterator[Violation]:
    by_stay: dict[int, list[Life]] = defaultdict(list)
    for life in history.lives:
        by_stay[life.promotion.observation_id].append(life)
        verified = [step for step in life.steps if step.to_state is State.VERIFIED]
        if len(verified) > 1:
            yield Violation(Rule.ONCE, f"verified {len(verified)} times: {life}")
    for stay in by_stay.values():
        if len(stay) > 1:
            yield Violation(
                Rule.ONCE, f"one image, several promotions: {'; '.join(map(str, stay))}"
            )


def _settled(history: History) -> Iterator[Violation]:
    for life in history.lives:
        promotion = life.promotion
        if promotion.state in FINAL:
            continue
        held = history.visible.get(promotion.target_tag)
        is_conflict = (
            promotion.state is State.FAILED
            and history.respects_others
            and held not in (None, promotion.target_digest)
        )
        if not is_conflict:
            yield Violation(Rule.SETTLED, str(life))


def _ledger_is_true(history: History) -> Iterator[Violation]:
    for life in history.lives:
        promotion = life.promotion
        since = promotion.planned_at
        for step in life.steps:
            if step.to_state is State.PLANNED:
                since = step.at
            if step.to_state not in (State.TAGGED, State.VERIFIED):
                continue
            if step.to_state is State.TAGGED and step.from_state is State.FAILED:
                continue  # tried again where it failed
            if not history.target.may_have_held(
                promotion.target_tag, promotion.target_digest, since, step.at
            ):
                yield Violation(
                    Rule.TRUE, f"{step.to_state} at {step.at:%H:%M:%S.%f}, and was not: {life}"
                )
            since = step.at


def _change_was_right(history: History, change: TagChange) -> Iterator[Violation]:
    """Hold one tag that the product set to the ledger, to the source and to other people."""
    what = f"{change.tag} was set to {(change.digest or '')[:19]} at {change.ended:%H:%M:%S.%f}"
    lives = [
        life
        for life in history.lives
        if life.promotion.target_tag == change.tag
        and life.promotion.target_digest == change.digest
        and life.steps
        and life.steps[0].at <= change.began
    ]
    if not lives:
        yield Violation(Rule.RECORDED, f"{what}, and the ledger has no promotion of it")
        return
    if not any(life.first(State.TAGGED) for life in lives):
        yield Violation(Rule.RECORDED, f"{what}, and the ledger never says so: {lives[-1]}")
    if not any(_was_fresh(history, life, change) for life in lives):
        yield Violation(Rule.FRESH, f"{what}, and its source tag had moved: {lives[-1]}")
    holder = history.target.holder(change.tag, change.began)
    look = history.target.last_look(change.tag, change.began)
    if (
        history.respects_others
        and holder
        and holder.digest not in (None, change.digest)
        and (look is None or holder.ended < look)
    ):
        yield Violation(Rule.RESPECTED, f"{what}, and held {(holder.digest or '')[:19]}")


def _was_fresh(history: History, life: Life, change: TagChange) -> bool:
    """Say whether the source tag may have held the image when the product last looked."""
    promotion = life.promotion
    copied = [
        step.at for step in life.steps if step.to_state is State.COPIED and step.at < change.began
    ]
    look = history.source.last_look(promotion.source_tag, change.began)
    has_looked = bool(copied and look and look > copied[-1])
    since = look if has_looked and look else change.began
    return history.source.may_have_held(promotion.source_tag, promotion.digest, since, change.ended)
