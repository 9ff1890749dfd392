"""Single images: where a digest was seen, what was decided about it, and where it went."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from image_promotion.ledger import decisions, promotions, rows
from image_promotion.ledger import tables as t
from image_promotion.ledger.approvals import Request, every_request
from image_promotion.ledger.database import Database, in_batches
from image_promotion.ledger.lives import KnownRun
from image_promotion.ledger.marks import LOOK, NO_MARKS, Look, Marks, read_marks
from image_promotion.ledger.records import (
    Decision,
    Kind,
    Observation,
    Promotion,
    Reason,
    Transition,
)

MOST_STAYS = 100
"""So many of the last stays at a digest are told."""

MOST_DIGESTS = 8
"""So many digests are followed that targets got in place of one another."""


MOST_LOOKS = 40
"""So many of the last rechecks of a promotion are told."""


@dataclass(frozen=True, slots=True)
class Undoing:
    """A rollback that took an image from its target tag, and why: as whoever wanted it wrote."""

    promotion: Promotion
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Passage:
    """A promotion of the image.

    Args:
        promotion: The promotion as it stands.
        steps: Its steps, the oldest first.
        marks: What sets it apart: what people said, proof, rechecks, and what undid it.
        looks: Its last rechecks, the oldest first.
        undone_by: The rollback that set its target tag to something else; None where none did, or
            the image came back since.
        requests: The runs that wait for people's answer about it.
    """

    promotion: Promotion
    steps: tuple[Transition, ...]
    marks: Marks
    looks: tuple[Look, ...]
    undone_by: Undoing | None
    requests: tuple[Request, ...]


@dataclass(frozen=True, slots=True)
class Sight:
    """A stay of a tag at the image's digest, as one policy saw it.

    Args:
        observation: The stay.
        is_present: Whether the tag points there still, as far as scans know.
        decision: The last decision about it; None while there is none.
        decided_by: The key of the run that decided so first.
        passages: What came of it.
    """

    observation: Observation
    is_present: bool
    decision: Decision | None
    decided_by: str
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
            keys |= {key for each in sights for done in each.passages for key in _keys(done)}
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
    sights = []
    for observation, is_present in found:
        decision, decided_by = decided.get(observation.id, (None, ""))
        sights.append(
            Sight(
                observation=observation,
                is_present=bool(is_present),
                decision=decision,
                decided_by=decided_by,
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
    ids = [each.id for each in found]
    marked = read_marks(connection, ids)
    looks = _looks(connection, ids)
    requests = every_request(connection, ids)
    passages: dict[int, list[Passage]] = defaultdict(list)
    for each in found:
        marks = marked.get(each.id, NO_MARKS)
        passages[each.observation_id].append(
            Passage(
                promotion=each,
                steps=tuple(steps[each.id]),
                marks=marks,
                looks=tuple(looks[each.id][-MOST_LOOKS:]),
                undone_by=_undone_by(connection, each) if marks.is_rolled_back else None,
                requests=requests.get(each.id, ()),
            )
        )
    return passages


def _looks(connection: Connection, ids: Collection[int]) -> Mapping[int, list[Look]]:
    found: dict[int, list[Look]] = defaultdict(list)
    for batch in in_batches(ids):
        query = (
            select(t.rechecks.c.promotion_id, *LOOK)
            .where(t.rechecks.c.promotion_id.in_(batch))
            .order_by(t.rechecks.c.id)
        )
        for promotion_id, *look in connection.execute(query):
            found[promotion_id].append(Look(*look))
    return found


def _undone_by(connection: Connection, promotion: Promotion) -> Undoing | None:
    """Find the last rollback that took a promotion's image from its target tag."""
    done = t.promotions
    query = (
        promotions.selected()
        .where(
            done.c.target_registry == promotion.target_registry,
            done.c.target_repository == promotion.target_repository,
            done.c.target_tag == promotion.target_tag,
            done.c.kind == Kind.ROLLBACK,
            done.c.former_digest == promotion.target_digest,
            done.c.id > promotion.id,
        )
        .order_by(done.c.id.desc())
        .limit(1)
    )
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        return None
    found = rows.promotion(row)
    reasons = select(t.decisions.c.reasons).where(t.decisions.c.id == found.decision_id)
    return Undoing(found, connection.execute(reasons).scalar_one())


def _keys(passage: Passage) -> Iterator[str]:
    """Yield the keys of the runs that had to do with a promotion."""
    marks = passage.marks
    yield from (each.run_key for each in passage.steps)
    yield from (each.run_key for each in passage.looks)
    yield from (each.run_key for each in passage.requests)
    yield from (each.run_key for each in marks.words)
    yield from (each.run_key for each in (marks.attestation, marks.removal) if each)
    if passage.undone_by:
        yield passage.undone_by.promotion.run_key


def _runs(connection: Connection, keys: Collection[str]) -> dict[str, KnownRun]:
    found: dict[str, KnownRun] = {}
    for batch in in_batches(keys):
        query = select(t.runs.c.key, t.runs.c.kind, t.runs.c.started_by).where(
            t.runs.c.key.in_(batch)
        )
        found |= {row[0]: KnownRun(*row) for row in connection.execute(query)}
    return found
