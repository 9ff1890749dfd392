from __future__ import annotations

from image_promotion.ledger.ledger import Ledger
from tests.support.ledger_story import START

REGISTRY, RULES = "dev.example:5000", "sha256:rules"
WEBSITE, SHOP = ("dev/website", "sha256:a"), ("dev/shop", "sha256:a")


def test_what_is_kept_is_found_by_registry_rules_repository_and_digest(ledger: Ledger) -> None:
    ledger.keep_evidence(REGISTRY, RULES, {WEBSITE: b"\0web\xff", SHOP: b"shop"}, at=START)

    both = ledger.kept_evidence(REGISTRY, RULES, [WEBSITE, SHOP, ("dev/other", "sha256:a")])
    assert both == {WEBSITE: b"\0web\xff", SHOP: b"shop"}
    assert ledger.kept_evidence(REGISTRY, RULES, [SHOP]) == {SHOP: b"shop"}
    assert ledger.kept_evidence(REGISTRY, RULES, [("dev/shop", "sha256:b")]) == {}
    assert ledger.kept_evidence(REGISTRY, "sha256:others", [SHOP]) == {}
    assert ledger.kept_evidence("qa.example:5000", RULES, [SHOP]) == {}


def test_what_is_gathered_anew_takes_the_place_of_what_was_kept(ledger: Ledger) -> None:
    ledger.keep_evidence(REGISTRY, RULES, {WEBSITE: b"old"}, at=START)
    ledger.keep_evidence(REGISTRY, "sha256:others", {WEBSITE: b"theirs"}, at=START)
    ledger.keep_evidence(REGISTRY, RULES, {WEBSITE: b"new", SHOP: b"shop"}, at=START)

    assert ledger.kept_evidence(REGISTRY, RULES, [WEBSITE]) == {WEBSITE: b"new"}
    assert ledger.kept_evidence(REGISTRY, "sha256:others", [WEBSITE]) == {WEBSITE: b"theirs"}


def test_nothing_is_kept_and_found_of_nothing(ledger: Ledger) -> None:
    ledger.keep_evidence(REGISTRY, RULES, {}, at=START)

    assert ledger.kept_evidence(REGISTRY, RULES, []) == {}


def test_the_evidence_of_very_many_images_is_kept_and_found_at_once(ledger: Ledger) -> None:
    contents = {("dev/website", f"sha256:{n}"): str(n).encode() for n in range(3000)}
    ledger.keep_evidence(REGISTRY, RULES, contents, at=START)

    assert ledger.kept_evidence(REGISTRY, RULES, contents) == contents


def test_large_evidence_comes_back_whole(ledger: Ledger) -> None:
    content = bytes(range(256)) * 40_000
    ledger.keep_evidence(REGISTRY, RULES, {WEBSITE: content}, at=START)

    assert ledger.kept_evidence(REGISTRY, RULES, [WEBSITE]) == {WEBSITE: content}
