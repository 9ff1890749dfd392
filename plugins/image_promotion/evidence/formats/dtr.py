"""What Docker Trusted Registry says about its scan of an image.

Source: DTR 2.6 API, ``/imagescan/scansummary`` (``detailed=true`` for the layers) and
``/repositories/{namespace}/{reponame}/tags``, ``vuln_summary``; its webhook SCAN_COMPLETED.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from image_promotion.evidence.formats.image_digest import digest_in
from image_promotion.evidence.formats.inventory import Inventory, known_licenses
from image_promotion.evidence.formats.scores import score_in
from image_promotion.evidence.formats.text import (
    items_of,
    needed_text,
    optional_time,
    read_json_report,
    refuse,
)
from image_promotion.evidence.report import BandCounts, Provenance, Report, ScanState
from image_promotion.policy.facts import Component, Vulnerability, deciding_score
from image_promotion.registry.document import Fields

_FAILED, _UNSCANNED, _SCANNING, _PENDING, _SCANNED, _CHECKING, _COMPLETED = range(7)

_STATES = {
    _FAILED: (ScanState.FAILED, "DTR says that its scan failed"),
    _UNSCANNED: (ScanState.NOT_SCANNED, "DTR has not scanned the image"),
    _SCANNING: (ScanState.RUNNING, "DTR is scanning the image"),
    _PENDING: (ScanState.PENDING, "DTR has not begun its scan"),
    _SCANNED: (ScanState.RUNNING, "DTR has scanned the image and not looked its parts up yet"),
    _CHECKING: (ScanState.RUNNING, "DTR is looking up what it found"),
    _COMPLETED: (ScanState.COMPLETE, ""),
}
"""``last_scan_status``. Source: Docker Trusted Registry, "Manage webhooks", "Scan status"."""

_NEVER = datetime(1, 1, 2, tzinfo=UTC)
"""Go writes the first moment of the first year for a time that is not set."""


def recognises(fields: Fields) -> bool:
    """Say whether a document is a scan of DTR's, or a tag with the summary of one."""
    return (
        fields.holds("vuln_summary", dict)
        or fields.holds("layer_details", list)
        or ("last_scan_status" in fields and "critical" in fields)
    )


def read(fields: Fields) -> Report:
    """Read the scan of an image, or a tag with the summary of one.

    The summary has numbers without a list. With the layers' details come the list and the
    components; DTR writes a CVSS score and no word, and 0 where it has no score.

    Args:
        fields: The scan or the tag.

    Returns:
        What it says. A scan that DTR wants repeated is not complete.

    Raises:
        UnreadableEvidenceError: It breaks the format.
    """
    scan = fields.optional_fields("vuln_summary") or fields
    is_detailed = scan.holds("layer_details", list)
    state, problem = _state_of(scan)
    components = [
        component
        for layer in items_of(scan, "layer_details")
        for component in items_of(layer, "components")
    ]
    found_at = optional_time(scan, "check_completed_at")
    return Report(
        format="dtr-scan" if is_detailed else "dtr-scan-summary",
        provenance=Provenance(
            tool="dtr",
            created_at=found_at if found_at and found_at >= _NEVER else None,
            subject_digest=digest_in(fields.optional_text("digest") or ""),
        ),
        components=_components(components) if is_detailed else None,
        vulnerabilities=tuple(_vulnerabilities(components)) if is_detailed else None,
        counts=None if is_detailed or state is not ScanState.COMPLETE else _counts(scan),
        state=state,
        problem=problem,
    )


def read_answer(content: bytes) -> Report:
    """Read an answer of DTR's API, which is a list of scans.

    Args:
        content: The answer.

    Returns:
        The report of its one scan, or that nothing was scanned, for an empty list.

    Raises:
        UnreadableEvidenceError: It holds several scans, or breaks the format.
    """
    scans = items_of(read_json_report(b'{"the scans":' + content + b"}"), "the scans")
    if not scans:
        state, problem = _STATES[_UNSCANNED]
        return Report(format="dtr-scan-summary", state=state, problem=problem)
    if len(scans) > 1:
        raise refuse(f"cannot read the report: it holds {len(scans)} scans, and one is meant")
    if not recognises(scans[0]):
        raise refuse("cannot read the report: its list holds no scan of DTR's")
    return read(scans[0])


def _state_of(scan: Fields) -> tuple[ScanState, str]:
    if "last_scan_status" in scan:
        status = scan.whole_number("last_scan_status")
        if status not in _STATES:
            scan.refuse("last_scan_status", f"is not from {min(_STATES)} to {max(_STATES)}")
    else:
        # Before 2.4 the layers stood without it, and a time that is not set said the same.
        found_at = optional_time(scan, "check_completed_at")
        status = _COMPLETED if found_at and found_at >= _NEVER else _PENDING
    return _STATES[status]


def _counts(scan: Fields) -> BandCounts:
    return BandCounts(
        critical=scan.whole_number("critical"),
        major=scan.whole_number("major"),
        minor=scan.whole_number("minor"),
    )


def _components(components: Iterable[Fields]) -> tuple[Component, ...]:
    inventory = Inventory()
    for each in components:
        license_ = each.optional_fields("license")
        word = (license_.optional_text("name") if license_ else None) or ""
        inventory.add(
            Component(
                name=needed_text(each, "component"),
                version=each.optional_text("version") or None,
                licenses=known_licenses((word,)),
            )
        )
    return inventory.components()


def _vulnerabilities(components: Iterable[Fields]) -> Iterable[Vulnerability]:
    for each in components:
        for found in items_of(each, "vulns"):
            details = found.fields("vuln")
            score = score_in(details, "cvss")
            scores = (score,) if score else ()
            yield Vulnerability(
                id=needed_text(details, "cve"),
                package=needed_text(each, "component"),
                version=each.optional_text("version") or "",
                severity="",
                score=deciding_score(scores),
                scores=scores,
            )
