from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from license_expression import get_spdx_licensing  # type: ignore[import-untyped]  # has no types

from image_promotion.policy.license_names import MAX_LENGTH, exception_of, identifier_of

LICENSES = [
    symbol
    for symbol in get_spdx_licensing().known_symbols.values()
    if not symbol.is_exception and not symbol.key.startswith("LicenseRef-")
]


def test_every_spdx_identifier_is_itself_in_any_case() -> None:
    assert len(LICENSES) > 600
    for symbol in LICENSES:
        assert identifier_of(symbol.key) == symbol.key
        assert identifier_of(symbol.key.lower()) == symbol.key
        assert identifier_of(f"LicenseRef-{symbol.key}") == symbol.key


def test_every_deprecated_identifier_is_the_one_in_its_place() -> None:
    for symbol in LICENSES:
        for alias in symbol.aliases:
            if not alias.startswith("LicenseRef-"):
                assert identifier_of(alias) == symbol.key


@pytest.mark.parametrize(
    ("identifier", "spellings"),
    [
        (
            "Apache-2.0",
            [
                "Apache 2.0",
                "Apache-2",
                "Apache v2",
                "ASL 2.0",
                "Apache License 2.0",
                "Apache License, Version 2.0",
                "The Apache License, Version 2.0",
                "The Apache Software License, Version 2.0",
                "LicenseRef-Apache-2.0",
                "http://www.apache.org/licenses/LICENSE-2.0.txt",
                "https://opensource.org/licenses/Apache-2.0",
                "https://spdx.org/licenses/Apache-2.0.html",
            ],
        ),
        (
            "GPL-2.0-only",
            ["GPL-2.0", "GPL-2", "GPLv2", "GPL 2", "GNU General Public License, version 2",
             "GNU GPL v2", "LicenseRef-GPL-2", "GPL v2 only",
             "https://www.gnu.org/licenses/old-licenses/gpl-2.0.html"],
        ),
        (
            "GPL-3.0-or-later",
            ["GPL-3.0+", "GPL-3+", "GPLv3+", "GPL v3 or later", "GPL (>= 3)", "GNU GPL v3 or newer",
             "GNU General Public License v3 or later (GPLv3+)",
             "License :: OSI Approved :: GNU General Public License v3 or later (GPLv3+)",
             "GNU General Public License version 3.0 or any later version"],
        ),
        ("GPL-3.0-only", ["GPL-3.0", "GPL3", "GNU General Public License v3 (GPLv3)"]),
        ("GPL-1.0-or-later", ["GPL", "GPL-1+", "GNU GPL"]),
        ("LGPL-2.1-or-later", ["LGPL-2.1+", "GNU Lesser General Public License v2.1 or later"]),
        ("LGPL-2.0-or-later", ["LGPLv2+", "GNU Library General Public License v2 or later"]),
        ("AGPL-3.0-only", ["AGPLv3", "GNU Affero General Public License v3", "AGPL-3.0"]),
        ("MIT", ["MIT License", "The MIT License", "Expat", "MIT/X11", "The MIT License (MIT)",
                 "License :: OSI Approved :: MIT License", "https://opensource.org/licenses/MIT"]),
        ("BSD-2-Clause", ["BSD 2-Clause", "Simplified BSD", "BSD (2-clause)", "BSD-2"]),
        ("BSD-3-Clause", ["BSD 3-Clause", "New BSD License", "BSD (3-clause)", "3-Clause BSD",
                          "BSD-3", "The BSD 3-Clause License", "Modified BSD License"]),
        ("MPL-2.0", ["MPL 2.0", "MPLv2.0", "Mozilla Public License 2.0 (MPL 2.0)"]),
        ("EPL-1.0", ["Eclipse Public License 1.0", "Eclipse Public License - v 1.0"]),
        ("CDDL-1.0", ["CDDL", "Common Development and Distribution License 1.0"]),
        ("ISC", ["ISC License (ISCL)", "ISC license"]),
        ("CC0-1.0", ["CC0", "CC0 1.0 Universal"]),
        ("PSF-2.0", ["PSF", "Python Software Foundation License"]),
        ("Zlib", ["zlib", "zlib/libpng License"]),
        ("GPL-2.0-only WITH Classpath-exception-2.0", ["GPL-2.0-with-classpath-exception"]),
    ],
)  # fmt: skip
def test_common_spellings_are_one_license(identifier: str, spellings: list[str]) -> None:
    assert {each: identifier_of(each) for each in spellings} == dict.fromkeys(spellings, identifier)


@pytest.mark.parametrize(
    ("word", "same"),
    [
        ("Public Domain", "public-domain"),
        ("The Foo License", "foo"),
        ("BSD", "BSD License"),
        ("Apache", "Apache Software License"),
        ("LicenseRef-Artistic", "Artistic"),
        ("自由", " 自由 "),
    ],
)
def test_a_word_that_is_no_known_license_is_itself_however_it_is_written(
    word: str, same: str
) -> None:
    assert identifier_of(word) == identifier_of(same)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("GPL-2.0-only", "GPL-2.0-or-later"),
        ("GPL-2.0", "LGPL-2.0"),
        ("GPL-3.0", "AGPL-3.0"),
        ("LGPL-2.0", "LGPL-2.1"),
        ("BSD", "BSD-3-Clause"),
        ("BSD-2-Clause", "BSD-3-Clause"),
        ("MIT", "MIT-0"),
        ("Apache", "Apache-2.0"),
        ("Apache-1.1", "Apache-2.0"),
        ("X11", "MIT"),
        ("foo", "bar"),
    ],
)
def test_different_licenses_stay_different(first: str, second: str) -> None:
    assert identifier_of(first) != identifier_of(second)


@pytest.mark.parametrize("text", ["MIT (GPL-3.0-only)", "GPL-3.0-only AND (MIT)", "A or B (MIT)"])
def test_what_is_in_parentheses_hides_no_other_license(text: str) -> None:
    assert identifier_of(text) not in {"MIT", "GPL-3.0-only"}


def test_exceptions_are_known_in_any_case() -> None:
    assert exception_of("classpath-EXCEPTION-2.0") == "Classpath-exception-2.0"
    assert exception_of("made-up") is None


@given(st.text(max_size=40))
def test_any_word_equals_itself_and_what_comes_of_it(word: str) -> None:
    identifier = identifier_of(word)

    assert identifier_of(f" {word} ") == identifier
    assert identifier_of(word.upper().lower()) == identifier_of(word.lower())


def test_a_text_that_is_too_long_for_a_name_is_compared_as_it_stands() -> None:
    text = "Permission  is hereby granted " * MAX_LENGTH

    assert identifier_of(text) == " ".join(text.split()).casefold()
