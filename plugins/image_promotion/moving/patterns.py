"""Patterns of other products as triggers on tags, and as patterns of repositories."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence

from image_promotion.errors import PolicyError
from image_promotion.moving.words import shown

ANY_TAG: Mapping[str, object] = {"tag": {"matches": ".+"}}
"""Holds for every tag: a policy must have a trigger."""

MAX_ALTERNATIVES = 50

_PLAIN = re.compile(r"[A-Za-z0-9_-]+")
_LITERAL = re.compile(r"[A-Za-z0-9._/-]+")
_CLASS = re.compile(r"\[(\^?[A-Za-z0-9._-]+)\]")
_BRACES = re.compile(r"\{([^{}]*)\}")
_STARS = re.compile(r"\*+")

_OPERATORS = {
    (False, False): "equals",
    (False, True): "starts_with",
    (True, False): "ends_with",
    (True, True): "contains",
}
"""By whether a pattern begins, and whether it ends, with a star."""


def trigger_of_expressions(expressions: Sequence[str]) -> Mapping[str, object]:
    """Return a trigger that holds for tags that one of regsync's expressions finds.

    Args:
        expressions: The expressions, at least one.

    Returns:
        The trigger.

    Source: regsync compiles ``^`` and ``$`` around each, so that of ``a|b`` the ``^`` belongs to
    ``a`` and the ``$`` to ``b``.
    """
    plain = [each for each in expressions if _PLAIN.fullmatch(each)]
    others = [each for each in expressions if not _PLAIN.fullmatch(each)]
    parts: list[Mapping[str, object]] = [{"tag": {"is_one_of": plain}}] if plain else []
    parts += [{"tag": {"matches": _whole(each)}} for each in others]
    return parts[0] if len(parts) == 1 else {"any": parts}


def _whole(expression: str) -> str:
    return f".*(?:^{expression}$).*" if has_open_choice(expression) else expression


def has_open_choice(expression: str) -> bool:
    """Return whether an expression has a ``|`` that is not within parentheses."""
    if r"\Q" in expression:
        return "|" in expression
    bare = re.sub(r"\\.", "", expression)
    bare = re.sub(r"\[\^?\]?[^\]]*\]", "", bare)
    depth = 0
    for character in bare:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "|" and depth == 0:
            return True
    return False


def trigger_of_glob(pattern: str) -> Mapping[str, object]:
    """Return a trigger that holds for the tags that one of Harbor's patterns matches.

    Args:
        pattern: The pattern; tags have no slash, so that ``**`` is ``*``.

    Returns:
        The trigger, with DTR's operators where they say the same.

    Raises:
        PolicyError: It has parts that cannot be carried.

    Source: Harbor, "Creating a Replication Rule"; doublestar, "Patterns".
    """
    pattern = _STARS.sub("*", pattern)
    if pattern == "*":
        return ANY_TAG
    body = pattern.strip("*")
    choice = _BRACES.fullmatch(pattern)
    if _LITERAL.fullmatch(body):
        at_ends = pattern.startswith("*"), pattern.endswith("*")
        return {"tag": {_OPERATORS[at_ends]: body}}
    if choice and all(_LITERAL.fullmatch(each) for each in choice[1].split(",")):
        return {"tag": {"is_one_of": choice[1].split(",")}}
    return {"tag": {"matches": "".join(_expression(pattern))}}


def _expression(pattern: str, *, within: bool = False) -> Iterator[str]:
    position = 0
    while position < len(pattern):
        rest = pattern[position:]
        character = rest[0]
        if character == "*":
            yield ".*"
        elif character == "?":
            yield "."
        elif character == "\\" and len(rest) > 1:
            yield re.escape(rest[1])
            position += 1
        elif found := _CLASS.match(rest):
            yield found[0]
            position += len(found[0]) - 1
        elif not within and (found := _BRACES.match(rest)):
            options = ["".join(_expression(each, within=True)) for each in found[1].split(",")]
            yield f"(?:{'|'.join(options)})"
            position += len(found[0]) - 1
        elif character in "[]{}\\":
            raise PolicyError(f"the pattern {shown(pattern)} has parts that cannot be carried")
        else:
            yield re.escape(character)
        position += 1


def repositories_of_glob(pattern: str) -> tuple[str, ...]:
    """Return the repositories, or patterns of ours, that one of Harbor's patterns means.

    Args:
        pattern: The pattern of repositories.

    Returns:
        One for each of its alternatives; ``**`` at the end is left as it is, for `narrowed`.

    Raises:
        PolicyError: It has parts that cannot be carried.
    """
    parts = _BRACES.split(pattern)
    options = [part.split(",") if n % 2 else [part] for n, part in enumerate(parts)]
    texts = ["".join(each) for each in itertools.islice(itertools.product(*options), 51)]
    if len(texts) > MAX_ALTERNATIVES:
        raise PolicyError(f"the pattern {shown(pattern)} has more than {MAX_ALTERNATIVES} choices")
    for text in texts:
        if re.search(r"[\[\]{}\\?]", text):
            raise PolicyError(
                f"the pattern {shown(pattern)} of repositories cannot be carried",
                allowed="one * that stands for any characters but /",
            )
    return tuple(dict.fromkeys(texts))


def narrowed(repository: str) -> tuple[str, bool]:
    """Make a single star of two at the end.

    Args:
        repository: A repository or a pattern.

    Returns:
        The pattern, and whether it means less than before: repositories further down are not meant.
    """
    if repository.endswith("/**"):
        return repository[:-1], True
    return repository, False
