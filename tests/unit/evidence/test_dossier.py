from __future__ import annotations

import json
import zlib
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from image_promotion.errors import UnreadableEvidenceError
from image_promotion.evidence.dossier import (
    VERSION,
    Dossier,
    Entry,
    Note,
    PlatformImage,
    pack,
    unpack,
)
from image_promotion.evidence.report import BandCounts, Provenance, Report, ScanState
from image_promotion.policy.criteria.verdict import Need
from image_promotion.policy.facts import Component, Score, Statement, Status, Vulnerability

AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
IMAGE = "sha256:" + 64 * "a"

REPORT = Report(
    "trivy-json-2",
    Provenance("trivy", "1", AT, IMAGE),
    components=(Component("a", "1", "pkg:deb/a@1", ("MIT",), "g", "library"),),
    vulnerabilities=(
        Vulnerability(
            *("CVE-1", "a", "1", "HIGH"),
            7.5,
            ("GHSA-1",),
            (Score(7.5, "3.1", "nvd"),),
            "pkg:deb/a@1",
            ("2",),
            Status.AFFECTED,
        ),
    ),
    counts=BandCounts(1, 2, 3),
    statements=(Statement("CVE-1", (), (IMAGE,), Status.FIXED, "why", AT, ("a",), "who"),),
)


def entry(**changes: object) -> Entry:
    fields: dict[str, object] = {
        "source": "referrers",
        "location": "somewhere",
        "digest": IMAGE,
        "subject": IMAGE,
        "obtained_at": AT,
    }
    return Entry(**(fields | changes))  # type: ignore[arg-type]


DOSSIER = Dossier(
    IMAGE,
    (PlatformImage("linux/amd64", "sha256:b"),),
    (
        entry(report=REPORT, signed_by=("release",)),
        entry(problem="is not signed", speaks_of=frozenset({Need.COMPONENTS})),
        entry(signs_image=True, signed_by=("release", "qa")),
    ),
    (Note("registry", IMAGE, "the scan is running", ScanState.RUNNING, is_failure=True),),
    AT,
)


def test_what_is_kept_comes_back_as_it_was() -> None:
    assert unpack(pack(DOSSIER)) == DOSSIER


_texts = st.text(st.characters(codec="utf-8"), max_size=5)


@given(_texts, st.none() | _texts, st.lists(_texts, max_size=2))
@settings(max_examples=50)
def test_whatever_reports_say_comes_back_as_it_was(
    name: str, version: str | None, licenses: list[str]
) -> None:
    report = Report("x", components=(Component(name, version, licenses=tuple(licenses)),))
    dossier = Dossier(IMAGE, (), (entry(report=report, location=name),), (), AT)

    assert unpack(pack(dossier)) == dossier


def _changed(**changes: object) -> bytes:
    document = json.loads(zlib.decompress(pack(DOSSIER)))
    return zlib.compress(json.dumps(document | changes, separators=(",", ":")).encode())


def test_a_dossier_of_another_version_is_gathered_anew() -> None:
    assert unpack(_changed(version=VERSION)) == DOSSIER
    assert unpack(_changed(version=VERSION + 1)) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        pack(DOSSIER)[:-9],
        _changed(image=None),
        _changed(gathered_at="yesterday"),
        _changed(entries=[{}]),
    ],
)
def test_a_dossier_that_somebody_changed_is_refused(content: bytes) -> None:
    with pytest.raises(UnreadableEvidenceError) as refused:
        unpack(content)
    assert "decide_again" in refused.value.advice


def test_what_does_not_count_has_no_report_that_could_be_believed() -> None:
    for changes in ({"problem": "is not signed"}, {"signs_image": True}):
        with pytest.raises(ValueError, match="does not count, or signs"):
            entry(report=REPORT, **changes)
    # Neither when somebody wrote a report to it into the ledger.
    entries = json.loads(zlib.decompress(pack(DOSSIER)))["entries"]
    entries[1]["report"] = entries[0]["report"]
    with pytest.raises(UnreadableEvidenceError):
        unpack(_changed(entries=entries))


def test_entries_are_found_by_what_they_are_about_in_their_order() -> None:
    found = tuple(entry(subject=each, location=str(n)) for n, each in enumerate("abab"))
    dossier = Dossier("a", (), found, (), AT)

    assert [each.location for each in dossier.about(("b",))] == ["1", "3"]
    assert dossier.about(("b", "a")) == found
