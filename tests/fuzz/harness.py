"""Runs a parser on mutated inputs and keeps what it did that it may not do.

A parser reads an input, or refuses it with one of its own errors. Everything else is a find: any
other exception, a warning, and an input that takes long, since whoever sends one can send many.
"""

from __future__ import annotations

import random
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.fuzz.mutation import Mutator

SLOW_S = 2.0
"""From here on an input counts as slow, in seconds of processor time."""

_KEPT_FINDS = 10


@dataclass(frozen=True, slots=True)
class Target:
    """A parser.

    Args:
        name: What it reads.
        samples: What it reads without an error.
        read: Gives it an input.
        refusals: The errors by which it may refuse one.
        words: What means something to it.
    """

    name: str
    samples: tuple[bytes, ...]
    read: Callable[[bytes], object]
    refusals: tuple[type[Exception], ...]
    words: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Find:
    """An input that a parser neither read nor refused.

    Args:
        number: The input's number, by which it can be made again.
        content: The input.
        what: What happened, with where.
    """

    number: int
    content: bytes = field(repr=False)
    what: str


@dataclass(slots=True)
class Outcome:
    """What became of all inputs.

    Attributes:
        target: The parser's name.
        read: How many it read.
        refused: How many it refused.
        slowest_s: What the slowest took, in seconds of processor time.
        finds: The first finds of each kind.
    """

    target: str
    read: int = 0
    refused: int = 0
    slowest_s: float = 0.0
    finds: list[Find] = field(default_factory=list)


def input_of(target: Target, seed: int, number: int) -> bytes:
    """Make the input of a number.

    Args:
        target: The parser.
        seed: Gives other inputs for another one.
        number: From 0.
    """
    chance = random.Random(f"{seed} {target.name} {number}")  # noqa: S311 - to be made again
    return Mutator(target.samples, target.words, chance).next()


def run(target: Target, *, seed: int, count: int, first: int = 0) -> Outcome:
    """Give a parser many inputs.

    Args:
        target: The parser.
        seed: As in `input_of`.
        count: How many.
        first: The number of the first.

    Returns:
        What became of them.
    """
    outcome = Outcome(target.name)
    kinds: set[str] = set()
    for number in range(first, first + count):
        content = input_of(target, seed, number)
        begun_s = time.process_time()
        what = fault_of(target, content, outcome)
        taken_s = time.process_time() - begun_s
        outcome.slowest_s = max(outcome.slowest_s, taken_s)
        if what is None and taken_s > SLOW_S:
            what = f"took {taken_s:.1f} s"
        if what is not None and what not in kinds and len(kinds) < _KEPT_FINDS:
            kinds.add(what)
            outcome.finds.append(Find(number, content, what))
    return outcome


def fault_of(target: Target, content: bytes, outcome: Outcome) -> str | None:
    """Give a parser one input.

    Args:
        target: The parser.
        content: The input.
        outcome: Where it is counted.

    Returns:
        What is wrong with what it did; None when it read the input or refused it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                target.read(content)
            except target.refusals as refusal:
                str(refusal).encode()  # what is said can be written down
                outcome.refused += 1
            else:
                outcome.read += 1
    except Exception as error:  # noqa: BLE001 - every other one is what is looked for
        last = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} at {last.filename}:{last.lineno}"
    return None
