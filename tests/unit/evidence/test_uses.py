"""Which documents of a dossier are believed, and about what."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from image_promotion.evidence.dossier import Dossier, Entry
from image_promotion.evidence.report import Provenance, Report
from image_promotion.evidence.weighing import Use, Weights, uses_of
from image_promotion.policy.facts import Statement, Status

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
IMAGE = "sha256:" + 64 * "a"
WEIGHTS = Weights(timedelta(days=7), NOW)
SBOM = Report("syft-json-16", Provenance("syft", created_at=NOW), components=())
SCAN = Report("grype-json", Provenance("grype", created_at=NOW), vulnerabilities=())


def entry(report: Report | None = None, source: str = "referrers") -> Entry:
    return Entry(source, "there", "sha256:b", IMAGE, NOW, report)


def uses(entries: list[Entry]) -> list[tuple[Use, ...]]:
    dossier = Dossier(IMAGE, (), tuple(entries), (), NOW)
    return [uses_of(dossier, each, (IMAGE,), WEIGHTS) for each in entries]


def aged(report: Report, days: int) -> Report:
    made_at = NOW - timedelta(days=days)
    return replace(report, provenance=replace(report.provenance, created_at=made_at))


def test_a_report_is_used_for_all_that_it_says() -> None:
    vex = Statement("CVE-2099-0001", (), (), Status.FIXED)
    both = replace(SBOM, vulnerabilities=(), statements=(vex,))
    assert uses([entry(both)]) == [(Use.COMPONENTS, Use.VULNERABILITIES, Use.STATEMENTS)]


def test_a_later_report_of_the_tool_is_used_in_the_place_of_an_earlier_one() -> None:
    assert uses([entry(aged(SCAN, 2)), entry(aged(SCAN, 1))]) == [(), (Use.VULNERABILITIES,)]


def test_the_first_source_is_used_and_a_later_one_is_not() -> None:
    assert uses([entry(SBOM), entry(SBOM, "syft"), entry(SCAN, "files")]) == [
        (Use.COMPONENTS,),
        (),
        (Use.VULNERABILITIES,),
    ]


def test_what_is_too_old_has_a_problem_or_is_about_another_image_is_used_for_nothing() -> None:
    other = replace(entry(SBOM), subject="sha256:" + 64 * "c")
    assert uses([entry(aged(SBOM, 8)), replace(entry(), problem="is not signed"), other]) == [
        (),
        (),
        (),
    ]


def test_a_signature_is_used_when_a_signer_made_it() -> None:
    signed = replace(entry(), signs_image=True, signed_by=("release",))
    unknown = replace(entry(), signs_image=True, problem="is by no known signer")
    assert uses([signed, unknown]) == [
        (Use.SIGNATURE,),
        (),
    ]
