from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given, settings

from image_promotion.policy.criteria.verdict import Need, Verdict
from image_promotion.policy.facts import Component
from image_promotion.policy.loading import load_policy
from image_promotion.policy.model import Policy
from image_promotion.policy.schema import (
    COMMAND,
    REFERENCE_FILE,
    ROOT,
    SCHEMA_FILE,
    json_schema,
    keys_at,
    meaning_at,
    reference_page,
)
from image_promotion.policy.tag_template import CODES
from tests.support.policies import NOW, document_of, facts, policy_documents

SCHEMA: Mapping[str, object] = json.loads(json_schema())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
EXAMPLES = sorted((ROOT / "include" / "policies").glob("*.yaml"))


def test_the_schema_beside_the_policies_is_fresh() -> None:
    assert SCHEMA_FILE.read_text() == json_schema(), f"it is stale: run {COMMAND}"


def test_the_reference_page_is_fresh() -> None:
    assert REFERENCE_FILE.read_text() == reference_page(), f"it is stale: run {COMMAND}"


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_there_are_four_examples() -> None:
    assert [path.stem for path in EXAMPLES] == [
        "images-scanned-to-qa",
        "website-qa-to-prod",
        "website-releases-to-qa",
        "website-stable-to-qa",
    ]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_valid_for_editors_and_for_us(path: Path) -> None:
    text = path.read_text()

    VALIDATOR.validate(yaml.safe_load(text))
    policy = load_policy(path)
    assert policy.name == path.stem
    stages = ("dev_registry", "qa_registry", "prod_registry")
    assert (policy.source.connection, policy.target.connection) in pairwise(stages)
    assert text.startswith("# yaml-language-server: $schema=policy.schema.json\n")


@given(policy_documents)
@settings(max_examples=100)
def test_editors_accept_what_we_accept(document: dict[str, object]) -> None:
    Policy.model_validate(document)

    VALIDATOR.validate(document)


@pytest.mark.parametrize(
    "document",
    [
        document_of(name="Not A Name"),
        document_of(owner="me"),
        document_of(source={"connection": "a/b"}),
        document_of(source={"tag": "x"}),
        document_of(target={"existing_tag": "replace"}),
        document_of(target={"tag": None}),
        document_of(triggers=[]),
        document_of({"tag": {"end_with": "x"}}),
        document_of({"tag": {"equals": ""}}),
        document_of({"tag": {"equals": []}}),
        document_of({"tag": {"equals": 1.1}}),
        document_of({"tag": {"is_one_of": "x"}}),
        document_of({"tag": {"equals": "a"}, "not": {"tag": {"equals": "a"}}}),
        document_of({}),
        document_of({"any": []}),
        document_of({"vulnerabilities": {"critical": 0}}),
        document_of({"vulnerabilities": {"critical": "== 0"}}),
        document_of({"updated": {"older_than": "7 days"}}),
        document_of(limits={"images_per_run": 0}),
    ],
    ids=json.dumps,
)
def test_editors_see_the_mistakes_that_have_a_shape(document: dict[str, object]) -> None:
    assert not VALIDATOR.is_valid(document)


def test_the_example_of_the_demo_promotes_by_the_tag_alone() -> None:
    policy = load_policy(SCHEMA_FILE.parent / "website-stable-to-qa.yaml")

    assert policy.criterion.needs == {Need.TAG}
    for tag, verdict in (("1.4-stable", Verdict.HELD), ("1.5-rc1", Verdict.NOT_HELD)):
        assert policy.criterion.judge(facts(tag), NOW).verdict is verdict
    assert policy.render_tag("1.4-stable", NOW) == "1.4-stable-20261124"


@pytest.mark.parametrize(
    ("tag", "verdict", "target"),
    [
        ("v1.4.2", Verdict.HELD, "1.4.2-2026.11"),
        ("2.0.0-urgent1", Verdict.HELD, "2.0.0-2026.11"),
        ("3.0.0", Verdict.NOT_HELD, None),
        ("1.5.0", Verdict.NOT_HELD, None),
        ("1.6.0-rc1", Verdict.NOT_HELD, None),
    ],
)
def test_the_example_of_releases_does_what_its_comments_say(
    tag: str, verdict: Verdict, target: str | None
) -> None:
    policy = load_policy(SCHEMA_FILE.parent / "website-releases-to-qa.yaml")
    image = facts(tag, updated=NOW - timedelta(hours=3))

    assert policy.criterion.judge(image, NOW).verdict is verdict
    if target:
        assert policy.render_tag(tag, NOW) == target


def test_the_example_of_scanned_images_waits_for_evidence() -> None:
    policy = load_policy(SCHEMA_FILE.parent / "images-scanned-to-qa.yaml")
    scanned = facts("1.4.0", components=(Component("BusyBox"),), vulnerabilities=())

    assert policy.criterion.judge(facts("1.4.0"), NOW).verdict is Verdict.UNKNOWN
    assert policy.criterion.judge(facts("latest"), NOW).verdict is Verdict.NOT_HELD
    assert policy.criterion.judge(scanned, NOW).verdict is Verdict.HELD
    assert policy.target_repository_for("dev/api") == "qa-scanned/api"


def test_the_keys_of_a_place_are_read_from_the_model() -> None:
    assert keys_at(()) == [field.alias or name for name, field in Policy.model_fields.items()]
    assert keys_at(("source",)) == ["connection", "repository"]
    assert keys_at(("triggers", 0))[-3:] == ["any", "all", "not"]
    assert keys_at(("triggers", 3, "not", "any", 1, "license")) == [
        "is_one_of",
        "is_not_one_of",
        "unknown",
    ]
    assert keys_at(("triggers", 0, "vulnerabilities", "severity")) == []
    assert keys_at(("nowhere", "at", 1, "all")) == []
    assert meaning_at(("target", "timezone")) == "An IANA time zone such as `Europe/Berlin`"


def test_the_reference_page_names_every_key_and_code() -> None:
    page = reference_page()
    definitions = SCHEMA["$defs"]
    assert isinstance(definitions, dict)

    for name, part in definitions.items():
        assert f"\n## {name}\n" in page
        for key in part.get("properties", ()):
            assert f"| `{key}` | " in page
    for code in ("n", *CODES):
        assert f"| `%{code}` | " in page
