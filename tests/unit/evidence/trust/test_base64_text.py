"""Tests of base64 that is read in one way only."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_promotion.evidence.trust.base64_text import decode_base64


@given(st.binary(max_size=100))
def test_either_alphabet_is_read_with_padding_or_without(content: bytes) -> None:
    for encoded in (b64encode(content).decode(), urlsafe_b64encode(content).decode()):
        assert decode_base64(encoded) == content
        assert decode_base64(encoded.rstrip("=")) == content


@given(st.binary(min_size=1, max_size=60), st.data())
def test_a_changed_bit_never_gives_the_same_bytes(content: bytes, data: st.DataObject) -> None:
    changed = bytearray(b64encode(content))
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= 1 << data.draw(st.integers(0, 7))

    assert decode_base64(changed.decode("latin-1")) != content


@pytest.mark.parametrize(
    "text",
    [
        "TW Fu",  # white space
        "TWFu\n",
        "+_+_",  # both alphabets
        "TWE",  # right without padding; the next are not
        "TQ=",
        "TQ===",
        "TWFu=",
        "=",
        "T",
        "TR==",  # bits after the last byte
        "TWF=",
        "TWFuTQ==TWFu",
        "\uff34WFu",
    ],
)
def test_what_readers_would_read_differently_is_refused(text: str) -> None:
    assert (decode_base64(text) is None) == (text != "TWE")


@given(st.text(max_size=30))
def test_any_text_gives_bytes_or_none(text: str) -> None:
    content = decode_base64(text)

    assert content is None or text.rstrip("=").replace("-", "+").replace("_", "/") == b64encode(
        content
    ).decode().rstrip("=")
