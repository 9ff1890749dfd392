"""Inputs made of valid ones: bytes changed anywhere, or one value of a JSON document replaced.

Everything follows from one random generator, so that an input can be made again from its number.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Sequence

_MOST_CHANGES = 4
_LONGEST_RUN = 24

_BYTES = (
    *(b"", b"\x00", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\r\n", b"\n", b"\t", b" ", b","),
    *(b";", b":", b"/", b"@", b"=", b"%", b"%00", b"\\", b'"', b"'", b"<", b">", b"[", b"]", b"{"),
    *(b"}", b"*", b"&", b"!", b"|", b"-", b"--", b"..", b"../", b"0", b"-1", b"1e999", b"NaN"),
    *(b"9" * 40, b"9" * 5000, b"a" * 300, "\u0130\u00b2\u0660".encode(), b"null", b"true"),
    *(b"\x1b[31m", b"\xe2\x80\xae", b"${", b"{{", b"&#x41;", b"<!DOCTYPE a>", b"&a;"),
)

_VALUES: tuple[object, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63), 10**400, 0.5, -0.0, 1e308),
    *("", " ", "x", "\x00", "\ud800", "\u202e", "a" * 300, "9" * 5000, "-", "1.0", "../..", "NaN"),
    *("2026-11-24T12:00:00Z", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"),
    *("sha256:" + "0" * 64, "pkg:deb/debian/a@1?arch=b", "http://[::1", "https://host:99999/"),
    *([], [[]], [None], [0], [""], {}, {"": {}}, {"a": None}),
)

Place = tuple[list[object] | dict[str, object], int | str]


class Mutator:
    """Makes inputs of samples.

    Args:
        samples: Valid inputs; at least one.
        words: What means something to the parser, to be put in anywhere.
        chance: Where all chance comes from.
    """

    def __init__(
        self, samples: Sequence[bytes], words: Sequence[bytes], chance: random.Random
    ) -> None:
        self._samples = samples
        self._pieces = (*_BYTES, *words)
        self._chance = chance

    def next(self) -> bytes:
        """Make one input."""
        sample = self._chance.choice(self._samples)
        if self._chance.random() < 0.5:
            document = _document_of(sample)
            if document is not None:
                return self._with_other_values(document)
        return self._with_other_bytes(sample)

    def _with_other_bytes(self, sample: bytes) -> bytes:
        content = bytearray(sample)
        for _ in range(self._chance.randint(1, _MOST_CHANGES)):
            start = self._chance.randint(0, len(content))
            stop = min(len(content), start + self._chance.choice((0, 0, 1, 1, 2, _LONGEST_RUN)))
            match self._chance.randrange(6):
                case 0 | 1 | 2:
                    content[start:stop] = self._chance.choice(self._pieces)
                case 3:
                    content[start:stop] = self._chance.randbytes(self._chance.randint(1, 4))
                case 4:
                    content[start:start] = content[start:stop] * self._chance.choice((1, 2, 50))
                case _:
                    del content[start : None if self._chance.random() < 0.2 else stop]
        return bytes(content)

    def _with_other_values(self, document: object) -> bytes:
        changed = copy.deepcopy(document)
        for _ in range(self._chance.randint(1, _MOST_CHANGES)):
            places = list(_places(changed))
            if not places:
                break
            holder, key = self._chance.choice(places)
            self._change(holder, key, self._chance.choice(places))
        return json.dumps(changed).encode()

    def _change(
        self, holder: list[object] | dict[str, object], key: int | str, other: Place
    ) -> None:
        value = copy.deepcopy(self._chance.choice(_VALUES))
        kind = self._chance.randrange(5)
        if isinstance(holder, dict):
            if kind == 0:
                holder.pop(str(key), None)
            elif kind == 1:
                holder[self._chance.choice(self._pieces).decode("latin-1")] = value
            else:
                holder[str(key)] = copy.deepcopy(other[0][other[1]] if kind == 2 else value)  # type: ignore[index]
        elif isinstance(key, int):
            holder[key : key + 1] = [] if kind == 0 else [copy.deepcopy(value)] * kind


def _document_of(sample: bytes) -> object | None:
    try:
        document: object = json.loads(sample)
    except ValueError:
        return None
    return document


def _places(value: object) -> list[Place]:
    """Return where each value within a document stands: what holds it, and its key there."""
    places: list[Place] = []
    waiting = [value]
    while waiting:
        holder = waiting.pop()
        if isinstance(holder, dict):
            places += [(holder, key) for key in holder]
            waiting += holder.values()
        elif isinstance(holder, list):
            places += [(holder, position) for position in range(len(holder))]
            waiting += holder
    return places
