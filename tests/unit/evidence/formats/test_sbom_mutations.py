"""Whatever happens to a document, it is a report or is refused as evidence."""

from __future__ import annotations

import copy
from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from image_promotion.errors import UnreadableEvidenceError
from image_promotion.evidence.formats.recognition import read_report
from image_promotion.evidence.report import Report
from tests.support import sboms
from tests.support.sboms import Document, written

DOCUMENTS: tuple[Document, ...] = tuple(make(11) for make in sboms.JSON_FORMATS.values())
TEXTS: tuple[bytes, ...] = tuple(sboms.in_each_format(2).values())

ANOTHER_VALUE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(
        ["", "NOASSERTION", "SPDX-2.3", "1.6", "\ud800", "pkg:oci/a@sha256:", "(AND"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def _places(value: object) -> Iterator[tuple[dict[str, object] | list[object], str | int]]:
    """Yield every member and entry of a document, by what holds it and where in it."""
    if isinstance(value, dict):
        for name in value:
            yield value, name
            yield from _places(value[name])
    elif isinstance(value, list):
        for position, entry in enumerate(value):
            yield value, position
            yield from _places(entry)


def _read(content: bytes) -> Report | None:
    try:
        return read_report(content)
    except UnreadableEvidenceError:
        return None


def _change(data: st.DataObject, document: Document) -> None:
    places = list(_places(document))
    if not places:  # all is gone already
        return
    holder, place = data.draw(st.sampled_from(places))
    gone = data.draw(st.booleans())
    other = None if gone else data.draw(ANOTHER_VALUE)
    if isinstance(holder, dict) and isinstance(place, str):
        holder[place] = other
        if gone:
            del holder[place]
    elif isinstance(holder, list) and isinstance(place, int):
        holder[place : place + 1] = [] if gone else [other]


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_a_document_with_members_gone_or_changed_is_a_report_or_refused(
    data: st.DataObject,
) -> None:
    document = copy.deepcopy(data.draw(st.sampled_from(DOCUMENTS)))
    for _ in range(data.draw(st.integers(1, 3))):
        _change(data, document)
    _read(written(document))


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_refused(content: bytes) -> None:
    assert _read(content) is None
    assert _read(b"<" + content) is None
    assert _read(b"{" + content + b"}") is None


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_a_document_with_bytes_changed_is_a_report_or_refused(data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from(TEXTS)))
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(content) - 1))
        length = data.draw(st.integers(0, 30))
        content[position : position + length] = data.draw(st.binary(max_size=5))
    _read(bytes(content))


@given(st.sampled_from(TEXTS), st.integers(0, 3000))
@settings(max_examples=100, deadline=None)
def test_a_document_that_breaks_off_is_refused(content: bytes, length: int) -> None:
    assert _read(content[: min(length, len(content.rstrip()) - 1)]) is None
