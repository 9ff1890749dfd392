"""Harbor's vulnerability report.

Source: Harbor API 2.0, getVulnerabilitiesAddition; Pluggable Image Vulnerability Scanning, "Harbor
scanner adapter API 1.1", VulnerabilityReport.
"""

from __future__ import annotations

from collections.abc import Iterable

from image_promotion.evidence.formats.image_digest import digest_in
from image_promotion.evidence.formats.scores import score_in
from image_promotion.evidence.formats.text import items_of, needed_text, optional_time
from image_promotion.evidence.report import Provenance, Report, ScanState
from image_promotion.policy.facts import Score, Vulnerability, deciding_score
from image_promotion.registry.document import Fields

REPORT_TYPE = "application/vnd.security.vulnerability.report; version=1.1"
OLD_REPORT_TYPE = "application/vnd.scanner.adapter.vuln.report.harbor+json; version=1.0"
_REPORT_TYPES = (REPORT_TYPE, OLD_REPORT_TYPE)

_FORMAT = "harbor-report-1.1"

_SCORES = (("score_v2", "vector_v2", "2"), ("score_v3", "vector_v3", "3"))
_VENDORS_SCORES = (
    ("V2Score", "V2Vector", "2"),
    ("V3Score", "V3Vector", "3"),
    ("V40Score", "V40Vector", "4.0"),
)


def recognises(fields: Fields) -> bool:
    """Say whether a document is a report of Harbor, alone or under its media type."""
    return any(each in fields for each in _REPORT_TYPES) or _is_report(fields)


def _is_report(fields: Fields) -> bool:
    return fields.holds("scanner", dict) and any(
        each in fields for each in ("generated_at", "severity")
    )


def read(fields: Fields) -> Report:
    """Read a report, alone or as Harbor answers it, under its media type.

    Harbor answers 200 with ``{}`` where there is no report: nothing was scanned, which is not the
    same as nothing found.

    Args:
        fields: The report, or the answer.

    Returns:
        What it says.

    Raises:
        UnreadableEvidenceError: It breaks the format.
    """
    wrapped = (fields.optional_fields(each) for each in _REPORT_TYPES)
    report = next((each for each in wrapped if each), fields)
    if not _is_report(report):
        if "vulnerabilities" in report:
            report.refuse("scanner", "is missing: nobody says that anything was scanned")
        return Report(
            format=_FORMAT,
            state=ScanState.NOT_SCANNED,
            problem="Harbor has no report about the image",
        )
    scanner = report.fields("scanner")
    artifact = report.optional_fields("artifact")
    return Report(
        format=_FORMAT,
        provenance=Provenance(
            tool=(scanner.optional_text("name") or "").lower(),
            tool_version=scanner.optional_text("version") or "",
            created_at=optional_time(report, "generated_at"),
            subject_digest=digest_in(artifact.optional_text("digest") or "") if artifact else None,
        ),
        vulnerabilities=tuple(_vulnerability(each) for each in items_of(report, "vulnerabilities")),
    )


def _vulnerability(fields: Fields) -> Vulnerability:
    scores = tuple(dict.fromkeys(_scores(fields)))
    fixed = fields.optional_text("fix_version") or ""
    return Vulnerability(
        id=needed_text(fields, "id"),
        package=needed_text(fields, "package"),
        version=fields.optional_text("version") or "",
        severity=fields.optional_text("severity") or "",
        score=deciding_score(scores),
        scores=scores,
        fixed_in=tuple(version for each in fixed.split(",") if (version := each.strip())),
    )


def _scores(fields: Fields) -> Iterable[Score]:
    preferred = fields.optional_fields("preferred_cvss")
    if preferred:
        yield from _scores_in(preferred, _SCORES, "")
    attributes = fields.optional_fields("vendor_attributes")
    # Others than Trivy's adapter may put anything there.
    if attributes and attributes.holds("CVSS", dict):
        for source, given in attributes.fields_by_key("CVSS").items():
            yield from _scores_in(given, _VENDORS_SCORES, source)


def _scores_in(
    fields: Fields, names: tuple[tuple[str, str, str], ...], source: str
) -> Iterable[Score]:
    for name, vector_name, version in names:
        vector = fields.optional_text(vector_name) or ""
        score = score_in(fields, name, version=version, source=source, vector=vector)
        if score:
            yield score
