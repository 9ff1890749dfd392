"""Grype's JSON report.

Source: Grype's types Document, Match, IgnoredMatch and Vulnerability, from version 0.61 to that of
the sixth schema of its database.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from image_promotion.evidence.formats.image_digest import digest_in
from image_promotion.evidence.formats.scores import score_in
from image_promotion.evidence.formats.text import items_of, needed_text, optional_time
from image_promotion.evidence.report import Provenance, Report, ScanState
from image_promotion.policy.facts import Score, Status, Vulnerability, deciding_score
from image_promotion.registry.document import Fields

_TOOL = "grype"
_NEVER = datetime(1, 1, 2, tzinfo=UTC)
"""Go writes the first moment of the first year for a time that is not set."""

_IGNORED_BY_VEX = {"not_affected": Status.NOT_AFFECTED, "fixed": Status.FIXED}


def recognises(fields: Fields) -> bool:
    """Say whether a document is a report of Grype, by the program it says it comes from."""
    return (
        "matches" in fields
        and fields.holds("descriptor", dict)
        and fields.fields("descriptor").said("name") == _TOOL
    )


def read(fields: Fields) -> Report:
    """Read a report of Grype.

    Grype prints an empty report, and exits as if all were well, when its database is broken. So a
    report counts only when it shows that the database was there.

    Matches that somebody's rule ignored are not listed, those that a VEX document ruled out are,
    with what it says.

    Args:
        fields: The report.

    Returns:
        What it says.

    Raises:
        UnreadableEvidenceError: It breaks the format.
    """
    descriptor = fields.fields("descriptor")
    problem = _problem_of_database(descriptor)
    source = fields.optional_fields("source")
    if not fields.holds("matches", list):
        fields.refuse("matches", "is no list")
    found = [_vulnerability(each, None) for each in items_of(fields, "matches")]
    found += (
        _vulnerability(each, status)
        for each in items_of(fields, "ignoredMatches")
        if (status := _said_by_vex(each)) is not None
    )
    return Report(
        format="grype-json",
        provenance=Provenance(
            tool=_TOOL,
            tool_version=descriptor.optional_text("version") or "",
            created_at=optional_time(descriptor, "timestamp"),
            subject_digest=_subject_of(source) if source else None,
        ),
        vulnerabilities=tuple(found),
        state=ScanState.FAILED if problem else ScanState.COMPLETE,
        problem=problem,
    )


def _problem_of_database(descriptor: Fields) -> str:
    """Say what is wrong with the database that was used; empty when it was in order.

    Its status stands in ``status`` since the sixth schema, and right in ``db`` before.
    """
    database = descriptor.optional_fields("db")
    status = database and (database.optional_fields("status") or database)
    if not status:
        return "the report does not say which vulnerability database was used"
    error = status.optional_text("error")
    if error:
        return f"its vulnerability database was in error: {error}"
    if status.optional_flag("valid") is False:
        return "its vulnerability database was not valid"
    built = optional_time(status, "built")
    if built is None or built < _NEVER:
        return "the report does not say when its vulnerability database was built"
    return ""


def _subject_of(source: Fields) -> str | None:
    if source.said("type") != "image" or not source.holds("target", dict):
        return None
    target = source.fields("target")
    named = target.texts("repoDigests") if "repoDigests" in target else ()
    digests = {digest for text in named if (digest := digest_in(text))}
    # The registry's digest; grype counts layers anew and makes up a manifest for some sources.
    if len(digests) == 1:
        return digests.pop()
    return digest_in(target.optional_text("manifestDigest") or "")


def _said_by_vex(match: Fields) -> Status | None:
    for rule in items_of(match, "appliedIgnoreRules"):
        status = _IGNORED_BY_VEX.get(rule.said("vex-status"))
        if status is not None:
            return status
    return None


def _vulnerability(match: Fields, status: Status | None) -> Vulnerability:
    vulnerability = match.fields("vulnerability")
    artifact = match.fields("artifact")
    related = items_of(match, "relatedVulnerabilities")
    identifier = needed_text(vulnerability, "id")
    # Those of the same vulnerability elsewhere too, such as the CVE behind an advisory: all scores
    # count, so that no source can talk another down.
    scores = tuple(
        dict.fromkeys(score for each in (vulnerability, *related) for score in _scores(each))
    )
    others = (each.optional_text("id") or "" for each in related)
    fix = vulnerability.optional_fields("fix")
    return Vulnerability(
        id=identifier,
        package=needed_text(artifact, "name"),
        version=artifact.optional_text("version") or "",
        severity=vulnerability.optional_text("severity") or "",
        score=deciding_score(scores),
        aliases=tuple(dict.fromkeys(each for each in others if each and each != identifier)),
        scores=scores,
        purl=artifact.optional_text("purl") or None,
        fixed_in=fix.texts("versions") if fix and "versions" in fix else (),
        status=status,
    )


def _scores(vulnerability: Fields) -> Iterable[Score]:
    for each in items_of(vulnerability, "cvss"):
        metrics = each.optional_fields("metrics")
        score = metrics and score_in(
            metrics,
            "baseScore",
            version=each.optional_text("version") or "",
            source=each.optional_text("source") or "",
            vector=each.optional_text("vector") or "",
        )
        if score:
            yield score
