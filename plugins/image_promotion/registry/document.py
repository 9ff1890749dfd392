"""JSON from a stranger: read within bounds, and refused with the path of what is wrong."""

from __future__ import annotations

import gc
import json
import math
from array import array
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from itertools import accumulate
from typing import NoReturn, TypeAlias, TypeVar

from image_promotion.errors import PromotionError, ProtocolViolationError

MAX_DEPTH = 64
"""How deep lists and objects may be nested; manifests need 5."""

MAX_WHOLE_NUMBER = 2**63 - 1
"""The largest number that registries, written in Go, can hold for a size."""

_OPENING = b"[{"
_CLOSING = b"]}"

_NEITHER_QUOTES_NOR_BRACKETS = bytes(set(range(256)) - set(b'"' + _OPENING + _CLOSING))

_STEPS = bytes(1 if byte in _OPENING else 255 for byte in range(256))
"""What each bracket does to the depth, as a signed byte: one up or one down."""

_MANY_BYTES = 1 << 20
"""From here on a text holds so many values that the garbage collector is in the way."""

_SHOWN_CHARACTERS = 60

_Value = TypeVar("_Value")

Refusal: TypeAlias = Callable[[str], PromotionError]
"""Makes the error for a document that is refused, of what is wrong with it."""


def refuse_as_protocol_violation(attempted: str) -> PromotionError:
    """Refuse what a registry answered."""
    return ProtocolViolationError(
        attempted, advice="Whatever wrote it must be corrected; nothing here can repair it."
    )


class Fields:
    """The members of one JSON object, each read as the type it must have.

    A member that is null counts as absent: encoders in Go write null for what is not set.

    Args:
        document: What the whole text is, in words, such as ``the manifest``.
        path: The path of this object in it, such as ``layers[2]``; empty for the outermost.
        members: The object's members as ``json`` gives them.
        refusal: Makes the error of what is refused.
        within: The object that this one is a member of, in which case `path` begins there.
    """

    __slots__ = ("_document", "_members", "_path", "_refusal", "_within")

    def __init__(
        self,
        document: str,
        path: str,
        members: Mapping[str, object],
        refusal: Refusal = refuse_as_protocol_violation,
        within: Fields | None = None,
    ) -> None:
        self._document = document
        self._path = path
        self._members = members
        self._refusal = refusal
        self._within = within

    def __contains__(self, name: str) -> bool:
        return self._members.get(name) is not None

    def refuse(self, name: str, rule: str) -> NoReturn:
        """Raise the error that says which rule a member breaks.

        Args:
            name: The member's name.
            rule: What follows its path in the sentence, such as ``is missing``.

        Raises:
            ProtocolViolationError: Always.
        """
        raise self._refusal(f"cannot read {self._document}: {self._path_of(name)} {rule}")

    def refuse_lookalikes(self, names: Collection[str]) -> None:
        """Refuse members that differ from the given names in upper and lower case alone.

        Go's JSON reader takes ``Layers`` for ``layers``, ours does not; an image that means one
        thing here and another where it runs must not pass.

        Raises:
            ProtocolViolationError: There is such a member.
        """
        by_folded = {name.casefold(): name for name in names}
        for member in self._members:
            meant = by_folded.get(member.casefold())
            if meant is not None and member != meant:
                self.refuse(member, f"is not {meant}, and some programs would read it as that")

    def text(self, name: str) -> str:
        """Return a member that must be a text.

        Raises:
            ProtocolViolationError: It is missing, or something else.
        """
        return self._required(name, self.optional_text(name))

    def optional_text(self, name: str) -> str | None:
        """Return a member that may be a text; None when it is absent.

        Raises:
            ProtocolViolationError: It is something else.
        """
        value = self._members.get(name)
        return None if value is None else self._as_text(name, value)

    def said(self, name: str) -> str:
        """Return a member if it is a text, and an empty text if it is absent or anything else.

        For asking what a document is, before it is known which members it must have.
        """
        value = self._members.get(name)
        return value if isinstance(value, str) else ""

    def said_each(self, name: str) -> tuple[str, ...]:
        """Return a member that is a text, or the texts of one that is a list; else none."""
        value = self._members.get(name)
        values = value if isinstance(value, list) else (value,)
        return tuple(each for each in values if isinstance(each, str))

    def said_fields(self, name: str) -> Fields | None:
        """Return a member if it is an object, and None if it is absent or anything else."""
        value = self._members.get(name)
        return self._as_fields(name, value) if isinstance(value, dict) else None

    def whole_number(self, name: str) -> int:
        """Return a member that must be a whole number, from 0 to 2^63-1.

        Raises:
            ProtocolViolationError: It is missing, or something else.
        """
        value = self._required(name, self._members.get(name))
        # In Python a bool is an int; in JSON true is no number.
        if isinstance(value, bool) or not isinstance(value, int):
            self.refuse(name, f"is {_shown(value)}, not a whole number")
        if not 0 <= value <= MAX_WHOLE_NUMBER:
            self.refuse(name, f"is {_shown(value)}, not a number from 0 to 2^63-1")
        return value

    def optional_number(self, name: str) -> float | None:
        """Return a member that may be a number; None when it is absent.

        Raises:
            ProtocolViolationError: It is something else, or too large.
        """
        value = self._members.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.refuse(name, f"is {_shown(value)}, not a number")
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            self.refuse(name, "is too large a number")
        return number

    def optional_flag(self, name: str) -> bool | None:
        """Return a member that may be true or false; None when it is absent.

        Raises:
            ProtocolViolationError: It is something else.
        """
        value = self._members.get(name)
        if value is not None and not isinstance(value, bool):
            self.refuse(name, f"is {_shown(value)}, neither true nor false")
        return value

    def optional_fields(self, name: str) -> Fields | None:
        """Return a member that may be an object; None when it is absent.

        Raises:
            ProtocolViolationError: It is something else.
        """
        value = self._members.get(name)
        return None if value is None else self._as_fields(name, value)

    def fields(self, name: str) -> Fields:
        """Return a member that must be an object.

        Raises:
            ProtocolViolationError: It is missing, or something else.
        """
        return self._required(name, self.optional_fields(name))

    def each_fields(self, name: str) -> tuple[Fields, ...]:
        """Return a member that must be a list of objects; null counts as an empty list.

        Raises:
            ProtocolViolationError: It is missing, or something else.
        """
        return tuple(
            self._as_fields(f"{name}[{position}]", item)
            for position, item in enumerate(self._list(name))
        )

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a member that must be a list of texts; null counts as an empty list.

        Raises:
            ProtocolViolationError: It is missing, or something else.
        """
        return tuple(
            self._as_text(f"{name}[{position}]", item)
            for position, item in enumerate(self._list(name))
        )

    def text_by_key(self, name: str) -> Mapping[str, str]:
        """Return a member that may be an object of texts; empty when it is absent.

        Raises:
            ProtocolViolationError: It is something else.
        """
        fields = self.optional_fields(name)
        if fields is None:
            return {}
        return {
            fields._as_text(key, key): fields._as_text(key, value)  # noqa: SLF001 - another of us
            for key, value in fields._members.items()  # noqa: SLF001 - another of us
        }

    def fields_by_key(self, name: str) -> Mapping[str, Fields]:
        """Return a member that may be an object of objects; empty when it is absent.

        Raises:
            ProtocolViolationError: It is something else.
        """
        fields = self.optional_fields(name)
        if fields is None:
            return {}
        return {
            fields._as_text(key, key): fields._as_fields(key, value)  # noqa: SLF001 - another of us
            for key, value in fields._members.items()  # noqa: SLF001 - another of us
        }

    def is_empty(self) -> bool:
        """Say whether the object has no members at all."""
        return not self._members

    def holds(self, name: str, kind: type[object]) -> bool:
        """Say whether a member is a text, a list or an object, where a format allows several."""
        return isinstance(self._members.get(name), kind)

    def holds_list_of(self, name: str, kind: type[object]) -> bool:
        """Say whether a member is a list, not empty, of nothing but texts, or but objects."""
        value = self._members.get(name)
        return isinstance(value, list) and bool(value) and all(isinstance(i, kind) for i in value)

    def _list(self, name: str) -> list[object]:
        if name not in self._members:
            self.refuse(name, "is missing")
        value = self._members[name]
        if value is None:
            return []
        if not isinstance(value, list):
            self.refuse(name, f"is {_shown(value)}, not a list")
        return value

    def _as_text(self, name: str, value: object) -> str:
        if not isinstance(value, str):
            self.refuse(name, f"is {_shown(value)}, not a text")
        # Half of a surrogate pair can be written in JSON, and nowhere else: not even in a log.
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            self.refuse(name, "holds half a character")
        return value

    def _as_fields(self, name: str, value: object) -> Fields:
        if not isinstance(value, dict):
            self.refuse(name, f"is {_shown(value)}, not an object")
        return Fields(self._document, name, value, self._refusal, self)

    def _required(self, name: str, value: _Value | None) -> _Value:
        if value is None:
            self.refuse(name, "is missing")
        return value

    def _path_of(self, name: str) -> str:
        """Put the path together only when something is refused: documents have many objects."""
        names = [name]
        at: Fields | None = self
        while at is not None:
            names.append(at._path)  # noqa: SLF001 - another of us
            at = at._within  # noqa: SLF001 - another of us
        shown = (_cut(each.encode("ascii", "backslashreplace").decode("ascii")) for each in names)
        return ".".join(reversed([each for each in shown if each]))


def read_fields(
    content: bytes,
    document: str,
    *,
    max_depth: int = MAX_DEPTH,
    refusal: Refusal = refuse_as_protocol_violation,
) -> Fields:
    """Read a JSON text that must be one object.

    Refused beyond what JSON itself refuses: a byte order mark, NaN and Infinity, the same key twice
    in one object (readers differ in which they take), numbers of thousands of digits, and nesting
    deeper than is allowed. The size is the caller's to bound.

    Args:
        content: The text, in UTF-8.
        document: What it is, in words, for the errors: ``the manifest``.
        max_depth: How deep lists and objects may be nested.
        refusal: Makes the error of what is refused.

    Returns:
        Its members.

    Raises:
        PromotionError: It is not such a text; a ProtocolViolationError unless `refusal` makes
            another.

    Source: RFC 8259, sections 4 (unique names), 6 (numbers), 8.1 (UTF-8) and 9 (limits).
    """
    value = _read_value(content, document, max_depth, refusal)
    if not isinstance(value, dict):
        raise refusal(f"cannot read {document}: it is {_shown(value)}, not an object")
    return Fields(document, "", value, refusal)


def read_each_fields(
    content: bytes,
    document: str,
    *,
    max_depth: int = MAX_DEPTH,
    refusal: Refusal = refuse_as_protocol_violation,
) -> tuple[Fields, ...]:
    """Read a JSON text that must be one object, or a list of objects.

    Args:
        content: As in `read_fields`.
        document: As in `read_fields`.
        max_depth: As in `read_fields`.
        refusal: As in `read_fields`.

    Returns:
        The members of each object; of one object a tuple of one.

    Raises:
        PromotionError: As in `read_fields`.

    Source: as in `read_fields`.
    """
    value = _read_value(content, document, max_depth, refusal)
    each = value if isinstance(value, list) else [value]
    fields = []
    for position, item in enumerate(each):
        if not isinstance(item, dict):
            where = f"[{position}]" if isinstance(value, list) else "it"
            raise refusal(f"cannot read {document}: {where} is {_shown(item)}, not an object")
        fields.append(
            Fields(document, f"[{position}]" if isinstance(value, list) else "", item, refusal)
        )
    return tuple(fields)


def _read_value(content: bytes, document: str, max_depth: int, refusal: Refusal) -> object:
    """Read any JSON text within the bounds that `read_fields` names."""

    def refuse(rule: str) -> NoReturn:
        raise refusal(f"cannot read {document}: {rule}")

    # A refusal of our own passes; what json raises is a ValueError, of which there are three:
    # broken JSON, broken UTF-8, and a number with more digits than Python agrees to read.
    try:
        text = content.decode("utf-8")
        if _is_deeper(content, max_depth):
            refuse(f"it is nested more than {max_depth} levels deep")
        with collector_out_of_the_way(len(content)):
            value: object = json.loads(
                text,
                object_pairs_hook=lambda pairs: _without_duplicates(pairs, refuse),
                parse_constant=lambda constant: refuse(f"{constant} is no JSON number"),
            )
    except ValueError as error:
        raise refusal(f"cannot read {document}: it is not JSON: {error}") from error
    return value


def _is_deeper(content: bytes, max_depth: int) -> bool:
    """Count brackets before json does, which would end in a RecursionError.

    As far as the text is JSON the count is right, and where it stops being that, so does json.
    """
    # Escaped quotes are none, and two quotes with nothing of interest between them neither: of
    # what is left, every other piece between quotes is inside a string.
    counted = content.replace(b"\\\\", b"").replace(b'\\"', b"")
    counted = counted.translate(None, _NEITHER_QUOTES_NOR_BRACKETS).replace(b'""', b"")
    brackets = b"".join(counted.split(b'"')[::2])
    return max(accumulate(array("b", brackets.translate(_STEPS))), default=0) > max_depth


@contextmanager
def collector_out_of_the_way(size_bytes: int) -> Iterator[None]:
    """Keep the garbage collector from looking at millions of new values again and again.

    None of them is garbage before all are read, and looking costs more than reading them.

    Args:
        size_bytes: The size of the text that is read meanwhile; nothing is done for a small one.
    """
    pausing = size_bytes >= _MANY_BYTES and gc.isenabled()
    if pausing:
        gc.disable()
    try:
        yield
    finally:
        if pausing:
            gc.enable()


def _without_duplicates(
    pairs: list[tuple[str, object]], refuse: Callable[[str], NoReturn]
) -> dict[str, object]:
    members = dict(pairs)
    if len(members) < len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                refuse(f"the key {_shown(name)} stands twice in one object")
            seen.add(name)
    return members


def _shown(value: object) -> str:
    """Return a value as JSON in ASCII, cut where it grows long."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        value = value[: _SHOWN_CHARACTERS + 1]
    return _cut(json.dumps(value))


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "..."
