"""Who is asked to approve promotions, and who said what.

A run that waits for people has a request open for each promotion, so that no other run asks about
it as well. A request ends when people have decided, when the run gives up, or by its time: the
requests of a run that died hold nobody up for longer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, exists, insert, select, update

from image_promotion.ledger import promotions, runs, verdicts
from image_promotion.ledger.database import Database, in_batches, insert_if_absent
from image_promotion.ledger.records import Promotion, Reason, Run, State, Verdict
from image_promotion.ledger.tables import (
    approval_requests,
    approvals,
    decision_promotions,
    decisions,
)
from image_promotion.ledger.tables import promotions as promotions_table
from image_promotion.ledger.tables import runs as runs_table
from image_promotion.ledger.verdicts import NOBODY, Word

DECIDABLE = (State.PLANNED, State.COPIED)
"""The states in which people are asked: nothing can be seen in the target yet."""


@dataclass(frozen=True, slots=True)
class Request:
    """That a run waits for people's answer about a promotion.

    Args:
        promotion_id: The promotion.
        run_key: The run.
        asked_at: When it asked last.
        expires_at: Until when it waits.
    """

    promotion_id: int
    run_key: str
    asked_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class LastDecision:
    """What was decided last about a promotion's image, by any run of the policy.

    Args:
        wants_it: Whether the promotion is still to take place.
        reasons: One reason per trigger.
        overridden_by: Who promotes it although a trigger does not hold; None where nobody does.
        override_reason: Why.
    """

    wants_it: bool
    reasons: tuple[Reason, ...]
    overridden_by: str | None
    override_reason: str | None


class Approvals:
    """What people are asked and what they say; it is at ``Ledger.approvals``.

    Args:
        database: The ledger's database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def of_promotions(self, promotion_ids: Collection[int]) -> Mapping[int, tuple[Word, ...]]:
        """Read all that was said about promotions.

        Args:
            promotion_ids: The promotions.

        Returns:
            Words, the oldest first, by promotion; those nobody spoke about are not in it.
        """
        with self._database.reading() as connection:
            return verdicts.words(connection, promotion_ids)

    def rejections(self, promotion_ids: Collection[int]) -> Mapping[int, Word]:
        """Read which promotions people rejected, and have not approved since.

        Args:
            promotion_ids: The promotions.

        Returns:
            The last word about each of those.
        """
        with self._database.reading() as connection:
            rejected = verdicts.rejected(connection, promotion_ids)
            said = verdicts.words(connection, rejected)
        return {
            number: next(each for each in reversed(words) if each.verdict is Verdict.REJECTED)
            for number, words in said.items()
        }

    def standing(
        self, policy_hash: str, promotion_ids: Collection[int]
    ) -> Mapping[int, tuple[Word, ...]]:
        """Read the approvals that count, of whatever run.

        Args:
            policy_hash: The version of the policy that asks for approval.
            promotion_ids: The promotions.

        Returns:
            For each promotion, one approval of each person since the last rejection.
        """
        said = self.of_promotions(promotion_ids)
        return {each: verdicts.standing(said.get(each, ()), policy_hash) for each in promotion_ids}

    def ask(
        self,
        run: Run,
        promotion_ids: Collection[int],
        *,
        at: datetime,
        expires_at: datetime,
        insist: bool = False,
    ) -> frozenset[int]:
        """Open requests, but for what another run asks already.

        Args:
            run: The run that is to ask; it may ask anew.
            promotion_ids: The promotions.
            at: Now.
            expires_at: Until when it will wait.
            insist: Ask although another run waits; its answers count all the same.

        Returns:
            The promotions this run is to ask about.
        """
        with self._database.writing() as connection:
            runs.lock_policy(connection, run.policy)
            taken = set() if insist else _open_elsewhere(connection, run, promotion_ids, at)
            asked = frozenset(promotion_ids) - taken
            insert_if_absent(
                connection,
                approval_requests,
                [
                    {
                        "promotion_id": each,
                        "run_id": run.id,
                        "asked_at": at,
                        "expires_at": expires_at,
                    }
                    for each in sorted(asked)
                ],
            )
            _set_requests(
                connection, run, asked, asked_at=at, expires_at=expires_at, closed_at=None
            )
            return asked

    def asked(self, run: Run) -> tuple[frozenset[int], frozenset[int]]:
        """Read what a run has asked people about.

        Args:
            run: The run.

        Returns:
            All the promotions it has asked about, and those among them it waits for.
        """
        query = select(approval_requests.c.promotion_id, approval_requests.c.closed_at).where(
            approval_requests.c.run_id == run.id
        )
        with self._database.reading() as connection:
            found = connection.execute(query).all()
        return (
            frozenset(row.promotion_id for row in found),
            frozenset(row.promotion_id for row in found if row.closed_at is None),
        )

    def close(self, run: Run, promotion_ids: Collection[int], at: datetime) -> None:
        """Close requests: the run waits for an answer about these no more.

        Args:
            run: The run that asked.
            promotion_ids: The promotions.
            at: Now.
        """
        with self._database.writing() as connection:
            _set_requests(connection, run, promotion_ids, closed_at=at)

    def open_requests(
        self, promotion_ids: Collection[int], at: datetime
    ) -> Mapping[int, tuple[Request, ...]]:
        """Read which runs wait for an answer about promotions.

        Args:
            promotion_ids: The promotions.
            at: Now; requests that have expired are not open.

        Returns:
            The open requests by promotion; those nobody is asked about are not in it.
        """
        with self._database.reading() as connection:
            found = every_request(connection, promotion_ids)
        return {
            number: requests
            for number, every in found.items()
            if (requests := tuple(each for each in every if each.expires_at > at))
        }

    def say(
        self,
        run: Run,
        verdict: Verdict,
        promotion_ids: Sequence[int],
        *,
        who: str,
        comment: str,
        at: datetime,
    ) -> tuple[Promotion, ...]:
        """Record what somebody said; what is rejected is superseded.

        Args:
            run: The run that asked.
            verdict: What was said.
            promotion_ids: What about.
            who: Who said it; ``NOBODY`` where the time ran out.
            comment: Why; may be empty.
            at: Now.

        Returns:
            The promotions of which it is recorded, as they stand now. Those that are past the
            state in which people decide, such as those whose source tag moved on, are left out.
        """
        with self._database.writing() as connection:
            runs.lock_policy(connection, run.policy)
            open_ids = [
                each.id
                for each in promotions.read_locked(connection, promotion_ids)
                if each.state in DECIDABLE
            ]
            if open_ids:
                _write(connection, run, verdict, open_ids, who=who, comment=comment, at=at)
            if verdict is Verdict.REJECTED:
                reason = rejection(who, comment)
                for each in open_ids:
                    promotions.supersede(connection, each, reason=reason, at=at, run_key=run.key)
            return promotions.read_all(connection, open_ids)

    def last_decisions(self, promotion_ids: Collection[int]) -> Mapping[int, LastDecision]:
        """Read what was decided last about the images of promotions, which may be refused by now.

        Args:
            promotion_ids: The promotions.

        Returns:
            The decision by promotion.
        """
        found: dict[int, LastDecision] = {}
        table = promotions_table
        with self._database.reading() as connection:
            for batch in in_batches(frozenset(promotion_ids)):
                query = (
                    select(
                        table.c.id,
                        exists().where(
                            decision_promotions.c.decision_id == decisions.c.id,
                            decision_promotions.c.promotion_id == table.c.id,
                        ),
                        decisions.c.reasons,
                        decisions.c.overridden_by,
                        decisions.c.override_reason,
                    )
                    .join_from(
                        table, decisions, decisions.c.observation_id == table.c.observation_id
                    )
                    .where(table.c.id.in_(batch), decisions.c.is_latest)
                )
                for number, *rest in connection.execute(query):
                    found[number] = LastDecision(*rest)
        return found


def rejection(who: str, comment: str) -> str:
    """Say in one line that a promotion was rejected, by whom and why."""
    said = "rejected: nobody decided in time" if who == NOBODY else f"rejected by {who}"
    return f"{said}: {comment}" if comment else said


def every_request(
    connection: Connection, promotion_ids: Collection[int]
) -> dict[int, tuple[Request, ...]]:
    """Read which requests about promotions were not closed, those among them that have expired.

    Args:
        connection: Any connection.
        promotion_ids: The promotions.

    Returns:
        The requests by promotion, the oldest first.
    """
    found: dict[int, tuple[Request, ...]] = {}
    for batch in in_batches(frozenset(promotion_ids)):
        query = (
            select(
                approval_requests.c.promotion_id,
                runs_table.c.key,
                approval_requests.c.asked_at,
                approval_requests.c.expires_at,
            )
            .join_from(approval_requests, runs_table)
            .where(
                approval_requests.c.promotion_id.in_(batch),
                approval_requests.c.closed_at.is_(None),
            )
            .order_by(approval_requests.c.id)
        )
        for row in connection.execute(query):
            request = Request(*row)
            found[request.promotion_id] = (*found.get(request.promotion_id, ()), request)
    return found


def _open_elsewhere(
    connection: Connection, run: Run, promotion_ids: Collection[int], at: datetime
) -> set[int]:
    taken: set[int] = set()
    for batch in in_batches(frozenset(promotion_ids)):
        query = select(approval_requests.c.promotion_id).where(
            approval_requests.c.promotion_id.in_(batch),
            approval_requests.c.run_id != run.id,
            approval_requests.c.closed_at.is_(None),
            approval_requests.c.expires_at > at,
        )
        taken |= set(connection.execute(query).scalars())
    return taken


def _set_requests(
    connection: Connection, run: Run, promotion_ids: Collection[int], **values: object
) -> None:
    for batch in in_batches(frozenset(promotion_ids)):
        connection.execute(
            update(approval_requests)
            .where(
                approval_requests.c.run_id == run.id, approval_requests.c.promotion_id.in_(batch)
            )
            .values(values)
        )


def _write(
    connection: Connection,
    run: Run,
    verdict: Verdict,
    promotion_ids: Sequence[int],
    *,
    who: str,
    comment: str,
    at: datetime,
) -> None:
    """Keep one word of each person in each run: the last one, if it is another."""
    said: dict[int, Verdict] = {}
    for batch in in_batches(promotion_ids):
        query = select(approvals.c.promotion_id, approvals.c.verdict).where(
            approvals.c.promotion_id.in_(batch),
            approvals.c.run_id == run.id,
            approvals.c.who == who,
        )
        said |= {row.promotion_id: row.verdict for row in connection.execute(query)}
    values = {"verdict": verdict, "comment": comment, "at": at}
    new = [each for each in promotion_ids if each not in said]
    changed = [each for each in promotion_ids if said.get(each, verdict) is not verdict]
    if new:
        connection.execute(
            insert(approvals),
            [{"promotion_id": each, "run_id": run.id, "who": who, **values} for each in new],
        )
    if changed:
        connection.execute(
            update(approvals)
            .where(
                approvals.c.promotion_id == bindparam("about"),
                approvals.c.run_id == run.id,
                approvals.c.who == who,
            )
            .values(values),
            [{"about": each} for each in changed],
        )
