"""What other policies have brought into a repository, as one asks that takes images from there.

Who asks knows a place by its connection and its registry: two connections may lead to one registry.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, case, func, or_, select

from image_promotion.ledger import promotions, rows
from image_promotion.ledger.database import Database, in_batches
from image_promotion.ledger.records import Promotion, State
from image_promotion.ledger.tables import observations
from image_promotion.ledger.tables import promotions as table
from image_promotion.ledger.withdrawals import is_rolled_back

Image = tuple[str, str]
"""A repository and a digest there."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """That a policy has brought an image into a repository.

    Args:
        promotion: The first of its promotions that stands; or the last, where none does.
        is_undone: Whether each of them was rolled back since.
    """

    promotion: Promotion
    is_undone: bool

    @property
    def since(self) -> datetime:
        """Since when it has been there, verified."""
        # The query asks for verified promotions alone.
        return self.promotion.verified_at or self.promotion.planned_at


class Upstream:
    """What the ledger knows of images on their way here; it is at ``Ledger.upstream``.

    Args:
        database: The ledger's database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def arrivals(
        self,
        policies: Collection[str],
        images: Collection[Image],
        *,
        connection_id: str,
        registry: str,
    ) -> Mapping[tuple[str, Image], Arrival]:
        """Find which policies have verified images in their repositories.

        Args:
            policies: The policies that may have.
            images: The images, each by repository and digest, as they are there.
            connection_id: The connection that leads there.
            registry: The registry, as promotions name it.

        Returns:
            The arrivals, by policy and image.
        """
        with self._database.reading() as connection:
            return arrivals(
                connection, policies, images, connection_id=connection_id, registry=registry
            )

    def first_sights(self, policy: str, images: Collection[Image]) -> Mapping[Image, datetime]:
        """Say when a policy's scans have seen digests first, under whichever tag.

        Args:
            policy: The policy.
            images: The images, each by repository and digest.

        Returns:
            The moments, of those that were seen.
        """
        with self._database.reading() as connection:
            return first_sights(connection, policy, images)


def arrivals(
    connection: Connection,
    policies: Collection[str],
    images: Collection[Image],
    *,
    connection_id: str,
    registry: str,
) -> Mapping[tuple[str, Image], Arrival]:
    """Find arrivals; see ``Upstream.arrivals``."""
    names = frozenset(policies)
    wanted = frozenset(images)
    found: dict[tuple[str, Image], Arrival] = {}
    if not names:
        return found
    undone = case((is_rolled_back(table), 1), else_=0).label("is_undone")
    for batch in in_batches({digest for _, digest in wanted}):
        query = (
            promotions.selected()
            .add_columns(undone)
            .where(
                or_(
                    table.c.target_connection == connection_id,
                    table.c.target_registry == registry,
                ),
                table.c.target_repository.in_({repository for repository, _ in wanted}),
                func.coalesce(table.c.target_digest, observations.c.digest).in_(batch),
                table.c.state == State.VERIFIED,
            )
            # Those that stand come first, each group from its beginning.
            .order_by(undone, table.c.verified_at, table.c.id)
        )
        for row in connection.execute(query).mappings():
            promotion = rows.promotion(row)
            image = (promotion.target_repository, promotion.target_digest)
            key = (promotion.policy, image)
            if promotion.policy not in names or image not in wanted:
                continue
            before = found.get(key)
            if before is None or before.is_undone:
                found[key] = Arrival(promotion, is_undone=bool(row[undone]))
    return found


def first_sights(
    connection: Connection, policy: str, images: Collection[Image]
) -> Mapping[Image, datetime]:
    """Say when digests were seen first; see ``Upstream.first_sights``."""
    wanted = frozenset(images)
    found: dict[Image, datetime] = {}
    for batch in in_batches({digest for _, digest in wanted}):
        query = (
            select(
                observations.c.repository,
                observations.c.digest,
                func.min(observations.c.first_seen_at),
            )
            .where(observations.c.policy == policy, observations.c.digest.in_(batch))
            .group_by(observations.c.repository, observations.c.digest)
        )
        for repository, digest, first in connection.execute(query):
            if (repository, digest) in wanted:
                found[repository, digest] = first
    return found
