from __future__ import annotations

from image_promotion.cli.wording import (
    CUT,
    LONGEST_REASON,
    in_brief,
    name_of,
    short_digests,
    without_items,
    without_subject,
)
from image_promotion.ledger.records import Reason

DIGEST = "sha256:" + 64 * "a"
OTHER = "sha256:" + 64 * "b"
NAMES = tuple(f"CVE-2099-{number:04} in zlib 1.2" for number in range(10))


def reason(trigger: str, verdict: str, found: str, **more: object) -> Reason:
    parts, count, items = more.get("parts", ()), more.get("count"), more.get("items", ())
    assert isinstance(parts, tuple)
    assert isinstance(items, tuple)
    assert count is None or isinstance(count, int)
    return Reason(trigger, verdict, "asked", found, "", parts, count, items)


MANY = reason(
    "critical = 0",
    "not_held",
    f"17 critical: {', '.join(NAMES)} and 7 more; 2 excepted",
    count=17,
    items=NAMES,
)


def test_items_can_be_taken_out_of_what_was_found() -> None:
    assert without_items(MANY) == "17 critical; 2 excepted"
    few = reason("x", "held", "1 of 3 components: a (b)", count=1, items=("a (b)",))
    assert without_items(few) == "1 of 3 components"
    elsewhere = reason("x", "held", "said in other words", count=1, items=("a",))
    assert without_items(elsewhere) == "said in other words"


def test_a_table_has_three_items_and_the_number_of_the_others() -> None:
    assert in_brief([MANY]) == (
        f"critical = 0: 17 critical: {', '.join(NAMES[:3])} and 14 more; 2 excepted"
    )


def test_only_what_decides_stands_in_a_table() -> None:
    held, unknown = reason("a", "held", "1"), reason("b", "unknown", "no report")
    not_held = reason("c", "not_held", "9")
    assert in_brief([held, unknown, not_held]) == "c: 9"
    assert in_brief([held, unknown]) == "b: no report"
    assert in_brief([held]) == "a: 1"


def test_what_several_triggers_wait_for_is_said_once() -> None:
    waiting = [reason(each, "unknown", "no SBOM yet") for each in ("a", "b")]
    assert in_brief(waiting) == "a, b: no SBOM yet"


def test_a_long_reason_is_cut_between_words_and_the_next_one_is_not_lost() -> None:
    long = reason("a", "not_held", "word " * 100)
    said = in_brief([long, reason("b", "not_held", "9")])
    first, second = said.split("; ")
    assert len(first) <= LONGEST_REASON
    assert first.endswith(f"word{CUT}")
    assert second == "b: 9"


def test_digests_are_shortened_and_what_only_looks_like_one_is_not() -> None:
    assert short_digests(f"at {DIGEST}, not {DIGEST}a") == f"at {DIGEST[:19]}, not {DIGEST}a"


def test_the_image_that_something_is_attached_to_can_be_left_out() -> None:
    text = f"referrer {OTHER} of dev/website@{DIGEST} (a/b)"
    assert without_subject(text) == f"referrer {OTHER} (a/b)"
    assert without_subject(text, DIGEST) == f"referrer {OTHER} (a/b)"
    assert without_subject(text, OTHER) == text


def test_a_trigger_of_triggers_is_named_without_them() -> None:
    parts = (reason("tag is a", "held", ""), reason("tag is b", "held", ""))
    several = reason("any of: tag is a; tag is b", "held", "2 hold", parts=parts)
    assert name_of(several) == "any of"
    by_platform = reason("tag is a", "held", "", parts=(reason("arm: tag is a", "held", ""),))
    assert name_of(by_platform) == "tag is a"
