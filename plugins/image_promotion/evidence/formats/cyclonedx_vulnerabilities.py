"""The vulnerabilities of a CycloneDX document: what it found, and what it says of others' findings.

A document without components of which each vulnerability has an analysis is nothing but statements
(VEX). Of any other each vulnerability is a finding, with what its analysis says; and where that is
about something outside the document's components, it is a statement besides.

Source: CycloneDX 1.6 JSON Reference, "vulnerabilities".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from functools import partial

from image_promotion.evidence.formats.cyclonedx_parts import Package, Parts
from image_promotion.evidence.formats.text import MAX_ITEMS, items_of, needed_text, optional_time
from image_promotion.policy.facts import Score, Statement, Status, Vulnerability, deciding_score
from image_promotion.registry.document import Fields

_HIGHEST_SCORE = 10.0

_STATUS_OF_STATE = {
    "resolved": Status.FIXED,
    "resolved_with_pedigree": Status.FIXED,
    "exploitable": Status.AFFECTED,
    "in_triage": Status.UNDER_INVESTIGATION,
    "false_positive": Status.NOT_AFFECTED,
    "not_affected": Status.NOT_AFFECTED,
}

_CVSS_OF_METHOD = {"CVSSv2": "2.0", "CVSSv3": "3.0", "CVSSv31": "3.1", "CVSSv4": "4.0"}
_VECTOR = re.compile(r"CVSS:(?P<version>[0-9]\.[0-9])/")

_DECIMAL = re.compile(r"[0-9]{1,2}(\.[0-9]{1,10})?")

_WORDS = ("unknown", "none", "info", "low", "medium", "high", "critical")
"""Severities, the worst last."""

_WORDS_OF_NO_SCORE = frozenset({"", "info", "none", "unknown"})

_SILENT = frozenset({"trivy", "grype"})
"""Tools that write an empty list also when they did not look, or had no database to look into.

Trivy writes one into each SBOM that it makes without a scan; Grype wrote one where its database was
broken. Their own formats say whether they looked; this one has no place for it.
"""

_UPGRADE = re.compile(r"Upgrade (?P<package>\S+) to version (?P<versions>[^;\n]+)")
_FIXED_FROM = re.compile(r"vers:[^/]+/>=(?P<version>[^|<>=!*]+)")


_NOTHING_NAMED = Package("", "", None, is_subject=True)
"""What a vulnerability affects that does not say what: what the document is about."""


def read_vulnerabilities(
    fields: Fields, parts: Parts, tool: str
) -> tuple[Vulnerability, ...] | None:
    """Read what a document found.

    Args:
        fields: The document.
        parts: What its references mean.
        tool: The program that made it.

    Returns:
        The vulnerabilities, one for each package that one affects; None when the document does not
        list any that it found, or cannot be believed to have looked.

    Raises:
        UnreadableEvidenceError: It breaks the format.
    """
    if "vulnerabilities" not in fields:
        return None
    listed = items_of(fields, "vulnerabilities")
    if not listed:
        return None if tool.lower() in _SILENT else ()
    if parts.are_none and all(_status(each) is not None for each in listed):
        return None
    found: list[Vulnerability] = []
    for each in listed:
        found += _findings(each, parts)
        if len(found) > MAX_ITEMS:
            fields.refuse("vulnerabilities", f"affects more than {MAX_ITEMS} packages")
    return tuple(found)


def read_statements(
    fields: Fields, parts: Parts, created_at: datetime | None
) -> tuple[Statement, ...]:
    """Read what a document says about the vulnerabilities of something else (VEX).

    Args:
        fields: The document.
        parts: What its references mean.
        created_at: When it was made.

    Returns:
        The statements, one for each package that one is about.

    Raises:
        UnreadableEvidenceError: It breaks the format.
    """
    said: list[Statement] = []
    for each in items_of(fields, "vulnerabilities"):
        said += _statements(each, parts, created_at)
        if len(said) > MAX_ITEMS:
            fields.refuse("vulnerabilities", f"affects more than {MAX_ITEMS} packages")
    return tuple(said)


def _statements(
    vulnerability: Fields, parts: Parts, created_at: datetime | None
) -> Iterator[Statement]:
    status = _status(vulnerability)
    if status is None:
        return
    analysis = vulnerability.fields("analysis")
    at = optional_time(analysis, "lastUpdated") or optional_time(analysis, "firstIssued")
    about = parts.subject.products
    for _, package in _affected(vulnerability, parts):
        if package.is_component:
            continue
        named = (package.purl or package.name,) if package.name else ()
        yield Statement(
            vulnerability=needed_text(vulnerability, "id"),
            aliases=_aliases(vulnerability),
            products=about or named,
            status=status,
            justification=analysis.optional_text("justification") or "",
            at=at or created_at,
            subcomponents=() if package.is_subject or not about else named,
        )


def _findings(vulnerability: Fields, parts: Parts) -> Iterator[Vulnerability]:
    scores, severity = _ratings(vulnerability)
    known = Vulnerability(
        id=needed_text(vulnerability, "id"),
        package="",
        version="",
        severity=severity,
        score=deciding_score(scores),
        aliases=_aliases(vulnerability),
        scores=scores,
        status=_status(vulnerability),
    )
    advice = vulnerability.optional_text("recommendation") or ""
    for affect, package in _affected(vulnerability, parts):
        yield replace(
            known,
            package=package.name,
            version=package.version,
            purl=package.purl,
            fixed_in=_fixed_in(affect, package, advice),
        )


def _affected(vulnerability: Fields, parts: Parts) -> Iterator[tuple[Fields | None, Package]]:
    """Yield what a vulnerability affects, with where it says so."""
    affects = items_of(vulnerability, "affects")
    if not affects:
        yield None, _NOTHING_NAMED
    for affect in affects:
        package = parts.package(needed_text(affect, "ref"), partial(affect.refuse, "ref"))
        if not package.version:
            versions = (
                each.optional_text("version") or ""
                for each in items_of(affect, "versions")
                # Unless it says otherwise, a version that is listed is affected.
                if each.said("status") in ("", "affected")
            )
            package = replace(package, version=next(versions, ""))
        yield affect, package


def _status(vulnerability: Fields) -> Status | None:
    analysis = vulnerability.optional_fields("analysis")
    state = analysis.optional_text("state") if analysis else None
    if analysis is None or not state:
        return None
    if state not in _STATUS_OF_STATE:
        analysis.refuse("state", f"is not one of {', '.join(_STATUS_OF_STATE)}")
    return _STATUS_OF_STATE[state]


def _aliases(vulnerability: Fields) -> tuple[str, ...]:
    own = vulnerability.said("id").strip()
    named = (each.optional_text("id") or "" for each in items_of(vulnerability, "references"))
    return tuple(dict.fromkeys(name for name in named if name and name != own))


def _ratings(vulnerability: Fields) -> tuple[tuple[Score, ...], str]:
    """Read the scores, and the severity: that of the vulnerability's own source, or the worst."""
    scores: list[Score] = []
    worst, by_source = "", ""
    own = _source(vulnerability)
    for rating in items_of(vulnerability, "ratings"):
        word, source = rating.optional_text("severity") or "", _source(rating)
        score = _score(rating, source)
        # Some tools write 0 for what nobody has scored; beside a severity it cannot be meant.
        if score and (score.base or word.lower() in _WORDS_OF_NO_SCORE):
            scores.append(score)
        worst = max(worst, word, key=_rank)
        if own and source == own:
            by_source = max(by_source, word, key=_rank)
    return tuple(scores), by_source or worst


def _rank(word: str) -> int:
    """Put a word that the format does not know above none at all, and below all others."""
    return _WORDS.index(word.lower()) + 1 if word.lower() in _WORDS else int(bool(word)) - 1


def _source(fields: Fields) -> str:
    source = fields.optional_fields("source")
    return (source.optional_text("name") or "") if source else ""


def _score(rating: Fields, source: str) -> Score | None:
    base = _base(rating)
    method = rating.optional_text("method")
    if base is None or (method and method not in _CVSS_OF_METHOD):
        return None
    if not 0 <= base <= _HIGHEST_SCORE:
        rating.refuse("score", "is no CVSS score from 0 to 10")
    vector = _VECTOR.match(rating.optional_text("vector") or "")
    version = _CVSS_OF_METHOD[method] if method else (vector["version"] if vector else "")
    return Score(base, version, source)


def _base(rating: Fields) -> float | None:
    """Read the number of a score: a text in XML, and as some libraries write it in JSON too."""
    if not rating.holds("score", str):
        return rating.optional_number("score")
    text = rating.text("score").strip()
    if not _DECIMAL.fullmatch(text):
        rating.refuse("score", "is no decimal number")
    return float(text)


def _fixed_in(affect: Fields | None, package: Package, advice: str) -> tuple[str, ...]:
    """Read which versions are not affected any more, as Grype and Trivy write it."""
    fixed: list[str] = []
    for each in items_of(affect, "versions") if affect else ():
        if each.said("status") == "unaffected":
            of = _FIXED_FROM.fullmatch(each.optional_text("range") or "")
            fixed.append(of["version"] if of else each.optional_text("version") or "")
    for upgrade in _UPGRADE.finditer(advice):
        if upgrade["package"] == package.name:
            fixed += upgrade["versions"].split(", ")
    cleaned = (version.strip() for version in fixed)
    return tuple(dict.fromkeys(each for each in cleaned if each and each != package.version))
