"""The places that evidence comes from, as a policy names them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PlainSerializer

from image_promotion.policy.refusal import RefusalError, kind_of
from image_promotion.policy.values import NOT_EMPTY, Strict, Text


class SourceName(StrEnum):
    """A place that evidence comes from."""

    REFERRERS = "referrers"
    REGISTRY = "registry"
    SYFT = "syft"
    TRIVY = "trivy"
    GRYPE = "grype"
    FILES = "files"


ON_DEMAND = frozenset({SourceName.SYFT, SourceName.TRIVY, SourceName.GRYPE})
"""Programs that look through the whole image when they are asked."""


class FilesSettings(Strict):
    """A source of files, with its folder."""

    files: Text = Field(
        description="A folder with reports that are named by digest: `sha256-<hex>.json`, "
        "`sha256-<hex>.trivy.json` and so on, or `sha256/<hex>/<any name>.json`."
    )


class SyftSettings(Strict):
    """How an SBOM is made on the spot."""

    attach: bool = Field(
        default=False,
        strict=True,
        description="Whether each image that is promoted gets one attached in the target, as a "
        "referrer of the type `application/spdx+json`; it is made even if no trigger needs it.",
    )


class SyftSource(Strict):
    """The source syft, with its settings."""

    syft: SyftSettings


class Source(Strict):
    """A source of evidence; in a policy it is written as its name, or as its name and settings.

    Args:
        name: Which source.
        folder: The folder of `files`.
        attach: Whether syft's SBOM is attached to the image in the target.
    """

    name: SourceName
    folder: Text | None = None
    attach: bool = False

    def written(self) -> str | dict[str, object]:
        """Return it as a policy has it."""
        if self.folder is not None:
            return {str(self.name): self.folder}
        return {str(self.name): {"attach": True}} if self.attach else str(self.name)


def _source(value: object) -> object:
    if isinstance(value, Source):
        return value
    if isinstance(value, str):
        if value == SourceName.FILES:
            raise RefusalError("files needs a folder", "`- files: FOLDER`")
        if value not in list(SourceName):
            raise RefusalError(f"there is no source of evidence {value!r}", _SOURCES)
        return {"name": value}
    if not isinstance(value, Mapping) or len(value) != 1:
        raise RefusalError("must be the name of one source", _SOURCES)
    name, settings = next(iter(value.items()))
    return {"name": name, **_settings_of(name, settings)}


def _settings_of(name: str, settings: object) -> dict[str, object]:
    if name == SourceName.FILES:
        if not isinstance(settings, str) or not settings:
            raise RefusalError("must be a folder", "`- files: FOLDER`", at=(name,))
        return {"folder": settings}
    if name == SourceName.SYFT:
        if settings not in ({"attach": True}, {"attach": False}):
            raise RefusalError("has unknown settings", "`- syft: {attach: true}`", at=(name,))
        return {"attach": settings == {"attach": True}}
    if name in list(SourceName):
        raise RefusalError(f"{name} has no settings", f"`- {name}` alone", at=(name,))
    raise RefusalError(f"there is no source of evidence {name!r}", _SOURCES)


_SOURCES = (
    ", ".join(each for each in SourceName if each is not SourceName.FILES) + ", files: FOLDER"
)

PlainSource = Literal["referrers", "registry", "syft", "trivy", "grype"]
SourceValue = Annotated[
    Source,
    BeforeValidator(_source, json_schema_input_type=PlainSource | FilesSettings | SyftSource),
    PlainSerializer(Source.written, when_used="json"),
]


def _sources(value: object) -> object:
    if not isinstance(value, list | tuple):
        raise RefusalError(f"must be a list, not {kind_of(value)}", "sources, each with a dash")
    if not value:
        raise RefusalError("needs at least one source")
    return value


SourceList = Annotated[
    tuple[SourceValue, ...], BeforeValidator(_sources), Field(json_schema_extra=NOT_EMPTY)
]
