"""Single images: where a digest was seen, what was decided about it, and where it went."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from image_promotion.ledger import decisions, promotions, rows
from image_promotion.ledger import tables as t
from image_promotion.ledger.database import Database, in_batches
from image_promotion.ledger.lives import KnownRun
from image_promotion.ledger.records import Decision, Observation, Promotion, Transition

MOST_STAYS = 100
"""So many of the last stays at a digest are told."""

MOST_DIGESTS = 8
"""So many digests are followed that targets got in place of one another."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A promotion of the image, step by step, the oldest first."""

    promotion: Promotion
    steps: tuple[Transition, ...]


@dataclass(frozen=True, slots=True)
class Sight:
    """A stay of a tag at the image's digest, as one policy saw it.

    Args:
        observation: The stay.
        is_present: Whether the tag points there still, as far as scans know.
        decision: The last decision about it; None while there is none.
        decided_by: The key of the run that decided so first.
        asked_until: Until when a run waits for people's answer; None when none does.
        passages: What came of it.
    """

    observation: Observation
    is_present: bool
    decision: Decision | None
    decided_by: str
    asked_until: datetime | None
    passages: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class KeptEvidence:
    """Evidence about an image, as it was kept."""

    repository: str
    configuration: str
    content: bytes
    gathered_at: datetime


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """All that the ledger has about an image.

    Args:
        digests: The digest that was asked for, and those that targets got in its place.
        sights: The last stays at them, the oldest first.
        runs: The runs that are named, by their keys.
    """

    digests: tuple[str, ...]
    sights: tuple[Sight, ...]
    runs: Mapping[str, KnownRun]


class Images:
    """What the ledger has about single images; it is at ``Ledger.images``.

    Args:
        database: The ledger's database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def whereabouts(self, digest: str, policies: Collection[str]) -> Whereabouts | None:
        """Tell where an image is.

        Args:
            digest: Its digest, whole.
            policies: Only what these policies had to do with it.

        Returns:
            All there is; None when none of the policies ever saw it.
        """
        with self._database.reading() as connection:
            digests = _digests(connection, digest, policies)
            sights = _sights(connection, digests, policies)
            keys = {each.decided_by for each in sights}
            keys |= {
                step.run_key for each in sights for done in each.passages for step in done.steps
            }
            runs = _runs(connection, keys - {""})
        return Whereabouts(digests, sights, runs) if sights else None

    def evidence(
        self, digests: Collection[str], configurations: Collection[str]
    ) -> tuple[KeptEvidence, ...]:
        """Return the evidence that was kept about an image.

        Args:
            digests: Its digests.
            configurations: The ways in which it was gathered that are of interest.

        Returns:
            What was kept, the newest first.
        """
        kept = t.evidence
        query = (
            select(kept.c.repository, kept.c.configuration, kept.c.content, kept.c.gathered_at)
            .where(
                kept.c.digest.in_(sorted(digests)),
                kept.c.configuration.in_(sorted(configurations)),
            )
            .order_by(kept.c.gathered_at.desc())
            .limit(MOST_STAYS)
        )
        with self._database.reading() as connection:
            return tuple(KeptEvidence(*row) for row in connection.execute(query))


def _digests(connection: Connection, digest: str, policies: Collection[str]) -> tuple[str, ...]:
    """Follow a digest to those that targets got in its place, and back."""
    found = [digest]
    seen, done = t.observations, t.promotions
    for each in found:
        changed = (
            select(seen.c.digest, done.c.target_digest)
            .join(seen, seen.c.id == done.c.observation_id)
            .where(seen.c.policy.in_(sorted(policies)), done.c.target_digest != seen.c.digest)
            .distinct()
            .limit(MOST_DIGESTS)
        )
        for condition in (seen.c.digest == each, done.c.target_digest == each):
            for pair in connection.execute(changed.where(condition)):
                found += [
                    other for other in pair if other not in found and len(found) < MOST_DIGESTS
                ]
    return tuple(found)


def _sights(
    connection: Connection, digests: Sequence[str], policies: Collection[str]
) -> tuple[Sight, ...]:
    seen = t.observations
    query = (
        select(*rows.OBSERVATION, seen.c.is_current, seen.c.gone_at)
        .where(seen.c.digest.in_(digests), seen.c.policy.in_(sorted(policies)))
        .order_by(seen.c.first_seen_at.desc(), seen.c.id.desc())
        .limit(MOST_STAYS)
    )
    found = [
        (rows.observation(row), row[seen.c.is_current] and row[seen.c.gone_at] is None)
        for row in connection.execute(query).mappings()
    ][::-1]
    ids = [observation.id for observation, _ in found]
    decided = _decisions(connection, ids)
    passages = _passages(connection, ids)
    asked = _asked_until(connection, ids)
    sights = []
    for observation, is_present in found:
        decision, decided_by = decided.get(observation.id, (None, ""))
        sights.append(
            Sight(
                observation=observation,
                is_present=bool(is_present),
                decision=decision,
                decided_by=decided_by,
                asked_until=asked.get(observation.id),
                passages=tuple(passages.get(observation.id, ())),
            )
        )
    return tuple(sights)


def _decisions(
    connection: Connection, observation_ids: Collection[int]
) -> dict[int, tuple[Decision, str]]:
    query = decisions.selected().where(
        t.decisions.c.observation_id.in_(observation_ids), t.decisions.c.is_latest
    )
    found = decisions.read(connection, query)
    runs = (
        select(t.decisions.c.id, t.runs.c.key)
        .join(t.runs, t.runs.c.id == t.decisions.c.decided_run_id)
        .where(t.decisions.c.id.in_([each.id for each in found]))
    )
    keys = {row.id: row.key for row in connection.execute(runs)}
    return {each.observation_id: (each, keys[each.id]) for each in found}


def _passages(
    connection: Connection, observation_ids: Collection[int]
) -> Mapping[int, list[Passage]]:
    query = (
        promotions.selected()
        .where(t.promotions.c.observation_id.in_(observation_ids))
        .order_by(t.promotions.c.id)
    )
    found = [rows.promotion(row) for row in connection.execute(query).mappings()]
    steps: dict[int, list[Transition]] = defaultdict(list)
    for batch in in_batches([each.id for each in found]):
        taken = (
            select(*rows.TRANSITION)
            .where(t.transitions.c.promotion_id.in_(batch))
            .order_by(t.transitions.c.id)
        )
        for row in connection.execute(taken).mappings():
            step = rows.transition(row)
            steps[step.promotion_id].append(step)
    passages: dict[int, list[Passage]] = defaultdict(list)
    for each in found:
        passages[each.observation_id].append(Passage(each, tuple(steps[each.id])))
    return passages


def _asked_until(connection: Connection, observation_ids: Collection[int]) -> dict[int, datetime]:
    requests = t.approval_requests
    query = (
        select(t.promotions.c.observation_id, func.max(requests.c.expires_at))
        .join(t.promotions, t.promotions.c.id == requests.c.promotion_id)
        .where(t.promotions.c.observation_id.in_(observation_ids), requests.c.closed_at.is_(None))
        .group_by(t.promotions.c.observation_id)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def _runs(connection: Connection, keys: Collection[str]) -> dict[str, KnownRun]:
    found: dict[str, KnownRun] = {}
    for batch in in_batches(keys):
        query = select(t.runs.c.key, t.runs.c.kind, t.runs.c.started_by).where(
            t.runs.c.key.in_(batch)
        )
        found |= {row[0]: KnownRun(*row) for row in connection.execute(query)}
    return found
