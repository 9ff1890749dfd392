from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_promotion.evidence.formats.license_words import LicenseWords, word_of

WORDS = {"LicenseRef-1": "Apache 2.0", "LicenseRef-2": "House", "LicenseRef-3": "OR"}


@pytest.mark.parametrize(
    ("expression", "licenses"),
    [
        ("MIT", ("MIT",)),
        ("MIT AND Zlib AND MIT", ("MIT", "Zlib")),
        ("MIT AND (Zlib OR GPL-2.0-only)", ("MIT", "(Zlib OR GPL-2.0-only)")),
        ("(MIT AND Zlib) OR GPL-2.0-only", ("(MIT AND Zlib) OR GPL-2.0-only",)),
        ("MIT AND Zlib OR GPL-2.0-only", ("MIT AND Zlib OR GPL-2.0-only",)),
        (
            "GPL-2.0-only WITH GCC-exception-2.0 AND MIT",
            ("GPL-2.0-only WITH GCC-exception-2.0", "MIT"),
        ),
        ("LicenseRef-1 AND LicenseRef-2", ("Apache 2.0", "House")),
        ("LicenseRef-1 OR LicenseRef-2", ("LicenseRef-1 OR House",)),
        ("(LicenseRef-3 OR MIT)", ("(LicenseRef-3 OR MIT)",)),
        ("LicenseRef-22", ("LicenseRef-22",)),
        ("Some License and Another", ("Some License and Another",)),
        ("NOASSERTION", ()),
        ("NONE", ()),
        ("", ()),
        (" MIT ", ("MIT",)),
    ],
)
def test_an_expression_is_the_licenses_that_hold_at_once(
    expression: str, licenses: tuple[str, ...]
) -> None:
    words = LicenseWords(WORDS)
    assert words.of(expression) == licenses
    assert words.of(expression) == licenses, "the second time as well"


@given(st.lists(st.sampled_from(["AND", "OR", "WITH", "(", ")", "MIT", "LicenseRef-2", "x"])))
def test_no_license_of_any_expression_is_lost(tokens: list[str]) -> None:
    read = " ".join(LicenseWords(WORDS).of(" ".join(tokens)))
    for license_ in {"MIT", "x"} & set(tokens):
        assert license_ in read.replace("(", " ").replace(")", " ").split()


@pytest.mark.parametrize(
    ("name", "text", "word"),
    [
        ("House", "Apache 2.0", "House"),
        (None, "Apache 2.0", "Apache 2.0"),
        ("", " Apache 2.0 ", "Apache 2.0"),
        ("NOASSERTION", "Do as you like.\nReally.", None),
        (None, "x" * 101, None),
        (None, None, None),
    ],
)
def test_a_word_is_short(name: str | None, text: str | None, word: str | None) -> None:
    assert word_of(name, text) == word
