"""Trivy's JSON report, schema 2.

Source: Trivy documentation, "Reporting", "JSON"; its types Report, Result, DetectedVulnerability,
Package, DetectedLicense and ModifiedFinding.
"""

from __future__ import annotations

from collections.abc import Iterable

from image_promotion.evidence.formats.image_digest import digest_in
from image_promotion.evidence.formats.inventory import Inventory, known_licenses
from image_promotion.evidence.formats.scores import score_in
from image_promotion.evidence.formats.text import items_of, needed_text, optional_time
from image_promotion.evidence.report import Provenance, Report
from image_promotion.policy.facts import (
    Component,
    Score,
    Status,
    Vulnerability,
    deciding_score,
)
from image_promotion.registry.document import Fields

SCHEMA = 2

_NOT_ABOUT_PACKAGES = frozenset({"config", "secret", "license", "license-file", "custom"})
"""The classes of results that say nothing about vulnerabilities of packages."""

_SUPPRESSED_BY_VEX = {"not_affected": Status.NOT_AFFECTED, "fixed": Status.FIXED}

_SCORES = (
    ("V2Score", "V2Vector", "2"),
    ("V3Score", "V3Vector", "3"),
    ("V40Score", "V40Vector", "4.0"),
)


def recognises(fields: Fields) -> bool:
    """Say whether a document is a report of Trivy: nothing else has these two members."""
    return "SchemaVersion" in fields and bool(
        fields.said("ArtifactName") or fields.said("ArtifactType")
    )


def read(fields: Fields) -> Report:
    """Read a report of Trivy.

    Where a result is about packages and lists no vulnerabilities, it has none: Trivy leaves empty
    lists out. Where all results are about secrets, licenses or settings, nothing is known of
    vulnerabilities. Components are those of all lists of packages (``--list-all-pkgs``); licenses
    that stand apart are added to them, and make no list by themselves, since packages without a
    known license would be missing from it.

    Args:
        fields: The report.

    Returns:
        What it says.

    Raises:
        UnreadableEvidenceError: It is of another schema, or breaks the format.
    """
    if fields.whole_number("SchemaVersion") != SCHEMA:
        fields.refuse("SchemaVersion", f"is not {SCHEMA}, the only one that is read")
    results = items_of(fields, "Results")
    speaks = [each for each in results if _is_about_packages(each)]
    return Report(
        format=f"trivy-json-{SCHEMA}",
        provenance=_provenance(fields),
        components=_components(results),
        vulnerabilities=(
            tuple(found for each in speaks for found in _vulnerabilities(each))
            if speaks or not results
            else None
        ),
    )


def _is_about_packages(result: Fields) -> bool:
    return "Vulnerabilities" in result or result.said("Class") not in _NOT_ABOUT_PACKAGES


def _provenance(fields: Fields) -> Provenance:
    program = fields.optional_fields("Trivy")
    metadata = fields.optional_fields("Metadata")
    # ImageID is the digest of the configuration, not that of a manifest.
    named = metadata.texts("RepoDigests") if metadata and "RepoDigests" in metadata else ()
    digests = {digest for text in named if (digest := digest_in(text))}
    return Provenance(
        tool="trivy",
        tool_version=(program.optional_text("Version") if program else None) or "",
        created_at=optional_time(fields, "CreatedAt"),
        # Several digests are those of one image in several repositories: none says which is meant.
        subject_digest=digests.pop() if len(digests) == 1 else None,
    )


def _vulnerabilities(result: Fields) -> Iterable[Vulnerability]:
    for each in items_of(result, "Vulnerabilities"):
        yield _vulnerability(each)
    for modified in items_of(result, "ExperimentalModifiedFindings"):
        # Others are those that somebody told Trivy to ignore: they are not listed, nor missed.
        status = _SUPPRESSED_BY_VEX.get(modified.said("Status"))
        if modified.said("Type") == "vulnerability" and status is not None:
            yield _vulnerability(modified.fields("Finding"), status)


def _vulnerability(fields: Fields, status: Status | None = None) -> Vulnerability:
    # Trivy's own Status is about a mended package being there to be had, not about the image.
    if status is None and fields.said("Status") == "under_investigation":
        status = Status.UNDER_INVESTIGATION
    scores = tuple(_scores(fields))
    fixed = fields.optional_text("FixedVersion") or ""
    identifier = fields.optional_fields("PkgIdentifier")
    return Vulnerability(
        id=needed_text(fields, "VulnerabilityID"),
        package=needed_text(fields, "PkgName"),
        version=fields.optional_text("InstalledVersion") or "",
        severity=fields.optional_text("Severity") or "",
        score=deciding_score(scores),
        scores=scores,
        purl=(identifier.optional_text("PURL") if identifier else None) or None,
        fixed_in=tuple(version for each in fixed.split(",") if (version := each.strip())),
        status=status,
    )


def _scores(fields: Fields) -> Iterable[Score]:
    for source, given in fields.fields_by_key("CVSS").items():
        for name, vector_name, version in _SCORES:
            vector = given.optional_text(vector_name) or ""
            score = score_in(given, name, version=version, source=source, vector=vector)
            if score is not None:
                yield score


def _components(results: Iterable[Fields]) -> tuple[Component, ...] | None:
    lists = [each for each in results if "Packages" in each]
    if not lists:
        return None
    inventory = Inventory()
    apart = _licenses_apart(results)
    for result in lists:
        is_system = result.said("Class") == "os-pkgs"
        for package in items_of(result, "Packages"):
            name = needed_text(package, "Name")
            identifier = package.optional_fields("Identifier")
            inventory.add(
                Component(
                    name=name,
                    version=_version(package, is_system=is_system),
                    purl=(identifier.optional_text("PURL") if identifier else None) or None,
                    licenses=known_licenses(
                        (
                            *(package.texts("Licenses") if "Licenses" in package else ()),
                            *apart.get(name, ()),
                        )
                    ),
                )
            )
    return inventory.components()


def _version(package: Fields, *, is_system: bool) -> str | None:
    """Put the version of a system's package together, of which Trivy writes the parts."""
    version = package.optional_text("Version") or ""
    release = package.optional_text("Release") or ""
    if not version or not is_system:
        return version or None
    epoch = package.optional_number("Epoch") or 0
    return (f"{epoch:.0f}:" if epoch else "") + version + (f"-{release}" if release else "")


def _licenses_apart(results: Iterable[Fields]) -> dict[str, list[str]]:
    """Return the licenses of packages that stand in lists of their own, by the package's name."""
    found: dict[str, list[str]] = {}
    for result in results:
        for each in items_of(result, "Licenses"):
            name = each.optional_text("PkgName")
            if name:
                found.setdefault(name, []).append(each.optional_text("Name") or "")
    return found
