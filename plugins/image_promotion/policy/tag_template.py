"""The tag template: how the target tag is made from the source tag and the time of promotion.

Source: Docker Trusted Registry, "Tag templates": `%n` and eighteen codes of the time. `%%` is not
among them, since a percent sign is never legal in a tag. Names of days and months are English
whatever the locale. Beyond DTR, `%{group}` is what a group of a `matches` trigger matched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo

from image_promotion.errors import PolicyError
from image_promotion.policy.refusal import RefusalError

MAX_TAG_CHARACTERS = 128
KEY = "target.tag"
LEGAL = "letters, digits, _ . - ; not . or - first; at most 128 characters"
ANY_GROUP: frozenset[str] = frozenset({"*"})  # no group can have this name

_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
_LITERAL = re.compile(r"[a-zA-Z0-9._-]")
_GROUP = re.compile(r"\{([^{}]*)\}")

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


def _hour_of_twelve(at: datetime) -> int:
    return (at.hour + 11) % 12 + 1


def _week_from_monday(at: datetime) -> int:
    """Return the week of the year: the days before the first Monday are in week 0."""
    return (at.timetuple().tm_yday + 6 - at.weekday()) // 7


CODES: Mapping[str, Callable[[datetime], str]] = {
    "A": lambda at: _DAYS[at.weekday()],
    "a": lambda at: _DAYS[at.weekday()][:3],
    "w": lambda at: str(at.isoweekday() % 7),
    "d": lambda at: f"{at.day:02}",
    "B": lambda at: _MONTHS[at.month - 1],
    "b": lambda at: _MONTHS[at.month - 1][:3],
    "m": lambda at: f"{at.month:02}",
    "Y": lambda at: f"{at.year:04}",
    "y": lambda at: f"{at.year % 100:02}",
    "H": lambda at: f"{at.hour:02}",
    "I": lambda at: f"{_hour_of_twelve(at):02}",
    "p": lambda at: "AM" if at.hour < 12 else "PM",  # noqa: PLR2004 - noon
    "M": lambda at: f"{at.minute:02}",
    "S": lambda at: f"{at.second:02}",
    "f": lambda at: f"{at.microsecond:06}",
    "Z": lambda at: at.tzname() or "",
    "j": lambda at: f"{at.timetuple().tm_yday:03}",
    "W": lambda at: f"{_week_from_monday(at):02}",
}

_ALL_CODES = " ".join(f"%{each}" for each in ("n", *CODES)) + " %{group}"
_YEARS = range(2026, 2036)

_SHORTEST = {"A": 6, "a": 3, "B": 3, "b": 3, "Y": 4, "f": 6, "j": 3, "w": 1, "Z": 1, "n": 1}
_SHORTEST_OF_OTHERS = 2


@dataclass(frozen=True, slots=True)
class _Literal:
    text: str


@dataclass(frozen=True, slots=True)
class _Code:
    letter: str


@dataclass(frozen=True, slots=True)
class _Captured:
    group: str


_Piece = _Literal | _Code | _Captured


@dataclass(frozen=True, slots=True)
class TagTemplate:
    """A tag template that can give a legal tag; made by `parse`.

    Args:
        text: As it stands in the policy.
        pieces: What it consists of.
    """

    text: str
    pieces: tuple[_Piece, ...]

    @classmethod
    def parse(
        cls, text: str, *, groups: Collection[str] = (), zone: tzinfo | None = None
    ) -> TagTemplate:
        """Read a template.

        Args:
            text: The template, such as ``%n-%Y%m%d``.
            groups: The groups that ``%{..}`` may name; ANY_GROUP while they are not known.
            zone: The time zone it will be used with; None while that is not known.

        Returns:
            The template.

        Raises:
            RefusalError: It is none, or can never give a legal tag; says why.
        """
        pieces = tuple(_pieces(text, groups))
        _require_legal_beginning(pieces)
        shortest = sum(_shortest(piece) for piece in pieces)
        if shortest > MAX_TAG_CHARACTERS:
            raise RefusalError(
                f"gives at least {shortest} characters", f"{MAX_TAG_CHARACTERS} characters at most"
            )
        if zone is not None and _Code("Z") in pieces:
            _require_legal_name(zone, first=pieces[0] == _Code("Z"))
        return cls(text, pieces)

    def render(self, tag: str, at: datetime, groups: Mapping[str, str]) -> str:
        """Make the target tag.

        Args:
            tag: The source tag.
            at: The moment of promotion, in the policy's time zone.
            groups: What the groups of a `matches` trigger matched.

        Returns:
            A legal tag.

        Raises:
            PolicyError: What comes out is no legal tag; says which character or length is wrong.
        """
        rendered = "".join(_render(piece, tag, at, groups) for piece in self.pieces)
        if not _TAG.fullmatch(rendered):
            raise PolicyError(
                f"the template {self.text} gives {_fault(rendered)}", key=KEY, allowed=LEGAL
            )
        return rendered


def is_tag(text: str) -> bool:
    """Return whether a text is a legal tag.

    Source: OCI Distribution Specification 1.1, "Pulling manifests".
    """
    return _TAG.fullmatch(text) is not None


def _pieces(text: str, groups: Collection[str]) -> list[_Piece]:
    pieces: list[_Piece] = []
    position = 0
    while position < len(text):
        character = text[position]
        if character != "%":
            if not _LITERAL.fullmatch(character):
                raise RefusalError(f"{character!r} is never legal in a tag", LEGAL)
            pieces.append(_Literal(character))
            position += 1
            continue
        code = text[position + 1 : position + 2]
        if code == "{":
            group = _GROUP.match(text, position + 1)
            if group is None:
                raise RefusalError("%{ is not closed by }")
            pieces.append(_captured(group.group(1), groups))
            position = group.end()
            continue
        pieces.append(_Code(_require_code(code)))
        position += 2
    return pieces


def _require_code(code: str) -> str:
    """Refuse what is no code of the template."""
    if code == "%":
        raise RefusalError("%% means a percent sign, which is never legal in a tag", _ALL_CODES)
    if not code:
        raise RefusalError("ends with a % and no code", _ALL_CODES)
    if code != "n" and code not in CODES:
        raise RefusalError(f"there is no code %{code}", _ALL_CODES)
    return code


def _captured(group: str, groups: Collection[str]) -> _Captured:
    if groups is not ANY_GROUP and group not in groups:
        known = ", ".join(f"%{{{each}}}" for each in sorted(groups))
        raise RefusalError(
            f"there is no group %{{{group}}}",
            known
            or "none, since no `matches` trigger that every promoted tag must match has groups",
        )
    return _Captured(group)


def _require_legal_beginning(pieces: tuple[_Piece, ...]) -> None:
    if not pieces:
        raise RefusalError("is empty", LEGAL)
    first = pieces[0]
    if isinstance(first, _Literal) and first.text in ".-":
        raise RefusalError(f"begins with {first.text!r}, and a tag never does", LEGAL)


def _require_legal_name(zone: tzinfo, *, first: bool) -> None:
    """Refuse %Z where no name of the zone can be part of a tag, such as the +14 of Etc/GMT-14.

    Looks at each month of some years to come, since a zone cannot be asked for all its names.
    """
    months = (datetime(year, month, 1, tzinfo=zone) for year in _YEARS for month in range(1, 13))
    names = {month.tzname() or "" for month in months}
    if not any(is_tag(name if first else f"x{name}") for name in names):
        known = ", ".join(repr(name) for name in sorted(names))
        where = " at the beginning of a tag" if first else " in a tag"
        raise RefusalError(
            f"%Z gives {known} in this time zone, which is never legal{where}", LEGAL
        )


def _shortest(piece: _Piece) -> int:
    """Return the fewest characters that a piece gives."""
    match piece:
        case _Literal():
            return 1
        case _Code(letter):
            return _SHORTEST.get(letter, _SHORTEST_OF_OTHERS)
        case _Captured():
            return 0


def _render(piece: _Piece, tag: str, at: datetime, groups: Mapping[str, str]) -> str:
    match piece:
        case _Literal(text):
            return text
        case _Code("n"):
            return tag
        case _Code(letter):
            return CODES[letter](at)
        case _Captured(group):
            return groups.get(group, "")


def _fault(rendered: str) -> str:
    """Say why a text is no legal tag."""
    if not rendered:
        return "an empty tag"
    if len(rendered) > MAX_TAG_CHARACTERS:
        return f"a tag of {len(rendered)} characters, more than {MAX_TAG_CHARACTERS}: {rendered}"
    if rendered[0] in ".-":
        return f"a tag that begins with {rendered[0]!r}: {rendered}"
    illegal = sorted({each for each in rendered if not _LITERAL.fullmatch(each)})
    return f"a tag with {' '.join(repr(each) for each in illegal)} in it: {rendered}"
