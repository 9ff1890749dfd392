"""Vulnerability reports as scanners write them, about packages of nobody's."""

from __future__ import annotations

from typing import TypeAlias

Document: TypeAlias = dict[str, object]

IMAGE_DIGEST = "sha256:" + 64 * "a"
VECTOR = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"
PURL = "pkg:deb/debian/libnone@1.0-1?arch=amd64"


def trivy_vulnerability(**members: object) -> Document:
    """One of Trivy's findings: critical by NVD, less so by another source."""
    return {
        "VulnerabilityID": "CVE-2099-0001",
        "PkgName": "libnone",
        "PkgIdentifier": {"PURL": PURL},
        "InstalledVersion": "1.0-1",
        "FixedVersion": "1.0-2, 1.1-1",
        "Status": "fixed",
        "Severity": "MEDIUM",
        "CVSS": {
            "nvd": {"V2Score": 10, "V3Vector": VECTOR, "V3Score": 9.8},
            "vendor": {"V3Vector": VECTOR, "V3Score": 5.1},
        },
    } | members


def trivy(*results: Document, **members: object) -> Document:
    """A report of Trivy."""
    return {
        "SchemaVersion": 2,
        "Trivy": {"Version": "0.70.0"},
        "CreatedAt": "2026-11-23T10:00:00.000000005Z",
        "ArtifactName": "registry.example.com/website:1.0",
        "ArtifactType": "container_image",
        "Metadata": {
            "ImageID": "sha256:" + 64 * "c",
            "RepoDigests": [f"registry.example.com/website@{IMAGE_DIGEST}"],
        },
        "Results": list(results),
    } | members


def trivy_result(*vulnerabilities: Document, **members: object) -> Document:
    """A result about the packages of an operating system; without findings as Trivy writes it."""
    found = {"Vulnerabilities": list(vulnerabilities)} if vulnerabilities else {}
    return (
        {"Target": "website:1.0 (debian 13)", "Class": "os-pkgs", "Type": "debian"}
        | found
        | members
    )


def grype_match(**vulnerability: object) -> Document:
    """One of Grype's matches: an advisory, with the CVE behind it beside."""
    return {
        "vulnerability": {
            "id": "GHSA-aaaa-bbbb-cccc",
            "severity": "Medium",
            "cvss": [{"version": "3.1", "vector": VECTOR, "metrics": {"baseScore": 5.1}}],
            "fix": {"versions": ["1.0-2"], "state": "fixed"},
        }
        | vulnerability,
        "relatedVulnerabilities": [
            {
                "id": "CVE-2099-0001",
                "cvss": [{"source": "nvd", "version": "3.1", "metrics": {"baseScore": 9.8}}],
            }
        ],
        "artifact": {"name": "libnone", "version": "1.0-1", "purl": PURL},
    }


GRYPE_DATABASE: Document = {
    "status": {"schemaVersion": "v6.1.10", "built": "2026-11-22T00:00:00Z", "valid": True}
}


def grype(*matches: Document, database: object = None, **members: object) -> Document:
    """A report of Grype, with its database in order unless told otherwise."""
    return {
        "matches": list(matches),
        "source": {"type": "image", "target": {"manifestDigest": IMAGE_DIGEST, "repoDigests": []}},
        "descriptor": {
            "name": "grype",
            "version": "0.99.0",
            "db": GRYPE_DATABASE if database is None else database,
            "timestamp": "2026-11-23T12:00:00.607929557+01:00",
        },
    } | members


def sarif(tool: str, rules: list[Document], results: list[Document]) -> Document:
    """A SARIF log of one run."""
    driver = {"name": tool, "version": "1.2.3", "rules": rules}
    run = {
        "tool": {"driver": driver},
        "results": results,
        "properties": {"repoDigests": [f"registry.example.com/website@{IMAGE_DIGEST}"]},
    }
    return {"version": "2.1.0", "runs": [run]}


def trivy_rule(severity: str = "MEDIUM", score: str = "5.1", **properties: object) -> Document:
    """A rule of Trivy's: one for each vulnerability, whatever the packages."""
    tags = {"tags": ["vulnerability", "security", severity], "security-severity": score}
    return {
        "id": "CVE-2099-0001",
        "name": "OsPackageVulnerability",
        "properties": tags | properties,
    }


def trivy_sarif_result(
    package: str = "libnone", version: str = "1.0-1", severity: str = "MEDIUM"
) -> Document:
    """A result of Trivy's, with its package in its message."""
    text = (
        f"Package: {package}\nInstalled Version: {version}\nVulnerability CVE-2099-0001\n"
        f"Severity: {severity}\nFixed Version: 1.0-2\nLink: [CVE-2099-0001](https://example.com)"
    )
    return {"ruleId": "CVE-2099-0001", "message": {"text": text}}


def grype_rule(severity: str = "medium", score: str = "5.1") -> Document:
    """A rule of Grype's: one for each vulnerability of a package, whatever its version."""
    text = (
        f"Vulnerability CVE-2099-0001\nSeverity: {severity}\nPackage: libnone\nVersion: 1.0-1\n"
        "Fix Version: 1.0-2,1.1-1\nType: deb\nLocation: /var/lib/dpkg/status\nData Namespace: \n"
        "Link: [CVE-2099-0001](https://example.com)"
    )
    return {
        "id": "CVE-2099-0001-libnone",
        "help": {"text": text},
        "properties": {"purls": [PURL], "security-severity": score},
    }


def grype_sarif_result(version: str = "1.0-1") -> Document:
    """A result of Grype's, with package and version in its message."""
    text = (
        f"A medium vulnerability in deb package: libnone, version {version} was found in image "
        "website:1.0 at: /var/lib/dpkg/status"
    )
    return {"ruleId": "CVE-2099-0001-libnone", "message": {"text": text}}


def openvex(*statements: Document, **members: object) -> Document:
    """An OpenVEX document."""
    return {
        "@context": "https://openvex.dev/ns/v0.2.0",
        "@id": "https://example.com/vex-1",
        "timestamp": "2026-11-23T00:00:00Z",
        "statements": list(statements),
    } | members


def vex_statement(**members: object) -> Document:
    """A statement that a vulnerability does not affect a package of an image."""
    return {
        "vulnerability": {"name": "CVE-2099-0001", "aliases": ["GHSA-aaaa-bbbb-cccc"]},
        "products": [
            {
                "@id": "pkg:oci/website",
                "hashes": {"sha-256": 64 * "a", "md5": "b"},
                "subcomponents": [{"@id": "libnone", "identifiers": {"purl": PURL}}],
            }
        ],
        "status": "not_affected",
        "justification": "vulnerable_code_not_present",
    } | members


def harbor(*vulnerabilities: Document, **members: object) -> Document:
    """Harbor's report, without the media type that it answers it under."""
    return {
        "generated_at": "2026-11-23T00:00:00Z",
        "scanner": {"name": "Trivy", "vendor": "Aqua Security", "version": "0.70.0"},
        "severity": "Critical",
        "vulnerabilities": list(vulnerabilities),
    } | members


def harbor_vulnerability(**members: object) -> Document:
    """One of the findings that Harbor tells."""
    return {
        "id": "CVE-2099-0001",
        "package": "libnone",
        "version": "1.0-1",
        "fix_version": "1.0-2",
        "severity": "Critical",
        "preferred_cvss": {"score_v3": 9.8, "score_v2": None, "vector_v3": VECTOR, "vector_v2": ""},
        "vendor_attributes": {"CVSS": {"nvd": {"V3Score": 9.1, "V3Vector": VECTOR}}},
    } | members


def dtr_summary(**members: object) -> Document:
    """DTR's summary of a scan that is completed."""
    return {
        "critical": 1,
        "major": 0,
        "minor": 2,
        "last_scan_status": 6,
        "check_completed_at": "2026-11-23T00:00:00.235343783Z",
        "should_rescan": False,
    } | members


def dtr_scan(**members: object) -> Document:
    """DTR's scan with the layers' details: two layers with the same component in them."""
    component = {
        "component": "libnone",
        "version": "1.0",
        "license": {"name": "MIT", "type": "permissive", "url": ""},
        "vulns": [
            {"vuln": {"cve": "CVE-2099-0001", "cvss": 9.8, "summary": ""}},
            {"vuln": {"cve": "CVE-2099-0002", "cvss": 0, "summary": ""}},
        ],
    }
    layer = {"sha256sum": 64 * "b", "components": [component]}
    return dtr_summary(layer_details=[layer, layer]) | members


def cosign_predicate(result: object, **scanner: object) -> Document:
    """Cosign's predicate round the report of a scanner."""
    return {
        "scanner": {"uri": "pkg:github/example/scanner", "version": "1", "result": result}
        | scanner,
        "metadata": {
            "scanStartedOn": "2026-11-22T23:59:00Z",
            "scanFinishedOn": "2026-11-23T00:00:00Z",
        },
    }


def in_toto_predicate(*results: Document) -> Document:
    """In-toto's predicate, which has a list of its own."""
    return cosign_predicate(list(results))
