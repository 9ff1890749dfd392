"""A whole run without a scheduler: the same stages, one after another, in one process."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress

from image_promotion.errors import PromotionError
from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.records import Kind, Promotion
from image_promotion.policy.model import Policy
from image_promotion.promotion.approval import require_approved, standing
from image_promotion.promotion.attachments import AttachmentMemory
from image_promotion.promotion.attestation import (
    AttestationReport,
    Attestor,
    FindSigningKey,
    attestor_of,
    unattested,
)
from image_promotion.promotion.batches import Stage, StageReport, carry_out, image_label
from image_promotion.promotion.clock import Clock
from image_promotion.promotion.copying import copy
from image_promotion.promotion.evaluation import evaluate_and_record
from image_promotion.promotion.journal import Journal
from image_promotion.promotion.live_progress import LiveProgress
from image_promotion.promotion.overriding import require_override
from image_promotion.promotion.reporting import RunReport, report
from image_promotion.promotion.retagging import retag
from image_promotion.promotion.run_links import COMMAND_LINE
from image_promotion.promotion.sboms import Sboms
from image_promotion.promotion.scanning import scan_and_record, version_of
from image_promotion.promotion.stores import Stores
from image_promotion.promotion.verification import verify
from image_promotion.registry.arrivals import Arrivals
from image_promotion.registry.passage import TransferProgress
from image_promotion.registry.transfer import NO_PROGRESS

ProgressOf = Callable[[str], TransferProgress]


class Stages:
    """The stages that act on one promotion, bound to the stores and the journal of a run.

    Args:
        stores: The stores.
        journal: Where the run notes what it did.
        progress_of: Gives the progress of one image's copy, by the image's label.
        attestor: Writes the statements about what is promoted; None where nobody does.
    """

    def __init__(
        self,
        stores: Stores,
        journal: Journal,
        progress_of: ProgressOf,
        *,
        attestor: Attestor | None = None,
    ) -> None:
        self._stores = stores
        self._journal = journal
        self._progress_of = progress_of
        self._attestor = attestor
        self._arrivals = Arrivals()
        self._memories = {stage: AttachmentMemory() for stage in Stage}
        self._sboms = Sboms()
        self._policy: Policy | None = None

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
        journal = self._journal

        async def act(promotion: Promotion) -> object:
            return await self.act(stage, promotion, live)

        with LiveProgress(journal.ledger.progress, journal.run_key, journal.clock) as live:
            return await carry_out(stage, promotion_ids, act, journal=journal)

    async def act(self, stage: Stage, promotion: Promotion, live: LiveProgress) -> object:
        """Take a promotion through a stage.

        Args:
            stage: The stage.
            promotion: The promotion.
            live: Where it is noted how far a copy has come.

        Returns:
            What the stage says it did; its text goes to the log.

        Raises:
            PromotionError: As the stage's own function.
        """
        target = self._stores.of(promotion.target_connection)
        if promotion.kind is Kind.ROLLBACK or stage is Stage.ATTEST:
            # Its source may be gone by now; what is whole in the target is not asked for there.
            source = self._stores.find(promotion.source_connection) or target
        else:
            source = self._stores.of(promotion.source_connection)
        match stage:
            case Stage.COPY:
                self._require_approved(promotion)
                told = self._progress_of(image_label(promotion))
                with live.copying(promotion.id, told) as progress:
                    return await copy(
                        promotion,
                        source=source,
                        target=target,
                        journal=self._journal,
                        progress=progress,
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
            case Stage.ATTEST:
                if self._attestor is None:
                    return AttestationReport(None)
                # Of its source only the name matters, and the source may be gone by now.
                source_if_known = self._stores.find(promotion.source_connection)
                return await self._attestor.attest(
                    promotion, source=source_if_known, target=target, journal=self._journal
                )

    def _require_approved(self, promotion: Promotion) -> None:
        """Refuse to copy what people have not approved, by the run that is to copy it.

        Another version of the policy may have planned what this run found planned.
        """
        # What a tag is set back to is the decision of the person who sets it back.
        if promotion.kind is Kind.ROLLBACK:
            return
        if self._policy is None:
            run = self._journal.ledger.run(self._journal.run_key)
            if run is None:
                return
            self._policy = Policy.from_document(run.document)
        require_approved(self._policy, self._journal.ledger, promotion)


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
    override: str = "",
    started_by: str | None = None,
    find_signing_key: FindSigningKey | None = None,
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
        override: Why these tags are promoted although a trigger does not hold; empty otherwise.
        started_by: Who runs it.
        find_signing_key: Gives the key that a policy's `attestation` names; without it nothing is
            attested here, and the report says so.

    Returns:
        What the run came to; failed images are in it and do not raise.

    Raises:
        PromotionError: The run could not scan or evaluate.
    """
    overrides = require_override(policy, only_tags, override, started_by)
    run = ledger.begin_run(
        version_of(policy), key=run_key, kind=COMMAND_LINE, at=clock(), started_by=started_by
    )
    source = stores.of(policy.source.connection)
    seen = await scan_and_record(
        policy,
        source,
        ledger,
        run,
        now=clock(),
        only_tags=only_tags,
        overrules=only_tags if overrides else (),
    )
    evaluation = await evaluate_and_record(
        policy,
        source=source,
        target_of=stores.of,
        ledger=ledger,
        run=run,
        now=clock(),
        only_tags=only_tags,
        decide_again=decide_again,
        override=overrides,
    )
    journal = Journal(ledger, run_key, clock)
    stages = Stages(stores, journal, progress_of)
    ids = [promotion.id for promotion in evaluation.promotions]
    if policy.approval is not None:
        # Nobody can be asked here; the report says who lacks approval.
        ids = [promotion.id for promotion in standing(policy, ledger, ids).approved]
    for stage in (Stage.COPY, Stage.RETAG, Stage.VERIFY):
        # Each failure is noted under its promotion and stands in the report; the others go on.
        with suppress(PromotionError):
            await stages.carry_out(stage, ids)
    problems = [str(each) for each in seen.problems]
    if find_signing_key is not None:
        try:
            await _attest(policy, stores=stores, journal=journal, find_key=find_signing_key)
        except PromotionError as error:
            problems.append(str(error))
    present = ledger.run(run.key) or run
    return report(ledger, present, unreadable=problems)


async def _attest(
    policy: Policy, *, stores: Stores, journal: Journal, find_key: FindSigningKey
) -> None:
    """Attest what this run and earlier ones have verified, and nobody has attested."""
    ids = [
        each.id
        for each in unattested(journal.ledger, policy)
        # The policy may have had other connections; the report names what is left.
        if stores.find(each.target_connection)
    ][: policy.limits.images_per_run]
    if ids:
        attestor = attestor_of(journal.ledger, journal.run_key, find_key)
        stages = Stages(stores, journal, lambda _: NO_PROGRESS, attestor=attestor)
        await stages.carry_out(Stage.ATTEST, ids)
