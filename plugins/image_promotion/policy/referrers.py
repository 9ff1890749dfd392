"""What goes along with an image: the key `referrers` of a policy."""

from __future__ import annotations

import re
from enum import StrEnum
from functools import cached_property

from pydantic import Field, field_validator, model_validator

from image_promotion.policy.refusal import RefusalError
from image_promotion.policy.values import Strict, TextList

_TYPE_PATTERN = re.compile(r"[A-Za-z0-9!#$&^_.+*/-]{1,255}")


class Carry(StrEnum):
    """Whether what is attached to an image goes with it."""

    ALL = "all"
    NONE = "none"


class Referrers(Strict):
    """What goes along with an image: signatures, attestations, SBOMs and whatever is attached."""

    carry: Carry = Field(
        default=Carry.ALL,
        description="`all` brings what is attached to the image, to the images of an index and to "
        "the attachments themselves; `none` brings nothing.",
    )
    artifact_types: TextList | None = Field(
        default=None,
        description="Only attachments of these types go along, such as `application/spdx+json` or, "
        "with `*` for any characters, `application/vnd.dev.sigstore.*`. What cosign keeps under "
        "its tags `.sig` and `.att` is of the types "
        "`application/vnd.dev.cosign.simplesigning.v1+json` and "
        "`application/vnd.dsse.envelope.v1+json`. Without the key every type goes along.",
    )

    @field_validator("artifact_types")
    @classmethod
    def _are_media_types(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for each in value or ():
            if not _TYPE_PATTERN.fullmatch(each):
                raise RefusalError(
                    f"{each!r} is no artifact type",
                    "a media type such as application/spdx+json; * stands for any characters",
                )
        return value

    @model_validator(mode="after")
    def _types_are_of_use(self) -> Referrers:
        if self.carry is Carry.NONE and self.artifact_types is not None:
            raise RefusalError(
                "says what goes along, but `carry: none` says that nothing does",
                "one of the two",
                at=("artifact_types",),
            )
        return self

    @cached_property
    def _types(self) -> re.Pattern[str] | None:
        if self.artifact_types is None:
            return None
        parts = (re.escape(each).replace(r"\*", ".*") for each in self.artifact_types)
        return re.compile("|".join(parts), re.IGNORECASE | re.DOTALL)

    @property
    def carries_nothing(self) -> bool:
        """Whether attachments need not even be looked for."""
        return self.carry is Carry.NONE

    def wants(self, artifact_type: str) -> bool:
        """Return whether an attachment of a type goes along.

        Source: RFC 6838, section 4.2: media types are compared without regard to case.
        """
        if self.carries_nothing:
            return False
        return self._types is None or self._types.fullmatch(artifact_type) is not None
