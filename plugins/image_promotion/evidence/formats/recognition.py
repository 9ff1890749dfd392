"""Which format a report has, by what it unmistakably says of itself; unknown ones stay unknown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from image_promotion.errors import UnknownFormatError
from image_promotion.evidence.formats import (
    cyclonedx,
    cyclonedx_xml,
    dtr,
    grype,
    harbor,
    openvex,
    sarif,
    spdx2,
    spdx3,
    syft,
    trivy,
    vulnerability_predicates,
)
from image_promotion.evidence.formats.text import read_json_report
from image_promotion.evidence.report import Report
from image_promotion.registry.document import Fields, collector_out_of_the_way


class Format(Protocol):
    """What a module of a format of JSON documents offers."""

    def recognises(self, fields: Fields) -> bool:
        """Say whether a document names this format as its own; must not raise."""

    def read(self, fields: Fields) -> Report:
        """Read a document that was recognised.

        Raises:
            UnreadableEvidenceError: It breaks its format.
        """


_LOOKED_AT_BYTES = 256

_FORMATS: tuple[Format, ...] = (
    spdx2,
    spdx3,
    cyclonedx,
    syft,
    trivy,
    grype,
    sarif,
    openvex,
    harbor,
    dtr,
)
"""Every format of JSON documents. No document is recognised by two of them, so order is nothing."""


def _as_any_of(*formats: Format) -> Callable[[Fields], Report]:
    """Read a predicate that must be a document of one of some formats."""

    def read(predicate: Fields) -> Report:
        # Older versions of cosign put the document into a member Data.
        document = predicate.said_fields("Data") or predicate
        for each in formats:
            if each.recognises(document):
                return each.read(document)
        raise UnknownFormatError(
            "cannot read the attestation: its predicate does not say that it is what its type says"
        )

    return read


_PREDICATES: tuple[tuple[str, Callable[[Fields], Report]], ...] = (
    ("https://spdx.dev/Document", _as_any_of(spdx2, spdx3)),
    ("https://cyclonedx.org/bom", _as_any_of(cyclonedx)),
    ("https://openvex.dev/ns", _as_any_of(openvex)),
    (
        vulnerability_predicates.COSIGN_TYPE,
        lambda predicate: vulnerability_predicates.read_cosign(
            predicate, read_document, read_report
        ),
    ),
    (vulnerability_predicates.IN_TOTO_TYPE, vulnerability_predicates.read_in_toto),
)
"""How each kind of in-toto predicate is read, by the beginning of its type.

Source: in-toto Attestation Framework, "predicates"; sigstore/cosign, "Attestation specifications".
"""


def is_read(predicate_type: str) -> bool:
    """Say whether predicates of a type are read here; others say nothing that triggers ask for.

    Args:
        predicate_type: The statement's ``predicateType``.
    """
    return any(predicate_type.startswith(beginning) for beginning, _ in _PREDICATES)


def read_report(content: bytes) -> Report:
    """Read a document of any known format.

    Args:
        content: The document: JSON, or XML when it begins with ``<``.

    Returns:
        What it says.

    Raises:
        UnknownFormatError: It is of no format known here.
        UnreadableEvidenceError: It is too large or too deep, or breaks its format.
    """
    with collector_out_of_the_way(len(content)):
        # Some tools begin their XML with a byte order mark, as it may.
        if content[:_LOOKED_AT_BYTES].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
            return cyclonedx_xml.read(content)
        return read_document(read_json_report(content))


def read_document(fields: Fields) -> Report:
    """Read a JSON document of any known format.

    Args:
        fields: Its outermost object.

    Returns:
        What it says.

    Raises:
        UnknownFormatError: It is of no format known here.
        UnreadableEvidenceError: It breaks its format.
    """
    for each in _FORMATS:
        if each.recognises(fields):
            return each.read(fields)
    raise UnknownFormatError(
        "cannot read the report: it does not say that it is of any format known here"
    )


def read_predicate(predicate_type: str, fields: Fields) -> Report:
    """Read the predicate of an in-toto statement.

    The statement's own subject is the caller's to compare: it is not in the predicate.

    Args:
        predicate_type: The statement's ``predicateType``.
        fields: The statement's ``predicate``.

    Returns:
        What it says.

    Raises:
        UnknownFormatError: Predicates of this type are not read here, or the predicate is not what
            its type says.
        UnreadableEvidenceError: It breaks its format.
    """
    for beginning, read in _PREDICATES:
        if predicate_type.startswith(beginning):
            return read(fields)
    raise UnknownFormatError(
        f"cannot read the attestation: predicates of type {predicate_type!r} are not known here"
    )
