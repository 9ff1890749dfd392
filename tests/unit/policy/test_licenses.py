from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_promotion.policy.licenses import (
    MAX_LENGTH,
    MAX_PARENTHESES,
    Expression,
    is_said,
    read_expression,
    stem_of,
)


def shape(expression: Expression) -> str:
    """Return an expression with parentheses around everything that is joined."""
    if not expression.parts:
        return expression.name
    joint = " OR " if expression.is_choice else " AND "
    return f"({joint.join(shape(each) for each in expression.parts)})"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("MIT", "MIT"),
        ("(MIT)", "MIT"),
        ("mit or apache-2.0", "(MIT OR Apache-2.0)"),
        ("MIT AND ISC OR Zlib", "((MIT AND ISC) OR Zlib)"),
        ("MIT AND (ISC OR Zlib)", "(MIT AND (ISC OR Zlib))"),
        ("GPL-3.0-only AND (MIT)", "(GPL-3.0-only AND MIT)"),
        ("Apache License 2.0 OR MIT License", "(Apache-2.0 OR MIT)"),
        ("Apache License, Version 2.0 OR MIT", "(Apache-2.0 OR MIT)"),
        ("GPL v2 or later and MIT", "(GPL-2.0-or-later AND MIT)"),
        ("GPL-1.0+ OR Artistic-1.0", "(GPL-1.0-or-later OR Artistic-1.0)"),
        ("LicenseRef-foo AND GPL-2", "(foo AND GPL-2.0-only)"),
        ("gpl-2.0 WITH classpath-exception-2.0", "GPL-2.0-only WITH Classpath-exception-2.0"),
        (
            "Apache-2.0 WITH LLVM-exception OR NCSA",
            "(Apache-2.0 WITH LLVM-exception OR NCSA)",
        ),
        ("GPL-3.0-only WITH made-up", "(GPL-3.0-only)"),
        ("MIT WITH made-up OR ISC", "(MIT OR ISC)"),
        ("MIT, BSD-3-Clause", "(MIT AND BSD-3-Clause)"),
        ("GPL-3.0; foo", "(GPL-3.0-only AND foo)"),
        ("MIT/Apache-2.0", "(MIT OR Apache-2.0)"),
        ("GPL-3.0/MIT AND foo", "((GPL-3.0-only OR MIT) AND foo)"),
        ("MIT | ISC", "(MIT OR ISC)"),
        ("MIT & ISC", "(MIT AND ISC)"),
        ("zlib/libpng", "Zlib"),
        ("Common Development and Distribution License", "CDDL-1.0"),
        ("Frobnicator and Friends", "(frobnicator AND friends)"),
        ("a/b", "a b"),
        ("https://example.org/license", "https example org"),
    ],
)
def test_expressions_lists_and_words_are_read(text: str, expected: str) -> None:
    assert shape(read_expression(text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("GPL-3.0-only AND (", "(GPL-3.0-only)"),
        ("MIT (GPL-3.0-only)", "(MIT AND GPL-3.0-only)"),
        ("MIT OR OR GPL-3.0-only", "(MIT AND GPL-3.0-only)"),
        ("GPL-3.0-only WITH", "(GPL-3.0-only)"),
        ("AND AND", "and and"),
    ],
)
def test_in_what_cannot_be_read_every_known_license_binds(text: str, expected: str) -> None:
    assert shape(read_expression(text)) == expected


def test_expressions_that_are_too_long_or_too_deep_are_read_within_bounds() -> None:
    deep = "(" * (MAX_PARENTHESES + 1) + "MIT" + ")" * (MAX_PARENTHESES + 1)

    assert read_expression(f"{deep} OR ISC").avoids({"MIT"}) is False
    assert read_expression("MIT AND " * MAX_LENGTH).parts == ()
    nested = "(ISC OR " * (MAX_PARENTHESES // 2) + "MIT" + ")" * (MAX_PARENTHESES // 2)
    assert set(read_expression(nested).licenses()) >= {"MIT", "ISC"}


@pytest.mark.parametrize(
    ("text", "listed", "avoids"),
    [
        ("MIT", {"MIT"}, False),
        ("MIT", {"ISC"}, True),
        ("MIT OR GPL-3.0-only", {"GPL-3.0-only"}, True),
        ("MIT OR GPL-3.0-only", {"GPL-3.0-only", "MIT"}, False),
        ("MIT AND GPL-3.0-only", {"GPL-3.0-only"}, False),
        ("MIT AND (ISC OR GPL-3.0-only)", {"GPL-3.0-only"}, True),
        ("GPL-3.0-only AND (ISC OR MIT)", {"GPL-3.0-only"}, False),
        ("GPL-3.0-or-later", {"GPL-3.0-only"}, True),
        ("GPL-2.0-only WITH Classpath-exception-2.0", {"GPL-2.0-only"}, True),
        ("GPL-2.0-only WITH made-up", {"GPL-2.0-only"}, False),
        ("Frobnicator and Friends", {"frobnicator and friends"}, False),
    ],
)
def test_a_choice_avoids_what_one_of_its_branches_avoids(
    text: str, listed: set[str], avoids: bool
) -> None:
    assert read_expression(text).avoids(listed) is avoids


@pytest.mark.parametrize("text", ["", " ", "NONE", "NOASSERTION", "unknown"])
def test_words_for_no_license_are_none(text: str) -> None:
    assert not is_said(text)
    assert is_said("MIT")


def test_near_licenses_have_the_same_stem() -> None:
    near = [
        "GPL-3.0-only",
        "GPL-3.0-or-later",
        "GPL-3.0-only WITH GCC-exception-3.1",
        "GPL-3.0-or-later WITH GCC-exception-3.1",
    ]

    assert {stem_of(each) for each in near} == {"GPL-3.0"}
    assert stem_of("MIT") == "MIT"


@dataclass(frozen=True)
class Node:
    """An expression as a test makes it."""

    text: str
    ways: frozenset[frozenset[str]]
    """Each way to comply: the licenses that are then complied with."""


_LICENSES = ["MIT", "ISC", "Zlib", "GPL-3.0-only", "Apache-2.0"]
_leaf = st.sampled_from(_LICENSES).map(lambda each: Node(each, frozenset({frozenset({each})})))


def _either(parts: list[Node]) -> Node:
    return Node(
        f"({' OR '.join(each.text for each in parts)})",
        frozenset().union(*(each.ways for each in parts)),
    )


def _both(parts: list[Node]) -> Node:
    ways: set[frozenset[str]] = {frozenset()}
    for each in parts:
        ways = {way | further for way in ways for further in each.ways}
    return Node(f"({' AND '.join(each.text for each in parts)})", frozenset(ways))


_nodes = st.recursive(
    _leaf,
    lambda inner: (
        st.lists(inner, min_size=2, max_size=3).map(_either)
        | st.lists(inner, min_size=2, max_size=3).map(_both)
    ),
    max_leaves=6,
)


@given(_nodes, st.sets(st.sampled_from(_LICENSES)))
def test_licenses_are_avoided_if_there_is_a_way_to_comply_without_them(
    node: Node, listed: set[str]
) -> None:
    expected = any(way.isdisjoint(listed) for way in node.ways)

    assert read_expression(node.text).avoids(listed) is expected


@given(_nodes)
def test_all_licenses_of_an_expression_are_named(node: Node) -> None:
    named = set(read_expression(node.text).licenses()) & set(_LICENSES)

    assert named == frozenset().union(*node.ways)


@given(st.lists(st.sampled_from(["MIT", "(", ")", "OR", "and", "with", ",", "/", "foo", "GPL-3+"])))
def test_any_text_is_read_and_hides_no_license_that_stands_in_it_alone(tokens: list[str]) -> None:
    expression = read_expression(" ".join(tokens))

    if not {"OR", "/"} & set(tokens):
        for token, license_ in (("MIT", "MIT"), ("GPL-3+", "GPL-3.0-or-later")):
            alone = [
                each
                for n, each in enumerate(tokens)
                if each == token
                and not {*tokens[max(0, n - 1) : n], *tokens[n + 1 : n + 2]}
                & {"foo", "MIT", "GPL-3+"}
                and "with" not in tokens[max(0, n - 1) : n]
            ]
            assert not alone or not expression.avoids({license_}), tokens
