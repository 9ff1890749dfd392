"""Examination: what one document says, who vouches for it, and whether that is enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from image_promotion.errors import (
    Distrust,
    EvidenceError,
    UntrustedEvidenceError,
)
from image_promotion.evidence.document import Document, Kind
from image_promotion.evidence.dossier import Entry
from image_promotion.evidence.formats.recognition import is_read, read_predicate, read_report
from image_promotion.evidence.report import Report, ScanState
from image_promotion.evidence.sources.source import Image
from image_promotion.evidence.trust.authentication import (
    SIGN_PREDICATE,
    authenticate,
    authenticate_simple_signing,
)
from image_promotion.evidence.trust.bundle import Bundle
from image_promotion.evidence.trust.envelope import Envelope
from image_promotion.evidence.trust.signers import Signer
from image_promotion.evidence.trust.simple_signing import SIGNATURE_ANNOTATION
from image_promotion.evidence.trust.statement import InTotoStatement, open_statement, unwrap
from image_promotion.policy.criteria.verdict import Need
from image_promotion.policy.evidence_sources import ON_DEMAND
from image_promotion.registry.digest import Digest

NOT_SIGNED = "is not signed, and the policy wants a signature"

_NOBODYS_WORD = frozenset(
    {
        Distrust.NO_SIGNATURE,
        Distrust.NO_SIGNER,
        Distrust.NOT_BY_SIGNER,
        Distrust.OTHER_IDENTITY,
    }
)
"""What makes no difference where the policy believes whoever speaks."""


@dataclass(frozen=True, slots=True)
class Trusted:
    """Whose word counts.

    Args:
        signers: All signers of the policy; their signatures are recognised wherever they are.
        required: Of whom one must have signed, by name; None when anybody's word counts.
    """

    signers: Sequence[Signer]
    required: frozenset[str] | None

    def problem_of(self, signed_by: Sequence[str]) -> str:
        """Say why signatures are not enough.

        Args:
            signed_by: Who of the signers signed.

        Returns:
            The reason, as the rest of a sentence about the document; empty when they are enough.
        """
        if self.required is None or self.required.intersection(signed_by):
            return ""
        if not signed_by:
            return NOT_SIGNED
        wanted = ", ".join(sorted(self.required)) or "nobody"
        return f"is signed by {', '.join(signed_by)}, and the policy trusts {wanted}"


def examine(document: Document, trusted: Trusted, image: Image, *, now: datetime) -> Entry:
    """Find out what a document says and whether it counts.

    Args:
        document: The document.
        trusted: Whose word counts for the source it came from.
        image: The image that it was found for.
        now: The present moment.

    Returns:
        What it came to; whatever is wrong with the document is its problem.
    """
    entry = Entry(
        source=str(document.source),
        location=document.location,
        digest=document.digest,
        subject=document.subject,
        obtained_at=now,
    )
    match document.kind:
        case Kind.SIMPLE_SIGNING:
            return _with_signature(entry, document, trusted)
        case Kind.REPORT:
            return _with_report(entry, document, trusted, image)
        case Kind.STATEMENT | Kind.ENVELOPE | Kind.BUNDLE:
            return _with_statement(entry, document, trusted)


def _with_signature(entry: Entry, document: Document, trusted: Trusted) -> Entry:
    entry = replace(entry, signs_image=True)
    try:
        vouched = authenticate_simple_signing(
            document.content,
            document.annotations.get(SIGNATURE_ANNOTATION, ""),
            Digest.parse(document.subject),
            trusted.signers,
        )
    except EvidenceError as error:
        return replace(entry, problem=_why(error))
    return replace(entry, signed_by=_names(vouched.signers))


def _with_report(entry: Entry, document: Document, trusted: Trusted, image: Image) -> Entry:
    problem = trusted.problem_of(())
    try:
        report = read_report(document.content)
    except EvidenceError as error:
        return replace(entry, problem=problem or _why(error))
    about = report.provenance.subject_digest
    if about is not None and document.source not in ON_DEMAND:
        # What we had made ourselves is about what we gave, whatever the program calls that.
        if about not in map(str, (document.subject, *image.subjects)):
            problem = problem or f"says that it is about another image, {about}"
        elif about not in {document.subject, str(image.digest)}:
            if document.subject != str(image.digest):
                problem = problem or f"says that it is about the image of another platform, {about}"
            # It stands at the index, and is about the image of one platform alone.
            entry = replace(entry, subject=about)
    return _telling(entry, _dated(report, document, trusted), problem)


def _with_statement(entry: Entry, document: Document, trusted: Trusted) -> Entry:
    try:
        opened = _open(document, trusted)
    except EvidenceError as error:
        return replace(entry, problem=_why(error))
    entry = replace(entry, signed_by=opened.signed_by)
    if opened.signs_image:
        return replace(entry, signs_image=True, problem=opened.problem)
    if opened.statement is None:
        return replace(entry, problem=opened.problem or "holds no statement")
    kind = opened.statement.predicate_type
    if not is_read(kind):
        # Such as a provenance: it says nothing that a trigger asks for, trusted or not.
        return entry
    try:
        # Read although it may not count, so that a decision can say what is there.
        report = read_predicate(kind, opened.statement.predicate)
    except EvidenceError as error:
        return replace(entry, problem=opened.problem or _why(error))
    return _telling(entry, _dated(report, document, trusted), opened.problem)


def _telling(entry: Entry, report: Report, problem: str) -> Entry:
    if not problem:
        return replace(entry, report=report)
    return replace(entry, problem=problem, speaks_of=needs_told_by(report))


def needs_told_by(report: Report) -> frozenset[Need]:
    """Return what a report tells, or would if its scan were complete.

    Args:
        report: The report.
    """
    if report.state is not ScanState.COMPLETE:
        return frozenset({Need.COMPONENTS, Need.VULNERABILITIES})
    told = set()
    if report.components is not None:
        told.add(Need.COMPONENTS)
    if report.vulnerabilities is not None or report.counts is not None:
        told.add(Need.VULNERABILITIES)
    return frozenset(told)


@dataclass(frozen=True, slots=True)
class _Opened:
    statement: InTotoStatement | None
    signs_image: bool = False
    signed_by: tuple[str, ...] = ()
    problem: str = ""


def _open(document: Document, trusted: Trusted) -> _Opened:
    """Take the statement out of a document, with whoever vouches for it."""
    digest = Digest.parse(document.subject)
    problem = ""
    if document.kind is not Kind.STATEMENT:
        try:
            vouched = authenticate(document.content, digest, trusted.signers)
        except UntrustedEvidenceError as error:
            wrapped = unwrap(document.content)
            if isinstance(wrapped, Bundle) and not isinstance(wrapped.signed, Envelope):
                # A signature over the image's own bytes; there is no statement to be believed.
                return _Opened(None, signs_image=True, problem=_why(error))
            if trusted.required is not None or error.reason not in _NOBODYS_WORD:
                problem = _why(error)
        else:
            names = _names(vouched.signers)
            enough = "" if vouched.signs_image else trusted.problem_of(names)
            return _Opened(vouched.statement, vouched.signs_image, names, enough)
    statement = open_statement(document.content)
    if statement is None:
        return _Opened(None, problem=problem)
    if statement.predicate_type == SIGN_PREDICATE:
        # Nobody's signature is no signature, whomever the policy believes.
        return _Opened(statement, signs_image=True, problem=problem or "is by no known signer")
    if not statement.is_about(digest):
        problem = problem or "is about another image"
    return _Opened(statement, problem=problem or trusted.problem_of(()))


def _dated(report: Report, document: Document, trusted: Trusted) -> Report:
    """Take the time that stands beside a report without one, unless a signature is wanted.

    What stands beside a signed document is not signed, and would let an old one pass for new.
    """
    if report.provenance.created_at is not None or trusted.required is not None:
        return report
    return replace(report, provenance=replace(report.provenance, created_at=document.at))


def _names(signers: Sequence[Signer]) -> tuple[str, ...]:
    return tuple(signer.name for signer in signers)


def _why(error: EvidenceError) -> str:
    return f"does not count: {error.attempted.removeprefix('the document does not count: ')}"
