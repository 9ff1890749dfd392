from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from image_promotion.policy.comparison import Comparison
from image_promotion.policy.criteria.age import Updated
from image_promotion.policy.criteria.components import ComponentName
from image_promotion.policy.criteria.licenses import License
from image_promotion.policy.criteria.logic import AllOf, AnyOf, Not
from image_promotion.policy.criteria.patterns import TagMatches, TagSemver
from image_promotion.policy.criteria.signatures import SignedBy
from image_promotion.policy.criteria.text import TagName, TextOperator
from image_promotion.policy.criteria.verdict import Criterion
from image_promotion.policy.criteria.vulnerabilities import Condition, Vulnerabilities
from image_promotion.policy.facts import Band
from image_promotion.policy.triggers import MAX_DEPTH, NamedSigners, Trigger
from image_promotion.policy.version_ranges import VersionRange
from tests.support.policies import policy_with


def criterion_of(document: Mapping[str, object], zone: str = "UTC") -> Criterion:
    return Trigger.model_validate(document).criterion(ZoneInfo(zone))


@pytest.mark.parametrize("operator", list(TextOperator))
def test_the_six_operators_stand_for_themselves_on_tags_and_components(
    operator: TextOperator,
) -> None:
    values = {operator.value: ["a", "b"]}

    assert criterion_of({"tag": values}) == TagName(operator, ("a", "b"))
    assert criterion_of({"component": values}) == ComponentName(operator, ("a", "b"))


def test_one_text_is_a_list_of_one() -> None:
    assert criterion_of({"tag": {"ends_with": "-stable"}}) == TagName(
        TextOperator.ENDS_WITH, ("-stable",)
    )


def test_several_conditions_in_one_trigger_must_all_hold() -> None:
    assert criterion_of(
        {"tag": {"starts_with": "v", "matches": "v[0-9]+.*", "semver": "^1"}}
    ) == AllOf(
        (TagName(TextOperator.STARTS_WITH, ("v",)), TagMatches("v[0-9]+.*"), TagSemver("^1"))
    )


@pytest.mark.parametrize("sign", list(Comparison))
@pytest.mark.parametrize("space", ["", " ", "  "])
def test_bounds_on_vulnerabilities_are_read(sign: Comparison, space: str) -> None:
    document = {
        "vulnerabilities": {
            "critical": f"{sign}{space}1",
            "major": f"{sign}{space}2",
            "minor": f" {sign}{space}3 ",
            "all": f"{sign}{space}4",
            "severity": {"High": f"{sign}{space}5"},
        }
    }

    assert criterion_of(document) == Vulnerabilities(
        (
            Condition(Band.CRITICAL, sign, 1),
            Condition(Band.MAJOR, sign, 2),
            Condition(Band.MINOR, sign, 3),
            Condition("all", sign, 4),
            Condition("High", sign, 5),
        )
    )


def test_licenses_are_read() -> None:
    assert criterion_of({"license": {"is_one_of": ["MIT"], "is_not_one_of": ["GPL"]}}) == AllOf(
        (License(TextOperator.IS_ONE_OF, ("MIT",)), License(TextOperator.IS_NOT_ONE_OF, ("GPL",)))
    )


def test_components_are_narrowed_by_version_and_type() -> None:
    document = {"component": {"equals": "a", "ends_with": "b", "version": "< 2", "type": "npm"}}

    assert criterion_of(document) == AllOf(
        (
            ComponentName(TextOperator.EQUALS, ("a",), VersionRange("< 2"), "npm"),
            ComponentName(TextOperator.ENDS_WITH, ("b",), VersionRange("< 2"), "npm"),
        )
    )


def test_only_fixable_vulnerabilities_and_components_without_a_license_are_read() -> None:
    assert criterion_of({"vulnerabilities": {"all": "= 0", "only_fixable": True}}) == (
        Vulnerabilities((Condition("all", Comparison.EQUAL, 0),), only_fixable=True)
    )
    assert criterion_of({"license": {"is_one_of": ["MIT"], "unknown": "reject"}}) == License(
        TextOperator.IS_ONE_OF, ("MIT",), allows_unlicensed=False
    )
    assert criterion_of({"license": {"is_one_of": ["MIT"], "unknown": "allow"}}) == License(
        TextOperator.IS_ONE_OF, ("MIT",)
    )


def test_signers_are_read_and_all_that_are_named_are_told_with_their_place() -> None:
    first, second = ({"signature": {"signed_by": [each]}} for each in ("ci", "qa"))
    nested = {"any": [{"tag": {"equals": "a"}}, {"all": [first, {"not": second}]}]}

    assert criterion_of(first) == SignedBy(("ci",))
    assert list(Trigger.model_validate(nested).signers(at=("triggers", 3))) == [
        NamedSigners(("ci",), ("triggers", 3, "any", 1, "all", 0, "signature", "signed_by")),
        NamedSigners(("qa",), ("triggers", 3, "any", 1, "all", 1, "not", "signature", "signed_by")),
    ]


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("30m", timedelta(minutes=30)),
        ("12h", timedelta(hours=12)),
        ("7d", timedelta(days=7)),
        ("2w", timedelta(weeks=2)),
        ("36500d", timedelta(days=36_500)),
    ],
)
def test_durations_are_read(text: str, duration: timedelta) -> None:
    assert criterion_of({"updated": {"older_than": text}}) == Updated(older_than=duration)
    assert criterion_of({"updated": {"newer_than": text}}) == Updated(newer_than=duration)


def test_dates_without_a_zone_are_in_the_targets() -> None:
    midnight = datetime(2026, 6, 30, 22, tzinfo=UTC)

    for written in ("2026-07-01", "2026-07-01T00:00:00", "2026-06-30T22:00:00Z"):
        for word in ("before", "after"):
            assert criterion_of({"updated": {word: written}}, "Europe/Berlin") == Updated(
                **{word: midnight}  # type: ignore[arg-type]  # both words take a moment
            )


def test_triggers_nest() -> None:
    a, b = {"tag": {"equals": "a"}}, {"tag": {"equals": "b"}}
    is_a, is_b = (TagName(TextOperator.EQUALS, (each,)) for each in "ab")

    assert criterion_of({"any": [a, b]}) == AnyOf((is_a, is_b))
    assert criterion_of({"all": [a, b]}) == AllOf((is_a, is_b))
    assert criterion_of({"not": a}) == Not(is_a)
    assert criterion_of({"not": {"any": [{"all": [a, {"not": b}]}]}}) == Not(
        AnyOf((AllOf((is_a, Not(is_b))),))
    )


def nested(depth: int) -> dict[str, object]:
    document: dict[str, object] = {"tag": {"equals": "a"}}
    for n in range(depth):
        document = {"not": document} if n % 2 else {"any": [document]}
    return document


def test_triggers_nest_eight_deep_and_no_deeper() -> None:
    policy_with(nested(MAX_DEPTH))

    with pytest.raises(ValueError, match="is nested too deeply"):
        policy_with(nested(MAX_DEPTH + 1))


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({}, "is empty (allowed: exactly one of tag, component"),
        ({"tag": {"equals": "a"}, "not": {}}, "is empty"),
        (
            {"tag": {"equals": "a"}, "any": [{"tag": {"equals": "a"}}]},
            "has tag and any; begin each",
        ),
        ({"tag": None}, "has no value"),
        ({"tag": {}}, "is empty (allowed: one or more of equals, starts_with"),
        ({"tag": {"equals": None}}, "has no value"),
        ({"tag": {"equals": ""}}, "must not be empty"),
        ({"tag": {"equals": []}}, "needs at least one value"),
        ({"tag": {"equals": ["a", ""]}}, "must not be empty"),
        ({"tag": {"is_one_of": "a"}}, "must be a list, not a text"),
        ({"tag": {"equals": 1}}, "YAML reads this as a number"),
        ({"tag": {"matches": "("}}, "is no RE2 expression"),
        ({"tag": {"semver": "x.y"}}, "no range of versions"),
        ({"component": {"matches": "a"}}, "Extra inputs"),
        ({"component": {"version": "> 1"}}, "has no name to look for (allowed: equals, starts"),
        ({"component": {"equals": "a", "version": "^1"}}, "is no range of versions: ^, ~, *"),
        ({"component": {"equals": "a", "version": ">= "}}, "is no range of versions; write"),
        ({"component": {"equals": "a", "version": 1.2}}, "YAML reads this as a number"),
        ({"component": {"equals": "a", "type": "nmp"}}, "no type of component; did you mean npm?"),
        ({"license": {"unknown": "reject"}}, "is empty (allowed: is_one_of, is_not_one_of"),
        ({"license": {"is_one_of": ["MIT OR ISC"]}}, "'MIT OR ISC' is an expression"),
        ({"license": {"is_one_of": ["MIT"], "unknown": "maybe"}}, "Input should be 'allow'"),
        ({"vulnerabilities": {"only_fixable": True}}, "is empty (allowed: one or more of crit"),
        ({"vulnerabilities": {"all": "= 0", "only_fixable": "yes"}}, "a valid boolean"),
        ({"signature": {}}, "Field required"),
        ({"signature": "any"}, "Input should be a valid dictionary"),
        ({"signature": {"signed_by": []}}, "needs at least one value"),
        ({"signature": {"signed_by": ["any"]}}, "'any' is nobody"),
        ({"signature": {"signed_by": ["ci", "*"]}}, "'*' is nobody"),
        ({"license": {}}, "is empty (allowed: is_one_of, is_not_one_of or both"),
        ({"license": {"starts_with": "GPL"}}, "Extra inputs"),
        ({"vulnerabilities": {}}, "is empty (allowed: one or more of critical"),
        ({"vulnerabilities": {"severity": {}}}, "is empty"),
        ({"vulnerabilities": {"critical": 0}}, 'did you mean "= 0"?'),
        ({"vulnerabilities": {"critical": "0"}}, 'did you mean "= 0"?'),
        ({"vulnerabilities": {"critical": "== 0"}}, 'did you mean "= 0"?'),
        ({"vulnerabilities": {"critical": "=< 3"}}, 'did you mean "<= 3"?'),
        ({"vulnerabilities": {"critical": "<> 3"}}, 'did you mean "!= 3"?'),
        ({"vulnerabilities": {"critical": True}}, "True is no bound (allowed: one of >= >"),
        ({"vulnerabilities": {"critical": "= -1"}}, "'= -1' is no bound (allowed"),
        ({"vulnerabilities": {"critical": "= ٣"}}, "is no bound"),
        ({"vulnerabilities": {"severity": {"": "= 0"}}}, "must not be empty"),
        (
            {"vulnerabilities": {"severity": {"CRTICAL": "= 0"}}},
            "no scanner rates 'CRTICAL'; did you mean CRITICAL?",
        ),
        ({"updated": {}}, "is empty (allowed: one or more of older_than"),
        ({"updated": {"older_than": "7 days"}}, "'7 days' is no duration"),
        ({"updated": {"older_than": "0d"}}, "'0d' is no duration"),
        ({"updated": {"older_than": 7}}, "7 is no duration"),
        ({"updated": {"older_than": "36501d"}}, "is too long (allowed: 36500d at most)"),
        ({"updated": {"before": "yesterday"}}, "is no date and no time"),
        ({"updated": {"before": 2026}}, "is no date and no time"),
        ({"updated": {"before": "0001-01-01"}}, "is out of range (allowed: years 1970 to 2999)"),
        ({"any": []}, "needs at least one trigger"),
        ({"all": {"tag": {"equals": "a"}}}, "must be a list, not a mapping"),
    ],
)
def test_a_trigger_that_asks_for_nothing_or_nonsense_is_refused(
    document: Mapping[str, object], reason: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        Trigger.model_validate(document)


def patterns_of(*triggers: Mapping[str, object]) -> list[str]:
    return [
        pattern.pattern
        for trigger in triggers
        for pattern in Trigger.model_validate(trigger).required_patterns()
    ]


def test_expressions_that_every_promoted_tag_matches_are_found_within_all_but_not_any_or_not() -> (
    None
):
    first, second = {"tag": {"matches": "a(.*)"}}, {"tag": {"matches": "(.*)b", "contains": "c"}}

    assert patterns_of(first, {"all": [second, {"all": [first]}]}) == ["a(.*)", "(.*)b", "a(.*)"]
    assert patterns_of({"any": [first]}, {"not": second}) == []
    assert patterns_of({"all": [{"not": first}, {"any": [second]}]}) == []
