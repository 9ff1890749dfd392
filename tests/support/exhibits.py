"""Exhibits: documents about an image, each good or with one flaw, and sources that give them.

A good one says that the image has the component `busybox` under MIT and no vulnerabilities, or
signs it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache

from image_promotion.errors import UnreachableError
from image_promotion.evidence.document import Document, Kind
from image_promotion.evidence.report import ScanState
from image_promotion.evidence.sources.source import Image, SourceAnswer, SourceNote
from image_promotion.policy.criteria.verdict import Need
from image_promotion.policy.evidence_sources import SourceName
from image_promotion.registry.digest import Digest
from tests.support.scans import dtr_summary, trivy, trivy_result
from tests.support.signatures import (
    SIGN_PREDICATE,
    STATEMENT_V1,
    VULNERABILITIES_PREDICATE,
    SigningKey,
    base64,
    compact,
    ecdsa_key,
    envelope,
    statement,
)

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
MAX_AGE = "7d"
CYCLONEDX_PREDICATE = "https://cyclonedx.org/bom"
COMPONENT, LICENSE = "busybox", "MIT"

RELEASE, STRANGER = ecdsa_key(), ecdsa_key()


class Flaw(StrEnum):
    """What may be wrong with a document."""

    NONE = "good"
    STALE = "stale"
    UNDATED = "undated"
    FUTURE = "from the future"
    BROKEN = "unreadable"
    UNKNOWN = "of an unknown format"
    UNSIGNED = "unsigned"
    WRONGLY_SIGNED = "signed by a stranger"
    STRIPPED = "robbed of its signatures"
    TAMPERED = "changed after it was signed"
    OTHER_IMAGE = "about another image"
    FAILED = "of a failed scan"
    RUNNING = "of a running scan"


NOBODYS_WORD = frozenset({Flaw.UNSIGNED, Flaw.WRONGLY_SIGNED, Flaw.STRIPPED, Flaw.TAMPERED})
"""The flaws that are none where anybody's word counts."""

_MADE = {
    Flaw.STALE: NOW - timedelta(days=7, seconds=1),
    Flaw.FUTURE: NOW + timedelta(hours=1, seconds=1),
}
_SCANS = {Flaw.FAILED: 5, Flaw.RUNNING: 3}


@dataclass(frozen=True)
class Exhibit:
    """A document about an image.

    Args:
        need: What it tells.
        subject: The digest it is attached to.
        flaw: What is wrong with it.
    """

    need: Need
    subject: Digest
    flaw: Flaw = Flaw.NONE

    def counts(self, source: SourceName, *, wants_signature: bool) -> bool:
        """Say whether it counts: written out once more, and simply."""
        if self.need is Need.SIGNATURES:
            # A signature has no age, and says nothing of scans.
            return self.flaw in {
                Flaw.NONE,
                Flaw.STALE,
                Flaw.UNDATED,
                Flaw.FUTURE,
                Flaw.FAILED,
                Flaw.RUNNING,
            }
        if source is SourceName.REFERRERS and wants_signature:
            return self.flaw is Flaw.NONE
        return self.flaw is Flaw.NONE or self.flaw in NOBODYS_WORD

    def document(self, source: SourceName) -> Document:
        """Write it as its source gives it: attached ones are signed, others are bare reports."""
        is_bare = source is not SourceName.REFERRERS and self.need is not Need.SIGNATURES
        content, kind = _written(self.need, self.subject, self.flaw, is_bare=is_bare)
        return Document(
            content=content,
            kind=kind,
            media_type="",
            source=source,
            location=f"{self.flaw} {self.need} at {self.subject}",
            subject=str(self.subject),
        )


@cache
def _written(need: Need, subject: Digest, flaw: Flaw, *, is_bare: bool) -> tuple[bytes, Kind]:
    about = Digest.of(b"another image") if flaw is Flaw.OTHER_IMAGE else subject
    report = _report(need, flaw, about)
    if is_bare:
        return compact(report) if flaw is not Flaw.BROKEN else b"{", Kind.REPORT
    if need is Need.VULNERABILITIES or flaw in _SCANS:
        report = {"scanner": {"uri": "pkg:github/example/scanner", "result": report}}
    payload = statement(
        about, predicate_type=_predicate_type(need, flaw), predicate=report, version=STATEMENT_V1
    )
    if flaw is Flaw.UNSIGNED:
        return payload, Kind.STATEMENT
    if flaw is Flaw.TAMPERED:
        return _with_payload(payload, RELEASE), Kind.ENVELOPE
    keys = {Flaw.STRIPPED: (), Flaw.WRONGLY_SIGNED: (STRANGER,)}.get(flaw, (RELEASE,))
    written = envelope(*keys, payload=payload)
    return written[:-1] if flaw is Flaw.BROKEN else written, Kind.ENVELOPE


def _with_payload(payload: bytes, key: SigningKey) -> bytes:
    """Put a payload into an envelope with the signature over another one."""
    members = json.loads(envelope(key, payload=payload + b" "))
    return compact(members | {"payload": base64(payload)})


def _predicate_type(need: Need, flaw: Flaw) -> str:
    if need is Need.SIGNATURES:
        return "https://example.org/else" if flaw is Flaw.UNKNOWN else SIGN_PREDICATE
    if flaw is Flaw.UNKNOWN:
        return "https://example.org/else"
    if flaw in _SCANS or need is Need.VULNERABILITIES:
        return VULNERABILITIES_PREDICATE
    return CYCLONEDX_PREDICATE


def _report(need: Need, flaw: Flaw, about: Digest) -> dict[str, object]:
    if need is Need.SIGNATURES:
        return {}
    if flaw is Flaw.UNKNOWN:
        return {"clean": True}
    if flaw in _SCANS:
        return dtr_summary(critical=0, minor=0, last_scan_status=_SCANS[flaw], digest=str(about))
    made_at = None if flaw is Flaw.UNDATED else _MADE.get(flaw, NOW - timedelta(hours=1))
    return (sbom if need is Need.COMPONENTS else scan)(about, made_at)


def sbom(
    about: Digest, made_at: datetime | None, *names: str, tool: str = "syft"
) -> dict[str, object]:
    """Write an SBOM of some components, all under one license."""
    tools = {"components": [{"type": "application", "name": tool}]} if tool else {}
    dated = {} if made_at is None else {"timestamp": made_at.isoformat()}
    purl = f"pkg:oci/website@{about}"
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "metadata": {
            **dated,
            "tools": tools,
            "component": {"type": "container", "name": "website", "purl": purl},
        },
        "components": [
            {"type": "library", "name": name, "licenses": [{"license": {"id": LICENSE}}]}
            for name in names or (COMPONENT,)
        ],
    }


def scan(about: Digest, made_at: datetime | None, *found: dict[str, object]) -> dict[str, object]:
    """Write Trivy's report of some findings, or of none."""
    report = trivy(
        trivy_result(*found),
        Metadata={"RepoDigests": [f"registry.example.com/website@{about}"]},
    )
    del report["CreatedAt"]
    return report if made_at is None else report | {"CreatedAt": made_at.isoformat()}


@dataclass
class FakeSource:
    """A double of a source: gives its exhibits, or cannot be asked.

    Args:
        name: Which source it stands for.
        exhibits: What it has.
        is_down: Whether it cannot be asked.
        says: A note of a scan in this state, about every digest.
        asked: How often it was asked, and for which images.
    """

    name: SourceName
    exhibits: Sequence[Exhibit] = ()
    is_down: bool = False
    says: ScanState | None = None
    asked: list[Image] = field(default_factory=list)

    async def documents(self, image: Image) -> SourceAnswer:
        self.asked.append(image)
        if self.is_down:
            raise UnreachableError("listing the referrers failed: no answer")
        notes = [SourceNote(str(each), "scan", self.says) for each in image.subjects if self.says]
        return SourceAnswer(tuple(each.document(self.name) for each in self.exhibits), tuple(notes))
