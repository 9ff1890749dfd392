from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

from rich.console import Console

from image_promotion.cli.explaining import explanation_json, explanation_outline
from image_promotion.evidence.dossier import Entry, Note
from image_promotion.evidence.report import Provenance, Report, ScanState
from image_promotion.evidence.weighing import Use
from image_promotion.ledger.records import Outcome, Reason
from image_promotion.policy.facts import Component
from image_promotion.promotion.decision import TargetTag
from image_promotion.promotion.explaining import (
    ExaminedDocument,
    ExaminedEvidence,
    ExaminedNote,
    Explanation,
)

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
DIGEST, CHILD = "sha256:" + 64 * "a", "sha256:" + 64 * "b"
LOCATION = f"referrer {'sha256:' + 64 * 'c'} of dev/website@{CHILD} (application/spdx+json)"

PARTS = (
    Reason("linux/amd64: critical = 0", "held", "= 0", "0 critical", "a report", count=0),
    Reason(
        "linux/arm64: critical = 0",
        "not_held",
        "= 0",
        "12 critical: " + ", ".join(f"CVE-{each} in zlib 1" for each in range(10)) + " and 2 more",
        "a report",
        count=12,
        items=tuple(f"CVE-{each} in zlib 1" for each in range(10)),
    ),
)
EXPLANATION = Explanation(
    "website-to-qa",
    NOW,
    "dev/website",
    "1.4",
    DIGEST,
    Outcome.WAIT,
    (Reason("critical = 0", "not_held", "= 0, on every platform", "x", "", PARTS),),
    wait_until=NOW + timedelta(days=1),
    target=TargetTag("qa/website", "1.4"),
    evidence=ExaminedEvidence(
        NOW,
        was_kept=True,
        documents=(
            ExaminedDocument(
                Entry(
                    "referrers",
                    LOCATION,
                    "sha256:d",
                    CHILD,
                    NOW,
                    report=Report(
                        "spdx-json-2.3",
                        Provenance("syft", "1.18", NOW - timedelta(days=2)),
                        components=(Component("zlib"),),
                    ),
                    signed_by=("release",),
                ),
                "linux/arm64",
                (Use.COMPONENTS,),
                "",
            ),
        ),
        notes=(
            ExaminedNote(Note("registry", CHILD, "the scan is running", ScanState.RUNNING), "arm"),
        ),
    ),
)


def lines() -> list[str]:
    file = io.StringIO()
    Console(file=file, width=80, color_system=None).print(explanation_outline(EXPLANATION))
    return file.getvalue().splitlines()


def test_an_explanation_can_be_read_at_80_columns_without_colours() -> None:
    text = "\n".join(lines())
    assert max(map(len, lines())) <= 80
    assert f"\n  {DIGEST}\n" in text
    assert "\x1b" not in text
    for said in (
        "  decision       wait",
        "  until          2026-11-25 12:00:00Z at least",
        "  target         qa/website:1.4, if it were promoted now",
        "Evidence, kept since 2026-11-24 12:00:00Z",
        "      about      linux/arm64",
        "      says       spdx-json-2.3; 1 component",
        "      made       2026-11-22 12:00:00Z (2 days old)",
        "      signed by  release",
        "  note           registry (arm): the scan is running",
    ):
        assert said in lines(), said


def test_what_differs_by_platform_stands_below_the_trigger_with_ten_items_a_line_each() -> None:
    at = lines().index("  does not hold  critical = 0, by platform:")
    assert lines()[at + 1] == "      holds          linux/amd64: critical = 0"
    assert "      does not hold  linux/arm64: critical = 0" in lines()
    items = [line.strip() for line in lines() if line.strip().startswith("CVE-")]
    assert items == [f"CVE-{each} in zlib 1" for each in range(10)]
    assert "and 2 more" in [line.strip() for line in lines()]
    assert "          found      12 critical" in lines()


def test_the_json_has_whole_digests_and_words() -> None:
    document = explanation_json(EXPLANATION)
    assert isinstance(document, dict)
    evidence = document["evidence"]
    assert isinstance(evidence, dict)
    documents, notes = evidence["documents"], evidence["notes"]
    assert isinstance(documents, list)
    assert isinstance(documents[0], dict)
    assert documents[0]["location"] == LOCATION
    assert (documents[0]["components"], documents[0]["used_for"]) == (1, ["components"])
    assert isinstance(notes, list)
    assert isinstance(notes[0], dict)
    assert notes[0]["scan"] == "running"
