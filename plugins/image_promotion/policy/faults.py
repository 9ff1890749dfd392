"""What pydantic finds wrong, in our words: the place in the file, and what is allowed there."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pydantic_core import ErrorDetails

from image_promotion.errors import PolicyError
from image_promotion.policy.refusal import RefusalError, UnquotedTextError, kind_of
from image_promotion.policy.yaml_document import (
    Location,
    Place,
    Step,
    YamlDocument,
    dotted,
    printable,
)

# Words of other products for what has another name here.
_SYNONYMS = {
    "and": "all",
    "approved_by": "by",
    "author": "by",
    "cve": "id",
    "cron": "schedule",
    "exclude": "is_not_one_of",
    "expiry": "expires",
    "high": "severity",
    "image": "repository",
    "justification": "reason",
    "low": "severity",
    "max_age": "newer_than",
    "medium": "severity",
    "min_age": "older_than",
    "or": "any",
    "pattern": "matches",
    "regex": "matches",
    "regexp": "matches",
    "registry": "connection",
    "rules": "triggers",
    "tag_template": "tag",
    "tz": "timezone",
    "until": "expires",
    "version": "semver",
}


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The keys that a kind of file may have.

    Args:
        keys_at: Returns the keys that may stand at a place.
        meaning_at: Says what a place is for.
    """

    keys_at: Callable[[Sequence[Step]], list[str]]
    meaning_at: Callable[[Sequence[Step]], str]


def fault_of(
    error: ErrorDetails, document: YamlDocument, vocabulary: Vocabulary | None = None
) -> PolicyError:
    """Turn one of pydantic's findings into an error of the file.

    Args:
        error: The finding.
        document: The file it is about.
        vocabulary: The keys it may have; None for a policy's.

    Returns:
        The error, with line, column and key.
    """
    location = _location(error, document.content)
    said, allowed = _words(error, location, document, vocabulary or _of_policies())
    line, column = _place(error, location, document)
    return PolicyError(
        printable(said),
        file=document.path,
        line=line,
        column=column,
        key=dotted(location),
        allowed=printable(allowed),
    )


def _location(error: ErrorDetails, content: object) -> Location:
    """Return the part of pydantic's location that is a path in the file.

    It also numbers the values of a list that was made of one text.
    """
    location: list[Step] = []
    value = content
    for step in error["loc"]:
        inside, value = _within(value, step)
        if inside or error["type"] == "missing":
            location.append(step)
    refusal = _refusal(error)
    return (*location, *(refusal.at if refusal else ()))


def _within(value: object, step: Step) -> tuple[bool, object]:
    """Return whether a mapping or list has something there, and that, or else the value itself."""
    if isinstance(value, Mapping) and step in value:
        return True, value[step]
    if isinstance(value, list) and isinstance(step, int) and step < len(value):
        return True, value[step]
    return False, value


def _refusal(error: ErrorDetails) -> RefusalError | None:
    cause = error.get("ctx", {}).get("error")
    return cause if isinstance(cause, RefusalError) else None


def _place(
    error: ErrorDetails, location: Location, document: YamlDocument
) -> Place | tuple[None, None]:
    """Return line and column of what is wrong: of a key, or of a value, or of what it lacks in."""
    if error["type"] == "missing":
        location = location[:-1]
    if error["type"] in {"missing", "extra_forbidden"} or error["input"] is None:
        return document.keys.get(location) or document.places.get(location, (1, 1))
    for length in range(len(location), -1, -1):
        if location[:length] in document.places:
            return document.places[location[:length]]
    return None, None


def _words(
    error: ErrorDetails, location: Location, document: YamlDocument, vocabulary: Vocabulary
) -> tuple[str, str]:
    """Say what is wrong and what is allowed."""
    written = document.written.get(location)
    if refusal := _refusal(error):
        return _words_of_refusal(refusal, written)
    if error["type"] == "extra_forbidden":
        return _words_of_unknown_key(location, vocabulary)
    context = error.get("ctx", {})
    if error["type"] == "value_error":
        return str(context.get("error", error["msg"])), ""
    found = kind_of(error["input"])
    words = {
        "missing": ("is missing", _meaning(location, vocabulary)),
        "enum": (f"{written or found} is not allowed", str(context.get("expected", ""))),
        "model_type": (f"must be a mapping, not {found}", _meaning(location, vocabulary)),
        "dict_type": (f"must be a mapping, not {found}", _meaning(location, vocabulary)),
        "int_type": (f"must be a whole number, not {found}", "a number without quotes"),
        "greater_than_equal": (f"{written} is too small", f"{context.get('ge')} or more"),
        "less_than_equal": (f"{written} is too large", f"{context.get('le')} or less"),
    }
    # What is left is rare, such as a text that is too long, and pydantic's own words will do.
    return words.get(error["type"], (error["msg"][:1].lower() + error["msg"][1:], ""))


def _words_of_refusal(refusal: RefusalError, written: str | None) -> tuple[str, str]:
    """Return its words, saying how a text without quotes stands in the file."""
    if isinstance(refusal, UnquotedTextError) and written is not None:
        return (f"YAML reads {written} as {refusal.kind}", f'a text; put it in quotes: "{written}"')
    return refusal.said, refusal.allowed


def _words_of_unknown_key(location: Location, vocabulary: Vocabulary) -> tuple[str, str]:
    """Say what was probably meant: a key of a like name, or a key of another place."""
    key = str(location[-1])
    known = vocabulary.keys_at(location[:-1])
    within = [each for each in known if key in vocabulary.keys_at((*location[:-1], each))]
    hint = ""
    synonym = _SYNONYMS.get(key.lower())
    if synonym in known:
        hint = f"; did you mean {synonym}?"
        if synonym == "severity":
            hint = f'; for the words of scanners there is severity: {{{key.upper()}: "= 0"}}'
    elif within:
        hint = f"; it belongs under {' or '.join(within)}"
    elif near := difflib.get_close_matches(key.lower(), known, n=1):
        hint = f"; did you mean {near[0]}?"
    elif key in vocabulary.keys_at(()):
        hint = "; it belongs at the top of the policy, so indent it less"
    return f"is no key here{hint}", ", ".join(known)


def _meaning(location: Sequence[Step], vocabulary: Vocabulary) -> str:
    """Say what a missing key is for, or which keys it has."""
    return ", ".join(vocabulary.keys_at(location)) or vocabulary.meaning_at(location)


def _of_policies() -> Vocabulary:
    """Return the keys of policies, read from the model."""
    from image_promotion.policy.schema import keys_at, meaning_at  # noqa: PLC0415 - for faults only

    return Vocabulary(keys_at, meaning_at)
