"""The statement about a promotion: what was promoted, why, by whose word and when.

It is an in-toto statement whose subject is the image in the target. Everything in it stands in the
ledger, so that the same promotion always makes the same bytes. docs/how-to/attestation.md describes
it for those who read it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

from image_promotion.ledger.attestations import Background
from image_promotion.ledger.records import Promotion, Reason
from image_promotion.ledger.verdicts import Word
from image_promotion.registry.digest import Digest

PREDICATE_TYPE = "urn:image-promotion:promotion:v1"
"""What kind of claim the statement makes. Members may be added; other changes make a ``v2``."""

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"

PRODUCT = "image-promotion"

Json: TypeAlias = "str | int | list[Json] | dict[str, Json]"


@dataclass(frozen=True, slots=True)
class Origin:
    """What a statement says that is no fact of the promotion itself.

    Args:
        source_repository: As the source registry names it, the connection's namespace included.
        target_repository: As the target registry names it, likewise.
        version: The version of the product.
        run_url: Where the run that planned the promotion can be looked at; None where nobody knows.
        documents: Of each report that was looked at, where it was found, as reasons say it, and its
            digest.
    """

    source_repository: str
    target_repository: str
    version: str
    run_url: str | None
    documents: Sequence[tuple[str, str]]


def statement_of(promotion: Promotion, background: Background, origin: Origin) -> bytes:
    """Write the statement about a promotion.

    Args:
        promotion: The promotion, verified.
        background: What lies behind it.
        origin: What else is known.

    Returns:
        The statement; equal arguments give equal bytes.

    Source: in-toto attestation framework, "Statement layer specification", v1.
    """
    digest = Digest.parse(promotion.target_digest)
    statement: Json = {
        "_type": STATEMENT_TYPE,
        "subject": [
            {
                "name": f"{promotion.target_registry}/{origin.target_repository}",
                "digest": {digest.algorithm: digest.encoded},
            }
        ],
        "predicateType": PREDICATE_TYPE,
        "predicate": _predicate(promotion, background, origin),
    }
    return _canonical(statement)


def is_about_same(statement: bytes, other: bytes) -> bool:
    """Return whether two statements are about one promotion, whatever else they say.

    Args:
        statement: A statement that this product wrote.
        other: Any statement that has been read, by whomever it was written.
    """
    return _identity(json.loads(statement)) == _identity(json.loads(other))


def identity_of(statement: bytes) -> str:
    """Return what tells the promotion of a statement from others, as text without meaning.

    Args:
        statement: A statement that this product wrote.
    """
    return Digest.of(_canonical(_identity(json.loads(statement)))).encoded[:32]


def _identity(statement: object) -> list[Json]:
    """Return what only one promotion has; a ledger that was begun anew counts from 1 again."""
    predicate = _member(statement, "predicate")
    target = _member(predicate, "target")
    return [
        *(
            _leaf(predicate, *path)
            for path in (("promotion", "id"), ("policy", "name"), ("times", "verified"))
        ),
        *(_leaf(target, name) for name in ("registry", "repository", "tag", "digest")),
    ]


def _member(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, dict) else None


def _leaf(value: object, *path: str) -> str:
    for name in path:
        value = _member(value, name)
    return json.dumps(value, sort_keys=True)


def _predicate(promotion: Promotion, background: Background, origin: Origin) -> Json:
    target: dict[str, Json] = {
        "registry": promotion.target_registry,
        "repository": origin.target_repository,
        "tag": promotion.target_tag,
        "digest": promotion.target_digest,
    }
    if promotion.former_digest is not None:
        target["previousDigest"] = promotion.former_digest
    decision: dict[str, Json] = {
        "triggers": [_trigger(each, origin.documents) for each in background.reasons]
    }
    if background.overridden_by is not None:
        decision["override"] = {
            "by": background.overridden_by,
            "reason": background.override_reason or "",
        }
    run: dict[str, Json] = {"key": background.run.key, "kind": background.run.kind}
    if background.run.started_by is not None:
        run["startedBy"] = background.run.started_by
    if origin.run_url is not None:
        run["url"] = origin.run_url
    return {
        "promotion": {"id": promotion.id, "kind": str(promotion.kind)},
        "source": {
            "registry": promotion.source_registry,
            "repository": origin.source_repository,
            "tag": promotion.source_tag,
            "digest": promotion.digest,
        },
        "target": target,
        "policy": {"name": promotion.policy, "hash": background.policy_hash},
        "decision": decision,
        "approvals": [_approval(each) for each in background.words],
        "run": run,
        "times": _times(promotion, background),
        "product": {"name": PRODUCT, "version": origin.version},
    }


def _trigger(reason: Reason, documents: Sequence[tuple[str, str]]) -> Json:
    said: dict[str, Json] = {
        "trigger": reason.trigger,
        "verdict": reason.verdict,
        "expected": reason.expected,
        "found": reason.found,
    }
    if reason.count is not None:
        said["count"] = reason.count
    if reason.items:
        said["items"] = list(reason.items)
    if reason.source:
        # As `weighing.describe` writes it: what it is, where it was found, who signed it.
        digests = {digest for place, digest in documents if f", {place}, " in reason.source}
        evidence: dict[str, Json] = {"source": reason.source}
        if digests:
            evidence["digests"] = [*sorted(digests)]
        said["evidence"] = evidence
    if reason.parts:
        said["parts"] = [_trigger(each, documents) for each in reason.parts]
    return said


def _approval(word: Word) -> Json:
    said: dict[str, Json] = {"by": word.who, "verdict": str(word.verdict), "at": _moment(word.at)}
    if word.comment:
        said["comment"] = word.comment
    return said


def _times(promotion: Promotion, background: Background) -> Json:
    moments: Sequence[tuple[str, datetime | None]] = (
        ("firstSeen", background.first_seen_at),
        ("decided", background.decided_at),
        ("planned", promotion.planned_at),
        ("copied", promotion.copied_at),
        ("tagged", promotion.tagged_at),
        ("verified", promotion.verified_at),
    )
    return {name: _moment(moment) for name, moment in moments if moment is not None}


def _moment(moment: datetime) -> str:
    """Return a time as in-toto wants it: RFC 3339, in UTC, with a Z."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _canonical(value: Json) -> bytes:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    # A lone surrogate is no text that others could read.
    return text.encode(errors="replace")
