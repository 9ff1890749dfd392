"""Where facts come from and whose word counts: the key `evidence` of a policy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, ValidationInfo, model_validator

from image_promotion.policy.evidence_sources import Source, SourceList, SourceName
from image_promotion.policy.exceptions import ExceptionEntry, read_exception_entries
from image_promotion.policy.refusal import RefusalError, kind_of
from image_promotion.policy.signers import Signer, file_beside
from image_promotion.policy.values import Duration, Strict, Text, TextList

SIGNABLE = frozenset({SourceName.REFERRERS, SourceName.FILES})
"""The sources whose documents may carry a signature; the others are asked by us, and believed."""


_SIGNER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class SignedBy(Strict):
    """The signers of whom one must have signed."""

    signed_by: TextList = Field(description="Names under `evidence.signers`; one of them suffices.")


ANYBODY = "any"


class Trust(Strict):
    """Whose word counts; in a policy it is written as `any`, or as `signed_by:` and names.

    Args:
        signed_by: The signers of whom one must have signed; None when anybody's word counts.
    """

    signed_by: TextList | None = None

    def written(self) -> str | dict[str, list[str]]:
        """Return it as a policy has it."""
        return ANYBODY if self.signed_by is None else {"signed_by": list(self.signed_by)}


def _trust(value: object) -> object:
    if isinstance(value, Trust):
        return value
    if value == ANYBODY:
        return {}
    if isinstance(value, Mapping) and value:
        return value
    said = f"{value!r} says nobody" if isinstance(value, str) else f"is {kind_of(value)}"
    raise RefusalError(said, "`any`, or `signed_by:` and a list of names under evidence.signers")


TrustValue = Annotated[
    Trust,
    BeforeValidator(_trust, json_schema_input_type=Literal["any"] | SignedBy),
    PlainSerializer(Trust.written, when_used="json"),
]


class EvidenceTrust(Strict):
    """Whose word counts, source by source."""

    referrers: TrustValue | None = Field(
        default=None,
        description="What is attached to the image in the source registry, where whoever pushes "
        "images can attach anything. Without the key it must be signed by one of "
        "`evidence.signers`.",
    )
    files: TrustValue | None = Field(
        default=None, description="The files of the source `files`. Without the key any counts."
    )

    def of(self, source: SourceName) -> Trust | None:
        """Return what is said of a source; None where nothing is."""
        match source:
            case SourceName.REFERRERS:
                return self.referrers
            case SourceName.FILES:
                return self.files
            case _:
                return None


class Evidence(Strict):
    """Where the facts come from that triggers judge, and whose word counts."""

    sources: SourceList = Field(
        default=(Source(name=SourceName.REFERRERS), Source(name=SourceName.REGISTRY)),
        description="Asked in this order; the first that knows what a trigger needs is believed. "
        "`referrers`: what is attached to the image in the source registry; `registry`: the "
        "results of the registry's own scanner (Harbor, DTR); `syft`: an SBOM made on the spot; "
        "`trivy`, `grype`: these scanners, where they are installed; `files`: reports in a folder.",
    )
    max_age: Duration | None = Field(
        default=None,
        description="Reports older than this do not count: the image waits for a newer one. "
        "Without the key any age counts.",
    )
    signers: dict[Text, Signer] = Field(
        default_factory=dict,
        description="Whose signatures count, by a name that triggers and `trust` refer to.",
    )
    trust: EvidenceTrust = EvidenceTrust()
    exceptions: tuple[ExceptionEntry, ...] = Field(
        default=(), description="Vulnerabilities that are accepted for a while, instead of a file."
    )
    exceptions_file: Text | None = Field(
        default=None,
        description="A file with them, beside the policy or in a folder below; several policies "
        "may share one.",
    )

    @model_validator(mode="before")
    @classmethod
    def _read_exceptions(cls, value: object, info: ValidationInfo) -> object:
        """Put the file's entries where its name stands, so that a recorded policy has them."""
        if not isinstance(value, Mapping) or "exceptions_file" not in value:
            return value
        name = value["exceptions_file"]
        path = file_beside(name, info, at=("exceptions_file",))
        if path is None:
            return value
        if "exceptions" in value:
            raise RefusalError("has exceptions and exceptions_file", "one of the two")
        entries, faults = read_exception_entries(path)
        if faults:
            raise RefusalError(f"{name} is broken: {faults[0]}", at=("exceptions_file",))
        return {**value, "exceptions": entries}

    @model_validator(mode="after")
    def _fits_together(self) -> Evidence:
        for name in self.signers:
            if not _SIGNER_NAME.fullmatch(name):
                raise RefusalError(
                    f"{name!r} is no name for a signer",
                    "letters, digits and . _ -, a letter or digit first, at most 64 characters",
                    at=("signers", name),
                )
        names = [each.name for each in self.sources]
        for name in names:
            # Two folders of files are two sources.
            if name is not SourceName.FILES and names.count(name) > 1:
                raise RefusalError(f"names {name} twice", "each source once", at=("sources",))
        for source in SIGNABLE:
            trust = self.trust.of(source)
            if trust is not None and trust.signed_by is not None:
                self.require_signers(trust.signed_by, at=("trust", str(source), "signed_by"))
        return self

    def require_signers(self, names: tuple[str, ...], *, at: tuple[str | int, ...] = ()) -> None:
        """Refuse names that are not under `signers`.

        Args:
            names: The names.
            at: Where they stand.

        Raises:
            RefusalError: One of them is not there.
        """
        for name in names:
            if name not in self.signers:
                raise RefusalError(
                    f"there is no signer {name!r}",
                    ", ".join(sorted(self.signers)) or "a name that stands under evidence.signers",
                    at=at,
                )

    def signers_for(self, source: SourceName) -> Mapping[str, Signer] | None:
        """Return whose signature the documents of a source need.

        Args:
            source: The source.

        Returns:
            The signers by name, of whom one must have signed; empty when nobody's signature would
            do, so that nothing counts; None when none is needed.
        """
        if source not in SIGNABLE:
            return None
        trust = self.trust.of(source)
        if trust is None:
            return None if source is SourceName.FILES else self.signers
        if trust.signed_by is None:
            return None
        return {name: self.signers[name] for name in trust.signed_by}
