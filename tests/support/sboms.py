"""SBOMs of any size in each format, all of the same image and the same packages.

Each stands for a document that its format's usual tools write; none is copied from one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TypeAlias
from xml.sax.saxutils import escape, quoteattr

Document: TypeAlias = dict[str, object]

IMAGE_DIGEST = "sha256:" + "5b" * 32
IMAGE_PURL = f"pkg:oci/website@{IMAGE_DIGEST}?arch=amd64&tag=1.4"
MADE_AT = "2026-11-23T21:45:35Z"


def purl(number: int) -> str:
    """Return the package URL of a package of the image."""
    return f"pkg:deb/debian/package-{number}@1.{number}-2%2Bb1?arch=amd64&upstream=source-{number}"


def written(document: Mapping[str, object]) -> bytes:
    """Return a document as its tool writes it."""
    return json.dumps(document, indent=1).encode()


def spdx2(count: int) -> Document:
    """Return an SPDX 2.3 document as syft writes it, of so many packages and the image."""
    packages: list[Document] = [
        {
            "name": f"package-{number}",
            "SPDXID": f"SPDXRef-Package-deb-package-{number}",
            "versionInfo": f"1.{number}-2+b1",
            "supplier": "Person: A Maintainer (maintainer@example.org)",
            "downloadLocation": "NOASSERTION",
            "filesAnalyzed": False,
            "sourceInfo": "acquired package info from DPKG DB: /var/lib/dpkg/status",
            "licenseConcluded": "NOASSERTION",
            "licenseDeclared": "MIT AND LicenseRef-MIT-like",
            "copyrightText": "NOASSERTION",
            "externalRefs": [
                {
                    "referenceCategory": "SECURITY",
                    "referenceType": "cpe23Type",
                    "referenceLocator": f"cpe:2.3:a:package:p:1.{number}-2\\+b1:*:*:*:*:*:*:*",
                },
                {
                    "referenceCategory": "PACKAGE-MANAGER",
                    "referenceType": "purl",
                    "referenceLocator": purl(number),
                },
            ],
        }
        for number in range(count)
    ]
    image: Document = {
        "name": "registry.example.com/dev/website",
        "SPDXID": "SPDXRef-DocumentRoot-Image-website",
        "versionInfo": "1.4",
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "externalRefs": [
            {
                "referenceCategory": "PACKAGE-MANAGER",
                "referenceType": "purl",
                "referenceLocator": IMAGE_PURL,
            }
        ],
        "primaryPackagePurpose": "CONTAINER",
    }
    contained: list[Document] = [
        {
            "spdxElementId": image["SPDXID"],
            "relatedSpdxElement": package["SPDXID"],
            "relationshipType": "CONTAINS",
        }
        for package in packages
    ]
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": "registry.example.com/dev/website",
        "documentNamespace": "https://example.org/website",
        "creationInfo": {
            "licenseListVersion": "3.25",
            "creators": ["Organization: Example", "Tool: syft-1.18.1"],
            "created": MADE_AT,
        },
        "packages": [*packages, image],
        "hasExtractedLicensingInfos": [
            {"licenseId": "LicenseRef-MIT-like", "extractedText": "MIT-like"}
        ],
        "relationships": [
            *contained,
            {
                "spdxElementId": "SPDXRef-DOCUMENT",
                "relatedSpdxElement": image["SPDXID"],
                "relationshipType": "DESCRIBES",
            },
        ],
    }


def spdx3(count: int) -> Document:
    """Return an SPDX 3.0.1 document of so many packages and the image."""
    space = "https://example.org/website#"
    packages: list[Document] = [
        {
            "spdxId": f"{space}package-{number}",
            "type": "software_Package",
            "creationInfo": "_:creation",
            "name": f"package-{number}",
            "software_packageVersion": f"1.{number}-2+b1",
            "software_packageUrl": purl(number),
            "software_primaryPurpose": "library",
        }
        for number in range(count)
    ]
    related: list[Document] = [
        {
            "spdxId": f"{space}license-of-{number}",
            "type": "Relationship",
            "creationInfo": "_:creation",
            "from": f"{space}package-{number}",
            "relationshipType": "hasDeclaredLicense",
            "to": [f"{space}license"],
        }
        for number in range(count)
    ]
    return {
        "@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld",
        "@graph": [
            {
                "@id": "_:creation",
                "type": "CreationInfo",
                "specVersion": "3.0.1",
                "created": MADE_AT,
                "createdBy": [f"{space}author"],
                "createdUsing": [f"{space}tool"],
            },
            {"spdxId": f"{space}tool", "type": "Tool", "name": "syft-1.18.1"},
            {
                "spdxId": f"{space}document",
                "type": "SpdxDocument",
                "creationInfo": "_:creation",
                "rootElement": [f"{space}image"],
            },
            {
                "spdxId": f"{space}image",
                "type": "software_Package",
                "creationInfo": "_:creation",
                "name": "registry.example.com/dev/website",
                "software_packageVersion": "1.4",
                "software_primaryPurpose": "container",
                "externalIdentifier": [
                    {
                        "type": "ExternalIdentifier",
                        "externalIdentifierType": "packageUrl",
                        "identifier": IMAGE_PURL,
                    }
                ],
            },
            {
                "spdxId": f"{space}license",
                "type": "simplelicensing_LicenseExpression",
                "creationInfo": "_:creation",
                "simplelicensing_licenseExpression": "MIT AND LicenseRef-MIT-like",
                "simplelicensing_customIdToUri": [
                    {
                        "type": "DictionaryEntry",
                        "key": "LicenseRef-MIT-like",
                        "value": f"{space}mit-like",
                    }
                ],
            },
            {
                "spdxId": f"{space}mit-like",
                "type": "simplelicensing_SimpleLicensingText",
                "creationInfo": "_:creation",
                "name": "MIT-like",
                "simplelicensing_licenseText": "Do as you like.\nReally.",
            },
            *packages,
            *related,
        ],
    }


def cyclonedx(count: int) -> Document:
    """Return a CycloneDX 1.6 document as syft and grype write it, of so many components.

    Each tenth component has a vulnerability.
    """
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": "urn:uuid:6a8af094-e673-41b9-b6cc-4f9a7d19c974",
        "version": 1,
        "metadata": {
            "timestamp": MADE_AT,
            "tools": {"components": [{"type": "application", "name": "syft", "version": "1.18.1"}]},
            "component": {
                "bom-ref": "image",
                "type": "container",
                "name": "registry.example.com/dev/website",
                "version": IMAGE_DIGEST,
            },
        },
        "components": [
            {
                "bom-ref": f"{purl(number)}&package-id={number:016x}",
                "type": "library",
                "publisher": "A Maintainer <maintainer@example.org>",
                "name": f"package-{number}",
                "version": f"1.{number}-2+b1",
                "licenses": [{"license": {"id": "MIT"}}, {"license": {"name": "MIT-like"}}],
                "cpe": f"cpe:2.3:a:package:p:1.{number}-2\\+b1:*:*:*:*:*:*:*",
                "purl": purl(number),
                "properties": [
                    {"name": "syft:package:foundBy", "value": "dpkg-db-cataloger"},
                    {"name": "syft:package:type", "value": "deb"},
                    {"name": "syft:location:0:path", "value": "/var/lib/dpkg/status"},
                ],
            }
            for number in range(count)
        ],
        "vulnerabilities": [
            {
                "bom-ref": f"vulnerability-{number}",
                "id": f"CVE-2099-{number:04}",
                "source": {"name": "nvd", "url": "https://example.org/"},
                "references": [{"id": f"GHSA-{number:04}-xxxx-yyyy", "source": {"name": "github"}}],
                "ratings": [
                    {
                        "source": {"name": "nvd"},
                        "score": 9.8,
                        "severity": "critical",
                        "method": "CVSSv31",
                        "vector": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
                    }
                ],
                "affects": [
                    {
                        "ref": f"{purl(number)}&package-id={number:016x}",
                        "versions": [
                            {"version": f"1.{number}-2+b1", "status": "affected"},
                            {"range": f"vers:deb/>=1.{number}-3", "status": "unaffected"},
                        ],
                    }
                ],
            }
            for number in range(0, count, 10)
        ],
    }


def cyclonedx_xml(count: int) -> bytes:
    """Return the document of `cyclonedx` in XML."""
    head = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<bom xmlns="http://cyclonedx.org/schema/bom/1.6"'
        ' serialNumber="urn:uuid:6a8af094-e673-41b9-b6cc-4f9a7d19c974" version="1">'
        f"<metadata><timestamp>{MADE_AT}</timestamp><tools><components>"
        '<component type="application"><name>syft</name><version>1.18.1</version></component>'
        '</components></tools><component type="container" bom-ref="image">'
        "<name>registry.example.com/dev/website</name>"
        f"<version>{IMAGE_DIGEST}</version></component></metadata>\n<components>"
    )
    pieces = [head]
    for number in range(count):
        ref = quoteattr(f"{purl(number)}&package-id={number:016x}")
        pieces.append(
            f'<component type="library" bom-ref={ref}>\n'
            "  <publisher>A Maintainer</publisher>\n"
            f"  <name>package-{number}</name>\n  <version>1.{number}-2+b1</version>\n"
            "  <hashes><hash alg='MD5'>00</hash></hashes>\n"
            "  <licenses>\n    <license><id>MIT</id></license>\n"
            "    <license><name>MIT-like</name></license>\n  </licenses>\n"
            f"  <purl>{escape(purl(number))}</purl>\n  <properties>\n"
            '    <property name="syft:package:foundBy">dpkg-db-cataloger</property>\n'
            '    <property name="syft:package:type">deb</property>\n'
            "  </properties>\n</component>\n"
        )
    pieces.append("</components><vulnerabilities>")
    for number in range(0, count, 10):
        ref = escape(f"{purl(number)}&package-id={number:016x}")
        pieces.append(
            f"<vulnerability><id>CVE-2099-{number:04}</id><source><name>nvd</name></source>"
            f"<references><reference><id>GHSA-{number:04}-xxxx-yyyy</id></reference></references>"
            "<ratings><rating><source><name>nvd</name></source><score>9.8</score>"
            "<severity>critical</severity><method>CVSSv31</method></rating></ratings>"
            f"<affects><target><ref>{ref}</ref><versions>"
            f"<version><version>1.{number}-2+b1</version><status>affected</status></version>"
            f"<version><range>vers:deb/&gt;=1.{number}-3</range><status>unaffected</status>"
            "</version></versions></target></affects></vulnerability>\n"
        )
    return "".join([*pieces, "</vulnerabilities></bom>"]).encode()


def syft(count: int) -> Document:
    """Return a document of syft's own, of so many artifacts."""
    return {
        "artifacts": [
            {
                "id": f"{number:016x}",
                "name": f"package-{number}",
                "version": f"1.{number}-2+b1",
                "type": "deb",
                "foundBy": "dpkg-db-cataloger",
                "locations": [{"path": "/var/lib/dpkg/status", "layerID": "sha256:00"}],
                "licenses": [
                    {"value": "MIT", "spdxExpression": "MIT", "type": "declared", "urls": []},
                    {"value": "MIT-like", "spdxExpression": "", "type": "declared", "urls": []},
                ],
                "language": "",
                "cpes": [{"cpe": "cpe:2.3:a:package:package:1:*:*:*:*:*:*:*", "source": "syft"}],
                "purl": purl(number),
                "metadataType": "dpkg-db-entry",
                "metadata": {"package": f"package-{number}", "installedSize": 71},
            }
            for number in range(count)
        ],
        "artifactRelationships": [],
        "source": {
            "id": "00",
            "name": "registry.example.com/dev/website",
            "version": "1.4",
            "type": "image",
            "metadata": {
                "userInput": "registry.example.com/dev/website:1.4",
                "manifestDigest": IMAGE_DIGEST,
            },
        },
        "distro": {"name": "debian", "version": "12"},
        "descriptor": {"name": "syft", "version": "1.18.1", "timestamp": MADE_AT},
        "schema": {
            "version": "16.0.18",
            "url": "https://raw.githubusercontent.com/anchore/syft/main/schema/json/schema.json",
        },
    }


JSON_FORMATS: Mapping[str, Callable[[int], Document]] = {
    "spdx-json-2.3": spdx2,
    "spdx-json-3.0.1": spdx3,
    "cyclonedx-json-1.6": cyclonedx,
    "syft-json-16.0.18": syft,
}
"""The makers of documents in JSON, by the name that a report gives its format."""


def in_each_format(count: int) -> dict[str, bytes]:
    """Return the same packages in every format, as written, by the name of the format."""
    documents = {name: written(make(count)) for name, make in JSON_FORMATS.items()}
    return documents | {"cyclonedx-xml-1.6": cyclonedx_xml(count)}
