"""A whole run without a scheduler: the same stages, one after another, in one process."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress

from image_promotion.errors import PromotionError
from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.records import Promotion
from image_promotion.policy.model import Policy
from image_promotion.promotion.attachments import AttachmentMemory
from image_promotion.promotion.batches import Stage, StageReport, carry_out, image_label
from image_promotion.promotion.clock import Clock
from image_promotion.promotion.copying import copy
from image_promotion.promotion.evaluation import evaluate_and_record
from image_promotion.promotion.journal import Journal
from image_promotion.promotion.reporting import RunReport, report
from image_promotion.promotion.retagging import retag
from image_promotion.promotion.sboms import Sboms
from image_promotion.promotion.scanning import scan_and_record, version_of
from image_promotion.promotion.stores import Stores
from image_promotion.promotion.verification import verify
from image_promotion.registry.arrivals import Arrivals
from image_promotion.registry.passage import TransferProgress

ProgressOf = Callable[[str], TransferProgress]


class Stages:
    """The three stages that act on one promotion, bound to the stores and the journal of a run.

    Args:
        stores: The stores.
        journal: Where the run notes what it did.
        progress_of: Gives the progress of one image's copy, by the image's label.
    """

    def __init__(self, stores: Stores, journal: Journal, progress_of: ProgressOf) -> None:
        self._stores = stores
        self._journal = journal
        self._progress_of = progress_of
        self._arrivals = Arrivals()
        self._memories = {stage: AttachmentMemory() for stage in Stage}
        self._sboms = Sboms()

    async def carry_out(self, stage: Stage, promotion_ids: Sequence[int]) -> StageReport:
        """Take a batch of promotions through a stage.

        Args:
            stage: The stage.
            promotion_ids: The promotions.

        Returns:
            How many were done, and how many were not ready.

        Raises:
            PromotionError: Of the one that failed, or of all that failed; the others are done.
        """

        async def act(promotion: Promotion) -> object:
            return await self.act(stage, promotion)

        return await carry_out(stage, promotion_ids, act, journal=self._journal)

    async def act(self, stage: Stage, promotion: Promotion) -> object:
        """Take a promotion through a stage.

        Args:
            stage: The stage.
            promotion: The promotion.

        Returns:
            What the stage says it did; its text goes to the log.

        Raises:
            PromotionError: As the stage's own function.
        """
        source = self._stores.of(promotion.source_connection)
        target = self._stores.of(promotion.target_connection)
        match stage:
            case Stage.COPY:
                return await copy(
                    promotion,
                    source=source,
                    target=target,
                    journal=self._journal,
                    progress=self._progress_of(image_label(promotion)),
                    memory=self._memories[stage],
                    arrivals=self._arrivals,
                    sboms=self._sboms,
                )
            case Stage.RETAG:
                return await retag(promotion, source=source, target=target, journal=self._journal)
            case Stage.VERIFY:
                return await verify(
                    promotion,
                    source=source,
                    target=target,
                    journal=self._journal,
                    memory=self._memories[stage],
                    sboms=self._sboms,
                )


async def run_policy(
    policy: Policy,
    *,
    stores: Stores,
    ledger: Ledger,
    clock: Clock,
    run_key: str,
    progress_of: ProgressOf,
    only_tags: Collection[str] = (),
    decide_again: bool = False,
) -> RunReport:
    """Run a policy from scan to report.

    Args:
        policy: The policy.
        stores: The stores of its connections.
        ledger: The ledger.
        clock: The clock.
        run_key: What names the run; the same key continues the same run.
        progress_of: Gives the progress of one image's copy, by the image's label.
        only_tags: Consider these source tags alone; empty for all.
        decide_again: Decide again what was rejected before.

    Returns:
        What the run came to; failed images are in it and do not raise.

    Raises:
        PromotionError: The run could not scan or evaluate.
    """
    run = ledger.begin_run(version_of(policy), key=run_key, kind="command line", at=clock())
    source = stores.of(policy.source.connection)
    target = stores.of(policy.target.connection)
    seen = await scan_and_record(policy, source, ledger, run, now=clock(), only_tags=only_tags)
    evaluation = await evaluate_and_record(
        policy,
        source=source,
        target=target,
        ledger=ledger,
        run=run,
        now=clock(),
        only_tags=only_tags,
        decide_again=decide_again,
    )
    stages = Stages(stores, Journal(ledger, run_key, clock), progress_of)
    ids = [promotion.id for promotion in evaluation.promotions]
    for stage in Stage:
        # Each failure is noted under its promotion and stands in the report; the others go on.
        with suppress(PromotionError):
            await stages.carry_out(stage, ids)
    present = ledger.run(run.key) or run
    return report(ledger, present, unreadable=[str(each) for each in seen.problems])
