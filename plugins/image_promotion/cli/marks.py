"""What sets a promotion apart, at the command line: a cell of a table, and stable JSON."""

from __future__ import annotations

from image_promotion.cli.output import JsonValue, moment
from image_promotion.ledger.marks import Marks
from image_promotion.ledger.records import Outcome, Verdict
from image_promotion.ledger.verdicts import Word


def marks_in_words(marks: Marks) -> str:
    """Say in a cell of a table what sets a promotion apart.

    Args:
        marks: What is known of it.

    Returns:
        Such as ``approved by ann, ben; attested``; empty when nothing does.
    """
    said = []
    if marks.override:
        said.append(f"overridden by {marks.override.who}")
    for verdict in Verdict:
        people = [each.who or "nobody in time" for each in marks.words if each.verdict is verdict]
        if people:
            said.append(f"{verdict} by {', '.join(dict.fromkeys(people))}")
    if marks.is_rolled_back:
        said.append("rolled back")
    if marks.last_look and marks.last_look.outcome is not Outcome.PROMOTE:
        said.append(f"recheck: {marks.last_look.outcome}")
    if marks.removal:
        said.append("tag removed")
    if marks.attestation:
        said.append("attested")
    return "; ".join(said)


def marks_json(marks: Marks) -> JsonValue:
    """Return what sets a promotion apart, as a document of a stable shape."""
    return {
        "overridden_by": marks.override.who if marks.override else None,
        "override_reason": marks.override.why if marks.override else None,
        "approvals": [_word_json(each) for each in marks.words],
        "rolled_back": marks.is_rolled_back,
        "attestation": marks.attestation.digest if marks.attestation else None,
        "recheck": str(marks.last_look.outcome) if marks.last_look else None,
        "tag_removed_at": moment(marks.removal.at) if marks.removal else None,
    }


def _word_json(word: Word) -> JsonValue:
    return {
        "verdict": str(word.verdict),
        "who": word.who or None,
        "comment": word.comment,
        "at": moment(word.at),
        "run": word.run_key,
    }
