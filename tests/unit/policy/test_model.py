from __future__ import annotations

import json
import re
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings

from image_promotion.errors import PolicyError
from image_promotion.policy.criteria.logic import AllOf
from image_promotion.policy.model import ExistingImages, Policy
from image_promotion.policy.places import ExistingTag
from tests.support.policies import NOW, document_of, policy_documents, policy_with

MATCHES = {"tag": {"matches": "v?(?P<version>[0-9.]+)(-.*)?"}}


def test_what_is_left_out_has_the_documented_defaults() -> None:
    policy = policy_with()

    assert policy.description == ""
    assert policy.schedule == "manual"
    assert policy.target.tag == "%n"
    assert policy.target.timezone == "UTC"
    assert policy.target.existing_tag is ExistingTag.FAIL
    assert policy.existing_images is ExistingImages.CONSIDER
    assert (policy.limits.images_per_run, policy.limits.tasks_per_run) == (1000, 50)
    assert not policy.referrers.carries_nothing
    assert policy.referrers.wants("application/spdx+json")


def test_all_triggers_of_a_policy_must_hold() -> None:
    policy = policy_with({"tag": {"equals": "a"}}, {"tag": {"contains": "b"}})

    assert isinstance(policy.criterion, AllOf)
    assert [part.describe() for part in policy.criterion.parts] == [
        'tag equals "a"',
        'tag contains "b"',
    ]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": "Website"}, "'Website' is no name"),
        ({"name": "-a"}, "is no name"),
        ({"name": "a" * 129}, "is no name"),
        ({"name": "a\n"}, "is no name"),
        ({"source": {"connection": "https://registry.example.com"}}, "is no connection's id"),
        ({"source": {"repository": "dev/website:latest"}}, "is no repository"),
        ({"source": {"repository": "dev/**"}}, "more than one *"),
        ({"target": {"repository": "{name}/{name}"}}, "has {name} twice"),
        ({"target": {"timezone": "CEST"}}, "there is no time zone 'CEST' (allowed: a name"),
        ({"target": {"timezone": "Europe/Berln"}}, "did you mean Europe/Berlin?"),
        ({"target": {"timezone": "../../etc/passwd"}}, "there is no time zone"),
        ({"target": {"timezone": "Europe"}}, "there is no time zone"),
        ({"target": {"existing_tag": "replace"}}, "'fail', 'skip' or 'overwrite'"),
        ({"target": {"tag": "%q"}}, "there is no code %q"),
        ({"target": {"tag": "%n%%"}}, "%% means a percent sign"),
        ({"target": {"tag": "%n-%Z", "timezone": "Etc/GMT-14"}}, "%Z gives '+14'"),
        ({"target": {"tag": "%{1}"}}, "there is no group %{1}"),
        ({"triggers": []}, "needs at least one trigger"),
        ({"referrers": {"carry": "some"}}, "'all' or 'none'"),
        ({"referrers": {"artifact_types": []}}, "needs at least one value"),
        ({"referrers": {"artifact_types": ["an sbom"]}}, "'an sbom' is no artifact type"),
        ({"referrers": {"carry": "none", "artifact_types": ["a/b"]}}, "says that nothing does"),
        ({"existing_images": "maybe"}, "'consider' or 'ignore'"),
        ({"limits": {"images_per_run": 0}}, "greater than or equal to 1"),
        ({"limits": {"images_per_run": "5"}}, "valid integer"),
        ({"limits": {"images_per_run": True}}, "valid integer"),
        ({"description": "x" * 2001}, "at most 2000 characters"),
        ({"platforms": []}, "needs at least one value"),
        ({"platforms": "linux/amd64"}, "must be a list"),
        ({"platforms": ["linux"]}, "'linux' is no platform"),
        ({"platforms": ["linux/amd64", "Linux/arm64"]}, "'Linux/arm64' is no platform"),
        ({"platforms": ["linux/arm/v7/x"]}, "is no platform"),
        ({"platforms": ["linux/" + "a" * 100]}, "is no platform"),
        ({"foreign_layers": "fetch"}, "'skip', 'copy' or 'refuse'"),
        ({"owner": "me"}, "Extra inputs"),
    ],
)
def test_what_a_policy_must_not_say_is_refused(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        policy_with(**changes)


@pytest.mark.parametrize("schedule", ["manual", "*/5 * * * *", "0 3 * * mon-fri", "@daily"])
def test_a_schedule_is_cron_or_manual(schedule: str) -> None:
    assert policy_with(schedule=schedule).schedule == schedule


@pytest.mark.parametrize(
    ("schedule", "reason"),
    [
        ("*/5 * * *", "it has 4 of five fields"),
        ("* * * * * *", "it has 6 of five fields"),
        ("hourly", "is no cron expression"),
        ("61 * * * *", "is no cron expression"),
        ("*/0 * * * *", "is no cron expression"),
        ("@reboot", "is no cron expression"),
        ("R * * * *", "is no cron expression"),
        ("r(1-5) * * * *", "is no cron expression"),
        ("H H * * *", "is no cron expression"),
        ("0 0 31 2 *", "names a day that never comes"),
        ("Manual", "is no cron expression"),
    ],
)
def test_what_never_runs_or_runs_at_random_is_no_schedule(schedule: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        policy_with(schedule=schedule)


def test_a_policy_that_would_change_nothing_is_refused() -> None:
    here = {"connection": "dev_registry", "repository": "dev/website"}
    with pytest.raises(ValueError, match="nothing would change"):
        policy_with(target=here)
    with pytest.raises(ValueError, match="nothing would change"):
        policy_with(source={"repository": "dev/*"}, target={**here, "repository": "dev/{name}"})

    policy_with(target={**here, "tag": "qa-%n"})


def test_the_target_tag_is_the_time_in_the_policys_zone() -> None:
    policy = policy_with(target={"tag": "%n-%Y%m%d-%H%Z", "timezone": "Asia/Tokyo"})

    assert policy.render_tag("1", datetime(2026, 12, 31, 20, tzinfo=UTC)) == "1-20270101-05JST"


def test_the_target_tag_is_made_of_the_groups_of_the_only_expression() -> None:
    policy = policy_with(MATCHES, target={"tag": "%{version}-%{1}%{2}"})

    assert policy.captured_groups("v1.4-rc1") == {"1": "1.4", "2": "-rc1", "version": "1.4"}
    assert policy.render_tag("v1.4-rc1", NOW) == "1.4-1.4-rc1"


def test_with_two_expressions_groups_go_by_name() -> None:
    other = {"tag": {"matches": "(?P<first>.).*"}}

    policy = policy_with(MATCHES, other, target={"tag": "%{first}-%{version}"})
    assert policy.render_tag("v1.4", NOW) == "v-1.4"
    with pytest.raises(ValueError, match=r"there is no group %\{1\}"):
        policy_with(MATCHES, other, target={"tag": "%{1}"})


def test_two_groups_of_one_name_in_two_expressions_are_refused() -> None:
    with pytest.raises(ValueError, match="two groups of the name version"):
        policy_with(MATCHES, MATCHES, target={"tag": "%{version}"})


@pytest.mark.parametrize("outer", ["any", "not"])
def test_groups_within_any_and_not_cannot_be_used(outer: str) -> None:
    trigger = {outer: MATCHES if outer == "not" else [MATCHES]}

    with pytest.raises(ValueError, match=r"there is no group %\{version\}"):
        policy_with(trigger, target={"tag": "%{version}"})
    policy_with({"all": [MATCHES]}, target={"tag": "%{version}"})


def test_a_tag_that_the_template_spoils_is_a_policy_error() -> None:
    with pytest.raises(PolicyError, match="129 characters"):
        policy_with(target={"tag": "%n-"}).render_tag("x" * 128, NOW)


@given(policy_documents)
@settings(max_examples=150)
def test_a_policy_comes_back_from_its_document(document: dict[str, object]) -> None:
    policy = Policy.model_validate(document)
    again = Policy.from_document(policy.document())

    assert again == policy
    assert again.hash == policy.hash
    assert again.document() == policy.document()
    assert again.criterion == policy.criterion


@pytest.mark.parametrize("document", ["{}", "", "[]", '{"name": "x"}', "nonsense"])
def test_what_is_no_document_of_this_version_is_a_policy_error(document: str) -> None:
    with pytest.raises(PolicyError, match="recorded policy cannot be read") as caught:
        Policy.from_document(document)
    assert caught.value.advice


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "other"},
        {"description": "words"},
        {"schedule": "@daily"},
        {"limits": {"images_per_run": 1}},
        {"target": {"tag": "%n", "timezone": "UTC", "existing_tag": "fail"}},
    ],
)
def test_what_decides_nothing_leaves_the_hash_alone(changes: dict[str, object]) -> None:
    assert policy_with(**changes).hash == policy_with().hash


def test_a_duration_has_one_hash_however_it_is_written() -> None:
    week, days = ({"updated": {"older_than": each}} for each in ("1w", "7d"))

    assert policy_with(week).hash == policy_with(days).hash


@pytest.mark.parametrize(
    "changes",
    [
        {"triggers": [{"tag": {"ends_with": "-lts"}}]},
        {"triggers": [{"tag": {"starts_with": "-stable"}}]},
        {"triggers": [{"not": {"tag": {"ends_with": "-stable"}}}]},
        {"triggers": [{"tag": {"ends_with": "-stable"}}, {"tag": {"contains": "1"}}]},
        {"source": {"repository": "dev/shop"}},
        {"source": {"connection": "other"}},
        {"target": {"repository": "qa/shop"}},
        {"target": {"connection": "other"}},
        {"target": {"tag": "x%n"}},
        {"target": {"timezone": "Europe/Berlin"}},
        {"target": {"existing_tag": "skip"}},
        {"existing_images": "ignore"},
    ],
)
def test_what_decides_changes_the_hash(changes: dict[str, object]) -> None:
    assert policy_with(**changes).hash != policy_with().hash


def test_a_policy_does_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        policy_with().name = "other"  # type: ignore[misc]  # that is the point


def test_the_document_is_json_whose_keys_are_those_of_the_file() -> None:
    document = json.loads(policy_with({"not": {"tag": {"equals": "é"}}}).document())

    assert document["triggers"] == [{"not": {"tag": {"equals": ["é"]}}}]
    assert set(document_of()) <= set(document)


@pytest.mark.parametrize(
    ("patterns", "artifact_type", "wanted"),
    [
        (["application/spdx+json"], "application/spdx+json", True),
        (["application/spdx+json"], "Application/SPDX+JSON", True),
        (["application/spdx+json"], "application/spdx+json2", False),
        (["application/spdx.json"], "application/spdx+json", False),
        (["application/vnd.dev.sigstore.*"], "application/vnd.dev.sigstore.bundle.v0.3+json", True),
        (["application/vnd.dev.sigstore.*"], "application/vnd.dev.cosign.x", False),
        (["*sbom*", "text/*"], "text/plain", True),
        (["*"], "anything, as a registry says\n", True),
    ],
)
def test_artifact_types_are_wanted_by_pattern(
    patterns: list[str], artifact_type: str, wanted: bool
) -> None:
    policy = policy_with(referrers={"artifact_types": patterns})

    assert policy.referrers.wants(artifact_type) is wanted


def test_a_policy_that_carries_nothing_wants_nothing() -> None:
    assert not policy_with(referrers={"carry": "none"}).referrers.wants("application/spdx+json")


def test_a_policy_that_says_nothing_new_has_the_hash_it_always_had() -> None:
    assert policy_with().hash == (
        "sha256:911e56f1cba0fe8c53ed73e4a900b7b5f47c9a94e0bd420544a8f7db4a877027"
    )
    assert policy_with(foreign_layers="skip").hash == policy_with().hash


def test_which_parts_of_an_image_go_is_part_of_the_version_and_the_order_is_not() -> None:
    both = policy_with(platforms=["linux/amd64", "linux/arm64"])
    versions = [
        policy_with(),
        both,
        policy_with(platforms=["linux/amd64"]),
        policy_with(foreign_layers="copy"),
        policy_with(foreign_layers="refuse"),
    ]

    assert len({each.hash for each in versions}) == len(versions)
    assert policy_with(platforms=["linux/arm64", "linux/amd64", "linux/arm64"]).hash == both.hash


def test_what_goes_along_is_part_of_the_version_and_the_default_is_not() -> None:
    usual = policy_with()

    assert policy_with(referrers={"carry": "all"}).hash == usual.hash
    assert policy_with(referrers={"carry": "none"}).hash != usual.hash
    assert policy_with(referrers={"artifact_types": ["a/b"]}).hash != usual.hash
