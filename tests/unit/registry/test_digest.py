from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_promotion.errors import InvalidReferenceError
from image_promotion.registry.digest import Digest


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@given(content=st.binary())
def test_a_computed_digest_is_the_hash_and_reads_back_as_itself(
    algorithm: str, content: bytes
) -> None:
    digest = Digest.of(content, algorithm)

    assert digest.encoded == hashlib.new(algorithm, content).hexdigest()
    assert str(digest) == f"{algorithm}:{digest.encoded}"
    assert Digest.parse(str(digest)) == digest


def test_a_hasher_fed_piece_by_piece_gives_the_same_hash() -> None:
    digest = Digest.of(b"one two", "sha512")
    hasher = digest.hasher()
    hasher.update(b"one ")
    hasher.update(b"two")

    assert hasher.hexdigest() == digest.encoded


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "has no colon"),
        ("a" * 64, "has no colon"),
        (":" + "a" * 64, "name of an algorithm"),
        ("SHA256:" + "a" * 64, "name of an algorithm"),
        ("md5:" + "a" * 32, "algorithm md5, which is not supported"),
        ("sha384:" + "a" * 96, "algorithm sha384, which is not supported"),
        ("sha256:" + "a" * 63, "63 characters"),
        ("sha256:" + "a" * 65, "65 characters"),
        ("sha512:" + "a" * 64, "64 characters"),
        ("sha256:" + "A" * 64, "other than 0-9 and a-f"),
        ("sha256:" + "g" * 64, "other than 0-9 and a-f"),
        ("sha256:" + "a" * 63 + "\n", "other than 0-9 and a-f"),
        ("sha256:" + "٣" * 64, "other than 0-9 and a-f"),
    ],
)
def test_what_is_no_digest_is_refused_with_the_rule_it_breaks(text: str, rule: str) -> None:
    with pytest.raises(InvalidReferenceError, match=rule) as refused:
        Digest.parse(text)

    assert refused.value.text == text
    assert refused.value.advice


@given(st.text())
def test_any_text_is_a_digest_or_a_refusal(text: str) -> None:
    try:
        assert str(Digest.parse(text)) == text
    except InvalidReferenceError as error:
        assert len(str(error)) < 2000  # noqa: PT017 - either outcome is right


def test_an_unknown_algorithm_computes_nothing() -> None:
    with pytest.raises(InvalidReferenceError):
        Digest.of(b"", "md5")
