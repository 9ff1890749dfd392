from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from image_promotion.policy.discounting import discount, end_of, may_discount
from image_promotion.policy.facts import (
    ImageFacts,
    Statement,
    Status,
    Vulnerability,
    VulnerabilityException,
)
from tests.support.policies import NOW, facts

FLAW = Vulnerability(
    "CVE-2026-1", "core", "1.0", "HIGH", aliases=("GHSA-x",), purl="pkg:npm/%40angular/core@1.0"
)
LATER = date(2027, 3, 31)


def excepting(id_: str = "CVE-2026-1", **further: str) -> VulnerabilityException:
    return VulnerabilityException(id_, "tested", LATER, "alice", **further)


def image(
    *exceptions: VulnerabilityException, repository: str | None = "dev/website"
) -> ImageFacts:
    return facts(vulnerabilities=(FLAW,), exceptions=exceptions, repository=repository)


def counts(*exceptions: VulnerabilityException, repository: str | None = "dev/website") -> bool:
    return bool(discount(image(*exceptions, repository=repository), NOW).counting)


@pytest.mark.parametrize(
    ("exception", "applies"),
    [
        (excepting(), True),
        (excepting("cve-2026-1"), True),
        (excepting("ghsa-X"), True),
        (excepting("CVE-2026-2"), False),
        (excepting(package="core"), True),
        (excepting(package="Core"), True),
        (excepting(package="@angular/core"), True),
        (excepting(package="angular"), False),
        (excepting(repository="dev/website"), True),
        (excepting(repository="dev/*"), True),
        (excepting(repository="dev/web*"), True),
        (excepting(repository="dev/shop"), False),
        (excepting(repository="*"), False),
        (excepting(package="core", repository="dev/shop"), False),
    ],
)
def test_an_exception_is_for_an_identifier_and_for_a_package_and_repository_if_it_says_so(
    exception: VulnerabilityException, applies: bool
) -> None:
    assert counts(exception) is not applies
    assert may_discount(image(exception), NOW) or not applies


def test_an_exception_for_another_repository_or_of_the_past_cannot_discount() -> None:
    past = VulnerabilityException("CVE-2026-1", "r", NOW.date() - timedelta(days=1), "alice")

    assert not may_discount(image(excepting(repository="dev/shop"), past), NOW)


def test_an_exception_for_a_repository_is_for_none_that_is_not_known() -> None:
    assert counts(excepting(repository="dev/website"), repository=None)
    assert not counts(excepting(), repository=None)


def test_of_several_exceptions_the_one_that_lasts_longest_is_named() -> None:
    soon = VulnerabilityException("CVE-2026-1", "tested", NOW.date(), "bob")

    discounted = discount(image(soon, excepting()), NOW)

    assert [by for _, by in discounted.excepted] == [excepting()]
    assert list(discounted.words(10)) == [
        "1 excepted: CVE-2026-1 in core (tested; by alice, until 2027-03-31)"
    ]


def test_an_exception_ends_with_its_last_day_in_utc() -> None:
    assert end_of(excepting()) == datetime(2027, 4, 1, tzinfo=UTC)
    last = VulnerabilityException("a", "r", date.max, "b")
    assert end_of(last).tzinfo is UTC


def test_only_exceptions_that_would_apply_are_told_to_have_expired() -> None:
    past = NOW.date() - timedelta(days=1)
    mine = VulnerabilityException("CVE-2026-1", "r", past, "alice")
    other = VulnerabilityException("CVE-2026-9", "r", past, "alice")

    discounted = discount(image(mine, other), NOW)

    assert discounted.counting == (FLAW,)
    assert list(discounted.words(10)) == [
        f"the exception for CVE-2026-1 by alice expired on {past}"
    ]


def test_what_the_report_itself_says_does_not_affect_is_told_as_its_own_word() -> None:
    own = Vulnerability("CVE-2026-1", "a", "1", "HIGH", status=Status.NOT_AFFECTED)

    discounted = discount(facts(vulnerabilities=(own, FLAW)), NOW)

    assert discounted.counting == (FLAW,)
    assert list(discounted.words(10)) == [
        "1 taken out by statements: CVE-2026-1 in a (not_affected by the report itself)"
    ]


def test_a_long_list_is_told_by_its_first_and_its_number() -> None:
    flaws = tuple(Vulnerability(f"CVE-{n}", "a", "1", "HIGH") for n in range(5))
    statements = tuple(Statement(each.id, (), (), Status.FIXED) for each in flaws)

    (words,) = discount(facts(vulnerabilities=flaws, statements=statements), NOW).words(2)

    assert words == "5 taken out by statements: CVE-0 in a (fixed), CVE-1 in a (fixed) and 3 more"


@pytest.mark.parametrize(("status", "may"), [(Status.FIXED, True), (Status.AFFECTED, False)])
def test_only_statements_that_take_out_may_discount(status: Status, may: bool) -> None:
    image_ = facts(statements=(Statement("CVE-1", (), (), status),))

    assert may_discount(image_, NOW) is may
