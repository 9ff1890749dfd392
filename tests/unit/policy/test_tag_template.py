from __future__ import annotations

import locale
import re
import string
from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from image_promotion.errors import PolicyError
from image_promotion.policy.refusal import RefusalError
from image_promotion.policy.tag_template import ANY_GROUP, CODES, KEY, TagTemplate, is_tag

BERLIN = ZoneInfo("Europe/Berlin")
SUNDAY = datetime(2026, 2, 1, 0, 4, 9, 37, tzinfo=BERLIN)
# The grammar, said a second time: OCI Distribution Specification 1.1, "Pulling manifests".
GRAMMAR = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")


def render(template: str, tag: str = "4.5", at: datetime = SUNDAY) -> str:
    return TagTemplate.parse(template).render(tag, at, {})


@pytest.fixture(scope="module")
def english() -> Iterator[None]:
    before = locale.setlocale(locale.LC_TIME)
    locale.setlocale(locale.LC_TIME, "C")
    yield
    locale.setlocale(locale.LC_TIME, before)


def test_there_are_dtrs_eighteen_codes_of_the_time_and_n() -> None:
    assert set(CODES) == set("AawdBbmYyHIpMSfZjW")


@pytest.mark.parametrize("tag", ["1", "4.5", "latest"])
def test_n_is_the_source_tag(tag: str) -> None:
    assert render("%n", tag) == tag
    assert render("x-%n-%n", tag) == f"x-{tag}-{tag}"


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("A", "Sunday"),
        ("a", "Sun"),
        ("w", "0"),
        ("d", "01"),
        ("B", "February"),
        ("b", "Feb"),
        ("m", "02"),
        ("Y", "2026"),
        ("y", "26"),
        ("H", "00"),
        ("I", "12"),
        ("p", "AM"),
        ("M", "04"),
        ("S", "09"),
        ("f", "000037"),
        ("Z", "CET"),
        ("j", "032"),
        ("W", "04"),
    ],
)
def test_each_code_gives_what_dtr_says(code: str, text: str) -> None:
    assert render(f"%{code}") == text


@pytest.mark.usefixtures("english")
@given(
    st.datetimes(
        datetime(1000, 1, 1),  # noqa: DTZ001 - hypothesis puts the zone there
        datetime(9999, 12, 31),  # noqa: DTZ001
        timezones=st.sampled_from([UTC, BERLIN, ZoneInfo("America/New_York")]),
    )
)
def test_each_code_gives_what_strftime_gives_in_the_c_locale(at: datetime) -> None:
    for code in CODES:
        assert CODES[code](at) == at.strftime(f"%{code}")


@pytest.mark.parametrize("code", sorted(set(string.printable) - set(CODES) - {"n", "{"}))
def test_every_other_code_is_refused(code: str) -> None:
    with pytest.raises(RefusalError, match=r"there is no code|%% means a percent sign") as caught:
        TagTemplate.parse(f"%n%{code}")

    assert "%n %A %a" in caught.value.allowed


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("", "is empty"),
        ("%n%%", "never legal in a tag"),
        ("%n%", "ends with a % and no code"),
        ("-%n", "begins with '-'"),
        (".%n", "begins with '.'"),
        ("%n/%Y", "'/' is never legal"),
        ("%n:%Y", "':' is never legal"),
        ("%n %Y", "' ' is never legal"),
        ("%n\n", "is never legal"),
        ("é%n", "'é' is never legal"),
        ("%B" * 43, "gives at least 129 characters"),
        ("%f" * 21 + "%Y", "gives at least 130 characters"),
        ("x" * 129, "gives at least 129 characters"),
        ("%{1", "not closed"),
        ("%{1}", "there is no group %{1}"),
        ("%{}", "there is no group %{}"),
    ],
)
def test_a_template_that_never_gives_a_legal_tag_is_refused_with_the_reason(
    template: str, reason: str
) -> None:
    with pytest.raises(RefusalError, match=re.escape(reason)):
        TagTemplate.parse(template)


@pytest.mark.parametrize("template", ["x" * 128, "%B" * 42, "%A" * 21, "_%n", "%n-", "%n..%Y"])
def test_a_template_that_may_give_a_legal_tag_is_accepted(template: str) -> None:
    assert TagTemplate.parse(template, zone=BERLIN).text == template


@pytest.mark.parametrize(
    ("template", "zone", "reason"),
    [
        ("%n-%Z", "Etc/GMT-14", "%Z gives '+14' in this time zone, which is never legal in a tag"),
        ("%n-%Z", "Asia/Dubai", "'+04'"),
        ("%n-%Z", "Africa/Casablanca", "'+00', '+01'"),
        ("%n-%Z", "Australia/Lord_Howe", "'+1030', '+11'"),
        ("%Z-%n", "America/Sao_Paulo", "'-03' in this time zone, which is never legal at the begi"),
    ],
)
def test_a_time_zone_whose_names_are_never_legal_is_refused(
    template: str, zone: str, reason: str
) -> None:
    with pytest.raises(RefusalError, match=re.escape(reason)):
        TagTemplate.parse(template, zone=ZoneInfo(zone))


@pytest.mark.parametrize(
    ("template", "zone"),
    [
        ("%n-%Z", "UTC"),
        ("%Z-%n", "Europe/London"),
        ("%n%Z", "America/Sao_Paulo"),
        ("%n-%H", "Etc/GMT-14"),
    ],
)
def test_a_time_zone_whose_names_are_legal_where_they_stand_is_accepted(
    template: str, zone: str
) -> None:
    at = SUNDAY.astimezone(ZoneInfo(zone))

    assert is_tag(TagTemplate.parse(template, zone=ZoneInfo(zone)).render("1", at, {}))


def test_groups_are_those_that_the_triggers_have() -> None:
    template = TagTemplate.parse("%{version}-%{1}", groups={"version", "1"})

    assert template.render("v1.4", SUNDAY, {"version": "1.4", "1": "x"}) == "1.4-x"
    assert template.render("v1.4", SUNDAY, {"version": "1.4"}) == "1.4-"
    with pytest.raises(RefusalError) as caught:
        TagTemplate.parse("%{2}", groups={"version", "1"})
    assert caught.value.allowed == "%{1}, %{version}"
    TagTemplate.parse("%{whatever}", groups=ANY_GROUP)


@pytest.mark.parametrize(
    ("template", "tag", "groups", "reason"),
    [
        ("%n-%Y", "x" * 124, {}, "a tag of 129 characters, more than 128"),
        ("%{1}", "x", {"1": ""}, "an empty tag"),
        ("%{1}-x", "x", {"1": ""}, "a tag that begins with '-'"),
    ],
)
def test_what_is_no_legal_tag_for_one_image_is_an_error_that_says_why(
    template: str, tag: str, groups: dict[str, str], reason: str
) -> None:
    with pytest.raises(PolicyError, match=re.escape(reason)) as caught:
        TagTemplate.parse(template, groups=groups).render(tag, SUNDAY, groups)

    assert caught.value.key == KEY
    assert "at most 128" in caught.value.allowed


tags = st.from_regex(GRAMMAR, fullmatch=True)
templates = st.lists(
    st.sampled_from([f"%{code}" for code in ("n", *CODES, "{1}", "%", "q", "")])
    | st.sampled_from(list("abZ09._-/ :é")),
    max_size=60,
).map("".join)


@given(
    templates | st.text(),
    tags,
    st.datetimes(timezones=st.timezones()),
    st.text(st.sampled_from("a1._-"), max_size=130),
)
def test_a_template_that_is_accepted_gives_a_legal_tag_or_a_policy_error(
    text: str, tag: str, at: datetime, group: str
) -> None:
    try:
        rendered = TagTemplate.parse(text, groups={"1"}, zone=at.tzinfo).render(
            tag, at, {"1": group}
        )
    except (PolicyError, RefusalError):
        return
    assert GRAMMAR.fullmatch(rendered)


@given(st.text(st.sampled_from("aZ09._-"), max_size=6), st.integers(0, 140))
def test_a_literal_is_accepted_exactly_when_it_is_a_legal_tag(text: str, length: int) -> None:
    literal = text + "x" * length
    try:
        TagTemplate.parse(literal)
        accepted = True
    except RefusalError:
        accepted = False

    assert accepted is is_tag(literal) is (GRAMMAR.fullmatch(literal) is not None)


@given(st.sampled_from(sorted(CODES)), st.datetimes(datetime(1000, 1, 1)))  # noqa: DTZ001
def test_no_code_is_ever_shorter_than_the_bound_that_refuses_templates(
    code: str, at: datetime
) -> None:
    moment = at.replace(tzinfo=UTC)
    count = 128 // len(CODES[code](moment))
    assume(count)

    # As many as fit at this moment must not be refused.
    TagTemplate.parse(f"%{code}" * count)
