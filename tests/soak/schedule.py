"""A schedule of misfortunes, as data: everything follows from its seed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum

from image_promotion.policy.places import ExistingTag
from tests.soak.misfortunes import FAULTS, Ask, Misfortune

MOST_IMAGES = 3
MOST_FAULTS = 7
MOST_DEEDS = 3

TEMPLATES = ("%n", "%n", "%n", "%n-%Y%m%d%H%M%S", "v%n")

_TIMES = (1, 1, 1, 2, 4, 6, 25)


class Deed(StrEnum):
    """What others do to the registries while a run is under way."""

    MOVE_SOURCE_TAG = "a developer moves the source tag"
    DELETE_SOURCE_TAG = "a developer deletes the source image"
    SET_TARGET_TAG = "somebody sets the target tag"
    DELETE_TARGET_TAG = "somebody deletes what the target tag holds"
    COLLECT_TARGET = "the target collects the image as garbage"


_DEEDS_AT_SOURCE = (Deed.MOVE_SOURCE_TAG, Deed.DELETE_SOURCE_TAG)


@dataclass(frozen=True, slots=True)
class Moment:
    """A request of the product.

    Attributes:
        ask: What it asks.
        image: The number of the image that it is about.
        skip: How many such requests come before.
    """

    ask: Ask
    image: int
    skip: int


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """What goes wrong with a request, and with how many of the same kind from then on."""

    moment: Moment
    misfortune: Misfortune
    times: int


@dataclass(frozen=True, slots=True)
class PlannedDeed:
    """What others do just when a request comes, or when it is done and not answered yet."""

    moment: Moment
    deed: Deed
    image: int
    at_answer: bool


@dataclass(frozen=True, slots=True)
class PlannedImage:
    """An image of the source.

    Attributes:
        tag: Its tag; the policy wants those that end with ``-stable``.
        is_index: Whether it has two platforms.
        shares_layer: Whether one of its layers is another image's too.
    """

    tag: str
    is_index: bool
    shares_layer: bool


@dataclass(frozen=True, slots=True)
class Schedule:
    """What is there, and what goes wrong.

    Attributes:
        seed: Gives the same schedule each time.
        images: The images of the source.
        existing_tag: What the policy says about target tags of others.
        template: The policy's tag template.
        faults: What goes wrong, as long as the faulty runs last.
        deeds: What others do.
        occupied: The images whose target tags are others' from the beginning.
        moved_later: The images whose source tags move when the first run is over.
        faulty_runs: How many runs there are before the registries are well again.
        wants_tokens: Whether the registries want tokens.
        goes_in_batches: Whether one line of tasks carries all images, and not each its own.
        repeats_late: Whether somebody clears tasks of the first run when all is over.
    """

    seed: int
    images: tuple[PlannedImage, ...]
    existing_tag: ExistingTag
    template: str
    faults: tuple[PlannedFault, ...]
    deeds: tuple[PlannedDeed, ...]
    occupied: frozenset[int]
    moved_later: frozenset[int]
    faulty_runs: int
    wants_tokens: bool
    goes_in_batches: bool
    repeats_late: bool

    @classmethod
    def of(cls, seed: int) -> Schedule:
        """Make the schedule of a seed."""
        chance = random.Random(seed)  # noqa: S311 - it has to be repeatable
        count = chance.randint(1, MOST_IMAGES)
        images = tuple(
            PlannedImage(
                f"{letter}{seed % 10}-stable", chance.random() < 0.25, chance.random() < 0.4
            )
            for letter in "abc"[:count]
        )
        wants_tokens = chance.random() < 0.2
        return cls(
            seed=seed,
            images=images,
            existing_tag=chance.choice(list(ExistingTag)),
            template=chance.choice(TEMPLATES),
            faults=tuple(
                _fault(chance, count, wants_tokens=wants_tokens)
                for _ in range(chance.randint(1, MOST_FAULTS))
            ),
            deeds=tuple(_deed(chance, count) for _ in range(chance.randint(0, MOST_DEEDS))),
            occupied=frozenset(n for n in range(count) if chance.random() < 0.08),
            moved_later=frozenset(n for n in range(count) if chance.random() < 0.25),
            faulty_runs=chance.randint(1, 2),
            wants_tokens=wants_tokens,
            goes_in_batches=chance.random() < 0.3,
            repeats_late=chance.random() < 0.5,
        )


def _fault(chance: random.Random, images: int, *, wants_tokens: bool) -> PlannedFault:
    ask = chance.choice(list(FAULTS))
    return PlannedFault(
        Moment(ask, chance.randrange(images), chance.choice((0, 0, 0, 1, 2))),
        chance.choice([each for each in FAULTS[ask] if wants_tokens or not each.needs_tokens]),
        chance.choice(_TIMES),
    )


# The requests at which others come in between where it matters, the more delicate ones more often.
_MOMENTS_OF_SOURCE = (
    *(Ask.SOURCE_TAG, Ask.SOURCE_TAG, Ask.SOURCE_MANIFEST, Ask.SOURCE_BLOB),
    *(Ask.TARGET_TAG, Ask.UPLOAD, Ask.MANIFEST, Ask.TARGET_MANIFEST, Ask.SET_TAG),
)
_MOMENTS_OF_TARGET = (
    *(Ask.SOURCE_TAG, Ask.TARGET_TAG, Ask.TARGET_TAG, Ask.MANIFEST, Ask.TARGET_MANIFEST),
    *(Ask.SET_TAG, Ask.SET_TAG, Ask.READ_TAG),
)


def _deed(chance: random.Random, images: int) -> PlannedDeed:
    image = chance.randrange(images)
    deed = chance.choice(list(Deed))
    moments = _MOMENTS_OF_SOURCE if deed in _DEEDS_AT_SOURCE else _MOMENTS_OF_TARGET
    moment = Moment(chance.choice(moments), image, chance.choice((0, 0, 1, 1, 2)))
    return PlannedDeed(moment, deed, image, at_answer=chance.random() < 0.5)
