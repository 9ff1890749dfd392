"""Where tags are and were, as functions over a connection.

A stay of a tag at a digest is one row, an observation. The present one of each tag is marked
current; a unique index holds that there is one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, RowMapping, case, insert, not_, or_, select, update

from image_promotion.ledger import promotions, rows, runs, verdicts
from image_promotion.ledger.database import in_batches
from image_promotion.ledger.records import Aim, Kind, Observation, Run, Sighting, State
from image_promotion.ledger.tables import observations
from image_promotion.ledger.tables import promotions as promotions_table


def observe(
    connection: Connection,
    run: Run,
    sightings: Sequence[Sighting],
    *,
    complete_repositories: Collection[str],
    tags_seen: int,
    tags_rejected_by_name: int,
    at: datetime,
) -> tuple[Observation, ...]:
    """Record what a scan saw; see ``Ledger.observe``."""
    runs.lock_policy(connection, run.policy)
    digests: dict[str, dict[str, str]] = {repository: {} for repository in complete_repositories}
    for sighting in sightings:
        digests.setdefault(sighting.repository, {})[sighting.tag] = sighting.digest
    present: dict[tuple[str, str], Observation] = {}
    for repository, digest_of_tag in digests.items():
        stays = _observe_repository(
            connection,
            run,
            repository,
            digest_of_tag,
            is_complete=repository in complete_repositories,
            at=at,
        )
        present.update({(repository, tag): stays[tag] for tag in digest_of_tag})
    promotions.supersede_stale(connection, run, at)
    runs.note_scan(
        connection, run, tags_seen=tags_seen, tags_rejected_by_name=tags_rejected_by_name, at=at
    )
    return tuple(present.values())


def begin_stays_anew(
    connection: Connection, run: Run, aims: Sequence[Aim], at: datetime
) -> tuple[int, ...]:
    """Begin new stays where another digest is wanted at the target; see ``Ledger.aim``."""
    runs.lock_policy(connection, run.policy)
    promoted = promotions.by_key(connection, {(a.observation_id, a.target_key) for a in aims})
    outdated = {
        aim.observation_id
        for aim in aims
        if (known := promoted.get((aim.observation_id, aim.target_key)))
        and known.target_digest != aim.target_digest
    }
    if not outdated:
        return tuple(aim.observation_id for aim in aims)
    stays = _by_id(connection, outdated)
    current = [stay for stay in stays.values() if stay["is_current"]]
    _update(connection, [stay["id"] for stay in current], is_current=False)
    if current:
        connection.execute(
            insert(observations),
            [
                {
                    "policy": stay["policy"],
                    "repository": stay["repository"],
                    "tag": stay["tag"],
                    "digest": stay["digest"],
                    "ordinal": stay["ordinal"] + 1,
                    "first_seen_at": at,
                    "last_seen_at": max(at, stay["last_seen_at"]),
                    "last_run_id": max(run.id, stay["last_run_id"]),
                    "is_current": True,
                    "gone_at": stay["gone_at"],
                }
                for stay in current
            ],
        )
        promotions.supersede_stale(
            connection, run, at, moved_on="the policy chooses other platforms now"
        )
    return tuple(
        _present_stay(connection, stays[aim.observation_id])
        if aim.observation_id in outdated
        else aim.observation_id
        for aim in aims
    )


def _by_id(connection: Connection, ids: Collection[int]) -> dict[int, RowMapping]:
    found: dict[int, RowMapping] = {}
    for batch in in_batches(ids):
        query = select(observations).where(observations.c.id.in_(batch))
        found |= {row["id"]: row for row in connection.execute(query).mappings()}
    return found


def _present_stay(connection: Connection, stay: RowMapping) -> int:
    """Return the current stay of a tag; the given one if the tag is at another digest by now."""
    query = select(observations.c.id).where(
        observations.c.policy == stay["policy"],
        observations.c.repository == stay["repository"],
        observations.c.tag == stay["tag"],
        observations.c.digest == stay["digest"],
        observations.c.is_current,
    )
    found: int | None = connection.execute(query).scalar_one_or_none()
    return stay["id"] if found is None else found


def _observe_repository(
    connection: Connection,
    run: Run,
    repository: str,
    digest_of_tag: Mapping[str, str],
    *,
    is_complete: bool,
    at: datetime,
) -> Mapping[str, Observation]:
    """Compare one repository with its current stays; return the stays that are current then."""
    current = _current(connection, run.policy, repository)
    given_up = _given_up(connection, run.policy, repository)
    stays_on: list[int] = []
    left: list[int] = []
    arrived: list[dict[str, object]] = []
    for tag, digest in digest_of_tag.items():
        stay = current.get(tag)
        if stay is not None:
            if stay["digest"] == digest and stay["id"] not in given_up:
                stays_on.append(stay["id"])
                continue
            if _was_seen_later(stay, run, at):
                continue
            left.append(stay["id"])
        arrived.append(
            {
                "policy": run.policy,
                "repository": repository,
                "tag": tag,
                "digest": digest,
                "ordinal": 1 if stay is None else stay["ordinal"] + 1,
                "first_seen_at": at,
                "last_seen_at": at,
                "last_run_id": run.id,
                "is_current": True,
            }
        )
    gone = [
        stay["id"]
        for tag, stay in current.items()
        if is_complete
        and tag not in digest_of_tag
        and stay["gone_at"] is None
        and not _was_seen_later(stay, run, at)
    ]
    seen_at, seen_by = observations.c.last_seen_at, observations.c.last_run_id
    _update(
        connection,
        stays_on,
        # Another run, or another machine's clock, may be ahead of this one.
        last_seen_at=case((seen_at < at, at), else_=seen_at),
        last_run_id=case((seen_by < run.id, run.id), else_=seen_by),
        gone_at=None,
    )
    _update(connection, gone, gone_at=at)
    _update(connection, left, is_current=False)
    if arrived:
        connection.execute(insert(observations), arrived)
    seen = _current(connection, run.policy, repository)
    return {tag: rows.observation(row) for tag, row in seen.items() if tag in digest_of_tag}


def _current(connection: Connection, policy: str, repository: str) -> Mapping[str, RowMapping]:
    query = select(*rows.OBSERVATION, observations.c.last_run_id, observations.c.gone_at).where(
        observations.c.policy == policy,
        observations.c.repository == repository,
        observations.c.is_current,
    )
    return {row["tag"]: row for row in connection.execute(query).mappings()}


def _given_up(connection: Connection, policy: str, repository: str) -> frozenset[int]:
    """List the current stays whose promotion was superseded.

    The tag was found gone, or elsewhere, between scans. When it is seen again it came back, and
    that is a new stay: else this image would never be promoted. What people rejected is another
    matter: it is not to be promoted, and not to be asked about again.
    """
    query = (
        select(observations.c.id)
        .join(promotions_table, promotions_table.c.observation_id == observations.c.id)
        .where(
            observations.c.policy == policy,
            observations.c.repository == repository,
            observations.c.is_current,
            promotions_table.c.state == State.SUPERSEDED,
            not_(verdicts.is_rejected()),
            or_(promotions_table.c.kind.is_(None), promotions_table.c.kind != Kind.ROLLBACK),
        )
    )
    return frozenset(connection.execute(query).scalars())


def _was_seen_later(stay: RowMapping, run: Run, at: datetime) -> bool:
    """Say whether a later run saw this stay after the present scan began.

    Then what the present scan saw is the older news. Both must hold: an old run may be retried
    today, and a clock may have been set back.
    """
    return bool(stay["last_run_id"] > run.id and stay["last_seen_at"] > at)


def _update(connection: Connection, ids: Sequence[int], **values: object) -> None:
    for batch in in_batches(ids):
        connection.execute(update(observations).where(observations.c.id.in_(batch)).values(values))
