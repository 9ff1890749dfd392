"""The command `evidence`: what one document means, whoever signed it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from image_promotion.cli import output
from image_promotion.cli.listing import Layout, Listing, Row
from image_promotion.errors import UnknownFormatError, UnreadableEvidenceError
from image_promotion.evidence.formats.text import MAX_SIZE_BYTES
from image_promotion.evidence.report import Report, ScanState
from image_promotion.evidence.summary import KNOWN_FORMATS, Summary, read_evidence, summarise

STANDARD_INPUT = "-"

_MAX_DOCUMENT_BYTES = 2 * MAX_SIZE_BYTES
"""A report in an envelope: base64 alone makes it a third larger."""

_NUMBERS = Layout(columns=("what", "number"), narrow=(("what", "number"),))


def evidence(options: argparse.Namespace) -> bool:
    """Show what a report, a statement, an envelope or a bundle says.

    Args:
        options: ``file``, ``json``.

    Returns:
        True: whatever it says, it was read.

    Raises:
        UnreadableEvidenceError: The file cannot be read, is of no known format, or breaks it.
    """
    name = "standard input" if options.file == STANDARD_INPUT else options.file
    try:
        report = read_evidence(_content_of(options.file))
    except UnknownFormatError as error:
        raise UnknownFormatError(
            f"{name}: {error.attempted}",
            advice="Known are: " + "; ".join(KNOWN_FORMATS) + ".",
        ) from error
    except UnreadableEvidenceError as error:
        raise UnreadableEvidenceError(f"{name}: {error.attempted}", advice=error.advice) from error
    except OSError as error:
        raise UnreadableEvidenceError(f"{name}: cannot be read: {error.strerror}") from error
    summary = summarise(report)
    if options.json:
        output.print_json(evidence_json(summary))
    else:
        output.console().print(evidence_table(report, summary))
    sys.stdout.flush()
    if summary.state is not ScanState.COMPLETE:
        print(
            f"{name} is no evidence about vulnerabilities: its scan is not complete "
            f"({summary.state}): {summary.problem}",
            file=sys.stderr,
        )
    return True


def _content_of(file: str) -> bytes:
    """Read a file, and of one too large only so much that it is refused for its size."""
    if file == STANDARD_INPUT:
        return sys.stdin.buffer.read(_MAX_DOCUMENT_BYTES + 1)
    with Path(file).open("rb") as opened:
        return opened.read(_MAX_DOCUMENT_BYTES + 1)


def evidence_json(summary: Summary) -> output.JsonValue:
    """Return what a document says, in numbers."""
    return {
        "format": summary.format,
        "components": summary.components,
        "vulnerabilities": output.numbers_json(summary.vulnerabilities),
        "licenses": {**summary.licenses},
    }


def evidence_table(report: Report, summary: Summary) -> Listing:
    """Return what a document says, and where it says it comes from, as a table."""
    provenance, numbers = report.provenance, summary.vulnerabilities
    cells = [
        ("format", summary.format),
        ("tool", f"{provenance.tool} {provenance.tool_version}".strip()),
        ("made", output.for_people(provenance.created_at)),
        ("image", provenance.subject_digest or ""),
        ("scan", "" if summary.state is ScanState.COMPLETE else str(summary.state)),
        ("components", _number(summary.components)),
        ("vulnerabilities", _number(numbers.total if numbers else None)),
    ]
    if numbers:
        cells += [(f"  {band}", str(number)) for band, number in numbers.by_band.items()]
        cells += [(f"  rated {word}", str(number)) for word, number in numbers.by_severity.items()]
    if summary.statements:
        cells.append(("statements (VEX)", str(summary.statements)))
    cells.append(("licenses", _number(len(summary.licenses) if report.components else None)))
    cells += [(f"  {license_}", str(number)) for license_, number in summary.licenses.items()]
    rows: list[Row] = [{"what": what, "number": number} for what, number in cells if number]
    return Listing(_NUMBERS, rows)


def _number(number: int | None) -> str:
    return "not said" if number is None else str(number)
