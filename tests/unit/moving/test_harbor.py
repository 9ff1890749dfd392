from __future__ import annotations

import fnmatch
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from image_promotion.moving.findings import Draft, Findings
from image_promotion.moving.harbor import read_harbor
from image_promotion.moving.patterns import trigger_of_glob
from image_promotion.moving.policy_file import make_files
from image_promotion.policy.criteria.verdict import Verdict
from image_promotion.policy.loading import load_policy
from image_promotion.policy.model import Policy
from image_promotion.registry.endpoint import RegistryType
from tests.support.policies import NOW, facts, policy_with

SECRET = "canary-9fK2-secret"

LOCAL = {"id": 0, "name": "Local", "type": "harbor", "url": "http://core:8080", "insecure": True}
REMOTE = {
    "id": 4,
    "name": "qa",
    "type": "harbor",
    "url": "https://qa.example.com",
    "insecure": False,
    "credential": {"type": "basic", "access_key": "robot$ci", "access_secret": SECRET},
    "status": "healthy",
}
HUB = {"id": 3, "name": "hub", "type": "docker-hub", "url": "https://hub.docker.com"}


def rule(**changes: object) -> dict[str, object]:
    return {
        "id": 1,
        "name": "website to qa",
        "description": "",
        "src_registry": LOCAL,
        "dest_registry": REMOTE,
        "dest_namespace": "",
        "dest_namespace_replace_count": 1,
        "trigger": {"type": "manual", "trigger_settings": {"cron": ""}},
        "filters": [{"type": "name", "value": "dev/website"}],
        "replicate_deletion": False,
        "deletion": False,
        "override": True,
        "enabled": True,
        "speed": -1,
        "copy_by_chunk": False,
        "creation_time": "2024-01-01T00:00:00Z",
    } | changes


def name(value: str) -> list[object]:
    return [{"type": "name", "value": value}]


def read(*documents: object) -> Findings:
    return read_harbor(documents, local="harbor")


def draft_of(**changes: object) -> Draft:
    findings = read([rule(**changes)])
    assert not findings.left_out
    (draft,) = findings.drafts
    return draft


def policy_of(draft: Draft, folder: Path) -> Policy:
    (file,), left_out = make_files([draft])
    assert not left_out
    path = folder / file.file_name
    path.write_text(file.text)
    return load_policy(path)


def reason_of(**changes: object) -> str:
    findings = read([rule(**changes)])
    _, invalid = make_files(findings.drafts)
    (left_out,) = [*findings.left_out, *invalid]
    return left_out.reason


def test_a_pushing_rule_leads_from_this_harbor_to_the_registry(tmp_path: Path) -> None:
    policy = policy_of(draft_of(), tmp_path)

    assert (policy.source.connection, policy.source.repository) == ("harbor", "dev/website")
    assert (policy.target.connection, policy.target.repository) == ("qa_example_com", "dev/website")
    assert policy.schedule == "manual"


def test_a_pulling_rule_leads_from_the_registry_to_this_harbor(tmp_path: Path) -> None:
    findings = read([rule(src_registry=HUB, dest_registry=LOCAL, filters=name("library/alpine"))])
    policy = policy_of(findings.drafts[0], tmp_path)

    assert (policy.source.connection, policy.target.connection) == ("docker_io", "harbor")
    assert findings.connections[0].registry_type is RegistryType.DOCKER_HUB


def test_registries_may_come_in_a_list_of_their_own() -> None:
    bare = rule(dest_registry={"id": 4, "name": "qa"})

    for documents in ([[bare], [REMOTE]], [{"policies": [bare], "registries": [REMOTE]}]):
        findings = read(*documents)
        assert findings.drafts[0].target.connection == "qa_example_com"
        assert findings.connections[0].registry_type is RegistryType.HARBOR


def test_no_secret_is_carried_and_its_place_is_named() -> None:
    findings = read([rule()], [REMOTE])
    (connection,) = findings.connections

    assert SECRET not in repr(findings) + connection.command
    assert connection.login == "robot$ci"
    assert any("qa_example_com must hold it" in note for note in findings.drafts[0].notes)


def test_keys_of_a_cloud_are_no_user_name() -> None:
    cloud = REMOTE | {"type": "aws-ecr"}
    (connection,) = read([rule(dest_registry=cloud)]).connections

    assert connection.login is None
    assert any("aws-ecr" in note for note in connection.notes)


@pytest.mark.parametrize(
    ("repository", "count", "target"),
    [
        ("a/b/c", -1, "n/c"),
        ("a/b/c", 0, "n/a/b/c"),
        ("a/b/c", 1, "n/b/c"),
        ("a/b/c", 2, "n/c"),
        ("a/b/c", 3, "n"),
        ("a/b/c", None, "n/c"),
        ("a/web*", 1, "n/web{name}"),
        ("a/*", 0, "n/a/{name}"),
    ],
)
def test_the_namespace_replaces_as_many_parts_as_in_harbor(
    repository: str, count: int | None, target: str
) -> None:
    draft = draft_of(
        filters=name(repository), dest_namespace="n", dest_namespace_replace_count=count
    )

    assert draft.target.repository == target
    assert make_files([draft])[1] == []


def test_alternatives_become_a_policy_each_and_deeper_repositories_are_told() -> None:
    findings = read([rule(filters=name("dev/{api,web*}/**"))])

    assert [each.source.repository for each in findings.drafts] == ["dev/api/*", "dev/web*/*"]
    assert all("further down" in each.notes[-1] for each in findings.drafts)
    files, left_out = make_files(findings.drafts)
    assert [each.name for each in files] == ["dev-api-all-to-qa-example-com-dev-api-all"]
    assert "more than one *" in left_out[0].reason


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"filters": None}, "every repository"),
        ({"filters": name("dev/web?")}, "cannot be carried"),
        ({"filters": name("**/website")}, "more than one *"),
        ({"filters": name(f"dev/{{{','.join(map(str, range(60)))}}}")}, "more than 50 choices"),
        ({"filters": [*name("a/b"), *name("a/*")]}, "more than once"),
        (
            {"filters": [{"type": "name", "value": "a/b", "decoration": "excludes"}]},
            "leaves names out",
        ),
        ({"filters": [*name("a/b"), {"type": "label", "value": ["qa"]}]}, "label"),
        ({"filters": [*name("a/b"), {"type": "resource", "value": "chart"}]}, "resource = chart"),
        ({"filters": [*name("a/b"), {"type": "tag", "value": "a{b"}]}, "cannot be carried"),
        ({"filters": name("*/web"), "dest_namespace": "n"}, "into one"),
        (
            {"dest_namespace": "n", "dest_namespace_replace_count": 3},
            "replaces 3 parts of the name dev/website",
        ),
        ({"trigger": {"type": "moon"}}, "no trigger moon"),
        (
            {"trigger": {"type": "scheduled", "trigger_settings": {"cron": "0 0 31 2 *"}}},
            "schedule:",
        ),
        ({"dest_registry": {"id": 9, "url": f"https://a:{SECRET}@b"}}, "user name or password"),
        ({"dest_registry": {"id": 9}}, "url is missing"),
        ({"dest_registry": LOCAL}, "nothing would change"),
    ],
)
def test_what_would_let_more_through_or_be_invalid_is_left_out_with_its_reason(
    changes: dict[str, object], said: str
) -> None:
    reason = reason_of(**changes)

    assert said in reason
    assert SECRET not in reason


def test_what_only_adds_is_noted() -> None:
    draft = draft_of(
        filters=[*name("dev/website"), {"type": "resource", "value": "image"}],
        replicate_deletion=True,
        speed=100,
        override=False,
        labels_wanted=["x"],
    )
    notes = " ".join(draft.notes)

    for said in ("images alone", "deleted", "100 KB/s", "labels_wanted"):
        assert said in notes
    assert draft.existing_tag == "skip"


@pytest.mark.parametrize(
    ("trigger", "schedule"),
    [
        ({"type": "manual"}, "manual"),
        ({"type": "event_based"}, "*/5 * * * *"),
        (
            {"type": "scheduled", "trigger_settings": {"cron": "0 15 2 * * 1-5"}},
            "15 2 * * 1-5",
        ),
    ],
)
def test_rules_run_as_they_did_and_disabled_ones_by_hand(
    trigger: dict[str, object], schedule: str, tmp_path: Path
) -> None:
    assert policy_of(draft_of(trigger=trigger), tmp_path).schedule == schedule
    assert draft_of(trigger=trigger, enabled=False).schedule == "manual"


def holds(trigger: object, tag: str) -> bool:
    verdict = policy_with(trigger).criterion.judge(facts(tag), NOW).verdict
    return verdict is Verdict.HELD


_pieces = st.sampled_from(["*", "**", "?", "a", "1", ".", "-", "[a-c]", "[^1]", "v"])


@settings(max_examples=150, deadline=None)
@given(
    st.lists(_pieces, min_size=1, max_size=5).map("".join),
    st.text("ab1.-v", min_size=1, max_size=5),
)
def test_patterns_of_tags_match_what_globs_match(pattern: str, tag: str) -> None:
    """Where a pattern has no braces, Python's own globs say what it matches in a name."""
    expected = fnmatch.fnmatchcase(tag, pattern.replace("[^", "[!"))

    assert holds(trigger_of_glob(pattern), tag) is expected


@pytest.mark.parametrize(
    ("pattern", "trigger"),
    [
        ("latest", {"tag": {"equals": "latest"}}),
        ("v*", {"tag": {"starts_with": "v"}}),
        ("*-stable", {"tag": {"ends_with": "-stable"}}),
        ("**rc**", {"tag": {"contains": "rc"}}),
        ("{1.0,latest}", {"tag": {"is_one_of": ["1.0", "latest"]}}),
        ("{1,2}.*", {"tag": {"matches": r"(?:1|2)\..*"}}),
        (r"a\*b", {"tag": {"matches": r"a\*b"}}),
    ],
)
def test_simple_patterns_read_as_dtrs_operators(pattern: str, trigger: object) -> None:
    assert trigger_of_glob(pattern) == trigger


def test_a_tag_filter_that_excludes_is_turned_round() -> None:
    draft = draft_of(
        filters=[
            *name("dev/website"),
            {"type": "tag", "value": "v*", "decoration": "matches"},
            {"type": "tag", "value": "*-rc", "decoration": "excludes"},
        ]
    )

    judge = policy_with(*draft.triggers).criterion.judge
    assert judge(facts("v1"), NOW).verdict is Verdict.HELD
    assert judge(facts("v1-rc"), NOW).verdict is Verdict.NOT_HELD
    assert judge(facts("1"), NOW).verdict is Verdict.NOT_HELD


def test_one_broken_rule_leaves_the_others() -> None:
    findings = read([rule(), 5, {"a": 1}, rule(filters=5)])

    assert len(findings.drafts) == 1
    assert len(findings.left_out) == 3
