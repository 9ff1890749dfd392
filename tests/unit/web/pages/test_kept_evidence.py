"""What kept evidence says of an image, as the pages show it."""

from __future__ import annotations

from image_promotion.evidence.dossier import Dossier, Entry, pack
from image_promotion.evidence.report import Provenance, Report, ScanState
from image_promotion.policy.facts import Component, Vulnerability
from image_promotion.policy.loading import load_policy
from image_promotion.promotion.evidence import configuration_of
from tests.support.ledger_story import REPOSITORY
from tests.unit.web.pages.conftest import NOW, Pages

POLICY = "website-to-qa"
DIGEST = f"sha256:{'ab' * 32}"
HOSTILE = "<script>alert(1)</script>"


def _keep(pages: Pages, configuration: str, license_: str = "MIT") -> None:
    report = Report(
        format="test",
        provenance=Provenance(tool="scanner", created_at=NOW),
        state=ScanState.COMPLETE,
        components=(
            Component("a", "1", licenses=(license_,)),
            Component("a", "1", licenses=(license_,)),
            Component("b", "2", licenses=(license_, "Zlib")),
        ),
        vulnerabilities=(
            Vulnerability("CVE-1", "a", "1", "HIGH", 9.8),
            Vulnerability("CVE-1", "a", "1", "HIGH", 9.8),
            Vulnerability("CVE-2", "b", "2", "LOW"),
        ),
    )
    entry = Entry("registry", "scan", DIGEST, DIGEST, NOW, report)
    content = {(REPOSITORY, DIGEST): pack(Dossier(DIGEST, (), (entry,), (), NOW))}
    pages.ledger.keep_evidence("dev.example", configuration, content, NOW)


def _seen(pages: Pages) -> str:
    """Let the policy see the image; return how its evidence is gathered."""
    pages.write_policy()
    pages.story.scan_tags(pages.story.run(), {"1-stable": DIGEST})
    return configuration_of(load_policy(pages.folder / f"{POLICY}.yaml"))


def test_each_thing_is_counted_once(pages: Pages) -> None:
    _keep(pages, _seen(pages))

    (found,) = pages.seen_by(POLICY).get(f"/api/images/{DIGEST}").json()["evidence"]

    assert found["vulnerabilities"] == {"critical": 1, "major": 0, "minor": 1, "other": 0}
    assert found["components"] == 2
    assert found["licenses"] == {"MIT": 2, "Zlib": 1}
    assert found["policies"] == [POLICY]
    assert "scanner report" in found["components_source"]


def test_what_was_gathered_for_policies_of_others_is_not_told(pages: Pages) -> None:
    _seen(pages)
    _keep(pages, "sha256:of-somebody-else")

    assert pages.seen_by(POLICY).get(f"/api/images/{DIGEST}").json()["evidence"] == []


def test_what_cannot_be_read_is_as_good_as_not_there(pages: Pages) -> None:
    configuration = _seen(pages)
    pages.ledger.keep_evidence("dev", configuration, {(REPOSITORY, DIGEST): b"changed"}, NOW)

    page = pages.seen_by(POLICY).get(f"/images/{DIGEST}")

    assert page.status_code == 200
    assert "No evidence is kept about it" in page.text


def test_names_in_reports_are_text(pages: Pages) -> None:
    _keep(pages, _seen(pages), license_=HOSTILE)

    page = pages.seen_by(POLICY).get(f"/images/{DIGEST}").text

    assert "&lt;script&gt;alert(1)" in page
    assert HOSTILE not in page
