"""How licenses are spelled: SPDX identifiers for the many ways in which reports write them.

Source: SPDX License List with its deprecated identifiers, as the library license-expression has it;
Debian, "Machine-readable debian/copyright file", "License specification"; Fedora, "Licensing"; the
license classifiers of PyPI; the names that Maven projects give in their POMs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Protocol

_REFERENCE = re.compile(r"^(?:documentref-[^:]*:)?licenseref-(?:scancode-)?", re.IGNORECASE)
_OR_LATER = re.compile(
    r"[\s-]{0,3}(?:,\s?)?\(?\bor[\s-]+(?:\(at your option\)\s+)?(?:any[\s-]+)?"
    r"(?:later|newer|greater|higher|above)(?:[\s-]+versions?)?\b\)?",
    re.IGNORECASE,
)
_AT_LEAST = re.compile(r">=\s*(\d[\d.]*)")
_ADDRESS = re.compile(
    r"https?://(?:www\.)?(?:(?:opensource\.org/licenses?|spdx\.org/licenses)/|"
    r"gnu\.org/licenses/(?:old-licenses/)?|(apache)\.org/licenses/license-)"
    r"([^/]+?)(?:\.(?:html|txt|json|php))?/?",
    re.IGNORECASE,
)
_WORDS = (
    (re.compile(r"\b(?:gnu )?(?:lesser|library) (?:general )?public\b"), "lgpl"),
    (re.compile(r"\b(?:gnu )?affero (?:general )?public\b"), "agpl"),
    (re.compile(r"\b(?:gnu )?free documentation\b"), "gfdl"),
    (re.compile(r"\b(?:gnu )?general public\b"), "gpl"),
    (re.compile(r"\bmozilla public\b"), "mpl"),
    (re.compile(r"\beclipse public\b"), "epl"),
    (re.compile(r"\bcommon public\b"), "cpl"),
    (re.compile(r"\beuropean union public\b"), "eupl"),
    (re.compile(r"\bcommon development and distribution\b"), "cddl"),
    (re.compile(r"\bcreative commons\b"), "cc"),
    (re.compile(r"\bacademic free\b"), "afl"),
    (re.compile(r"\bboost software\b|\bboost\b"), "bsl"),
    (re.compile(r"\bapache software\b|\basl\b"), "apache"),
    (re.compile(r"\b(?:two|2)[ -]clause\b"), "2 clause"),
    (re.compile(r"\b(?:three|3)[ -]clause\b"), "3 clause"),
)
_VERSION_MARK = re.compile(r"(?<![a-z])v(?:er(?:sion)?)?[\s.]*(?=\d)|(?<=[a-z])v(?=\d)")
_TOKEN = re.compile(r"[^\W\d_]+|\d+(?:\.\d+)*|\+")
_NOISE = frozenset({"the", "license", "licence", "licenses", "licences", "version", "gnu"})
_PARENTHESIS = re.compile(r"([^()]+)\(([^()]+)\)")
JOINT = re.compile(r"(?<![^\s()])(?:and|or|with)(?![^\s()])|[,;&|/]", re.IGNORECASE)
"""What joins the licenses of an expression or a list."""

MAX_LENGTH = 300
"""The longest name of a license; a longer one is its text."""

# Spellings that do not follow from the identifier, by identifier.
_SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "0BSD": ("BSD Zero Clause License", "Zero-Clause BSD"),
    "Apache-2.0": ("Apache License 2.0", "AL2"),
    "Artistic-2.0": ("Artistic License 2.0", "Perl Artistic 2.0"),
    "BSD-2-Clause": (
        "2-Clause BSD",
        "Simplified BSD",
        "BSD-2-Clause-NetBSD",
        "BSD 2-Clause Simplified License",
        'BSD 2-Clause "Simplified" License',
    ),
    "BSD-3-Clause": (
        "3-Clause BSD",
        "BSD-3",
        "New BSD",
        "BSD New",
        "Modified BSD",
        "Revised BSD",
        "BSD 3-Clause New or Revised",
        "BSD-style 3-clause",
        "Eclipse Distribution License 1.0",
        "EDL 1.0",
    ),
    "BSD-4-Clause": ("BSD-4", "4-Clause BSD", "Original BSD"),
    "BSL-1.0": ("Boost Software License 1.0",),
    "CC0-1.0": ("CC0", "CC0 1.0 Universal", "Creative Commons Zero 1.0", "Creative Commons CC0"),
    "CDDL-1.0": ("CDDL",),
    "CDDL-1.1": ("CDDL 1.1",),
    "ISC": ("ISCL", "ISC License (ISCL)"),
    "MIT": ("Expat", "MIT/X11", "MIT/Expat", "X11/MIT", "MIT X11", "The MIT License (MIT)"),
    "MIT-0": ("MIT No Attribution",),
    "PSF-2.0": ("Python Software Foundation", "PSF", "PSFL", "PSF-2"),
    "Unlicense": ("The Unlicense", "Unlicense (Public Domain)"),
    "WTFPL": ("Do What The F*ck You Want To Public License",),
    "Zlib": ("zlib/libpng", "zlib license"),
    "bzip2-1.0.6": ("bzip2",),
    # Deprecated identifiers of the SPDX License List that were a license and an exception in one.
    "GPL-2.0-only WITH Autoconf-exception-2.0": ("GPL-2.0-with-autoconf-exception",),
    "GPL-2.0-only WITH Bison-exception-2.2": ("GPL-2.0-with-bison-exception",),
    "GPL-2.0-only WITH Classpath-exception-2.0": (
        "GPL-2.0-with-classpath-exception",
        "GNU General Public License, version 2, with the Classpath Exception",
        "GPLv2 with Classpath exception",
        "GPL2 w/ CPE",
    ),
    "GPL-2.0-only WITH Font-exception-2.0": ("GPL-2.0-with-font-exception",),
    "GPL-2.0-only WITH GCC-exception-2.0": ("GPL-2.0-with-GCC-exception",),
    "GPL-3.0-only WITH Autoconf-exception-3.0": ("GPL-3.0-with-autoconf-exception",),
    "GPL-3.0-only WITH GCC-exception-3.1": ("GPL-3.0-with-GCC-exception",),
    "GPL-2.0-or-later WITH eCos-exception-2.0": ("eCos-2.0",),
}


@lru_cache(maxsize=8192)
def identifier_of(word: str) -> str:
    """Return the SPDX identifier of a license, however it is spelled.

    Args:
        word: An identifier, a deprecated one, a common spelling, or any other word.

    Returns:
        The identifier as SPDX writes it; for a word that is no known license the word in small
        letters, without punctuation, so that it equals itself however it is written.
    """
    text = " ".join(word.split())
    if len(text) > MAX_LENGTH:
        return text.casefold()
    text = text.rpartition("::")[2]  # License :: OSI Approved :: MIT License
    return _identifiers().get(_key(text)) or _twice_said(text) or _key(text) or text.casefold()


def _twice_said(text: str) -> str | None:
    """Return the identifier of a name with its abbreviation, such as ``ISC License (ISCL)``.

    Of two licenses, such as ``MIT (GPL-3.0-only)``, it is neither.
    """
    match = _PARENTHESIS.fullmatch(text)
    if match is None:
        return None
    keys = [_key(each) for each in match.groups()]
    name, short = (_identifiers().get(each) for each in keys)
    if name and short and keys[0].split()[0] != keys[1].split()[0]:
        return None
    return name or (None if JOINT.search(with_plus(match[1])) else short)


def is_identifier(license_: str) -> bool:
    """Return whether this is an SPDX identifier, and not some other word."""
    return license_ in _known_licenses()


def exception_of(word: str) -> str | None:
    """Return the SPDX identifier of a license exception; None for one that SPDX does not have."""
    return _exceptions().get(word.strip().casefold())


def with_plus(text: str) -> str:
    """Return a text in which "or later", in whatever words, is a plus sign."""
    return _OR_LATER.sub("+", text)


def _key(word: str) -> str:
    """Return what all spellings of one license have in common."""
    text = _REFERENCE.sub("", word.strip())
    if address := _ADDRESS.fullmatch(text):
        text = f"{address[1] or ''} {address[2]}"
    text = _AT_LEAST.sub(r"\1+", text)
    text = _VERSION_MARK.sub(" ", with_plus(text).casefold())
    for pattern, short in _WORDS:
        text = pattern.sub(short, text)
    tokens = [each for each in _TOKEN.findall(text) if each not in _NOISE]
    return " ".join(each.removesuffix(".0") if each[0].isdecimal() else each for each in tokens)


@cache
def _identifiers() -> Mapping[str, str]:
    """Return the identifier for each key."""
    licenses = _known_licenses()
    older = {_key(name): each for each, names in licenses.items() for name in names}
    spelled = {_key(name): each for each, names in _SPELLINGS.items() for name in names}
    # Of several that share a key the identifier itself goes before all other spellings.
    return older | spelled | {_key(identifier): identifier for identifier in licenses}


@cache
def _known_licenses() -> Mapping[str, tuple[str, ...]]:
    """Return SPDX's licenses with their deprecated identifiers."""
    return {
        symbol.key: tuple(alias for alias in symbol.aliases if not alias.startswith("LicenseRef-"))
        for symbol in _symbols()
        if not symbol.is_exception and not symbol.key.startswith("LicenseRef-")
    }


@cache
def _exceptions() -> Mapping[str, str]:
    return {
        symbol.key.casefold(): symbol.key
        for symbol in _symbols()
        if symbol.is_exception and not symbol.key.startswith("LicenseRef-")
    }


class _Symbol(Protocol):
    """A license or an exception as the library has it."""

    key: str
    aliases: tuple[str, ...]
    is_exception: bool


@cache
def _symbols() -> tuple[_Symbol, ...]:
    from license_expression import (  # type: ignore[import-untyped]  # noqa: PLC0415 - has no types; 40 ms
        get_spdx_licensing,
    )

    return tuple(get_spdx_licensing().known_symbols.values())
