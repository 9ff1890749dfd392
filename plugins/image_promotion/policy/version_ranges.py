"""Ranges of versions such as ``>= 1.2, < 2.0``, compared as each ecosystem compares its versions.

A version that cannot be compared is never in a range and never outside: the answer is None. An
ecosystem whose rules are not known here compares numbers alone, and what numbers do not settle is
None as well, since ``1.2-3`` is a pre-release to one ecosystem and the third packaging to another.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from image_promotion.policy.comparison import Comparison

if TYPE_CHECKING:
    from univers.versions import Version

MAX_LENGTH = 200
"""The longest version that is compared; real ones have some 50 characters."""

_BOUND = re.compile(r"\s*(>=|<=|!=|==|=|>|<)?\s*([^\s,|<>=!]+)\s*(?:,|(?=[<>=!])|$)")
_FOREIGN = re.compile(r"(?:^|[\s,|])[\^~]|[*()\[\]]|(?:^|[\s.])x(?:$|[\s,.])")

_EPOCH = re.compile(r"\d+:")
_SEMVER = re.compile(r"(\d+(?:\.\d+){0,2})(-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?")
_NUMBERS = re.compile(r"(\d+(?:\.\d+)*)(.*)", re.DOTALL)
_PRE_RELEASE = re.compile(r"[-._~]?(dev|alpha|beta|milestone|pre|rc|snapshot)[-._]?(\d*)")
_STAGES = ("alpha", "beta", "rc")
"""The stages before a release whose order everybody agrees on."""


@dataclass(frozen=True, slots=True)
class VersionRange:
    """A range of versions: bounds that must all hold, or one of several such groups.

    Args:
        expression: Such as ``>= 1.2, < 2.0``; groups are joined by ``||``.

    Raises:
        ValueError: It is none; the message says how one is written.
    """

    expression: str

    def __post_init__(self) -> None:
        _groups(self.expression)

    def contains(self, version: str, ecosystem: str | None) -> bool | None:
        """Say whether a version is in the range.

        Args:
            version: The version, as the report has it.
            ecosystem: The type of the package URL, such as ``deb``; None when there is none.

        Returns:
            None when it cannot be compared, and that decides.
        """
        version = version.strip()
        # Looked at before it is remembered: a report may hold thousands of any length.
        if len(version) > MAX_LENGTH:
            return None
        return _contains(self.expression, version, ecosystem)

    def __str__(self) -> str:
        return self.expression


@lru_cache(maxsize=8192)
def _contains(expression: str, version: str, ecosystem: str | None) -> bool | None:
    answers = []
    for group in _groups(expression):
        verdicts = {_meets(sign, compare(version, bound, ecosystem)) for sign, bound in group}
        answers.append(False if False in verdicts else None if None in verdicts else True)
    return True if True in answers else None if None in answers else False


def _meets(sign: Comparison, compared: int | None) -> bool | None:
    return None if compared is None else sign.holds(compared, 0)


@cache
def _groups(expression: str) -> tuple[tuple[tuple[Comparison, str], ...], ...]:
    """Read a range."""
    if _FOREIGN.search(expression):
        raise ValueError(
            f"{expression!r} is no range of versions: ^, ~, *, x and brackets mean something else "
            "in each ecosystem; write bounds, such as >= 1.2, < 2.0"
        )
    groups = []
    for part in expression.split("||"):
        bounds: list[tuple[Comparison, str]] = []
        at = 0
        while at < len(part.rstrip()):
            match = _BOUND.match(part, at)
            if match is None:
                break
            bounds.append((Comparison((match[1] or "=").replace("==", "=")), match[2]))
            at = match.end()
        whole = at >= len(part.rstrip()) and not part.rstrip().endswith(",")
        if not (whole and bounds and all(_is_bound(bound) for _, bound in bounds)):
            raise ValueError(
                f"{expression!r} is no range of versions; write bounds with >= > = != <= <, commas "
                "between those that must all hold and || between alternatives, such as "
                ">= 1.2, < 2.0"
            )
        groups.append(tuple(bounds))
    return tuple(groups)


def _is_bound(text: str) -> bool:
    return _begins_like_a_version(_plain(text, "golang"))


@lru_cache(maxsize=8192)
def compare(version: str, other: str, ecosystem: str | None) -> int | None:
    """Compare two versions as an ecosystem does.

    Args:
        version: The one.
        other: The other.
        ecosystem: The type of the package URL, such as ``deb``; None when there is none.

    Returns:
        Less than 0, 0 or more than 0; None when one of them is no version of the ecosystem.

    Source: the ecosystems' rules as the library univers has them; Semantic Versioning 2.0.0,
        section 11, for npm, cargo, golang, hex, pub and swift.
    """
    first, second = (_plain(each, ecosystem) for each in (version, other))
    if not (_begins_like_a_version(first) and _begins_like_a_version(second)):
        # Maven and rpm order any text whatever; "UNKNOWN" is no version for all that.
        return None
    make = _makers().get(ecosystem or "")
    if make is None:
        return _compare_numbers(first, second)
    if ecosystem in _SEMANTIC:
        if not (_SEMVER.fullmatch(first) and _SEMVER.fullmatch(second)):
            return None
        # Build metadata is no part of the order.
        first, second = first.partition("+")[0], second.partition("+")[0]
    try:
        one, two = make(first), make(second)
        return (one > two) - (one < two)
    except (ValueError, TypeError, AttributeError, IndexError):
        # What the library raises for texts that it takes for versions and then cannot read.
        return None


_SEMANTIC = frozenset({"npm", "cargo", "golang", "hex", "pub", "swift"})


@cache
def _makers() -> Mapping[str, type[Version]]:
    """Return what reads the versions of each ecosystem, by its package URL's type."""
    from univers import versions  # noqa: PLC0415 - 40 ms that only triggers with `version` pay

    return {
        "alpm": versions.ArchLinuxVersion,
        "apk": versions.AlpineLinuxVersion,
        "conan": versions.ConanVersion,
        "deb": versions.DebianVersion,
        "ebuild": versions.GentooVersion,
        "gem": versions.RubygemsVersion,
        "maven": versions.MavenVersion,
        "nuget": versions.NugetVersion,
        "pypi": versions.PypiVersion,
        "rpm": versions.RpmVersion,
        **dict.fromkeys(_SEMANTIC, versions.SemverVersion),
    }


def _plain(version: str, ecosystem: str | None) -> str:
    """Take away what stands before the numbers and means nothing."""
    if ecosystem == "golang":
        version = version.removeprefix("go")  # the standard library: go1.22.1
    return version[1:] if version[:1] in {"v", "V"} else version


def _begins_like_a_version(version: str) -> bool:
    return len(version) <= MAX_LENGTH and _EPOCH.sub("", version, count=1)[:1].isdecimal()


def _compare_numbers(version: str, other: str) -> int | None:
    """Compare two versions of an ecosystem whose rules are not known, by what all agree on."""
    first, second = _NUMBERS.fullmatch(version), _NUMBERS.fullmatch(other)
    if first is None or second is None or ":" in version + other:
        return None
    numbers, others = _number_key(first[1]), _number_key(second[1])
    if numbers != others:
        return 1 if numbers > others else -1
    rest, other_rest = first[2].partition("+")[0], second[2].partition("+")[0]
    if rest == other_rest:
        return 0
    return _compare_stages(rest, other_rest)


def _number_key(text: str) -> tuple[int, ...]:
    numbers = [int(each) for each in text.split(".")]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _compare_stages(rest: str, other: str) -> int | None:
    """Compare what follows on equal numbers: nothing, or the stage before a release."""
    first, second = (_PRE_RELEASE.fullmatch(each.lower()) for each in (rest, other))
    if (rest and first is None) or (other and second is None):
        return None
    if first is None or second is None:
        return 1 if second else -1
    if first[1] == second[1]:
        number, other_number = int(first[2] or 0), int(second[2] or 0)
        return (number > other_number) - (number < other_number)
    if first[1] in _STAGES and second[1] in _STAGES:
        return 1 if _STAGES.index(first[1]) > _STAGES.index(second[1]) else -1
    return None
