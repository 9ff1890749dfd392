"""Evidence as it was gathered, by image, as functions over a connection.

It is kept so that an image's reports are fetched and read once. What it says is the callers'
business: here it is bytes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import Connection, bindparam, select
from sqlalchemy.dialects import postgresql, sqlite

from image_promotion.ledger.database import in_batches
from image_promotion.ledger.tables import evidence

ImageKey = tuple[str, str]
"""Repository and digest."""


def kept(
    connection: Connection, registry: str, configuration: str, images: Collection[ImageKey]
) -> Mapping[ImageKey, bytes]:
    """Return what is kept; see ``Ledger.kept_evidence``."""
    wanted = set(images)
    found: dict[ImageKey, bytes] = {}
    for digests in in_batches({digest for _, digest in wanted}):
        rows = connection.execute(
            select(evidence.c.repository, evidence.c.digest, evidence.c.content).where(
                evidence.c.registry == registry,
                evidence.c.configuration == configuration,
                evidence.c.digest.in_(digests),
            )
        )
        found |= {
            (row.repository, row.digest): row.content
            for row in rows
            if (row.repository, row.digest) in wanted
        }
    return found


def keep(
    connection: Connection,
    registry: str,
    configuration: str,
    contents: Mapping[ImageKey, bytes],
    at: datetime,
) -> None:
    """Keep what was gathered, in place of what was kept before; see ``Ledger.keep_evidence``."""
    if not contents:
        return
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(evidence).values(
        registry=registry,
        configuration=configuration,
        repository=bindparam("repository"),
        digest=bindparam("digest"),
        content=bindparam("content"),
        gathered_at=at,
    )
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["registry", "repository", "digest", "configuration"],
            set_={
                "content": statement.excluded.content,
                "gathered_at": statement.excluded.gathered_at,
            },
        ),
        [
            {"repository": repository, "digest": digest, "content": content}
            for (repository, digest), content in contents.items()
        ],
    )
