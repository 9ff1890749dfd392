"""regsync's filters: which tags of a repository, and which repositories of a registry."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from image_promotion.errors import PolicyError
from image_promotion.moving.patterns import has_open_choice, trigger_of_expressions
from image_promotion.moving.words import shown
from image_promotion.policy.criteria.patterns import TagMatches

Trigger = Mapping[str, object]

_VERSION_PARTS = 3

_LITERAL = re.compile(r"[a-z0-9_/-]+")
_BELOW = re.compile(r"((?:[a-z0-9_-]+/)+)\.[*+]")
_COMPARED = re.compile(
    r"(>=|<=|>|<|=|\^|~|)v?([0-9]{1,18}(?:\.[0-9]{1,18}){0,2})(-[0-9A-Za-z.-]+)?(?:\+.*)?"
)


@dataclass(frozen=True, slots=True)
class TagSet:
    """What tags must fulfil: a version in one of the ranges, allowed, and not denied.

    Args:
        allow: Expressions, of which one must find the tag; none for any tag.
        deny: Expressions, of which none may.
        ranges: Ranges of versions, one of which must hold; none for any tag.
    """

    allow: tuple[str, ...]
    deny: tuple[str, ...]
    ranges: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """Whether it asks for nothing, in which case regsync does not look at it."""
        return not (self.allow or self.deny or self.ranges)

    def triggers(self) -> list[Trigger]:
        """Return the triggers it stands for, all of which must hold."""
        triggers: list[Trigger] = []
        if self.ranges:
            triggers.append({"tag": {"semver": " || ".join(_range(each) for each in self.ranges)}})
        if self.allow:
            triggers.append(trigger_of_expressions(self.allow))
        if self.deny:
            triggers.append({"not": trigger_of_expressions(self.deny)})
        return triggers


def triggers_of(sets: Sequence[TagSet], notes: list[str]) -> tuple[Trigger, ...]:
    """Return the triggers for the tags that are in one of several sets.

    Args:
        sets: The sets, at least one, none of them empty.
        notes: Takes what is different.

    Returns:
        The triggers, all of which must hold.

    Raises:
        PolicyError: A range cannot be carried.
    """
    if any(each.ranges for each in sets):
        notes.append(
            "regsync also takes 1.2 and pre-releases such as 2.0.0-rc.1 for versions in a range; "
            "a semver trigger takes neither, unless the range names a pre-release of that version."
        )
    if any(has_open_choice(each) for one in sets for each in (*one.allow, *one.deny)):
        notes.append(
            "Of an expression such as a|b regsync reads: begins with a, or ends with b. That is "
            "kept; if it was meant otherwise, write a list instead."
        )
    if len(sets) == 1:
        return tuple(sets[0].triggers())
    return ({"any": [_together(each.triggers()) for each in sets]},)


def _together(triggers: list[Trigger]) -> Trigger:
    return triggers[0] if len(triggers) == 1 else {"all": triggers}


def _range(text: str) -> str:
    """Return a range as npm means it, in comparisons of whole versions alone.

    Source: regsync, constraints of versions: `~1` is up to 1.1.0 there and up to 2.0.0 in npm.
    """
    return " ".join(comparison for part in text.split() for comparison in _comparisons(part, text))


def _comparisons(part: str, text: str) -> Iterator[str]:
    found = _COMPARED.fullmatch(part)
    if found is None:
        raise PolicyError(
            f"the range of versions {shown(text)} cannot be carried",
            allowed=">= > = < <= ^ ~ and versions of three numbers",
        )
    numbers = [int(each) for each in found[2].split(".")]
    numbers += [0] * (_VERSION_PARTS - len(numbers))
    major, minor, patch = numbers
    version = f"{major}.{minor}.{patch}{found[3] or ''}"
    match found[1]:
        case "^":
            upper = (
                f"{major + 1}.0.0" if major else f"0.{minor + 1}.0" if minor else f"0.0.{patch + 1}"
            )
            yield f">={version}"
            yield f"<{upper}"
        case "~":
            yield f">={version}"
            yield f"<{major}.{minor + 1}.0"
        case sign:
            yield f"{sign or '='}{version}"


def plain_repositories(expressions: Sequence[str]) -> Mapping[str, str]:
    """Return the repositories that expressions name, as far as policies can.

    Args:
        expressions: What `repos.allow` has.

    Returns:
        Repositories and patterns, each with a note on what is different, or an empty one.

    Raises:
        PolicyError: One is neither a name nor everything below a folder.
    """
    names: dict[str, str] = {}
    for each in expressions:
        if _LITERAL.fullmatch(each):
            names[each] = ""
        elif below := _BELOW.fullmatch(each):
            names[f"{below[1]}*"] = (
                f"{shown(each)} also means repositories further down; this policy means "
                f"{below[1]}* alone, without another slash."
            )
        else:
            raise PolicyError(
                f"the expression {shown(each)} for repositories cannot be carried",
                allowed="whole names, or everything below one folder, such as dev/.*",
            )
    return names


def finds(expression: str, name: str) -> bool:
    """Return whether one of regsync's expressions finds a name.

    Raises:
        PolicyError: It is no expression.
    """
    whole = f".*(?:^{expression}$).*" if has_open_choice(expression) else expression
    try:
        return bool(TagMatches(f"({whole})").capture(name))
    except ValueError as error:
        raise PolicyError(f"the expression {shown(expression)} {error}") from None
