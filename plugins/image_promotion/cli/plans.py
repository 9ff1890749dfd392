"""A plan at the command line: a table for people, stable JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence

from image_promotion.cli.listing import Layout, Listing, Row
from image_promotion.cli.output import (
    DIGESTS,
    JsonValue,
    decision_word,
    for_people,
    image_of,
    moment,
    other_digest,
    reason_json,
    short_digest,
    title_of,
)
from image_promotion.cli.wording import in_brief, short_digests
from image_promotion.ledger.records import State
from image_promotion.promotion.plan_document import figures_in_words, tag_in_words
from image_promotion.promotion.previewing import PreviewedImage

_PLAN = Layout(
    columns=(
        *("tag", "decision", "reason", "target tag", *DIGESTS),
        *("target tag is", "to be moved", "state", "time"),
    ),
    narrow=(
        ("decision", "tag"),
        ("reason",),
        ("target tag", *DIGESTS),
        ("target tag is",),
        ("to be moved",),
        ("state", "time"),
    ),
    below=("to be moved", "reason"),
)


def plan_json(previewed: PreviewedImage) -> JsonValue:
    """Return one entry of a plan."""
    row, figures = previewed.planned, previewed.figures
    promotion = row.promotion
    return {
        "repository": row.repository,
        "tag": row.tag,
        "digest": row.digest,
        "target_digest": row.target_digest,
        "decision": str(row.outcome) if row.outcome else None,
        "reason": row.why,
        "reasons": [reason_json(reason) for reason in row.reasons],
        "target": str(row.target) if row.target else None,
        "target_tag": row.target.tag if row.target else None,
        "target_connection": row.target_connection or None,
        "target_tag_holds": row.held_digest,
        "new": row.is_new,
        "over_cap": row.is_over_cap,
        "bytes_copied": figures.bytes_copied if figures else None,
        "bytes_mounted": figures.bytes_mounted if figures else None,
        "bytes_skipped": figures.bytes_skipped if figures else None,
        "blobs_copied": figures.blobs_copied if figures else None,
        "blobs_mounted": figures.blobs_mounted if figures else None,
        "blobs_skipped": figures.blobs_skipped if figures else None,
        "referrers": figures.referrers if figures else None,
        "sizes_unknown": previewed.problem or None,
        "wait_until": moment(row.wait_until),
        "state": str(promotion.state) if promotion else None,
        "at": moment(promotion.ended_at) if promotion else None,
    }


def plan_table(images: Sequence[PreviewedImage]) -> Listing:
    """Return a plan as a table: tag, decision, reason, target tag, digest, state, time.

    What all rows share, the repositories, stands above it.
    """
    rows = [each.planned for each in images]
    sources = {row.repository for row in rows}
    targets = {row.target_repository for row in rows if row.target}
    listed: list[Row] = []
    for each in images:
        row = each.planned
        promotion = row.promotion
        listed.append(
            {
                "tag": image_of(row.repository, row.tag, sources),
                "decision": decision_word(row.outcome or "unreadable"),
                "reason": _reason_of(each),
                "target tag": image_of(row.target_repository, row.target.tag, targets)
                if row.target
                else "",
                "digest": short_digest(row.digest),
                "target digest": other_digest(row.target_digest, row.digest),
                "target tag is": short_digests(tag_in_words(row)),
                "to be moved": figures_in_words(each.figures) if each.figures else "",
                "state": decision_word(promotion.state if promotion else ""),
                "time": for_people(promotion.ended_at if promotion else None),
            }
        )
    return Listing(_PLAN, listed, title=title_of(sources, targets))


def _reason_of(each: PreviewedImage) -> str:
    """Return why a row is as it is: what failed in full, and else the triggers in brief."""
    row = each.planned
    if row.problem or (row.promotion and row.promotion.state is State.FAILED):
        why = row.why
    else:
        why = in_brief(row.reasons)
    if row.is_over_cap:
        return f"over limits.images_per_run, so it waits for a later run; {why}"
    if row.wait_until:
        return f"until {for_people(row.wait_until)} at least; {why}"
    return f"{why}; sizes are not known: {each.problem}" if each.problem else why
