from __future__ import annotations

import gc
import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_promotion.errors import ProtocolViolationError
from image_promotion.registry.document import (
    Fields,
    collector_out_of_the_way,
    read_each_fields,
    read_fields,
)

NESTED = st.recursive(
    st.text(alphabet='"\\[]{}a\u00e9', max_size=6) | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(alphabet='"\\[]{}a', max_size=4), inner, max_size=3)
    ),
    max_leaves=12,
)


def _depth_of(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max((_depth_of(each) for each in value.values()), default=0)
    if isinstance(value, list):
        return 1 + max((_depth_of(each) for each in value), default=0)
    return 0


def _fields(text: str, max_depth: int = 10) -> Fields:
    return read_fields(text.encode(), "the text", max_depth=max_depth)


@given(st.dictionaries(st.text(alphabet='"\\[]{}a', max_size=4), NESTED, max_size=3), st.booleans())
def test_a_text_is_read_exactly_to_the_depth_that_is_allowed(
    document: dict[str, object], ascii_only: bool
) -> None:
    text = json.dumps(document, ensure_ascii=ascii_only)
    depth = _depth_of(document)
    _fields(text, depth)
    with pytest.raises(ProtocolViolationError, match=f"more than {depth - 1} levels deep"):
        _fields(text, depth - 1)


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"\\\\":', '["\\"]", [', "]]]]["])
def test_the_deepest_text_ends_in_the_same_refusal(opening: str) -> None:
    with pytest.raises(ProtocolViolationError):
        _fields(opening * 100_000)


@given(st.text(alphabet='[]{}",:\\a1 ', max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(ProtocolViolationError):
        _fields(text)


@pytest.mark.parametrize(
    ("text", "names"),
    [("{}", [""]), ('{"a": "x"}', ["x"]), ("[]", []), ('[{"a": "x"}, {"a": "y"}]', ["x", "y"])],
)
def test_one_object_or_a_list_of_them_are_read(text: str, names: list[str]) -> None:
    assert [fields.said("a") for fields in read_each_fields(text.encode(), "the text")] == names


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("7", "it is 7, not an object"),
        ("null", "it is null, not an object"),
        ('[{}, "x"]', '[1] is "x", not an object'),
        ("[[{}]]", "[0] is a list, not an object"),
    ],
)
def test_a_list_of_anything_else_is_refused(text: str, said: str) -> None:
    with pytest.raises(ProtocolViolationError) as refused:
        read_each_fields(text.encode(), "the text")
    assert said in str(refused.value)


def test_in_a_list_what_is_wrong_is_named_with_its_place() -> None:
    (_, second) = read_each_fields(b'[{"a": 1}, {"a": 1}]', "the text")
    with pytest.raises(ProtocolViolationError, match=r"the text: \[1\]\.a is 1, not a text"):
        second.text("a")


def test_what_is_wrong_is_named_by_its_path() -> None:
    fields = _fields('{"a": [{}, {"b": {"c\u00e9": 1}}]}')
    inner = fields.each_fields("a")[1].fields("b")
    with pytest.raises(
        ProtocolViolationError, match=r"the text: a\[1\]\.b\.c\\xe9 is 1, not a text"
    ):
        inner.text("c\u00e9")


def test_an_object_of_unknown_kind_is_asked_without_being_refused() -> None:
    fields = _fields('{"text": "t", "list": ["a", 1, "b"], "object": {"x": "y"}, "null": null}')
    assert [fields.said(name) for name in ("text", "list", "null", "gone")] == ["t", "", "", ""]
    assert fields.said_each("text") == ("t",)
    assert fields.said_each("list") == ("a", "b")
    assert fields.said_each("object") == ()
    assert fields.said_fields("text") is None
    inner = fields.said_fields("object")
    assert inner
    assert inner.said("x") == "y"


def test_a_number_is_finite_and_not_a_flag() -> None:
    fields = _fields('{"whole": 7, "part": 7.5, "null": null, "much": 1e400, "flag": true}')
    assert [fields.optional_number(name) for name in ("whole", "part", "null", "gone")] == [
        7.0,
        7.5,
        None,
        None,
    ]
    with pytest.raises(ProtocolViolationError, match="much is too large a number"):
        fields.optional_number("much")
    with pytest.raises(ProtocolViolationError, match="flag is true, not a number"):
        fields.optional_number("flag")


def _fail_without_collector() -> None:
    with collector_out_of_the_way(1 << 30):
        raise RuntimeError(gc.isenabled())


def test_the_collector_is_as_before_after_a_large_text() -> None:
    with pytest.raises(RuntimeError, match="False"):
        _fail_without_collector()
    assert gc.isenabled()
    with collector_out_of_the_way(100):
        assert gc.isenabled(), "a small text is not worth it"
    gc.disable()
    try:
        with collector_out_of_the_way(1 << 30):
            pass
        assert not gc.isenabled(), "whoever paused it goes on pausing it"
    finally:
        gc.enable()
