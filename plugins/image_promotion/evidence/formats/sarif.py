"""SARIF 2.1.0, as Trivy and Grype write it.

SARIF has no place for packages: both tools put them into texts, each in its own way. Their native
reports say more, and are to be preferred where they are at hand.

Source: SARIF 2.1.0, sections 3.14 (run), 3.27 (result), 3.49 (reportingDescriptor); Trivy's
pkg/report/sarif.go; Grype's presenter/sarif.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from image_promotion.evidence.formats.image_digest import digest_in
from image_promotion.evidence.formats.scores import score_in, written_score
from image_promotion.evidence.formats.text import items_of, needed_text
from image_promotion.evidence.report import Provenance, Report, ScanState
from image_promotion.policy.facts import Score, Vulnerability, deciding_score
from image_promotion.registry.document import Fields

VERSION = "2.1.0"
TRIVY, GRYPE = "trivy", "grype"

_UNPROVEN = (
    "an empty SARIF log of grype does not tell a clean image from a scan without a database; "
    "use grype's JSON report"
)

_TRIVY_SCORES = (
    ("cvssv2_score", "cvssv2_vector", "2"),
    ("cvssv3_baseScore", "cvssv3_vector", "3"),
    ("cvssv40_baseScore", "cvssv40_vector", "4.0"),
)
_TRIVY_STAND_INS = {"CRITICAL": 9.5, "HIGH": 8.0, "MEDIUM": 5.5, "LOW": 2.0}
"""What Trivy writes as a score where it has the severity's word alone."""


def recognises(fields: Fields) -> bool:
    """Say whether a document is a SARIF log."""
    return "runs" in fields and (
        fields.said("version") == VERSION or "sarif" in fields.said("$schema").lower()
    )


def read(fields: Fields) -> Report:
    """Read a SARIF log of Trivy or Grype.

    Grype's "0.0" stands for negligible and for unknown, which it calls low: such a vulnerability is
    taken for one that nobody rated. An empty log of Grype proves nothing, since that is what it
    writes without a database too.

    Args:
        fields: The log.

    Returns:
        Its vulnerabilities; results about secrets, licenses and settings are none.

    Raises:
        UnreadableEvidenceError: It is of another version or another tool, or breaks the format.
    """
    if fields.text("version") != VERSION:
        fields.refuse("version", f"is not {VERSION}, the only one that is read")
    runs = items_of(fields, "runs")
    if not runs:
        fields.refuse("runs", "is empty: no tool says anything")
    reports = [_read_run(run) for run in runs]
    first = reports[0]
    if any(each.provenance != first.provenance for each in reports):
        fields.refuse("runs", "are of several tools or images")
    known = [each.vulnerabilities for each in reports if each.vulnerabilities is not None]
    problem = next((each.problem for each in reports if each.problem), "")
    return Report(
        format=f"sarif-{VERSION}",
        provenance=first.provenance,
        vulnerabilities=tuple(found for each in known for found in each) if known else None,
        state=ScanState.FAILED if problem else ScanState.COMPLETE,
        problem=problem,
    )


def _read_run(run: Fields) -> Report:
    driver = run.fields("tool").fields("driver")
    tool = driver.text("name").lower()
    if tool not in {TRIVY, GRYPE}:
        driver.refuse("name", "is neither Trivy nor grype, of which alone SARIF is read")
    rules = {needed_text(each, "id"): each for each in items_of(driver, "rules")}
    results = items_of(run, "results")
    vulnerabilities: tuple[Vulnerability, ...] | None
    problem = ""
    if tool == TRIVY:
        vulnerabilities = tuple(_found_by_trivy(results, rules))
        if results and not vulnerabilities:
            vulnerabilities = None
    else:
        vulnerabilities = tuple(_found_by_grype(results, rules))
        problem = "" if results else _UNPROVEN
    return Report(
        format="",
        provenance=Provenance(
            tool=tool,
            tool_version=driver.optional_text("version") or "",
            subject_digest=_subject_of(run),
        ),
        vulnerabilities=vulnerabilities,
        problem=problem,
    )


def _subject_of(run: Fields) -> str | None:
    properties = run.optional_fields("properties")
    named = properties.texts("repoDigests") if properties and "repoDigests" in properties else ()
    digests = {digest for text in named if (digest := digest_in(text))}
    return digests.pop() if len(digests) == 1 else None


def _rule_of(result: Fields, rules: Mapping[str, Fields]) -> Fields:
    rule = rules.get(result.text("ruleId"))
    if rule is None:
        result.refuse("ruleId", "names no rule of the run")
    return rule


def _message_of(result: Fields) -> str:
    return result.fields("message").text("text")


def _found_by_trivy(
    results: Iterable[Fields], rules: Mapping[str, Fields]
) -> Iterable[Vulnerability]:
    for result in results:
        rule = _rule_of(result, rules)
        properties = rule.optional_fields("properties")
        if not _is_about_package(rule, properties):
            continue
        package, version, severity, fixed = _parts_of_trivy_message(result)
        scores = tuple(_scores_of_trivy(properties, severity)) if properties else ()
        yield Vulnerability(
            id=needed_text(rule, "id"),
            package=package,
            version=version,
            severity=severity,
            score=deciding_score(scores),
            scores=scores,
            fixed_in=_versions(fixed),
        )


def _is_about_package(rule: Fields, properties: Fields | None) -> bool:
    tags = properties.texts("tags") if properties and "tags" in properties else ()
    return "vulnerability" in tags or rule.said("name").endswith("PackageVulnerability")


def _parts_of_trivy_message(result: Fields) -> tuple[str, str, str, str]:
    """Take a message apart into package, version, severity and the versions that mend it.

    From its end, where everything is the scanner's own: a package's name is the image's, and its
    maker can write lines of his own into it.
    """
    head, *rest = _message_of(result).rsplit("\n", 4)
    name, separator, version = head.rpartition("\nInstalled Version: ")
    labels = ("Vulnerability ", "Severity: ", "Fixed Version: ", "Link: ")
    is_right = len(rest) == len(labels) and all(map(str.startswith, rest, labels))
    if not (is_right and separator and name.startswith("Package: ")):
        result.refuse("message", "is not what Trivy writes about a package")
    severity, fixed = (rest[at].removeprefix(labels[at]) for at in (1, 2))
    return name.removeprefix("Package: "), version, severity, fixed


def _scores_of_trivy(properties: Fields, severity: str) -> Iterable[Score]:
    scores = [
        score
        for name, vector_name, version in _TRIVY_SCORES
        if (
            score := score_in(
                properties,
                name,
                version=version,
                vector=properties.optional_text(vector_name) or "",
            )
        )
    ]
    base = written_score(properties.optional_text("security-severity") or "")
    if not scores and base and base != _TRIVY_STAND_INS.get(severity.upper()):
        scores.append(Score(base))
    return scores


def _found_by_grype(
    results: Iterable[Fields], rules: Mapping[str, Fields]
) -> Iterable[Vulnerability]:
    for result in results:
        rule = _rule_of(result, rules)
        lines = _lines_of_grype_help(rule)
        package, version = _parts_of_grype_message(result) or (lines["Package"], lines["Version"])
        properties = rule.optional_fields("properties")
        written = properties.optional_text("security-severity") if properties else None
        base = written_score(written or "")
        purls = properties.texts("purls") if properties and "purls" in properties else ()
        yield Vulnerability(
            id=lines["Vulnerability"],
            package=package,
            version=version,
            severity=lines["Severity"] if base or written is None else "",
            score=base or None,
            scores=(Score(base),) if base else (),
            purl=purls[0] if len(purls) == 1 else None,
            fixed_in=_versions(lines["Fix Version"]),
        )


def _lines_of_grype_help(rule: Fields) -> Mapping[str, str]:
    """Read the lines of a rule's help; of two alike the first counts.

    The identifier and the severity stand above what the image's maker can write.
    """
    lines: dict[str, str] = {}
    for line in rule.fields("help").text("text").split("\n"):
        label, separator, value = line.partition(" " if not lines else ": ")
        if separator:
            lines.setdefault(label, value.strip())
        elif line.endswith(":"):
            lines.setdefault(line[:-1], "")
    for label in ("Vulnerability", "Severity", "Package"):
        if not lines.get(label):
            rule.refuse("help", f"is not what grype writes: it has no line {label}")
    return {"Version": "", "Fix Version": "", **lines}


def _parts_of_grype_message(result: Fields) -> tuple[str, str] | None:
    """Read package and version; a rule is shared by all versions of its package."""
    _, _, named = _message_of(result).partition(" package: ")
    package, separator, rest = named.partition(", version ")
    version, found, _ = rest.partition(" was found in ")
    return (package, version) if package and separator and found else None


def _versions(text: str) -> tuple[str, ...]:
    return tuple(version for each in text.split(",") if (version := each.strip()))
