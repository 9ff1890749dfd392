"""DTR's rules against an oracle of DTR's own semantics, written from its documentation alone."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from image_promotion.moving.dtr import EVERY_HALF_HOUR, read_dtr
from image_promotion.moving.findings import Draft, Findings
from image_promotion.moving.policy_file import make_files
from image_promotion.policy.criteria.verdict import Verdict
from image_promotion.policy.facts import Component, ImageFacts, VulnerabilityCounts
from image_promotion.policy.loading import load_policy
from image_promotion.policy.model import Policy
from tests.support.policies import NOW, facts

SECRET = "canary-9fK2-secret"

Rule = dict[str, object]


def promotion(**changes: object) -> dict[str, object]:
    return {
        "id": "4f1c",
        "sourceRepository": "dev/website",
        "targetRepository": "qa/website",
        "tagTemplate": "%n",
        "enabled": True,
        "rules": [{"field": "tag", "operator": "ew", "values": ["-stable"]}],
        "lastPromotedAt": "2019-05-07T10:11:12Z",
    } | changes


def push(**changes: object) -> dict[str, object]:
    return {
        "id": "77aa",
        "localRepository": "dev/website",
        "remoteHost": "https://registry.example.com:5000",
        "remoteRepository": "team/website",
        "remoteCA": "",
        "skipTLSVerification": False,
        "username": "mirror",
        "password": SECRET,
        "authToken": "",
        "tagTemplate": "",
        "enabled": True,
        "rules": [{"field": "tag", "operator": "sw", "values": ["v"]}],
        "lastMirroredAt": None,
        "lastStatus": {"code": "SUCCESS", "detail": SECRET, "timestamp": "2019-05-07T10:11:12Z"},
    } | changes


def poll(**changes: object) -> dict[str, object]:
    return {k: v for k, v in push(id="88bb").items() if k not in ("rules", "tagTemplate")} | changes


def read(*documents: object) -> Findings:
    return read_dtr(documents, local="dtr")


def draft_of(document: object) -> Draft:
    findings = read(document)
    assert not findings.left_out
    (draft,) = findings.drafts
    return draft


def policy_of(draft: Draft, folder: Path) -> Policy:
    (file,), left_out = make_files([draft])
    assert not left_out
    path = folder / file.file_name
    path.write_text(file.text)
    return load_policy(path)


def reason_of(document: object) -> str:
    findings = read(document)
    _, invalid = make_files(findings.drafts)
    (left_out,) = [*findings.left_out, *invalid]
    return left_out.reason


# The oracle: what DTR's documentation says of one rule, and of an image.

_COMPARE: Mapping[str, Callable[[int, int], bool]] = {
    "gte": operator.ge,
    "gt": operator.gt,
    "eq": operator.eq,
    "neq": operator.ne,
    "lte": operator.le,
    "lt": operator.lt,
}


def text_holds(op: str, name: str, values: list[str]) -> bool:
    match op:
        case "eq" | "oo":
            return name in values
        case "sw":
            return any(name.startswith(value) for value in values)
        case "ew":
            return any(name.endswith(value) for value in values)
        case "c":
            return any(value in name for value in values)
        case _:
            raise AssertionError(op)


def any_holds(op: str, names: Iterable[str], values: list[str]) -> bool:
    if op == "noo":
        return not any(text_holds("oo", name, values) for name in names)
    return any(text_holds(op, name, values) for name in names)


def dtr_promotes(rule: Rule, image: ImageFacts) -> bool:
    field, op = str(rule["field"]), str(rule["operator"])
    values = [str(value) for value in rule["values"]] if isinstance(rule["values"], list) else []
    assert image.components
    assert image.vulnerability_counts
    assert image.updated
    items = image.components.items
    names = {
        "tag": [image.tag],
        "component.name": [each.name for each in items],
        "license.name": [word for each in items for word in each.licenses],
    }
    if field in names:
        return any_holds(op, names[field], values)
    if field.startswith("vulnerability_"):
        number: int = getattr(image.vulnerability_counts, field.removeprefix("vulnerability_"))
        return any(_COMPARE[op](number, int(value)) for value in values)
    if field == "updated_at":
        moments = [datetime.fromisoformat(value) for value in values]
        return any((image.updated.at < each) is (op == "bf") for each in moments)
    age = NOW - image.updated.at
    longest = [timedelta(hours=int(value.removesuffix("h"))) for value in values]
    return any((age >= each) is (op == "bf") for each in longest)


_tags = st.sampled_from(["1.0", "1.0-stable", "v2-stable", "latest", "v", "stable", "-"])
_components = ["busybox", "bash", "musl", "zlib", "b"]
_licenses = ["MIT", "GPL-3.0-only", "Apache-2.0", "GPL-2.0-only"]


def values_of(words: st.SearchStrategy[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(words, min_size=1, max_size=3, unique=True)


def rule_of(field: str, operators: str, words: st.SearchStrategy[str]) -> st.SearchStrategy[Rule]:
    return st.fixed_dictionaries(
        {
            "field": st.just(field),
            "operator": st.sampled_from(operators.split()),
            "values": values_of(words),
        }
    )


_rules = st.one_of(
    rule_of("tag", "eq sw ew c oo noo", st.sampled_from(["1.0", "-stable", "v", "latest", "."])),
    rule_of("component.name", "eq sw ew c oo noo", st.sampled_from([*_components, "s", "x"])),
    rule_of("license.name", "oo noo", st.sampled_from(_licenses)),
    *(
        rule_of(f"vulnerability_{band}", "gte gt eq neq lte lt", st.integers(0, 4).map(str))
        for band in ("all", "critical", "major", "minor")
    ),
    # Never at the very moment, of which DTR does not say to which side it belongs.
    rule_of(
        "updated_at", "bf af", st.sampled_from(["2026-11-01T00:00:00Z", "2026-11-20T00:00:00Z"])
    ),
    rule_of("updated_at_duration", "bf af", st.sampled_from(["24h", "240h", "1000h"])),
)

_images = st.builds(
    lambda tag, named, counts, age_h: facts(
        tag,
        updated=NOW - timedelta(hours=age_h, minutes=30),
        components=tuple(Component(name, licenses=(word,)) for name, word in named),
        counts=VulnerabilityCounts(counts[0], counts[1], counts[2], sum(counts), "DTR"),
    ),
    _tags,
    st.lists(st.tuples(st.sampled_from(_components), st.sampled_from(_licenses)), max_size=4),
    st.tuples(*[st.integers(0, 3)] * 3),
    st.integers(0, 1200),
)


@settings(max_examples=150, deadline=None)
@given(rules=st.lists(_rules, min_size=1, max_size=4), image=_images)
def test_any_rules_of_dtr_become_a_valid_policy_that_decides_the_same(
    tmp_path_factory: pytest.TempPathFactory, rules: list[Rule], image: ImageFacts
) -> None:
    policy = policy_of(draft_of([promotion(rules=rules)]), tmp_path_factory.mktemp("policies"))

    expected = all(dtr_promotes(rule, image) for rule in rules)
    assert policy.criterion.judge(image, NOW).verdict is (
        Verdict.HELD if expected else Verdict.NOT_HELD
    )


def test_a_promotion_policy_stays_within_its_registry(tmp_path: Path) -> None:
    policy = policy_of(draft_of({"promotionPolicies": [promotion()]}), tmp_path)

    assert policy.name == "dev-website-to-qa-website"
    assert (policy.source.connection, policy.target.connection) == ("dtr", "dtr")
    assert policy.target_repository_for("dev/website") == "qa/website"
    assert policy.target.existing_tag == "overwrite"
    assert policy.existing_images == "consider"


def test_push_goes_out_and_poll_comes_in_by_a_connection_named_after_the_host(
    tmp_path: Path,
) -> None:
    findings = read({"pushMirroringPolicies": [push()], "pollMirroringPolicies": [poll()]})
    out, back = (policy_of(each, tmp_path) for each in findings.drafts)

    assert (out.source.connection, out.source.repository) == ("dtr", "dev/website")
    assert out.target.connection == back.source.connection == "registry_example_com_5000"
    assert (back.source.repository, back.target.repository) == ("team/website", "dev/website")
    assert out.target.tag == back.target.tag == "%n"
    assert back.schedule == EVERY_HALF_HOUR
    (connection,) = findings.connections
    assert connection.url == "https://registry.example.com:5000"
    assert "--conn-login mirror" in connection.command
    assert "password" not in connection.command


def test_no_secret_of_the_export_is_carried_and_its_place_is_named() -> None:
    authority = "-----BEGIN CERTIFICATE-----"
    findings = read({"pushMirroringPolicies": [push(authToken=SECRET, remoteCA=authority)]})
    files, _ = make_files(findings.drafts)

    everything = repr((findings, files)) + files[0].text + findings.connections[0].command
    assert SECRET not in everything
    assert authority not in everything
    assert any("registry_example_com_5000 must hold it" in note for note in files[0].draft.notes)
    assert any("ca_certificate" in note for note in findings.connections[0].notes)


def test_a_login_within_the_address_is_refused_and_not_repeated() -> None:
    reason = reason_of([push(remoteHost=f"https://ci:{SECRET}@registry.example.com")])

    assert "user name or password" in reason
    assert SECRET not in reason


def test_two_user_names_for_one_host_are_left_to_be_chosen() -> None:
    findings = read([push(), push(id="2", username="other")])

    (connection,) = findings.connections
    assert connection.login is None
    assert any("several user names" in note for note in connection.notes)


def test_a_disabled_policy_runs_by_hand_alone_and_says_so() -> None:
    draft = draft_of([promotion(enabled=False)])

    assert draft.schedule == "manual"
    assert "was disabled" in draft.notes[0]


@pytest.mark.parametrize(
    ("evaluation", "template", "existing"),
    [
        (None, "%n", "consider"),
        (None, "%n-%Y%m%d", "ignore"),
        (True, "%n-%Y%m%d", "consider"),
        (False, "%n", "ignore"),
    ],
)
def test_images_that_are_there_count_as_in_dtr_unless_they_would_arrive_a_second_time(
    evaluation: bool | None, template: str, existing: str
) -> None:
    draft = draft_of([promotion(tagTemplate=template, initialEvaluation=evaluation)])

    assert draft.existing_images == existing


def test_without_rules_every_tag_is_promoted_and_the_file_says_so(tmp_path: Path) -> None:
    draft = draft_of([promotion(rules=[])])

    assert policy_of(draft, tmp_path).criterion.judge(facts("x"), NOW).verdict is Verdict.HELD
    assert any("every tag" in note for note in draft.notes)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"field": "tag", "operator": "rx", "values": ["a"]}, "operator rx"),
        ({"field": "license.name", "operator": "sw", "values": ["a"]}, "operator sw"),
        ({"field": "tag", "operator": "eq", "values": []}, "no value"),
        ({"field": "tag", "operator": "sw", "values": [""]}, "empty value"),
        ({"field": "vulnerability_high", "operator": "eq", "values": ["0"]}, "no field"),
        ({"field": "vulnerability_all", "operator": "eq", "values": ["none"]}, "no number"),
        ({"field": "updated_at", "operator": "bf", "values": ["yesterday"]}, "no time"),
        ({"field": "updated_at_duration", "operator": "bf", "values": ["90s"]}, "cannot be read"),
        ({"field": "signer", "operator": "eq", "values": ["a"]}, "no field signer"),
        ({"operator": "eq", "values": ["a"]}, "field is missing"),
        ({"field": "tag", "operator": "eq", "values": [5]}, "not a text"),
    ],
)
def test_a_rule_that_cannot_be_carried_leaves_the_whole_policy_out(rule: Rule, said: str) -> None:
    held = {"field": "tag", "operator": "sw", "values": ["v"]}

    assert said in reason_of([promotion(rules=[held, rule])])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tagTemplate": "%n-%U"}, "target.tag: there is no code %U"),
        ({"tagTemplate": "%n%%"}, "target.tag: %% means a percent sign"),
        ({"targetRepository": "dev/website"}, "nothing would change"),
        ({"targetRepository": "QA/Website"}, "is no repository"),
        ({"targetRepository": None}, "targetRepository is missing"),
        ({"sourceRepository": None}, "sourceRepository is missing"),
    ],
)
def test_what_would_be_no_valid_policy_is_explained(changes: dict[str, object], said: str) -> None:
    assert said in reason_of([promotion(**changes)])


def test_one_broken_policy_leaves_the_others() -> None:
    findings = read([promotion(), "nonsense", {"a": 1}, promotion(id="2", rules=[{}])])

    assert len(findings.drafts) == 1
    assert len(findings.left_out) == 3


def test_a_policy_fetched_by_its_source_and_by_its_target_counts_once() -> None:
    findings = read({"promotionPolicies": [promotion()]}, [promotion()])

    assert len(findings.drafts) == 1


def test_plain_lists_are_told_apart_by_what_they_hold() -> None:
    findings = read([promotion()], [push()], [poll()])

    assert [each.origin.split(" ")[1] for each in findings.drafts] == [
        "promotion",
        "push-mirroring",
        "poll-mirroring",
    ]


def test_the_repository_that_was_asked_stands_in_for_one_that_is_missing() -> None:
    bare = promotion(sourceRepository=None)
    draft = draft_of({"repository": "dev/shop", "promotionPolicies": [bare]})

    assert draft.source.repository == "dev/shop"


def test_an_unknown_key_is_named_without_its_value() -> None:
    draft = draft_of([promotion(webhookSecret=SECRET)])

    assert any("webhookSecret" in note for note in draft.notes)
    assert SECRET not in repr(draft)


@settings(max_examples=100, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        *("rules", "field", "operator", "values", "id", "promotionPolicies"),
                        *("targetRepository", "sourceRepository", "remoteHost", "repository"),
                    ]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_whatever_the_export_is_each_item_is_a_valid_policy_or_explained(document: object) -> None:
    findings = read(json.loads(json.dumps(document)))
    make_files(findings.drafts)
