"""Which parts of an image go: the keys `platforms` and `foreign_layers` of a policy."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from image_promotion.policy.foreign_layers import ForeignLayers
from image_promotion.policy.refusal import RefusalError
from image_promotion.policy.values import TextList

# As registry.platforms reads it, which is not to be known here; a test holds the two together.
_PART = "[a-z0-9][a-z0-9._-]*"
_PLATFORM = re.compile(f"{_PART}/{_PART}(/{_PART})?")
_MAX_CHARACTERS = 100


def _are_platforms(value: tuple[str, ...]) -> tuple[str, ...]:
    for each in value:
        if len(each) > _MAX_CHARACTERS or not _PLATFORM.fullmatch(each):
            raise RefusalError(
                f"{each[:_MAX_CHARACTERS]!r} is no platform",
                "OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT in lower case, such as linux/amd64 or "
                "linux/arm/v7",
            )
    return value


Platforms = Annotated[TextList, AfterValidator(_are_platforms)]
"""Platforms as people write them, in the order of the file, which means nothing."""

PLATFORMS = Field(
    default=None,
    description="Of an index, only the images for these platforms go, such as "
    "`[linux/amd64, linux/arm64]`; without a variant every variant is meant. They arrive in a new "
    "index with a digest of its own, to which signatures over the old one do not apply. An image "
    "that lacks one of the platforms is rejected. Without the key all of an index goes.",
)


FOREIGN_LAYERS = Field(
    default=ForeignLayers.SKIP,
    description="`skip` leaves layers that must not be pushed where their URLs lead, `copy` brings "
    "them from the source registry and fails where that lacks one, `refuse` rejects images that "
    "have any.",
)
