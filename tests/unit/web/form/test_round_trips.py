"""The form and the file are one model: whatever opens in the form comes out as it was."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from image_promotion.policy.loading import check_policy_text
from image_promotion.policy.model import Policy
from image_promotion.web.form.documents import document_of, form_of, rendered
from image_promotion.web.form.drafting import Neighbours, drafted, opened
from image_promotion.web.form.fields import PolicyFields
from image_promotion.web.form.findings import Draft
from image_promotion.web.form.posted import form_of as form_of_posted
from image_promotion.web.form.posted import pairs_of
from image_promotion.web.form.vocabulary import BOX_KEYS, CHOICE_KEYS, GROUPS, KEYS, KINDS
from tests.support.policies import PUBLIC_KEY, TEXT, policy_documents

ROOT = Path(__file__).resolve().parents[4]
FILE = ROOT / "include" / "policies" / "made.yaml"
ALONE = Neighbours(FILE, {}, {})

_further = st.fixed_dictionaries(
    {},
    optional={
        "mode": st.sampled_from(["promote", "audit"]),
        "requires": st.sampled_from(["first", ["first", "second"]]),
        "soak": st.sampled_from(["90m", "7d"]),
        "approval": st.fixed_dictionaries(
            {"approvals": st.integers(1, 3)},
            optional={"timeout": st.just("2d"), "users": st.just(["ada", "bob", "no"])},
        ),
        "overrides": st.sampled_from(["forbid", "allow"]),
        "attestation": st.just({"connection": "key"}),
        "recheck": st.sampled_from(["daily", {"every": "3d", "on_failure": "roll_back"}]),
        "retention": st.sampled_from([{"keep_newest": 3, "mode": "remove"}]),
        "notify": st.sampled_from(
            [
                {"on": "failed", "arguments": {"connection": "chat"}},
                [
                    {
                        "on": ["waiting", "promoted"],
                        "notifier": "a.B",
                        "arguments": {"n": 1, "on": [True, None, 1.5], "text": "a: b # c\n"},
                    }
                ],
            ]
        ),
        "evidence": st.sampled_from(
            [
                {"signers": {"ci": {"key": PUBLIC_KEY}, "qa": {"key": PUBLIC_KEY}}},
                {
                    "sources": ["referrers", {"files": "/a b"}, {"syft": {"attach": True}}],
                    "signers": {"ci": {"key": PUBLIC_KEY}, "qa": {"key": PUBLIC_KEY}},
                    "exceptions": [
                        {"id": "CVE-1", "reason": "-", "expires": "2026-12-31", "by": "ada"}
                    ],
                },
            ]
        ),
    },
)
_targets = st.lists(
    st.fixed_dictionaries(
        {"connection": st.just("qa"), "repository": st.just("qa/website")},
        optional={
            "tag": st.sampled_from(["%n", ["%n"], ["%n-%Y", "x%d"], "%n.%j"]),
            "timezone": st.sampled_from(["UTC", "Asia/Kathmandu"]),
            "existing_tag": st.sampled_from(["fail", "skip", "overwrite"]),
        },
    ),
    min_size=1,
    max_size=1,
)


def _whole(
    document: dict[str, object], further: dict[str, object], targets: list[object] | None
) -> dict[str, object]:
    made = {**document, **further}
    if targets is not None:
        del made["target"]
        made["targets"] = targets
    if "signature" in repr(document) and "signers" not in repr(made.get("evidence")):
        made["evidence"] = document["evidence"]
    return made


whole_documents = st.builds(_whole, policy_documents, _further, st.none() | _targets)


def _as_posted(form: PolicyFields) -> PolicyFields:
    """Send a form through what a page does to texts."""
    pairs = [(name, value.replace("\r", "\n")) for name, value in pairs_of(form)]
    return form_of_posted(pairs)


def _policy_of(form: PolicyFields) -> Policy:
    draft = Draft()
    text = rendered(document_of(form, draft))
    assert draft.faults == []
    policy, faults = check_policy_text(text, FILE)
    assert policy is not None, (text, faults)
    return policy


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(whole_documents)
def test_any_policy_comes_out_of_the_form_as_it_was(document: dict[str, object]) -> None:
    policy = Policy.model_validate(document)

    from_file = _policy_of(_as_posted(form_of(document)))
    from_ledger = _policy_of(_as_posted(form_of(json.loads(policy.document()))))

    assert from_file == policy
    assert from_ledger == policy
    assert from_file.hash == policy.hash


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(whole_documents, st.booleans(), st.sampled_from(["\n", "\r\n"]))
def test_a_file_that_nothing_is_changed_of_stays_to_the_letter(
    document: dict[str, object], in_flow: bool, line_end: str
) -> None:
    text = yaml.safe_dump(document, sort_keys=False, default_flow_style=in_flow)
    raw = text.replace("\n", line_end).encode()

    form = opened(raw, FILE)

    assert form is not None
    assert drafted(_as_posted(form), ALONE).text.encode() == raw


@settings(max_examples=30, deadline=None)
@given(st.text())
@example("\r\nx\n")
@example("  a\n\n")
def test_any_description_survives_a_page(text: str) -> None:
    document = yaml.safe_load(TEXT) | {"description": text[:2000]}
    try:
        policy = Policy.model_validate(document)
        yaml.safe_load(yaml.safe_dump(text))
    except (ValueError, yaml.YAMLError):
        return  # no file could have it

    assert _policy_of(_as_posted(form_of(document))) == policy


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["equals", "starts_with", "is_one_of"]),
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1, max_size=3),
)
@example("equals", ["a\nb", " c ", "d\r"])
def test_any_value_of_a_trigger_survives_a_page(operator: str, values: list[str]) -> None:
    if any(character in "".join(values) for character in _NOT_IN_YAML):
        return  # no file could have it
    document = yaml.safe_load(TEXT) | {"triggers": [{"component": {operator: values}}]}

    assert _policy_of(_as_posted(form_of(document))) == Policy.model_validate(document)


_NOT_IN_YAML = frozenset(
    chr(n) for n in (*range(9), 11, 12, *range(14, 32), *range(127, 160), 0xFFFE, 0xFFFF)
) - {"\x85"}


def _samples() -> Iterator[tuple[str, str]]:
    """Yield every whole policy of the examples, the documentation and the tests."""
    for path in sorted((ROOT / "include" / "policies").glob("*.yaml")):
        yield path.name, path.read_text()
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for n, block in enumerate(re.findall(r"```yaml\n(.*?)```", path.read_text(), re.DOTALL)):
            # Keys in files beside the policy are not there for those of the documentation.
            if "\nsource:" in block and "key_file" not in block:
                yield f"{path.name}-{n}", block
    yield "tests", TEXT


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in _samples()])
def test_each_sample_opens_in_the_form_and_comes_out_as_it_was(text: str) -> None:
    policy, faults = check_policy_text(text, FILE)
    assert policy is not None, faults

    form = opened(text.encode(), FILE)

    assert form is not None
    assert drafted(_as_posted(form), ALONE).text == text
    assert _policy_of(_as_posted(form)) == policy


def test_the_form_has_every_key_of_the_model() -> None:
    own = {"name", "description", "source", "target", "targets", "triggers", "schedule"}
    assert own | set(BOX_KEYS) | {each.key for each in CHOICE_KEYS} == set(KEYS)


def test_the_form_has_every_trigger_of_the_model_with_every_operator() -> None:
    schema = json.loads((ROOT / "include" / "policies" / "policy.schema.json").read_text())
    triggers = schema["$defs"]["Trigger"]["properties"]
    assert set(triggers) == {*KINDS, *GROUPS}
    for key, kind in KINDS.items():
        name = triggers[key]["$ref"].rsplit("/", 1)[1]
        operators = {each.key.partition(":")[0] for each in kind.operators}
        assert operators | {kind.choice_key} - {""} == set(schema["$defs"][name]["properties"])


def test_only_what_differs_from_the_defaults_is_written_in_the_order_of_the_reference() -> None:
    form = form_of(
        {
            "existing_images": "consider",
            "limits": {"images_per_run": 20},
            "triggers": [
                {"vulnerabilities": {"critical": "= 0", "severity": {"HIGH": "<= 2"}}},
                {"not": {"tag": {"is_one_of": ["1.0", "latest"]}}},
            ],
            "target": {
                "existing_tag": "fail",
                "tag": "%n-%Y",
                "connection": "qa",
                "repository": "qa/website",
            },
            "schedule": "*/5 * * * *",
            "name": "website",
            "source": {"connection": "dev", "repository": "dev/website"},
        }
    )

    assert drafted(form, ALONE).text == (
        "name: website\n"
        "source:\n"
        "  connection: dev\n"
        "  repository: dev/website\n"
        "target:\n"
        "  connection: qa\n"
        "  repository: qa/website\n"
        '  tag: "%n-%Y"\n'
        "triggers:\n"
        "  - vulnerabilities:\n"
        '      critical: "= 0"\n'
        '      severity: {HIGH: "<= 2"}\n'
        "  - not:\n"
        '      tag: {is_one_of: ["1.0", latest]}\n'
        'schedule: "*/5 * * * *"\n'
        "limits:\n"
        "  images_per_run: 20\n"
    )
