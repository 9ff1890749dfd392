"""What the command line prints: tables for people, stable JSON for programs.

The JSON is documented in docs/command-line.md; a field is never renamed or removed without a line
in the changelog.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from image_promotion.cli.listing import Layout, Listing, Row
from image_promotion.cli.wording import in_brief
from image_promotion.ledger.records import HistoryEntry, Kind, Outcome, Promotion, Reason, State

if TYPE_CHECKING:
    from image_promotion.cli.copying import Copied
    from image_promotion.evidence.summary import VulnerabilityNumbers
    from image_promotion.promotion.reporting import RunReport

JsonValue = dict[str, "JsonValue"] | list["JsonValue"] | str | int | float | bool | None

_COLOURS = {
    "promote": "green",
    "verified": "green",
    "reject": "yellow",
    "wait": "cyan",
    "conflict": "red",
    "failed": "red",
    "superseded": "magenta",
}

# A pipe has no width. Files are read by people too, and whoever takes fields apart takes the JSON.
WIDTH_OF_A_PIPE = 200

# The second stands only in tables in which some target gets another digest than its source has.
DIGESTS = ("digest", "target digest")

_PROMOTIONS = Layout(
    columns=("tag", "target tag", *DIGESTS, "state", "copied", "time"),
    narrow=(("state", "tag"), ("target tag", *DIGESTS), ("copied", "time")),
)
_HISTORY = Layout(
    columns=(
        *("policy", "image", "decision", "reason", "target tag"),
        *(*DIGESTS, "state", "time", "marks"),
    ),
    narrow=(
        ("decision", "image"),
        ("policy",),
        ("reason",),
        ("target tag", *DIGESTS),
        ("state", "time"),
        ("marks",),
    ),
    below=("marks", "reason"),
)


def console() -> Console:
    """Return where tables go: with colours on a terminal alone, unless NO_COLOR is set."""
    if not sys.stdout.isatty():
        return Console(width=WIDTH_OF_A_PIPE, color_system=None, force_terminal=False)
    if os.environ.get("NO_COLOR"):
        return Console(color_system=None)
    return Console()


def print_json(value: JsonValue) -> None:
    """Print a value as JSON, in ASCII, so that no locale can spoil it."""
    print(json.dumps(value, indent=2))


def short_digest(digest: str | None) -> str:
    """Return the beginning of a digest, as people compare it."""
    return digest[:19] if digest else ""


def other_digest(target: str | None, source: str | None) -> str:
    """Return the beginning of a target's digest where it is not the source's."""
    return "" if target == source else short_digest(target)


def moment(at: datetime | None) -> str | None:
    """Return a time as ISO 8601 in UTC."""
    return at.isoformat(timespec="seconds") if at else None


def for_people(at: datetime | None) -> str:
    """Return a time as people read it, in UTC."""
    return f"{at:%Y-%m-%d %H:%M:%S}Z" if at else ""


def reason_json(reason: Reason) -> JsonValue:
    """Return a reason with its parts."""
    return {
        "trigger": reason.trigger,
        "verdict": reason.verdict,
        "expected": reason.expected,
        "found": reason.found,
        "source": reason.source,
        "count": reason.count,
        "items": list(reason.items),
        "parts": [reason_json(part) for part in reason.parts],
    }


def numbers_json(numbers: VulnerabilityNumbers | None) -> JsonValue:
    """Return how many vulnerabilities a document lists."""
    if numbers is None:
        return None
    return {
        "total": numbers.total,
        "by_severity": {**numbers.by_severity},
        "by_band": {str(band): number for band, number in numbers.by_band.items()},
    }


def promotion_json(promotion: Promotion) -> JsonValue:
    """Return a promotion as it stands."""
    return {
        "id": promotion.id,
        "policy": promotion.policy,
        "source": f"{promotion.source_repository}:{promotion.source_tag}",
        "target": f"{promotion.target_repository}:{promotion.target_tag}",
        "source_registry": promotion.source_registry,
        "target_connection": promotion.target_connection,
        "target_registry": promotion.target_registry,
        "digest": promotion.digest,
        "target_digest": promotion.target_digest,
        "kind": str(promotion.kind),
        "former_digest": promotion.former_digest,
        "state": str(promotion.state),
        "error": promotion.error or None,
        "planned_at": moment(promotion.planned_at),
        "copied_at": moment(promotion.copied_at),
        "tagged_at": moment(promotion.tagged_at),
        "verified_at": moment(promotion.verified_at),
        "ended_at": moment(promotion.ended_at),
        "bytes_copied": promotion.bytes_copied,
        "bytes_skipped": promotion.bytes_skipped,
        "bytes_mounted": promotion.bytes_mounted,
        "seconds": promotion.seconds,
    }


def run_json(report: RunReport) -> JsonValue:
    """Return what a run came to."""
    return {
        "tags_seen": report.tags_seen,
        "rejected_by_name": report.rejected_by_name,
        "decided": {str(outcome): report.decided[outcome] for outcome in Outcome},
        "promotions": [promotion_json(promotion) for promotion in report.promotions],
        "problems": list(report.problems),
    }


def history_json(entry: HistoryEntry) -> dict[str, JsonValue]:
    """Return one decision with what came of it."""
    seen = entry.observation
    return {
        "policy": seen.policy,
        "repository": seen.repository,
        "tag": seen.tag,
        "digest": seen.digest,
        "decision": str(entry.decision.outcome),
        "reasons": [reason_json(reason) for reason in entry.decision.reasons],
        "decided_at": moment(entry.decision.decided_at),
        "asked_at": moment(entry.decision.asked_at),
        "promotion": promotion_json(entry.promotion) if entry.promotion else None,
    }


def copy_json(copied: Copied) -> JsonValue:
    """Return what a copy did."""
    order, transfer = copied.order, copied.transfer
    selection, found = copied.selection, copied.verification
    return {
        "source": str(order.named_source()),
        "target": str(order.named_target()),
        "digest": str(copied.digest),
        "source_digest": str(selection.original),
        "signatures_apply": not selection.is_new,
        "platforms": [str(each) for each in selection.platforms] if order.platforms else None,
        "replaced_digest": str(copied.held) if copied.held not in (None, copied.digest) else None,
        "tag_was_set": copied.held != copied.digest,
        "bytes_copied": transfer.bytes_copied,
        "bytes_skipped": transfer.bytes_skipped,
        "bytes_mounted": transfer.bytes_mounted,
        "foreign_layers_left": transfer.foreign_layers_left,
        "verified": {
            "manifests": found.manifests,
            "blobs": found.blobs,
            "size_bytes": found.size_bytes,
        },
        "referrers": None
        if copied.carriages is None
        else {
            "carried": sum(len(each.attachments) for each in copied.carriages),
            "left_out": sum(len(each.left_out) for each in copied.carriages),
            "bytes_copied": sum(each.bytes_copied for each in copied.carriages),
        },
        "warnings": list(copied.warnings()),
        "seconds": round(copied.seconds, 3),
    }


def promotion_table(promotions: Sequence[Promotion]) -> Listing:
    """Return promotions as a table."""
    sources = {each.source_repository for each in promotions}
    is_several = len({each.target_connection for each in promotions}) > 1
    repositories = {each.id: _repository(each, is_several=is_several) for each in promotions}
    targets = set(repositories.values())
    rows: list[Row] = []
    for each in promotions:
        copied = "" if each.bytes_copied is None else f"{each.bytes_copied / 1_000_000:.1f} MB"
        rows.append(
            {
                "tag": image_of(each.source_repository, each.source_tag, sources),
                "target tag": image_of(repositories[each.id], each.target_tag, targets),
                "digest": short_digest(each.digest),
                "target digest": other_digest(each.target_digest, each.digest),
                "state": decision_word(each.state),
                "copied": copied,
                "time": for_people(each.ended_at),
            }
        )
    return Listing(_PROMOTIONS, rows, title=title_of(sources, targets))


def _repository(promotion: Promotion, *, is_several: bool) -> str:
    """Return a target repository, with its connection where there are several."""
    repository = promotion.target_repository
    return f"{promotion.target_connection}/{repository}" if is_several else repository


def history_table(entries: Sequence[HistoryEntry], marks: Sequence[str]) -> Listing:
    """Return decisions with what came of them as a table.

    Args:
        entries: The decisions, with each promotion.
        marks: What sets each of them apart, in words.

    Returns:
        The table.
    """
    rows: list[Row] = []
    for entry, marked in zip(entries, marks, strict=True):
        seen, done = entry.observation, entry.promotion
        reason = in_brief(entry.decision.reasons)
        if done and done.state is State.FAILED:
            reason = done.error
        is_several = len(entry.decision.promotion_ids) > 1
        rows.append(
            {
                "policy": seen.policy,
                "image": f"{seen.repository}:{seen.tag}",
                "decision": decision_word(
                    done.kind if done and done.kind is Kind.ROLLBACK else entry.decision.outcome
                ),
                "reason": reason,
                "target tag": f"{_repository(done, is_several=is_several)}:{done.target_tag}"
                if done
                else "",
                "digest": short_digest(seen.digest),
                "target digest": other_digest(done.target_digest if done else None, seen.digest),
                "state": decision_word(done.state if done else ""),
                "time": for_people(done.ended_at if done else entry.decision.decided_at),
                "marks": marked,
            }
        )
    return Listing(_HISTORY, rows)


def title_of(sources: set[str], targets: set[str]) -> str:
    """Return where everything comes from and goes to; empty when there are several such places."""
    if len(sources) != 1 or len(targets) > 1:
        return ""
    return " -> ".join([*sources, *targets])


def image_of(repository: str, tag: str, repositories: set[str]) -> str:
    """Return an image as a row shows it: the repository stands above when all rows share it."""
    return tag if len(repositories) == 1 else f"{repository}:{tag}"


def decision_word(word: str) -> Text:
    """Return a decision or a state in its colour."""
    return Text(str(word), style=_COLOURS.get(str(word), ""))
