"""The history as a table for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from image_promotion.ledger.chronicle import Filter
from image_promotion.ledger.ledger import Ledger
from image_promotion.web.api.models import Promotion
from image_promotion.web.pages.history import shown

COLUMNS = (
    "id",
    "policy",
    "kind",
    "state",
    "source_registry",
    "source_repository",
    "source_tag",
    "target_registry",
    "target_repository",
    "target_tag",
    "digest",
    "target_digest",
    "planned_at",
    "verified_at",
    "seconds",
    "bytes_copied",
    "run",
    "run_kind",
    "started_by",
    "error",
)

# What spreadsheets take for the beginning of a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_csv(ledger: Ledger, asked: Filter) -> Iterator[str]:
    """Write all promotions that were asked for as CSV, row by row.

    Args:
        ledger: The ledger.
        asked: Which promotions.

    Yields:
        Pieces of the text. A cell that a spreadsheet would take for a formula begins with ``'``.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(COLUMNS)
    for each in ledger.chronicle.every(asked):
        writer.writerow([_cell(value) for value in _row(shown(each))])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()


def _row(done: Promotion) -> tuple[object, ...]:
    return (
        done.id,
        done.policy,
        done.kind.value,
        done.state.value,
        done.source.registry,
        done.source.repository,
        done.source.tag,
        done.target.registry,
        done.target.repository,
        done.target.tag,
        done.digest,
        done.target_digest,
        done.planned_at.isoformat(),
        done.verified_at.isoformat() if done.verified_at else "",
        done.seconds,
        done.bytes_copied,
        done.run,
        done.run_kind,
        done.started_by,
        done.error,
    )


def _cell(value: object) -> object:
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value
