from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from image_promotion.evidence.document import Document, Kind
from image_promotion.evidence.dossier import Entry
from image_promotion.evidence.examination import Trusted, examine
from image_promotion.evidence.sources.source import Image
from image_promotion.evidence.trust.simple_signing import SIGNATURE_ANNOTATION
from image_promotion.policy.criteria.verdict import Need
from image_promotion.policy.evidence_sources import SourceName
from image_promotion.registry.digest import Digest
from tests.support.exhibits import (
    CYCLONEDX_PREDICATE,
    NOW,
    RELEASE,
    STRANGER,
    Exhibit,
    Flaw,
    sbom,
    scan,
)
from tests.support.signatures import (
    SPDX_PREDICATE,
    base64,
    bundle,
    compact,
    envelope,
    message_bundle,
    sign_statement,
    simple_signing_payload,
    statement,
)

IMAGE, AMD64, ARM64 = (Digest.of(each) for each in (b"index", b"amd64", b"arm64"))
INDEX = Image("dev/website", IMAGE, parts=(AMD64, ARM64))
SIGNERS = (RELEASE.signer("release"),)
ANYBODY = Trusted(SIGNERS, None)
SIGNED = Trusted(SIGNERS, frozenset({"release"}))
NOBODY = Trusted((), frozenset())
SBOM = statement(IMAGE, predicate_type=CYCLONEDX_PREDICATE, predicate=sbom(IMAGE, NOW))


def entry(
    content: bytes,
    kind: Kind,
    trusted: Trusted = SIGNED,
    *,
    at: Digest = IMAGE,
    source: SourceName = SourceName.REFERRERS,
    **changes: object,
) -> Entry:
    document = Document(content, kind, "", source, "somewhere", str(at))
    return examine(replace(document, **changes), trusted, INDEX, now=NOW)  # type: ignore[arg-type]


@pytest.mark.parametrize("flaw", Flaw)
@pytest.mark.parametrize("need", [Need.COMPONENTS, Need.VULNERABILITIES, Need.SIGNATURES])
@pytest.mark.parametrize("trusted", [ANYBODY, SIGNED, NOBODY])
def test_a_document_with_a_problem_tells_nothing(flaw: Flaw, need: Need, trusted: Trusted) -> None:
    document = Exhibit(need, IMAGE, flaw).document(SourceName.REFERRERS)
    found = examine(document, trusted, INDEX, now=NOW)

    assert not (found.problem and found.report)
    assert not (found.signs_image and not found.problem and not found.signed_by)
    if trusted is NOBODY:
        assert found.report is None
        assert found.signed_by == ()


def test_a_signed_attestation_tells_what_it_says_and_who_signed() -> None:
    for content, kind in (
        (envelope(RELEASE, payload=SBOM), Kind.ENVELOPE),
        (bundle(RELEASE, SBOM), Kind.BUNDLE),
    ):
        found = entry(content, kind)
        assert (found.problem, found.signed_by, found.signs_image) == ("", ("release",), False)
        assert found.report
        assert found.report.components


def test_what_a_stranger_signed_says_so_and_what_it_would_have_told() -> None:
    found = entry(envelope(STRANGER, payload=SBOM), Kind.ENVELOPE)

    assert found.problem.startswith("does not count: the signature is not by release")
    assert found.speaks_of == {Need.COMPONENTS}
    assert entry(SBOM, Kind.STATEMENT).problem == "is not signed, and the policy wants a signature"
    assert entry(SBOM, Kind.STATEMENT, ANYBODY).report


def test_one_whom_the_policy_knows_but_does_not_trust_here_is_named() -> None:
    qa_alone = Trusted(SIGNERS, frozenset({"qa"}))
    found = entry(envelope(RELEASE, payload=SBOM), Kind.ENVELOPE, qa_alone)

    assert found.problem == "is signed by release, and the policy trusts qa"
    assert found.report is None


def test_a_statement_about_another_image_never_counts() -> None:
    about_amd64 = statement(AMD64, predicate_type=CYCLONEDX_PREDICATE, predicate=sbom(AMD64, NOW))
    for trusted in (ANYBODY, SIGNED):
        signed = entry(envelope(RELEASE, payload=about_amd64), Kind.ENVELOPE, trusted)
        bare = entry(about_amd64, Kind.STATEMENT, trusted)
        assert f"the statement is about {AMD64}" in signed.problem
        assert bare.problem == "is about another image"


@pytest.mark.parametrize("write", [sbom, scan])
def test_a_report_that_names_another_image_never_counts(write: object) -> None:
    report = compact(write(Digest.of(b"other"), NOW))  # type: ignore[operator]

    found = entry(report, Kind.REPORT, ANYBODY)
    assert found.problem.startswith("says that it is about another image, sha256:")
    # What a program made for us of a copy is about that, whatever digest it makes up.
    assert entry(report, Kind.REPORT, ANYBODY, source=SourceName.SYFT).problem == ""


def test_a_report_at_the_index_that_names_one_platform_is_about_that_alone() -> None:
    found = entry(compact(scan(AMD64, NOW)), Kind.REPORT, ANYBODY)
    assert (found.subject, found.problem) == (str(AMD64), "")

    of_another = entry(compact(scan(AMD64, NOW)), Kind.REPORT, ANYBODY, at=ARM64)
    assert "of another platform" in of_another.problem
    # Scanners call the image of a platform by the digest of the index that it was pulled by.
    by_index = entry(compact(scan(IMAGE, NOW)), Kind.REPORT, ANYBODY, at=AMD64)
    assert (by_index.subject, by_index.problem) == (str(AMD64), "")


@pytest.mark.parametrize("trusted", [ANYBODY, SIGNED])
def test_a_signature_that_nobody_known_made_says_why_it_is_none(trusted: Trusted) -> None:
    payload = simple_signing_payload(IMAGE)
    annotations = {SIGNATURE_ANNOTATION: base64(STRANGER.sign(payload))}
    for found in (
        entry(message_bundle(STRANGER, b"index"), Kind.BUNDLE, trusted),
        entry(bundle(STRANGER, sign_statement(IMAGE)), Kind.BUNDLE, trusted),
        entry(payload, Kind.SIMPLE_SIGNING, trusted, annotations=annotations),
    ):
        assert found.signs_image
        assert found.signed_by == ()
        assert "signature is not by release" in found.problem or "known signer" in found.problem


def test_a_signature_counts_by_whoever_of_the_policys_signers_made_it() -> None:
    payload = simple_signing_payload(IMAGE)
    annotations = {SIGNATURE_ANNOTATION: base64(RELEASE.sign(payload))}
    for found in (
        entry(message_bundle(RELEASE, b"index"), Kind.BUNDLE),
        entry(bundle(RELEASE, sign_statement(IMAGE)), Kind.BUNDLE),
        entry(payload, Kind.SIMPLE_SIGNING, annotations=annotations),
    ):
        assert (found.signs_image, found.signed_by, found.problem) == (True, ("release",), "")
    other = entry(bundle(RELEASE, sign_statement(AMD64)), Kind.BUNDLE)
    assert "the statement is about" in other.problem
    assert entry(message_bundle(RELEASE, b"amd64"), Kind.BUNDLE).problem


def test_an_attestation_of_no_concern_is_no_problem_and_a_wrong_one_is() -> None:
    provenance = statement(IMAGE, predicate_type="https://slsa.dev/provenance/v1")
    wrong = statement(IMAGE, predicate_type=SPDX_PREDICATE, predicate=sbom(IMAGE, NOW))

    assert entry(envelope(RELEASE, payload=provenance), Kind.ENVELOPE).problem == ""
    assert entry(provenance, Kind.STATEMENT).problem == ""
    said = entry(envelope(RELEASE, payload=wrong), Kind.ENVELOPE).problem
    assert "its predicate does not say that it is what its type says" in said


def test_the_time_beside_a_report_counts_only_where_nobody_need_have_signed() -> None:
    undated = compact(sbom(IMAGE, None))
    week_ago = NOW - timedelta(days=7)

    assert entry(undated, Kind.REPORT, ANYBODY).made_at is None
    document = Document(
        undated, Kind.REPORT, "", SourceName.FILES, "a file", str(IMAGE), at=week_ago
    )
    assert examine(document, ANYBODY, INDEX, now=NOW).made_at == week_ago
    signed = statement(IMAGE, predicate_type=CYCLONEDX_PREDICATE, predicate=sbom(IMAGE, None))
    attested = replace(
        document, content=envelope(RELEASE, payload=signed), kind=Kind.ENVELOPE, at=week_ago
    )
    found = examine(attested, SIGNED, INDEX, now=NOW)
    assert found.report
    assert found.made_at is None
