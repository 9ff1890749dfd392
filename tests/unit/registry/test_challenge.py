"""Reading what a server says about how to log in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_promotion.registry.challenge import (
    Challenge,
    parse_challenges,
    pull_scope,
    push_scope,
    united,
)

REALM = "https://auth.example/token"
BEARER = {
    "realm": REALM,
    "service": "registry",
    "scope": "repository:a/b:pull,push",
}


@pytest.mark.parametrize(
    ("value", "challenges"),
    [
        ('Basic realm="Registry"', [Challenge("basic", {"realm": "Registry"})]),
        (
            f'Bearer realm="{REALM}",service="registry",scope="repository:a/b:pull,push"',
            [Challenge("bearer", BEARER)],
        ),
        (
            f'bearer  Realm = "{REALM}" , SERVICE=registry , scope="repository:a/b:pull,push"',
            [Challenge("bearer", BEARER)],
        ),
        (
            'Negotiate, Basic realm="one, two", Bearer realm="r"',
            [
                Challenge("negotiate", {}),
                Challenge("basic", {"realm": "one, two"}),
                Challenge("bearer", {"realm": "r"}),
            ],
        ),
        (
            'Negotiate YWJj==, Basic realm="x"',
            [Challenge("negotiate", {}), Challenge("basic", {"realm": "x"})],
        ),
        (
            r'Basic realm="say \"hi\" \\ there"',
            [Challenge("basic", {"realm": r'say "hi" \ there'})],
        ),
        ('Bearer realm="first",realm="second"', [Challenge("bearer", {"realm": "first"})]),
        ('Basic realm="unfinished', [Challenge("basic", {})]),
        ("", []),
        ('="nothing"', []),
    ],
)
def test_challenges_are_told_apart(value: str, challenges: list[Challenge]) -> None:
    assert list(parse_challenges([value])) == challenges


def test_challenges_in_several_fields_are_read_in_order() -> None:
    schemes = [c.scheme for c in parse_challenges(['Basic realm="x"', 'Bearer realm="y"'])]
    assert schemes == ["basic", "bearer"]


NAMES = st.from_regex(r"[a-z][a-z0-9_-]{0,8}", fullmatch=True)
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)


@given(
    st.lists(st.tuples(NAMES, st.dictionaries(NAMES, VALUES, min_size=1, max_size=4)), max_size=4)
)
def test_what_is_written_by_the_grammar_is_read_back(
    written: list[tuple[str, dict[str, str]]],
) -> None:
    def quoted(value: str) -> str:
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'

    text = ", ".join(
        f"{scheme} " + ", ".join(f"{name}={quoted(value)}" for name, value in parameters.items())
        for scheme, parameters in written
    )
    assert [(c.scheme, dict(c.parameters)) for c in parse_challenges([text])] == written


@given(st.text())
def test_no_text_breaks_the_reader(text: str) -> None:
    assert isinstance(parse_challenges([text]), tuple)


def test_a_hostile_challenge_is_read_in_no_time() -> None:
    assert parse_challenges(['Basic realm="' + '\\"' * 50_000]) == (Challenge("basic", {}),)


def test_scopes_of_one_resource_are_united() -> None:
    scopes = [pull_scope("a/b"), push_scope("c"), "repository:a/b:push,pull", "registry:catalog:*"]
    assert united(scopes) == (
        "registry:catalog:*",
        "repository:a/b:pull,push",
        "repository:c:pull,push",
    )
