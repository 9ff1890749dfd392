"""License expressions: which licenses they name, and whether a choice avoids some of them.

``OR`` is a choice, ``AND`` binds, and ``WITH`` makes another license of one: who lists
``GPL-2.0-only`` does not mean ``GPL-2.0-only WITH Classpath-exception-2.0``, which permits what the
plain one does not. An exception that SPDX does not have changes nothing.

Source: SPDX 2.3 specification, annex D, "SPDX License Expressions".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from image_promotion.policy.license_names import (
    exception_of,
    identifier_of,
    is_identifier,
    with_plus,
)

if TYPE_CHECKING:
    from license_expression import Licensing  # type: ignore[import-untyped]  # has no types

MAX_LENGTH = 10_000
"""The longest expression that is taken apart; a longer one is the text of a license."""

MAX_PARENTHESES = 200

UNSAID = frozenset({"", "none", "noassertion", "unknown"})
"""What reports write where they know no license.

Source: SPDX 2.3 specification, 7.13 "Concluded license field".
"""

_MARK = re.compile(r"(\(|\)|&+|\|+|(?<![^\s()])(?:and|or|with)(?![^\s()]))", re.IGNORECASE)
_JOINTS = {"and": "AND", "&": "AND", "&&": "AND", "or": "OR", "|": "OR", "||": "OR", "with": "WITH"}
_STEM = re.compile(r"(?:-only|-or-later|\+)?(?: WITH .*)?$")


@dataclass(frozen=True, slots=True)
class Expression:
    """A license, or several that bind together or are a choice.

    Args:
        name: Its identifier, or the word as `identifier_of` returns it; that of the whole text.
        parts: The expressions in it; empty for a single license.
        is_choice: Whether one of the parts suffices.
    """

    name: str
    parts: tuple[Expression, ...] = ()
    is_choice: bool = False

    def licenses(self) -> Iterator[str]:
        """Yield the licenses that it names, and its whole text as a word."""
        yield self.name
        for part in self.parts:
            yield from part.licenses()

    def avoids(self, listed: Collection[str]) -> bool:
        """Return whether a choice is left that is under none of some licenses."""
        if self.name in listed:
            return False
        if not self.parts:
            return True
        suffices: Callable[[Iterator[bool]], bool] = any if self.is_choice else all
        return suffices(part.avoids(listed) for part in self.parts)


def stem_of(identifier: str) -> str:
    """Return a license without its "only", "or later" and exceptions: near ones have the same."""
    return _STEM.sub("", identifier)


def is_said(text: str) -> bool:
    """Return whether a text names a license."""
    return text.strip().casefold() not in UNSAID


@lru_cache(maxsize=4096)
def read_expression(text: str) -> Expression:
    """Read a license as a report has it.

    What is no expression counts as one word. Where licenses are recognised in a text that cannot be
    read, they all bind, so that a slip of the pen hides none of them.

    Args:
        text: An SPDX expression, a list with commas or semicolons, whose licenses all bind, a list
            with slashes or bars, which is a choice if each is a license, or any other word.

    Returns:
        The expression.
    """
    whole = identifier_of(text)
    if is_identifier(whole) or " WITH " in whole or len(text) > MAX_LENGTH:
        return Expression(whole)
    tokens = list(_tokens(with_plus(" ".join(text.split()))))
    names = [each for each in tokens if each not in {"(", ")"} and each.casefold() not in _JOINTS]
    if names == [text] or not names:
        return Expression(whole)
    return _parsed(whole, tokens) or _all_that_is_known(whole, names)


def _tokens(text: str) -> Iterator[str]:
    for piece in _MARK.split(text):
        if token := piece.strip():
            yield from (token,) if _MARK.fullmatch(token) else _listed(token)


def _listed(name: str) -> Iterator[str]:
    """Yield the licenses of a list as an expression; a name that is none as it is."""
    for marks, joint in ((",;", "AND"), ("/", "OR")):
        parts = [each.strip() for each in re.split(f"[{marks}]", name) if each.strip()]
        known = [is_identifier(identifier_of(each)) for each in parts]
        # With a slash there are addresses, too, and names such as zlib/libpng.
        is_list = all(known) if joint == "OR" else any(known)
        if is_list and len(parts) > 1 and not is_identifier(identifier_of(name)):
            yield "("
            for n, part in enumerate(parts):
                yield from (joint, part) if n else (part,)
            yield ")"
            return
    yield name


def _parsed(whole: str, tokens: list[str]) -> Expression | None:
    """Let the library read the expression, each license in it being a number."""
    from license_expression import ExpressionError, ExpressionParseError  # noqa: PLC0415 - see below

    if tokens.count("(") > MAX_PARENTHESES or not _alternate(tokens):
        return None
    licenses: list[str] = []
    plain = []
    for token in tokens:
        if token in {"(", ")"}:
            plain.append(token)
        elif token.casefold() in _JOINTS:
            plain.append(_JOINTS[token.casefold()])
        else:
            plain.append(f"L{len(licenses)}")
            licenses.append(token)
    try:
        tree = _licensing().parse(" ".join(plain))
    except (ExpressionError, ExpressionParseError):
        return None
    return None if tree is None else _walk(tree, licenses, whole)


def _alternate(tokens: list[str]) -> bool:
    """Return whether licenses and joints alternate, and parentheses close in order.

    The library finds some of what breaks this by its own assertions only.
    """
    depth = 0
    wants_license = True
    for token in tokens:
        is_opening, is_closing = (token == each for each in "()")
        is_joint = token.casefold() in _JOINTS
        if wants_license is (is_joint or is_closing):
            return False
        depth += is_opening - is_closing
        if depth < 0:
            return False
        wants_license = is_opening or is_joint
    return depth == 0 and not wants_license


def _walk(tree: Any, licenses: list[str], whole: str = "") -> Expression:  # noqa: ANN401 - untyped
    """Turn the library's tree into ours."""
    if hasattr(tree, "license_symbol"):
        license_ = identifier_of(licenses[int(tree.license_symbol.key[1:])])
        exception = exception_of(licenses[int(tree.exception_symbol.key[1:])])
        combined = Expression(f"{license_} WITH {exception}" if exception else license_)
        return combined if not whole or exception else Expression(whole, (combined,))
    if hasattr(tree, "key"):
        return Expression(identifier_of(licenses[int(tree.key[1:])]))
    parts = tuple(_walk(each, licenses) for each in tree.args)
    return Expression(whole, parts, is_choice=tree.operator.strip() == "OR")


def _all_that_is_known(whole: str, names: list[str]) -> Expression:
    known = dict.fromkeys(identifier_of(each) for each in names)
    return Expression(whole, tuple(Expression(each) for each in known if is_identifier(each)))


@cache
def _licensing() -> Licensing:
    """Return the library's reader, made once; it knows no license, since ours are numbers."""
    from license_expression import Licensing  # noqa: PLC0415 - only triggers on licenses pay for it

    return Licensing()
