from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_promotion.policy.refusal import RefusalError
from image_promotion.policy.repositories import is_repository, name_in, require_repository
from tests.support.policies import policy_with


@pytest.mark.parametrize(
    "text", ["a", "dev/website", "a/b/c/d", "a.b_c__d-e---f", "0/1", "x" * 255]
)
def test_a_repository_is_paths_of_lower_case_names(text: str) -> None:
    assert is_repository(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Dev/website",
        "dev/",
        "/dev",
        "dev//website",
        "dev/website:latest",
        "registry.example.com:5000/dev",
        "dev/-x",
        "a..b",
        "a___b",
        "dev/*",
        "a\n",
        "x" * 256,
    ],
)
def test_what_else_there_is_is_no_repository(text: str) -> None:
    assert not is_repository(text)
    with pytest.raises(RefusalError, match="is no repository") as caught:
        require_repository(text, "{name}")
    assert "without the registry's address" in caught.value.allowed


@pytest.mark.parametrize(
    ("pattern", "repository", "name"),
    [
        ("dev/website", "dev/website", ""),
        ("dev/website", "dev/website2", None),
        ("dev/*", "dev/website", "website"),
        ("dev/*", "dev/team/website", None),
        ("dev/*", "dev/", None),
        ("dev/*", "qa/website", None),
        ("*/website", "dev/website", "dev"),
        ("dev/web-*-app", "dev/web-shop-app", "shop"),
        ("dev/web-*-app", "dev/web-app", None),
        ("*", "website", "website"),
        ("*", "dev/website", None),
        ("a*a", "a", None),
        ("a*a", "aba", "b"),
    ],
)
def test_a_star_stands_for_any_name_without_a_slash(
    pattern: str, repository: str, name: str | None
) -> None:
    assert name_in(pattern, repository) == name


def test_a_pattern_says_where_images_go() -> None:
    policy = policy_with(source={"repository": "dev/*"}, target={"repository": "qa/{name}-app"})

    assert policy.repository_is_pattern
    assert policy.matches_repository("dev/website")
    assert not policy.matches_repository("qa/website")
    assert policy.target_repository_for("dev/website") == "qa/website-app"


def test_one_repository_goes_to_one() -> None:
    policy = policy_with()

    assert not policy.repository_is_pattern
    assert policy.matches_repository("dev/website")
    assert not policy.matches_repository("dev/website-2")
    assert policy.target_repository_for("dev/website") == "qa/website"


@pytest.mark.parametrize(
    ("source", "target"),
    [("dev/*", "qa/website"), ("dev/website", "qa/{name}")],
)
def test_a_star_and_a_name_go_together(source: str, target: str) -> None:
    with pytest.raises(ValueError, match="does not go with source"):
        policy_with(source={"repository": source}, target={"repository": target})


@pytest.mark.parametrize(
    ("source", "target"), [("dev/web*", "qa/{name}"), ("dev/*app", "qa/{name}")]
)
def test_a_star_that_may_stand_for_a_separator_needs_a_like_place_in_the_target(
    source: str, target: str
) -> None:
    with pytest.raises(ValueError, match="would be no repository"):
        policy_with(source={"repository": source}, target={"repository": target})


components = st.from_regex(r"[a-z0-9]{1,2}((\.|_|__|-{1,3})[a-z0-9]{1,2}){0,3}", fullmatch=True)


@given(
    st.sampled_from(
        [
            ("dev/*", "qa/{name}"),
            ("dev/a*", "qa/a{name}"),
            ("dev/a*", "qa/b{name}c"),
            ("dev/*a", "qa/{name}a"),
            ("dev/a-*", "qa/{name}"),
            ("dev/a_*", "qa/x.{name}"),
            ("dev/*.a", "qa/{name}-x"),
        ]
    ),
    components,
)
def test_what_matches_goes_to_a_legal_repository(pair: tuple[str, str], component: str) -> None:
    policy = policy_with(source={"repository": pair[0]}, target={"repository": pair[1]})
    repository = f"dev/{component}"

    if policy.matches_repository(repository):
        assert is_repository(policy.target_repository_for(repository))


@given(components)
def test_every_repository_of_a_folder_matches_its_pattern(component: str) -> None:
    policy = policy_with(source={"repository": "dev/*"}, target={"repository": "qa/{name}"})

    assert policy.target_repository_for(f"dev/{component}") == f"qa/{component}"
