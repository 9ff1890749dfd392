"""The ledger as its callers see it: each method is one short transaction.

It may be used from several threads, and by any number of processes at once: what must happen once
is held by unique constraints, and by locks on what is compared before it is written.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Self

from image_promotion.errors import LedgerError
from image_promotion.ledger import decisions, evidence, history, observations, promotions, runs
from image_promotion.ledger.approvals import Approvals
from image_promotion.ledger.attestations import Attestations
from image_promotion.ledger.chronicle import Chronicle
from image_promotion.ledger.database import Database
from image_promotion.ledger.images import Images
from image_promotion.ledger.lives import Lives
from image_promotion.ledger.notices import Notices
from image_promotion.ledger.progress import ProgressNotes
from image_promotion.ledger.rechecks import Rechecks
from image_promotion.ledger.records import (
    Aim,
    Candidate,
    Decision,
    HistoryEntry,
    NewDecision,
    NewPromotion,
    Observation,
    PolicyVersion,
    Promotion,
    Run,
    Sighting,
    State,
    Step,
    TransferFigures,
    Transition,
)
from image_promotion.ledger.removals import Removals
from image_promotion.ledger.rollbacks import Rollbacks
from image_promotion.ledger.upstream import Upstream


class Ledger:
    """The database of observations, decisions and promotions; open it with ``Ledger.open``.

    Every method raises LedgerError when the database cannot be reached or written, or does not know
    what it is asked about. Every datetime goes in aware and comes out in UTC.

    Args:
        database: An open database of the current schema.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(cls, url: str) -> Ledger:
        """Open the ledger at this URL; create it, or bring its schema up to date, if need be.

        Args:
            url: ``sqlite:///PATH`` or ``postgresql://USER:PASSWORD@HOST/DATABASE``, as
                ``location.ledger_url`` gives it.

        Returns:
            The ledger. Several processes may open a new one at the same time.

        Raises:
            LedgerError: It cannot be opened, is no ledger, or is newer than this code.
        """
        return cls(Database.open(url))

    def close(self) -> None:
        """Close every connection to the database."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def approvals(self) -> Approvals:
        """Whom runs ask to approve promotions, and who said what."""
        return Approvals(self._database)

    @property
    def attestations(self) -> Attestations:
        """The signed statements that verified promotions leave in the target."""
        return Attestations(self._database)

    @property
    def chronicle(self) -> Chronicle:
        """The history page by page, and what policies came to."""
        return Chronicle(self._database)

    @property
    def images(self) -> Images:
        """All there is about single images."""
        return Images(self._database)

    @property
    def lives(self) -> Lives:
        """All there is about single tags."""
        return Lives(self._database)

    @property
    def notices(self) -> Notices:
        """What people have been told."""
        return Notices(self._database)

    @property
    def progress(self) -> ProgressNotes:
        """How far the copies have come that run now."""
        return ProgressNotes(self._database)

    @property
    def rechecks(self) -> Rechecks:
        """Second thoughts about what is promoted."""
        return Rechecks(self._database)

    @property
    def upstream(self) -> Upstream:
        """What other policies have brought to where a policy takes images from."""
        return Upstream(self._database)

    @property
    def rollbacks(self) -> Rollbacks:
        """Target tags that were set back, and what they held."""
        return Rollbacks(self._database)

    @property
    def removals(self) -> Removals:
        """Target tags that retention took away."""
        return Removals(self._database)

    # Runs

    def begin_run(
        self,
        version: PolicyVersion,
        *,
        key: str,
        kind: str,
        at: datetime,
        started_by: str | None = None,
    ) -> Run:
        """Begin a run, or find the run of this key as it was begun.

        Args:
            version: The policy as it is written now. A run that exists keeps its own version: the
                file may have changed before a task is retried.
            key: What names the run outside the ledger.
            kind: How it came about, such as ``scheduled`` or ``manual``.
            at: Now.
            started_by: Who started it by hand, if anybody did.

        Returns:
            The run.

        Raises:
            LedgerError: The key belongs to a run of another policy.
        """
        with self._database.writing() as connection:
            return runs.begin(connection, version, key=key, kind=kind, at=at, started_by=started_by)

    def run(self, key: str) -> Run | None:
        """Find a run.

        Args:
            key: The key it was begun with.

        Returns:
            The run; None when there is none.
        """
        with self._database.reading() as connection:
            return runs.find(connection, key)

    def was_evaluated(self, version: PolicyVersion) -> bool:
        """Say whether a run of this version of a policy was evaluated to its end.

        Args:
            version: The policy as it is written now.

        Returns:
            False for a policy that is new or changed: what is there now exists already, for it.
        """
        with self._database.reading() as connection:
            return runs.was_evaluated(connection, version)

    def finish_evaluation(self, run: Run, at: datetime) -> None:
        """Note that everything this run had to decide is decided and planned.

        Args:
            run: The run.
            at: Now; the first time it is noted stays.
        """
        with self._database.writing() as connection:
            runs.finish_evaluation(connection, run, at)

    # Observations

    def observe(
        self,
        run: Run,
        sightings: Sequence[Sighting],
        *,
        complete_repositories: Collection[str],
        tags_seen: int,
        tags_rejected_by_name: int,
        at: datetime,
    ) -> tuple[Observation, ...]:
        """Record what a scan saw, and supersede the promotions of what is no longer so.

        A tag that points elsewhere than it did begins a new stay (see Observation.ordinal), and so
        does one that comes back to a digest whose promotion was superseded in the meantime. The
        unfinished promotions of earlier stays, and of tags that are gone, are superseded.

        Args:
            run: The run that scanned.
            sightings: The tags that can matter to the policy, with their digests.
            complete_repositories: Repositories whose tags are all among the sightings, but for
                those the policy rejects by name: what is not there is gone.
            tags_seen: How many tags were listed.
            tags_rejected_by_name: How many of them the policy rejected by name.
            at: When the scan began to read; of two scans that overlap, the one that began earlier
                does not move a tag back.

        Returns:
            The present stay of each tag sighted, in the order of the sightings.
        """
        with self._database.writing() as connection:
            return observations.observe(
                connection,
                run,
                sightings,
                complete_repositories=complete_repositories,
                tags_seen=tags_seen,
                tags_rejected_by_name=tags_rejected_by_name,
                at=at,
            )

    def candidates(
        self, run: Run, *, decide_again: bool = False, tags: Collection[str] | None = None
    ) -> tuple[Candidate, ...]:
        """List what this run has to decide.

        Those are present stays, seen by this run, that were never decided; or were by another
        version of the policy; or wait, or conflict; or are to be promoted and are not yet.

        Args:
            run: A run that has observed.
            decide_again: Also those rejected; all, in fact, whose promotion is not verified.
            tags: Only these source tags; None for all.

        Returns:
            New ones first, failed ones last, and within each group those asked longest ago first,
            so that a run that takes only so many comes round to all of them.
        """
        with self._database.reading() as connection:
            return decisions.candidates(connection, run, decide_again=decide_again, tags=tags)

    # Decisions

    def overridden_tags(self, policy: str) -> frozenset[tuple[str, str]]:
        """List the tags that a person promotes although a trigger of the policy does not hold.

        Args:
            policy: The policy.

        Returns:
            Repository and tag of those that are there and hold the image that is meant.
        """
        with self._database.reading() as connection:
            return decisions.overridden_tags(connection, policy)

    def decide(
        self, run: Run, new_decisions: Sequence[NewDecision], at: datetime
    ) -> tuple[Decision, ...]:
        """Record decisions; one that only repeats the last about its observation is the same row.

        Args:
            run: The run that decided; the decisions are its version's.
            new_decisions: The decisions.
            at: Now.

        Returns:
            The recorded decisions, in the order given.
        """
        with self._database.writing() as connection:
            return decisions.decide(connection, run, new_decisions, at)

    def run_decisions(self, run: Run) -> tuple[Decision, ...]:
        """List what a run decided.

        A decision that lasts is one row, which knows the run that took it first and the run that
        asked last; the runs between are taken to have asked too.

        Args:
            run: The run.

        Returns:
            Its decisions, oldest first.
        """
        with self._database.reading() as connection:
            return decisions.of_run(connection, run)

    def history(
        self,
        *,
        policy: str | None = None,
        limit: int = 100,
        tag: str | None = None,
        digest: str | None = None,
        state: State | None = None,
    ) -> tuple[HistoryEntry, ...]:
        """List decisions with what came of them, one entry for each promotion.

        Args:
            policy: Only this policy's; None for all.
            limit: At most so many.
            tag: Only those about this source tag, or this target tag; None for all.
            digest: Only those about digests, in the source or the target, that begin so.
            state: Only promotions that stand so.

        Returns:
            The entries, newest decision first.
        """
        with self._database.reading() as connection:
            return history.newest(
                connection, policy=policy, limit=limit, tag=tag, digest=digest, state=state
            )

    def standings(self, policy: str, of: tuple[str, str] | None = None) -> tuple[HistoryEntry, ...]:
        """List how each tag that is there now stands with a policy.

        Args:
            policy: The policy.
            of: The one repository and tag that are asked about; None for all.

        Returns:
            The last decision about each present stay, with what came of it: one entry for each
            promotion, or one without. What was seen and not decided yet is not among them.
        """
        with self._database.reading() as connection:
            return history.standings(connection, policy, of)

    # Evidence

    def kept_evidence(
        self, registry: str, configuration: str, images: Collection[tuple[str, str]]
    ) -> Mapping[tuple[str, str], bytes]:
        """Return the evidence about images that was kept.

        Args:
            registry: The source registry.
            configuration: What tells evidence that was gathered in one way from that in another.
            images: The images, each by repository and digest.

        Returns:
            What was kept, by image; those of which nothing is kept are not in it.
        """
        with self._database.reading() as connection:
            return evidence.kept(connection, registry, configuration, images)

    def keep_evidence(
        self,
        registry: str,
        configuration: str,
        contents: Mapping[tuple[str, str], bytes],
        at: datetime,
    ) -> None:
        """Keep the evidence about images, in place of what was kept before.

        Args:
            registry: As in ``kept_evidence``.
            configuration: As in ``kept_evidence``.
            contents: What is kept, by repository and digest.
            at: When it was gathered.
        """
        with self._database.writing() as connection:
            evidence.keep(connection, registry, configuration, contents, at)

    # Promotions

    def aim(self, run: Run, aims: Sequence[Aim], at: datetime) -> tuple[int, ...]:
        """Begin new stays for images of which the target is to get another digest than before.

        A policy that chooses other platforms now makes another image of the same source digest.
        Each stay goes to each target once, so the tag begins a new one; what was under way for the
        old one is superseded. It may be repeated, and done by two runs at once.

        Args:
            run: The run that is about to decide and plan.
            aims: What the observations are to be promoted to.
            at: Now.

        Returns:
            The observation to decide about and to promote, for each: mostly the one given.
        """
        with self._database.writing() as connection:
            return observations.begin_stays_anew(connection, run, aims, at)

    def plan(
        self,
        run: Run,
        new_promotions: Sequence[NewPromotion],
        at: datetime,
        *,
        rejected_too: bool = False,
    ) -> tuple[Promotion, ...]:
        """Plan promotions; each observation goes to each target once.

        One that is there already is returned as it is, with the target tag it was planned with; if
        it failed, it is planned anew, under the decision given, and keeps its tag too.

        Args:
            run: The run that plans.
            new_promotions: What to plan.
            at: Now.
            rejected_too: Plan also anew what people rejected, since somebody asks for it again.

        Returns:
            The promotions, in the order given.
        """
        with self._database.writing() as connection:
            return promotions.plan(connection, run, new_promotions, at, rejected_too=rejected_too)

    def uncertain(self, policy: str) -> tuple[Promotion, ...]:
        """List the promotions whose target tag may be set although setting it failed.

        Only those whose source tag has moved on, or is gone: the others are tried again.

        Args:
            policy: The policy.

        Returns:
            The promotions, failed when they were copied.
        """
        with self._database.reading() as connection:
            return promotions.uncertain(connection, policy)

    def tag_claims(
        self, target_connection_or_registry: str, repository: str, tags: Collection[str]
    ) -> Mapping[str, tuple[Promotion, ...]]:
        """Find which target tags are claimed by promotions that are under way, of any policy.

        A promotion whose source tag has moved on claims nothing any more.

        Args:
            target_connection_or_registry: The promotion's target_connection or target_registry.
            repository: The target repository.
            tags: The target tags that somebody wants.

        Returns:
            The unfinished promotions that claim each tag, the eldest first.
        """
        with self._database.reading() as connection:
            return promotions.tag_claims(
                connection, target_connection_or_registry, repository, tags
            )

    def promotions_to(
        self, keys: Collection[tuple[int, str]]
    ) -> Mapping[tuple[int, str], Promotion]:
        """Find the promotions of observations to targets.

        Args:
            keys: Observations' ids, each with a target key.

        Returns:
            Those there are, by these keys.
        """
        with self._database.reading() as connection:
            return promotions.by_key(connection, keys)

    def promotion(self, promotion_id: int) -> Promotion:
        """Read a promotion.

        Args:
            promotion_id: Its id.

        Returns:
            The promotion as it stands now.

        Raises:
            LedgerError: There is none of this id.
        """
        with self._database.reading() as connection:
            return promotions.read(connection, promotion_id)

    def run_promotions(self, run: Run) -> tuple[Promotion, ...]:
        """List what a run planned, that which it found planned already included.

        Args:
            run: The run.

        Returns:
            The promotions as they stand now, by id.
        """
        with self._database.reading() as connection:
            return promotions.of_run(connection, run)

    def promotions(self, promotion_ids: Collection[int]) -> tuple[Promotion, ...]:
        """Read promotions, in the order of their ids as given.

        Raises:
            LedgerError: There is none of one of these ids.
        """
        with self._database.reading() as connection:
            return promotions.read_all(connection, promotion_ids)

    def advance_all(self, steps: Sequence[Step]) -> Mapping[int, LedgerError]:
        """Move promotions one step on, each as by ``advance``, in one transaction.

        Args:
            steps: The steps, at most one of each promotion.

        Returns:
            Why the promotions stay that cannot take their step; the others have taken theirs.

        Raises:
            LedgerError: There is none of one of the ids, or nothing could be written.
        """
        with self._database.writing() as connection:
            return promotions.advance_all(connection, steps)

    def advance(
        self,
        promotion_id: int,
        to: State,
        *,
        at: datetime,
        run_key: str,
        detail: str = "",
        transfer: TransferFigures | None = None,
    ) -> Promotion:
        """Move a promotion one step on: to copied, tagged or verified.

        Args:
            promotion_id: Its id.
            to: Where to.
            at: Now.
            run_key: The run that does it.
            detail: Anything worth keeping about this step.
            transfer: What the copy moved.

        Returns:
            The promotion; unchanged when it has been there already.

        Raises:
            LedgerError: It cannot go there from where it stands: it failed and was not resumed, it
                was superseded, or a step is missing.
        """
        with self._database.writing() as connection:
            return promotions.advance(
                connection,
                promotion_id,
                to,
                at=at,
                run_key=run_key,
                detail=detail,
                transfer=transfer,
            )

    def fail(self, promotion_id: int, *, error: str, at: datetime, run_key: str) -> Promotion:
        """Note that a promotion failed in the state it is in.

        Args:
            promotion_id: Its id.
            error: What failed, for a reader; without secrets.
            at: Now.
            run_key: The run in which it failed.

        Returns:
            The promotion; unchanged when it had failed, or is verified or superseded.
        """
        with self._database.writing() as connection:
            return promotions.fail(connection, promotion_id, error=error, at=at, run_key=run_key)

    def resume(self, promotion_id: int, *, at: datetime, run_key: str) -> Promotion:
        """Take a failed promotion back to the state it failed in, to try that step again.

        Args:
            promotion_id: Its id.
            at: Now.
            run_key: The run that tries again.

        Returns:
            The promotion; unchanged when it had not failed.
        """
        with self._database.writing() as connection:
            return promotions.resume(connection, promotion_id, at=at, run_key=run_key)

    def supersede(self, promotion_id: int, *, reason: str, at: datetime, run_key: str) -> Promotion:
        """Give a promotion up because its source tag no longer points at its digest.

        Args:
            promotion_id: Its id.
            reason: What happened to the tag.
            at: Now.
            run_key: The run that found out.

        Returns:
            The promotion; unchanged when it was superseded before.

        Raises:
            LedgerError: Its target tag is set already: it is tagged or verified.
        """
        with self._database.writing() as connection:
            return promotions.supersede(
                connection, promotion_id, reason=reason, at=at, run_key=run_key
            )

    def transitions(self, promotion_id: int) -> tuple[Transition, ...]:
        """List the steps of a promotion's life.

        Args:
            promotion_id: Its id.

        Returns:
            The steps, oldest first; none for an id that is not known.
        """
        with self._database.reading() as connection:
            return promotions.steps(connection, promotion_id)
