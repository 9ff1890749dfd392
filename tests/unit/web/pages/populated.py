"""Pages that have something of everything to show."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from image_promotion.evidence.dossier import Dossier, Entry, pack
from image_promotion.evidence.report import Provenance, Report, ScanState
from image_promotion.ledger.records import NewDecision, Outcome, Reason, State
from image_promotion.policy.facts import Component, Vulnerability
from image_promotion.policy.loading import load_policy
from image_promotion.promotion.evidence import configuration_of
from image_promotion.registry.probe_result import ProbeResult, Trouble
from tests.support.ledger_story import NOT_HELD, REPOSITORY
from tests.unit.web.pages.conftest import NOW, Pages

POLICY = "website-to-qa"
NEXT_POLICY = "qa-to-production"
POLICIES = (POLICY, NEXT_POLICY)
VERIFIED, FAILED, WAITING, REJECTED = (f"sha256:{digit * 64}" for digit in "abcd")
DIGESTS = {
    "1.4-stable": VERIFIED,
    "1.5-stable": FAILED,
    "1.6-stable": WAITING,
    "1.7-rc1": REJECTED,
}
HOSTILE = '"><script>alert(1)</script>\u202eltr'
ERROR = f"PUT of the manifest was answered 403 denied: {HOSTILE}"


@dataclass(frozen=True)
class Populated:
    """What there is to ask for.

    Attributes:
        pages: The pages.
        policies: The names of their policies.
        digests: The images that they know.
    """

    pages: Pages
    policies: tuple[str, ...] = (POLICY, NEXT_POLICY)
    digests: tuple[str, ...] = tuple(DIGESTS.values())


def populate(pages: Pages) -> Populated:
    """Let two policies promote, fail, wait and reject, and keep evidence.

    Args:
        pages: Pages over an empty ledger.

    Returns:
        What there is now.
    """
    pages.write_policy(POLICY)
    pages.write_policy(NEXT_POLICY, ("qa_registry", "qa/website"), ("prod", "prod/website"))
    story = pages.story
    run = story.run(key=f"{POLICY}/manual__1")
    seen = story.scan_tags(run, DIGESTS)
    verified = story.plan(run, seen["1.4-stable"], target_digest=VERIFIED)
    for step in (State.COPIED, State.TAGGED, State.VERIFIED):
        pages.ledger.advance(verified.id, step, at=story.now(), run_key=run.key)
    failed = story.plan(run, seen["1.5-stable"], target_digest=FAILED, target_tag="1.5")
    pages.ledger.fail(failed.id, error=ERROR, at=story.now(), run_key=run.key)
    missing = Reason("critical = 0", "unknown", "= 0", "no report yet", "", (), 7, ("CVE-1",))
    waits = NewDecision(
        seen["1.6-stable"].id,
        Outcome.WAIT,
        (Reason("all of", "unknown", "all", HOSTILE, "", (missing,)),),
        wait_until=NOW + timedelta(days=1),
    )
    pages.ledger.decide(run, [waits], story.now())
    story.decide(run, seen["1.7-rc1"], Outcome.REJECT, NOT_HELD)
    _keep_evidence(pages)
    dev = pages.stores["dev_registry"]
    for tag in DIGESTS:
        pushed = dev.hold_image(REPOSITORY, tag.encode())
        dev.tags.setdefault(REPOSITORY, {})[tag] = pushed.digest
    pages.edits_connections = True
    pages.registries.results["qa_registry"] = ProbeResult(
        ok=False, message=ERROR, trouble=Trouble.RIGHT_MISSING
    )
    return Populated(pages)


def _keep_evidence(pages: Pages) -> None:
    """Keep a report about the image that is verified."""
    report = Report(
        format="test",
        provenance=Provenance(tool="scanner", created_at=NOW),
        state=ScanState.COMPLETE,
        components=(Component(HOSTILE, "1", licenses=("MIT", HOSTILE)),),
        vulnerabilities=(
            Vulnerability("CVE-1", HOSTILE, "1", "HIGH", 9.8),
            Vulnerability("CVE-2", HOSTILE, "1", "LOW"),
        ),
    )
    entry = Entry("registry", "scan", VERIFIED, VERIFIED, NOW, report)
    dossier = pack(Dossier(VERIFIED, (), (entry,), (), NOW))
    configuration = configuration_of(load_policy(pages.folder / f"{POLICY}.yaml"))
    content = {(REPOSITORY, VERIFIED): dossier}
    pages.ledger.keep_evidence("dev.example:5000", configuration, content, NOW)
