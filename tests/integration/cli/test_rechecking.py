"""`promotion recheck` by the installed command, against real registries and a real report."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from tests.integration.cli.conftest import NAME, PASSWORD, SOURCE, TARGET, USER, Workplace
from tests.support.json_shape import documented_fields, fields_of, records
from tests.support.scanned_images import attach, descriptor_of, scan_attestation
from tests.support.signatures import ecdsa_key

DOCUMENTATION = Path(__file__).parents[3] / "docs" / "command-line.md"
LOGIN = (USER, PASSWORD)


def test_what_fails_by_a_later_report_is_said_and_is_an_exit_code(place: Workplace) -> None:
    key = ecdsa_key()
    place.write_policy(
        triggers=[{"vulnerabilities": {"critical": "= 0"}}],
        evidence={"sources": ["referrers"], "signers": {"scanner": {"key": key.pem.decode()}}},
    )
    image = descriptor_of(place.push("1.0", "one"))

    def report(severity: str) -> None:
        found = scan_attestation(image, datetime.now(UTC), key, severity)
        attach(place.source, SOURCE, found, auth=LOGIN)

    report("LOW")
    assert place.promotion("run", NAME).status == 0
    passes = place.promotion("recheck", NAME)
    assert passes.status == 0
    assert "1 promoted images looked at again: 1 pass" in passes.stdout

    report("CRITICAL")
    fails = place.promotion("recheck", NAME, "--json")

    assert fails.status == 1
    (document,) = records([fails.json])
    (look,) = records(document["failing"])
    (promotion,) = records([look["promotion"]])
    assert (look["outcome"], promotion["target"]) == ("reject", f"{TARGET}:1.0")
    assert "CVE-2099-0001" in str(look["reasons"])
    documented = documented_fields(DOCUMENTATION)
    assert fields_of([document]) == documented["recheck"]
    assert fields_of([look]) == documented["look"]
    told = place.promotion("recheck", NAME)
    assert told.status == 1
    assert "CVE-2099-0001" in told.stdout.replace("\n", "")


def test_a_policy_that_looks_at_tags_alone_has_nothing_to_judge_again(place: Workplace) -> None:
    place.push("1.0-stable", "one")
    assert place.promotion("run", NAME).status == 0

    done = place.promotion("recheck", NAME)

    assert done.status == 0
    assert "nothing can have changed" in done.stdout
