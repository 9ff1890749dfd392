"""Many promotions in few tasks: how they are divided, and how a stage treats each of a batch.

A task instance costs more than copying a small image, so that above a limit each carries a batch.
What a stage does to one promotion never depends on its neighbours: a batch with failures carries
the others on, fails at its end, and its retry does only what is left.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from math import ceil

from image_promotion.errors import PromotionError, Subject
from image_promotion.ledger.database import in_batches
from image_promotion.ledger.records import Promotion, State
from image_promotion.promotion.journal import Journal
from image_promotion.registry.concurrency import ask_each

log = logging.getLogger(__name__)

IMAGES_AT_ONCE = 8

LEAST_LINES = 4
"""Among so many lines at least are batches divided, so that one worker does not do all."""

STEPS_AT_ONCE = 50
"""How many promotions are read, and their steps written, in one transaction."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The promotions that one line of tasks carries.

    Attributes:
        promotion_ids: Their ids in the ledger.
        label: What Airflow shows for this line: the image, or the first and how many.
    """

    promotion_ids: tuple[int, ...]
    label: str


def image_label(promotion: Promotion) -> str:
    """Return how people name the image of a promotion."""
    return f"{promotion.source_repository}:{promotion.source_tag}"


def divide(promotions: Sequence[Promotion], *, most: int, per_line: int = 1) -> list[Batch]:
    """Divide promotions among lines of tasks: one image each, or batches of almost equal size.

    An image that gets several tags behind one connection is one, so that it is copied once. Images
    for different connections never share a line: behind a registry that does not answer nobody else
    has to wait. Only where there are more connections than lines do they.

    Args:
        promotions: The promotions.
        most: How many lines there may be. Up to so many images have a line each.
        per_line: How many images a line carries where there are more: fewer, so that there are
            ``LEAST_LINES``, or more, so that there are not too many.

    Returns:
        The batches: by connection in the order in which the connections come, and within them in
        the promotions' order.
    """
    by_connection: dict[str, dict[str, list[Promotion]]] = {}
    for promotion in promotions:
        images = by_connection.setdefault(promotion.target_connection, {})
        images.setdefault(f"{image_label(promotion)}@{promotion.digests}", []).append(promotion)
    groups = [list(images.values()) for images in by_connection.values()]
    if len(groups) > most:
        groups = [[load for group in groups for load in group]]
    size = _line_size([len(group) for group in groups], most=most, per_line=per_line)
    names_connection = len(by_connection) > 1
    return [
        _batch(group[start:end], names_connection=names_connection)
        for group in groups
        for start, end in pairwise(_bounds(len(group), size))
    ]


def _line_size(counts: Sequence[int], *, most: int, per_line: int) -> int:
    """Return how many images a line carries at most, so that groups of these sizes need `most`."""
    if sum(counts) <= most:
        return 1
    shared = min(per_line, ceil(sum(counts) / LEAST_LINES))
    size = max(shared, ceil(sum(counts) / most))
    while sum(ceil(count / size) for count in counts) > most:
        size += 1
    return size


def _bounds(count: int, size: int) -> list[int]:
    """Return where lines of almost equal size, and of this size at most, begin and end."""
    lines = ceil(count / size)
    return [position * count // lines for position in range(lines + 1)] if lines else []


def _batch(loads: Sequence[Sequence[Promotion]], *, names_connection: bool) -> Batch:
    first = loads[0][0]
    label = image_label(first)
    if names_connection:
        label += f" -> {first.target_connection}"
    if len(loads) > 1:
        label += f" and {len(loads) - 1} more"
    return Batch(tuple(promotion.id for load in loads for promotion in load), label)


class Stage(StrEnum):
    """The stages that act on a promotion."""

    COPY = "copy"
    RETAG = "retag"
    VERIFY = "verify"
    ATTEST = "attest"


# The states in which a promotion has something to gain from a stage. An earlier one means that the
# stage before has not succeeded; a later one is a repetition, and each stage knows how to bear it.
READY = {
    Stage.COPY: (State.PLANNED, State.COPIED, State.TAGGED, State.VERIFIED),
    Stage.RETAG: (State.COPIED, State.TAGGED, State.VERIFIED),
    Stage.VERIFY: (State.TAGGED, State.VERIFIED),
    # What fails here fails the task alone: the promotion stays verified.
    Stage.ATTEST: (State.VERIFIED,),
}


@dataclass(frozen=True, slots=True)
class StageReport:
    """What a stage did to the promotions of a batch."""

    done: int
    not_ready: int


async def carry_out(
    stage: Stage,
    promotion_ids: Sequence[int],
    act: Callable[[Promotion], Awaitable[object]],
    *,
    journal: Journal,
) -> StageReport:
    """Take each promotion of a batch through a stage; what fails is noted in the ledger.

    Args:
        stage: The stage.
        promotion_ids: The promotions.
        act: What the stage does to one promotion; its result is said in the log.
        journal: Where the run notes what it did.

    Returns:
        How many were done, and how many were not ready: superseded, or failed in an earlier stage.

    Raises:
        PromotionError: Of the one that failed, or of all that failed together. The others are done.
    """

    async def attempt(promotion: Promotion) -> PromotionError | bool:
        label = f"{image_label(promotion)} ({promotion.digests})"
        if promotion.state is State.FAILED and promotion.failed_in in READY[stage]:
            promotion = journal.resume(promotion)
        if promotion.state not in READY[stage]:
            log.info("%s: nothing to %s, it is %s", label, stage, promotion.state)
            return False
        try:
            result = await act(promotion)
        except PromotionError as error:
            error.about(
                Subject(
                    promotion.source_registry,
                    promotion.source_repository,
                    promotion.source_tag,
                    promotion.digest,
                )
            )
            journal.fail(promotion, str(error))
            log.error("%s: could not %s: %s", label, stage, error)  # noqa: TRY400 - expected; the raiser shows the traceback
            return error
        log.info("%s: %s: %s", label, stage, result)
        return True

    answers: list[PromotionError | bool] = []
    for some in in_batches(promotion_ids, STEPS_AT_ONCE):
        try:
            answers += await ask_each(attempt, journal.read_all(some), at_once=IMAGES_AT_ONCE)
        finally:
            # Also when the stage is interrupted: what was done is noted.
            refused = journal.write()
        answers += refused.values()
    errors = [answer for answer in answers if isinstance(answer, PromotionError)]
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise PromotionError(
            f"{len(errors)} of {len(promotion_ids)} images could not be carried through {stage}; "
            + " | ".join(str(error) for error in errors[:10]),
            retryable=any(error.retryable for error in errors),
        )
    return StageReport(done=answers.count(True), not_ready=answers.count(False))
