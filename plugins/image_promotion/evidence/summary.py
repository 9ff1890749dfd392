"""What one document says, in numbers: counted as the triggers count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from image_promotion.errors import UnknownFormatError
from image_promotion.evidence.formats import dtr
from image_promotion.evidence.formats.recognition import read_predicate, read_report
from image_promotion.evidence.report import BandCounts, Report, ScanState
from image_promotion.evidence.trust.statement import InTotoStatement, open_statement
from image_promotion.policy.facts import Band, Component, Status
from image_promotion.registry.document import collector_out_of_the_way

KNOWN_FORMATS = (
    "SPDX 2.2, 2.3 and 3.0 (JSON)",
    "CycloneDX 1.2 to 1.6 (JSON and XML)",
    "syft JSON",
    "Trivy JSON",
    "Grype JSON",
    "SARIF 2.1.0 of Trivy or Grype",
    "OpenVEX",
    "Harbor's vulnerability report",
    "DTR's scan summary and scan",
    "in-toto statements with one of these, or with cosign's or in-toto's vulnerabilities",
    "DSSE envelopes and sigstore bundles with such a statement",
)
"""What `read_evidence` reads, in words."""

_LOOKED_AT_BYTES = 4096
_SKIPPED = b"\xef\xbb\xbf \t\r\n"
"""White space, and the byte order mark with which some XML begins."""

_COUNTED_BANDS = (Band.CRITICAL, Band.MAJOR, Band.MINOR)
_RULED_OUT = frozenset({Status.NOT_AFFECTED, Status.FIXED})


@dataclass(frozen=True, slots=True)
class VulnerabilityNumbers:
    """How many vulnerabilities a document lists.

    Args:
        total: Each once for its identifier, package and version.
        by_severity: By the scanner's word, or the rating of the score where there is no word; one
            that is rated twice counts under both.
        by_band: By DTR's bands critical, major and minor; what is in none of them is in `total`.
    """

    total: int
    by_severity: Mapping[str, int]
    by_band: Mapping[Band, int]


@dataclass(frozen=True, slots=True)
class Summary:
    """What a document says, in numbers.

    Args:
        format: Its format and the format's version.
        components: How many components it lists, each once for its group, name, version and
            package URL; None when a document of its kind lists none.
        vulnerabilities: How many vulnerabilities; None when a document of its kind says nothing of
            them, and when its scan is not complete and found nothing.
        licenses: How many components are under each license, by its identifier or expression as the
            document has it.
        statements: How many statements about vulnerabilities (VEX).
        state: How far its scan has come.
        problem: Why its scan is not complete.
    """

    format: str
    components: int | None
    vulnerabilities: VulnerabilityNumbers | None
    licenses: Mapping[str, int]
    statements: int
    state: ScanState
    problem: str


def read_evidence(content: bytes) -> Report:
    """Read any document that can be evidence, without asking who signed it.

    Args:
        content: A report; or a statement of in-toto about one, bare, in a DSSE envelope or in a
            sigstore bundle; or DTR's answer, a list with one scan.

    Returns:
        What it says. The image that a statement is about is the report's subject, if it is one.

    Raises:
        UnknownFormatError: It is of no format known here.
        UnreadableEvidenceError: It breaks its format.
    """
    beginning = content[:_LOOKED_AT_BYTES].lstrip(_SKIPPED)[:1]
    if beginning not in (b"{", b"[", b"<"):
        raise UnknownFormatError("cannot read the report: it is neither JSON nor XML")
    with collector_out_of_the_way(len(content)):
        if beginning == b"[":
            return dtr.read_answer(content)
        statement = open_statement(content)
        return read_report(content) if statement is None else _read_statement(statement)


def _read_statement(statement: InTotoStatement) -> Report:
    report = read_predicate(statement.predicate_type, statement.predicate)
    if report.provenance.subject_digest or len(statement.subject_digests) != 1:
        return report
    (digest,) = statement.subject_digests
    return replace(report, provenance=replace(report.provenance, subject_digest=str(digest)))


def summarise(report: Report) -> Summary:
    """Count what a report says.

    Args:
        report: The report.

    Returns:
        The numbers.
    """
    return Summary(
        format=report.format,
        components=None if report.components is None else len(_once(report.components)),
        vulnerabilities=_numbers(report),
        licenses=_licenses(report.components or ()),
        statements=len(report.statements),
        state=report.state,
        problem=report.problem,
    )


def _once(components: Iterable[Component]) -> set[tuple[str | None, ...]]:
    return {each.key for each in components}


def _licenses(components: Iterable[Component]) -> dict[str, int]:
    under: dict[str, set[tuple[str | None, ...]]] = {}
    for component in components:
        for license_ in component.licenses:
            under.setdefault(license_, set()).update(_once([component]))
    counted = {license_: len(keys) for license_, keys in under.items()}
    return dict(sorted(counted.items(), key=lambda item: (-item[1], item[0])))


def _numbers(report: Report) -> VulnerabilityNumbers | None:
    if report.vulnerabilities is None:
        return None if report.counts is None else _numbers_of_counts(report.counts)
    # Nothing found by a scan that did not come to its end is not the same as nothing to find.
    if not report.vulnerabilities and report.state is not ScanState.COMPLETE:
        return None
    counting = [each for each in report.vulnerabilities if each.status not in _RULED_OUT]
    words = Counter(word for word, _ in {(each.severity_word, each.key) for each in counting})
    bands = Counter(band for band, _ in {(each.band, each.key) for each in counting})
    return VulnerabilityNumbers(
        total=len({each.key for each in counting}),
        by_severity=dict(sorted(words.items(), key=lambda item: (-item[1], item[0]))),
        by_band={band: bands[band] for band in _COUNTED_BANDS},
    )


def _numbers_of_counts(counts: BandCounts) -> VulnerabilityNumbers:
    numbers = (counts.critical, counts.major, counts.minor)
    return VulnerabilityNumbers(
        total=counts.total,
        by_severity={},
        by_band=dict(zip(_COUNTED_BANDS, numbers, strict=True)),
    )
