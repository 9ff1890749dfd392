"""regsync's filters against an oracle of what its own code does."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from image_promotion.errors import PolicyError
from image_promotion.moving.findings import Draft, Findings
from image_promotion.moving.policy_file import make_files
from image_promotion.moving.regsync import read_regsync
from image_promotion.policy.criteria.verdict import Verdict
from image_promotion.policy.loading import load_policy
from image_promotion.policy.model import Policy
from image_promotion.policy.yaml_document import read_document
from tests.support.policies import NOW, facts, policy_with

SECRET = "canary-9fK2-secret"


def entry(**changes: object) -> dict[str, object]:
    return {
        "source": "registry.example.com/team/app",
        "target": "mirror.example.com/app",
        "type": "repository",
        "interval": "60m",
    } | changes


def read(*entries: object, **rest: object) -> Findings:
    return read_regsync({"version": 1, "sync": list(entries), **rest})


def draft_of(**changes: object) -> Draft:
    findings = read(entry(**changes))
    assert not findings.left_out
    (draft,) = findings.drafts
    return draft


def reason_of(**changes: object) -> str:
    findings = read(entry(**changes))
    _, invalid = make_files(findings.drafts)
    (left_out,) = [*findings.left_out, *invalid]
    return left_out.reason


def policy_of(draft: Draft, folder: Path) -> Policy:
    (file,), left_out = make_files([draft])
    assert not left_out
    path = folder / file.file_name
    path.write_text(file.text)
    return load_policy(path)


def test_a_repository_becomes_a_policy_with_its_tags_and_schedule(tmp_path: Path) -> None:
    policy = policy_of(draft_of(tags={"allow": ["latest", "edge"]}), tmp_path)

    assert policy.name == "team-app-to-mirror-example-com-app"
    assert policy.source.connection == "registry_example_com"
    assert policy.target.repository == "app"
    assert policy.schedule == "0 * * * *"
    assert policy.target.existing_tag == "overwrite"
    assert policy.referrers.carry == "none"


def test_an_image_becomes_a_policy_for_its_tag_under_its_new_one(tmp_path: Path) -> None:
    draft = draft_of(source="busybox:1.36", target="localhost:5000/box:stable", type="image")
    policy = policy_of(draft, tmp_path)

    assert (policy.source.connection, policy.source.repository) == ("docker_io", "library/busybox")
    assert policy.criterion.judge(facts("1.36"), NOW).verdict is Verdict.HELD
    assert policy.criterion.judge(facts("1.37"), NOW).verdict is Verdict.NOT_HELD
    assert policy.render_tag("1.36", NOW) == "stable"


def test_an_image_without_a_tag_means_latest() -> None:
    draft = draft_of(source="busybox", target="localhost:5000/box", type="image")

    assert draft.triggers == ({"tag": {"equals": "latest"}},)
    assert draft.tag == "%n"


def test_named_repositories_of_a_registry_become_a_policy_each() -> None:
    findings = read(
        entry(
            source="localhost:5000",
            target="mirror.example.com",
            type="registry",
            repos={"allow": ["team/app", "team/web", "base"], "deny": ["team/w.*|x"]},
        )
    )

    assert [each.source.repository for each in findings.drafts] == ["team/app", "base"]


def test_a_folder_of_a_registry_becomes_a_pattern_and_says_that_it_means_less() -> None:
    draft = draft_of(
        source="localhost:5000",
        target="mirror.example.com",
        type="registry",
        repos={"allow": ["team/.*"]},
    )

    assert (draft.source.repository, draft.target.repository) == ("team/*", "team/{name}")
    assert "further down" in draft.notes[-1]
    assert make_files([draft])[1] == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"source": "localhost:5000", "target": "b.example.com", "type": "registry"},
            "repos.allow",
        ),
        (
            {
                "source": "localhost:5000",
                "target": "b.example.com",
                "type": "registry",
                "repos": {"allow": [".*-prod"]},
            },
            "cannot be carried",
        ),
        (
            {
                "source": "localhost:5000",
                "target": "b.example.com",
                "type": "registry",
                "repos": {"allow": ["a/.*"], "deny": ["a/b"]},
            },
            "leaves out repositories of a pattern",
        ),
        ({"source": "{{ env `X` }}/a"}, "template"),
        ({"source": "ocidir:///var/images"}, "is no registry"),
        ({"source": f"a.example.com/b@sha256:{64 * '0'}", "type": "image"}, "one digest"),
        ({"source": "a.example.com/UPPER"}, ""),
        ({"source": 5}, "not a text"),
        ({"type": "bucket"}, "no type bucket"),
        ({"interval": "soon"}, "cannot be read"),
        ({"schedule": "now and then"}, "schedule:"),
        ({"tags": {"semverRange": [">=1.x"]}}, "cannot be carried"),
        ({"tags": {"allow": ["(a"]}}, "triggers"),
        ({"platform": "amd64"}, "platforms"),
        ({"target": "registry.example.com/team/app"}, "nothing would change"),
    ],
)
def test_what_cannot_be_carried_is_left_out_with_its_reason(
    changes: dict[str, object], said: str
) -> None:
    assert said in reason_of(**changes)


def test_defaults_hold_where_an_entry_says_nothing() -> None:
    defaults = {"interval": "15m", "referrers": True, "backup": "old-{{.Ref.Tag}}"}
    findings = read(
        entry(interval=""), entry(schedule="15 1 * * *", referrers=False), defaults=defaults
    )
    first, second = findings.drafts

    # Where both stand, regsync goes by the schedule.
    assert (first.schedule, second.schedule) == ("*/15 * * * *", "15 1 * * *")
    assert first.referrers is None
    assert second.referrers == {"carry": "none"}
    assert all(any("overwrote" in note for note in each.notes) for each in findings.drafts)


def test_attachments_of_some_types_go_along_as_they_did(tmp_path: Path) -> None:
    draft = draft_of(
        referrers=True,
        referrerFilters=[{"artifactType": "application/spdx+json", "annotations": {"a": "b"}}],
    )

    assert policy_of(draft, tmp_path).referrers.artifact_types == ("application/spdx+json",)
    assert any("annotations" in note for note in draft.notes)


def test_platforms_and_external_layers_are_carried_and_a_new_digest_is_told(
    tmp_path: Path,
) -> None:
    draft = draft_of(platform="linux/amd64", includeExternal=True)
    policy = policy_of(draft, tmp_path)

    assert policy.platforms == ("linux/amd64",)
    assert policy.foreign_layers == "copy"
    assert any("digest of its own" in note for note in draft.notes)


def test_logins_become_connections_without_their_passwords() -> None:
    creds: list[Mapping[str, object]] = [
        {"registry": "registry.example.com", "user": "sync", "pass": SECRET, "reqPerSec": 2.5},
        {"registry": "mirror.example.com", "tls": "insecure", "regcert": SECRET, "token": SECRET},
        {"registry": "localhost:5000", "tls": "disabled"},
    ]
    findings = read(entry(), entry(target="localhost:5000/app"), creds=creds)
    source, target, plain = findings.connections

    assert "--conn-login sync" in source.command
    assert '"requests_per_second": 2.5' in source.command
    assert '"skip_tls_verification": true' in target.command
    assert any("ca_certificate" in note for note in target.notes)
    assert plain.url == "http://localhost:5000"
    files, _ = make_files(findings.drafts)
    assert SECRET not in repr(findings) + "".join(each.text for each in files)
    assert any("registry_example_com must hold it" in n for n in findings.drafts[0].notes)


def test_a_user_name_from_the_environment_is_not_taken_for_one() -> None:
    creds = [{"registry": "registry.example.com", "user": '{{env "HUB_USER"}}', "pass": SECRET}]
    findings = read(entry(), creds=creds)

    assert findings.connections[0].login is None


@pytest.mark.parametrize("content", [{}, {"sync": None}, {"version": 2, "sync": []}])
def test_what_is_no_configuration_of_regsync_is_refused(content: dict[str, object]) -> None:
    with pytest.raises(PolicyError):
        read_regsync(content)


def test_aliases_and_merged_mappings_are_read(tmp_path: Path) -> None:
    path = tmp_path / "regsync.yml"
    path.write_text(
        "x-base: &base {type: repository, interval: 30m, platform: linux/amd64}\n"
        "sync:\n"
        "  - <<: *base\n"
        "    source: alpine\n"
        "    target: localhost:5000/alpine\n"
        "    platform: linux/arm64\n"
    )
    (draft,) = read_regsync(read_document(path).content).drafts

    assert draft.schedule == "*/30 * * * *"
    assert draft.platforms == ("linux/arm64",)


# The oracle: filterTagList of regsync, and its versions, on tags of three numbers.


def finds(patterns: list[str], tag: str) -> bool:
    return any(re.search(f"^{each}$", tag) for each in patterns)


def version_of(text: str) -> tuple[int, ...] | None:
    return (
        tuple(map(int, text.split(".")))
        if re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+", text := text.removeprefix("v"))
        else None
    )


def in_range(expression: str, tag: str) -> bool:
    version = version_of(tag)
    if version is None:
        return False
    return all(holds_part(part, version) for part in expression.split())


_COMPARE = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}


def holds_part(part: str, version: tuple[int, ...]) -> bool:
    match = re.fullmatch(r"(\D*)([0-9.]+)", part)
    assert match
    numbers = [int(each) for each in match[2].split(".")]
    major, minor, patch = bound = (*numbers, *(3 - len(numbers)) * [0])
    if match[1] == "^":
        ends = (major + 1, 0, 0) if major else (0, minor + 1, 0) if minor else (0, 0, patch + 1)
        return bound <= version < ends
    if match[1] == "~":
        return bound <= version < (major, minor + 1, 0)
    compare = _COMPARE.get(match[1], operator.eq)
    return bool(compare(version, bound))


def regsync_copies(sets: list[dict[str, list[str]]], tag: str) -> bool:
    asked = [each for each in sets if any(each.values())]
    return not asked or any(
        (not one["semverRange"] or any(in_range(each, tag) for each in one["semverRange"]))
        and (not one["allow"] or finds(one["allow"], tag))
        and not finds(one["deny"], tag)
        for one in asked
    )


_patterns = st.sampled_from(
    [
        "latest",
        "edge",
        r"v\d+\.\d+\.\d+",
        "v[0-9.]+",
        "1.0.0",
        "a|b",
        "(a|b)",
        "[|]x",
        r"1\.\d+",
        ".*",
    ]
)
_ranges = st.sampled_from(
    [
        ">=1.0.0 <2.0.0",
        "^1.2",
        "^0.2.3",
        "^0.0.3",
        "~1",
        "~1.2.3",
        "1.0.0",
        "=1",
        ">1",
        "<=2",
        "<0.3",
    ]
)
_tags = st.sampled_from(
    [
        *("latest", "edge", "a", "b", "ax", "xb", "xax", "1.0.0", "v1.0.1", "1.2.9", "0.2.4"),
        *("0.0.3", "2.0.0", "1.1.0", "1.0", "v0.3.0", "|x", "nightly"),
    ]
)
_sets = st.fixed_dictionaries(
    {
        "allow": st.lists(_patterns, max_size=2),
        "deny": st.lists(_patterns, max_size=2),
        "semverRange": st.lists(_ranges, max_size=2),
    }
)


@settings(max_examples=150, deadline=None)
@given(st.lists(_sets, max_size=3), _tags)
def test_any_sets_of_tags_copy_the_same_tags(sets: list[dict[str, list[str]]], tag: str) -> None:
    draft = draft_of(tagSets=sets[1:], tags=sets[0] if sets else None)
    policy = policy_with(*yaml.safe_load(yaml.safe_dump(list(draft.triggers))))

    held = policy.criterion.judge(facts(tag), NOW).verdict is Verdict.HELD
    assert held is regsync_copies(sets, tag)


def test_versions_of_two_numbers_and_pre_releases_are_told_to_be_left_out() -> None:
    draft = draft_of(tags={"semverRange": [">=1.0"]})

    assert any("pre-releases" in note for note in draft.notes)
