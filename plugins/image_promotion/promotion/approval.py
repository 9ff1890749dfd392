"""People decide: what they are asked about, and what their answers come to.

Only the ledger says what is approved. An answer is words in it, one of each person for each
promotion; a promotion goes on when as many different people as the policy asks for have approved
it, in whatever runs, since it was last rejected and under the same version of the policy.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from image_promotion.errors import PromotionError, RegistryError
from image_promotion.ledger.approvals import DECIDABLE, LastDecision
from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.records import Promotion, Run, State, Verdict
from image_promotion.ledger.verdicts import NOBODY, Word
from image_promotion.policy.governance import Approval, OnTimeout
from image_promotion.policy.model import Policy
from image_promotion.promotion.aiming import StoreOf
from image_promotion.promotion.batches import image_label
from image_promotion.registry.concurrency import ask_each

TAGS_AT_ONCE = 16

# Its tag is set: there is nothing to be decided any more, only to be finished.
_VISIBLE = (State.TAGGED, State.VERIFIED)


@dataclass(frozen=True, slots=True)
class Standing:
    """How promotions stand with the people who decide.

    Attributes:
        approved: Those that may go on, failed ones included.
        undecided: Those that more people must approve.
        unearned: Those whose image another run has decided about otherwise since: nobody need be
            asked, and nothing goes on.
        approvals: The approvals that count, of each.
    """

    approved: tuple[Promotion, ...]
    undecided: tuple[Promotion, ...]
    unearned: tuple[Promotion, ...]
    approvals: Mapping[int, tuple[Word, ...]]


def standing(policy: Policy, ledger: Ledger, promotion_ids: Collection[int]) -> Standing:
    """Say which promotions are approved and which are not.

    Args:
        policy: The policy, of the version that the run goes by.
        ledger: The ledger.
        promotion_ids: The promotions.

    Returns:
        How they stand; superseded ones, rejected ones among them, are nowhere in it.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    ids = list(dict.fromkeys(promotion_ids))
    said = ledger.approvals.standing(policy.hash, ids)
    decided = ledger.approvals.last_decisions(ids)
    approved, undecided, unearned = [], [], []
    for promotion in ledger.promotions(ids):
        if promotion.state is State.SUPERSEDED:
            continue
        last = decided.get(promotion.id)
        if promotion.state in _VISIBLE:
            approved.append(promotion)
        elif last is None or not last.wants_it:
            unearned.append(promotion)
        elif policy.approval is None or len(said[promotion.id]) >= policy.approval.approvals:
            approved.append(promotion)
        else:
            undecided.append(promotion)
    return Standing(tuple(approved), tuple(undecided), tuple(unearned), said)


@dataclass(frozen=True, slots=True)
class Question:
    """What a reviewer is shown of one promotion.

    Attributes:
        promotion: The promotion.
        decision: Why it is to be promoted.
        held: What its target tag holds now, in words.
        approvals: Who has approved it already.
    """

    promotion: Promotion
    decision: LastDecision
    held: str
    approvals: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What somebody answered.

    Attributes:
        verdict: What is said of all that is not named below.
        names: By which names the auth manager knows who answered; empty when it says nobody.
        rejected: Names of images that are rejected although the others are approved.
        left: Names of images about which the answer says nothing.
        comment: Why.
        at: When.
    """

    verdict: Verdict
    names: tuple[str, ...]
    rejected: tuple[str, ...]
    left: tuple[str, ...]
    comment: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Count:
    """What an answer came to.

    Attributes:
        said: What to tell people, a line each.
        counts: Whether anything of the answer counts.
        lacking: The promotions that were asked about and still lack approvals.
    """

    said: tuple[str, ...]
    counts: bool
    lacking: tuple[Promotion, ...]


def ask(
    policy: Policy,
    ledger: Ledger,
    run: Run,
    promotion_ids: Collection[int],
    *,
    now: datetime,
    insist: bool = False,
) -> Standing:
    """Find out what a run is to ask people about, and keep other runs from asking the same.

    Args:
        policy: The policy of the run; it has `approval`.
        ledger: The ledger.
        run: The run.
        promotion_ids: What the run would promote.
        now: The present moment.
        insist: Ask also about what another run waits for.

    Returns:
        How the promotions stand; the undecided ones are those this run is to ask about.

    Raises:
        LedgerError: The ledger cannot be written.
    """
    found = standing(policy, ledger, promotion_ids)
    open_ones = [each.id for each in found.undecided if each.state in DECIDABLE]
    asked = ledger.approvals.ask(
        run,
        open_ones,
        at=now,
        expires_at=now + _approval(policy).timeout,
        insist=insist,
    )
    mine = tuple(each for each in found.undecided if each.id in asked)
    return Standing(found.approved, mine, found.unearned, found.approvals)


async def questions(found: Standing, ledger: Ledger, target_of: StoreOf) -> list[Question]:
    """Gather what reviewers want to see.

    Args:
        found: How the promotions stand.
        ledger: The ledger.
        target_of: Gives the store of a target connection.

    Returns:
        One for each undecided promotion, those of one image together. That a target cannot be
        asked is said in it, for the reviewer to judge.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    decided = ledger.approvals.last_decisions([each.id for each in found.undecided])

    silent: dict[str, str] = {}

    async def question(promotion: Promotion) -> Question:
        connection_id = promotion.target_connection
        # One that does not answer once, with all its retries, is not asked for each image.
        held = silent.get(connection_id)
        if held is None:
            try:
                held = await _held(promotion, target_of)
            except RegistryError as error:
                held = f"could not be asked: {error}"
                if error.retryable:
                    silent[connection_id] = held
        return Question(promotion, decided[promotion.id], held, found.approvals[promotion.id])

    ordered = sorted(found.undecided, key=lambda each: (image_label(each), each.id))
    return list(await ask_each(question, ordered, at_once=TAGS_AT_ONCE))


async def _held(promotion: Promotion, target_of: StoreOf) -> str:
    """Say what a target tag holds now."""
    target = target_of(promotion.target_connection)
    held = await target.resolve(promotion.target_repository, promotion.target_tag)
    if held is None:
        return "nothing"
    return "this image" if str(held.digest) == promotion.target_digest else str(held.digest)


def labels(promotions: Sequence[Promotion]) -> dict[int, str]:
    """Name promotions as reviewers choose among them.

    Args:
        promotions: The promotions that are asked about together.

    Returns:
        The image's name where the image has one promotion among them, else the target too.
    """
    images = [image_label(each) for each in promotions]
    return {
        each.id: image
        if images.count(image) == 1
        else f"{image} -> {each.target_connection}/{each.target_repository}:{each.target_tag}"
        for each, image in zip(promotions, images, strict=True)
    }


def ask_further(policy: Policy, ledger: Ledger, run: Run, *, now: datetime) -> Standing:
    """Find out what a run is to ask one more person about.

    Args:
        policy: The policy of the run; it has `approval`.
        ledger: The ledger.
        run: The run; it has asked before.
        now: The present moment.

    Returns:
        How the promotions stand that it waits for. What the first answers left alone is none of
        them.

    Raises:
        LedgerError: The ledger cannot be written.
    """
    _, waited_for = ledger.approvals.asked(run)
    return ask(policy, ledger, run, waited_for, now=now, insist=True)


def count(policy: Policy, ledger: Ledger, run: Run, answer: Answer) -> Count:
    """Record an answer, as far as it counts.

    Args:
        policy: The policy of the run; it has `approval`.
        ledger: The ledger.
        run: The run that asked.
        answer: The answer; it may also reject what the same run has approved a moment ago.

    Returns:
        What it came to. An answer of somebody who may not decide, and one that names what nobody
        asked about, counts for nothing: a misspelt name must not approve what it was to reject.

    Raises:
        LedgerError: The ledger cannot be written.
    """
    all_asked, waited_for = ledger.approvals.asked(run)
    promotions = ledger.promotions(sorted(all_asked))
    asked = sorted(waited_for)
    said: list[str] = []
    counted: tuple[Promotion, ...] = ()
    left: frozenset[int] = frozenset()
    if problem := _refusal(_approval(policy), answer):
        said.append(f"this answer does not count: {problem}")
    else:
        named = _named(promotions)
        unknown = [each for each in (*answer.rejected, *answer.left) if each not in named]
        if unknown:
            said.append(
                "this answer does not count: nobody asked about "
                + ", ".join(repr(each) for each in unknown)
            )
        else:
            left = frozenset(n for each in answer.left for n in named[each])
            rejected = frozenset(n for each in answer.rejected for n in named[each]) - left
            if answer.verdict is Verdict.REJECTED:
                rejected = frozenset(asked) - left
            approved = [each for each in asked if each not in rejected | left]
            before = ledger.approvals.standing(policy.hash, approved)
            who = answer.names[0]
            new = [n for n in approved if who not in {word.who for word in before[n]}]
            if len(new) < len(approved):
                said.append(
                    f"{who} has approved {len(approved) - len(new)} of them before; to do so twice "
                    "does not count, somebody else has to"
                )
            for verdict, ids in (
                (Verdict.REJECTED, sorted(rejected)),
                (Verdict.APPROVED, new),
            ):
                recorded = ledger.approvals.say(
                    run, verdict, ids, who=who, comment=answer.comment, at=answer.at
                )
                said += [f"{verdict} by {who}: {image_label(each)}" for each in recorded]
                counted += recorded
    found = standing(policy, ledger, asked)
    lacking = tuple(each for each in found.undecided if each.id not in left)
    ledger.approvals.close(run, waited_for - {each.id for each in lacking}, at=answer.at)
    return Count(tuple(said), counts=bool(counted) or bool(left), lacking=lacking)


def give_up(policy: Policy, ledger: Ledger, run: Run, now: datetime) -> tuple[str, ...]:
    """Do what the policy says of images about which nobody decided in time.

    Args:
        policy: The policy of the run; it has `approval`.
        ledger: The ledger.
        run: The run that asked.
        now: The present moment.

    Returns:
        What to tell people, a line each.

    Raises:
        LedgerError: The ledger cannot be written.
    """
    approval = _approval(policy)
    _, waited_for = ledger.approvals.asked(run)
    undecided = standing(policy, ledger, sorted(waited_for)).undecided
    ledger.approvals.close(run, waited_for, at=now)
    if approval.on_timeout is OnTimeout.REJECT:
        rejected = ledger.approvals.say(
            run,
            Verdict.REJECTED,
            [each.id for each in undecided],
            who=NOBODY,
            comment="approval.on_timeout: reject",
            at=now,
        )
        return tuple(f"rejected, nobody decided in time: {image_label(each)}" for each in rejected)
    return tuple(
        f"nobody decided in time, the next run asks again: {image_label(each)}"
        for each in undecided
    )


def require_approved(policy: Policy, ledger: Ledger, promotion: Promotion) -> None:
    """Refuse to copy what people have not approved, whoever asks for it.

    Args:
        policy: The policy, of the version of the run that is to copy.
        ledger: The ledger.
        promotion: The promotion.

    Raises:
        PromotionError: It lacks approvals.
    """
    if policy.approval is None or promotion.state in _VISIBLE:
        return
    given = ledger.approvals.standing(policy.hash, [promotion.id])[promotion.id]
    if len(given) < policy.approval.approvals:
        raise PromotionError(
            f"{image_label(promotion)} is not approved: {len(given)} of "
            f"{policy.approval.approvals} approvals",
            advice="Run the policy in Airflow; its task `approve` asks for them.",
        )


def _refusal(approval: Approval, answer: Answer) -> str:
    """Say why somebody may not decide; empty when they may."""
    if not answer.names:
        return "Airflow does not say whose it is"
    if approval.users is not None and not set(answer.names) & set(approval.users):
        return f"{answer.names[0]} is not among approval.users"
    return ""


def _named(promotions: Sequence[Promotion]) -> dict[str, frozenset[int]]:
    """Return what each name that an answer may use stands for."""
    found: dict[str, frozenset[int]] = {}
    for number, label in labels(promotions).items():
        found[label] = frozenset({number})
    for promotion in promotions:
        image = image_label(promotion)
        found[image] = found.get(image, frozenset()) | {promotion.id}
    return found


def _approval(policy: Policy) -> Approval:
    if policy.approval is None:
        raise PromotionError(f"policy {policy.name} asks nobody for approval")
    return policy.approval
