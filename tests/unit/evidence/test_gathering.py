from __future__ import annotations

import pytest

from image_promotion.errors import EvidenceError, RateLimitedError
from image_promotion.evidence.dossier import Dossier, PlatformImage
from image_promotion.evidence.examination import Trusted
from image_promotion.evidence.gathering import (
    TrustedSource,
    gather,
    is_sufficient,
    steady,
    subjects_of,
)
from image_promotion.evidence.report import ScanState
from image_promotion.evidence.sources.source import Image, SourceAnswer, SourceNote
from image_promotion.evidence.weighing import Weights
from image_promotion.policy.criteria.verdict import Need
from image_promotion.policy.evidence_sources import SourceName
from image_promotion.registry.digest import Digest
from tests.support.exhibits import NOW, Exhibit, FakeSource, Flaw

REFERRERS, REGISTRY, SYFT, FILES = (
    SourceName.REFERRERS,
    SourceName.REGISTRY,
    SourceName.SYFT,
    SourceName.FILES,
)
IMAGE = Digest.of(b"image")
SINGLE = Image("dev/website", IMAGE)
RULES = Weights(None, NOW)
BOTH = (Need.COMPONENTS, Need.VULNERABILITIES)
SBOM, SCAN = (Exhibit(need, IMAGE, Flaw.UNSIGNED) for need in BOTH)


async def gathered(
    *sources: FakeSource, earlier: Dossier | None = None, needs: tuple[Need, ...] = BOTH
) -> Dossier:
    return await gather(
        SINGLE,
        (),
        sources=[TrustedSource(each, Trusted((), None)) for each in sources],
        needs=needs,
        weights=RULES,
        earlier=earlier,
    )


def asked(*sources: FakeSource) -> list[int]:
    return [len(each.asked) for each in sources]


async def test_programs_are_asked_only_while_something_is_unknown() -> None:
    referrers, syft = FakeSource(REFERRERS, [SBOM]), FakeSource(SYFT, [SBOM])

    await gathered(referrers, syft, needs=(Need.COMPONENTS,))
    assert asked(referrers, syft) == [1, 0]
    await gathered(referrers, syft)
    assert asked(referrers, syft) == [2, 1]


async def test_other_sources_are_asked_whatever_is_known_since_statements_are_anywhere() -> None:
    first, second = FakeSource(REFERRERS, [SBOM, SCAN]), FakeSource(FILES)
    dossier = await gathered(first, second)

    assert asked(first, second) == [1, 1]
    assert is_sufficient(dossier, BOTH, RULES)


async def test_no_later_source_speaks_in_place_of_one_that_cannot_be_asked() -> None:
    down, later = FakeSource(REGISTRY, is_down=True), FakeSource(FILES, [SBOM, SCAN])
    dossier = await gathered(down, later)

    assert asked(down, later) == [1, 0]
    assert not is_sufficient(dossier, BOTH, RULES)
    assert [(each.source, each.is_failure) for each in dossier.notes] == [("registry", True)]
    # Where all is known already it is no loss.
    known = await gathered(later, down)
    assert is_sufficient(known, BOTH, RULES)
    assert asked(down, later) == [2, 1]


async def test_what_a_program_made_before_is_not_made_again_as_long_as_it_counts() -> None:
    syft = FakeSource(SYFT, [SBOM])
    earlier = await gathered(FakeSource(REFERRERS), syft)
    again = await gathered(FakeSource(REFERRERS), syft, earlier=earlier)

    assert asked(syft) == [1]
    assert again.entries == earlier.entries

    class Failed(FakeSource):
        async def documents(self, image: Image) -> SourceAnswer:
            self.asked.append(image)
            error = EvidenceError("syft failed")
            return SourceAnswer(
                (), (SourceNote(str(IMAGE), "the scan failed", ScanState.FAILED, error),)
            )

    failed = Failed(SYFT)
    earlier = await gathered(failed)
    await gathered(failed, earlier=earlier)
    assert asked(failed) == [2]


async def test_notes_keep_what_is_said_and_why() -> None:
    dossier = await gathered(FakeSource(REGISTRY, says=ScanState.RUNNING))

    (note,) = dossier.notes
    assert (note.state, note.explains, note.is_failure) == (ScanState.RUNNING, True, False)


def test_every_platform_must_be_known() -> None:
    platforms = (PlatformImage("linux/amd64", "sha256:a"), PlatformImage("linux/arm64", "sha256:b"))
    dossier = Dossier("sha256:i", platforms, (), (), NOW)

    assert subjects_of(dossier) == {
        "linux/amd64": ("sha256:a", "sha256:i"),
        "linux/arm64": ("sha256:b", "sha256:i"),
    }
    assert is_sufficient(dossier, (Need.TAG,), RULES)
    assert not is_sufficient(dossier, (Need.COMPONENTS,), RULES)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            "read tcp 127.0.0.1:49152->127.0.0.1:5000: connection reset",
            "read tcp 127.0.0.1:49980->127.0.0.1:5000: connection reset",
        ),
        (
            "syft failed: 2026-11-24T12:00:00.123Z FATAL no database",
            "syft failed: 2026-11-24T12:05:00.4Z FATAL no database",
        ),
        ("[0003] 12:00:01 took 3.2s", "[0003] 12:00:09 took 1.25s"),
        ("ended after 600 seconds", "ended after 601 seconds"),
        (
            "cannot open /tmp/promotion-scan-ab1/x: gone",
            "cannot open /tmp/promotion-scan-q/x: gone",
        ),
        ("2026-11-24 12:00:00 +0000 UTC: refused", "2026-11-24 12:00:01 +0000 UTC: refused"),
    ],
)
def test_an_error_reads_the_same_the_next_time(one: str, other: str) -> None:
    assert one != other
    assert steady(EvidenceError(one)) == steady(EvidenceError(other))


def test_what_tells_errors_apart_is_kept() -> None:
    said = "trivy 0.70.0 failed with exit status 1: sha256:0123 of registry.example.com:5000/web"

    assert steady(EvidenceError(said, advice="Ask.")) == f"{said}. Ask."
    limited = [
        RateLimitedError("listing failed", retry_after_s=seconds) for seconds in (30.0, 29.0)
    ]
    assert steady(limited[0]) == steady(limited[1])
