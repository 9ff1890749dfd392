"""An artifact of a registry, opened: each of its layers that may be evidence is a document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from image_promotion.errors import (
    AuthenticationError,
    ContentMismatchError,
    DeniedError,
    EvidenceError,
    PromotionError,
    Subject,
)
from image_promotion.evidence.document import Document, Kind
from image_promotion.evidence.formats.text import MAX_SIZE_BYTES
from image_promotion.evidence.sources.source import Basket, on_one_line
from image_promotion.policy.evidence_sources import SourceName
from image_promotion.registry.concurrency import ask_each
from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.digest import Digest
from image_promotion.registry.manifest import ImageIndex, ImageManifest, Manifest
from image_promotion.registry.referrers import artifact_type_of
from image_promotion.registry.store import Store

CREATED = "org.opencontainers.image.created"

_KINDS = {
    "application/vnd.dev.cosign.simplesigning.v1+json": Kind.SIMPLE_SIGNING,
    "application/vnd.dsse.envelope.v1+json": Kind.ENVELOPE,
    "application/vnd.in-toto+json": Kind.STATEMENT,
}
_BUNDLE = "application/vnd.dev.sigstore.bundle"

_SAY_NOTHING = frozenset(
    {
        "",
        "application/octet-stream",
        "application/vnd.oci.image.layer.v1.tar",
        "application/vnd.oci.empty.v1+json",
    }
)
"""What layers are called by tools that were not told better; oras calls every file a tar."""

_REPORTS = frozenset({"application/json", "application/xml", "text/json", "text/xml", "text/spdx"})
_REPORT_ENDINGS = ("+json", "+xml", ".report", ".harbor.sbom.v1")
"""Harbor's two own types name no syntax, and are JSON."""

_NO_REPORTS = frozenset(
    {
        "application/jose+json",
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.docker.container.image.v1+json",
    }
)
"""Types that end like a report and are none: signatures of Notation, and configurations."""


def kind_by_type(layer_type: str, artifact_type: str) -> Kind | None:
    """Tell from types alone whether a layer may be evidence, and of which kind.

    Args:
        layer_type: The layer's media type.
        artifact_type: The type of the artifact it is a part of, which counts where the layer's own
            says nothing.

    Returns:
        The kind; None for what is no evidence, such as the layers of an image or a chart.

    Source: cosign, "Signature Specification"; sigstore, "Bundle Specification"; in-toto, "Envelope
    layer"; OCI Image Specification 1.1, "Guidelines for Artifact Usage".
    """
    for said in (layer_type, artifact_type):
        bare = said.partition(";")[0].strip().lower()
        if bare in _SAY_NOTHING:
            continue
        if bare.startswith(_BUNDLE):
            return Kind.BUNDLE
        if bare in _KINDS:
            return _KINDS[bare]
        is_report = bare in _REPORTS or bare.endswith(_REPORT_ENDINGS)
        return Kind.REPORT if is_report and bare not in _NO_REPORTS else None
    return None


@dataclass(frozen=True, slots=True)
class Found:
    """An artifact that was found about an image.

    Args:
        manifest: The artifact.
        subject: The digest that it was found at.
        location: Where it was found, in words.
    """

    manifest: Manifest
    subject: Digest
    location: str


@dataclass(frozen=True, slots=True)
class _Layer:
    found: Found
    layer: Descriptor
    kind: Kind
    location: str


class ArtifactReader:
    """Opens artifacts of one repository.

    Args:
        store: Where they are.
        repository: Their repository, as policies name it.
        source: The source that fetches them.
        basket: Where documents and notes go.
        concurrency: How many layers are read at a time.
    """

    def __init__(
        self,
        store: Store,
        repository: str,
        source: SourceName,
        basket: Basket,
        *,
        concurrency: int = 4,
    ) -> None:
        self._store = store
        self._repository = repository
        self._source = source
        self._basket = basket
        self._concurrency = concurrency

    async def read(self, artifacts: Sequence[Found]) -> None:
        """Fetch every layer that may be evidence, and note every other and every failure.

        Args:
            artifacts: The artifacts, in the order that their documents are to have.

        Raises:
            EvidenceError: They are too many, or too large together.
            PromotionError: The store cannot be asked, or not now.
        """
        layers = [layer for found in artifacts for layer in self._layers_of(found)]
        for document in await ask_each(self._fetch, layers, at_once=self._concurrency):
            if document is not None:
                self._basket.add(document)

    def _layers_of(self, found: Found) -> list[_Layer]:
        """Return what is worth fetching, with room made for it."""
        manifest = found.manifest
        kind = on_one_line(artifact_type_of(manifest))
        if isinstance(manifest, ImageIndex):
            self._basket.note(found.subject, f"{found.location} ({kind}) is an index, not opened")
            return []
        wanted = []
        for position, layer in enumerate(manifest.layers, 1):
            location = f"{found.location} ({on_one_line(_type_of(layer, manifest))})"
            if len(manifest.layers) > 1:
                location += f", layer {position} of {len(manifest.layers)}"
            layer_kind = kind_by_type(layer.media_type, artifact_type_of(manifest))
            if layer_kind is None or layer.is_foreign:
                self._basket.note(found.subject, f"{location} is no evidence by its type")
            elif layer.size_bytes > MAX_SIZE_BYTES:
                self._basket.note(
                    found.subject,
                    f"{location} is too large",
                    error=EvidenceError(
                        f"a document has {layer.size_bytes} bytes, more than {MAX_SIZE_BYTES}",
                        subject=self._subject(layer.digest),
                        advice="Have a smaller one made, such as without the files of each "
                        "package.",
                    ),
                )
            else:
                self._basket.reserve(layer.size_bytes)
                wanted.append(_Layer(found, layer, layer_kind, location))
        return wanted

    async def _fetch(self, each: _Layer) -> Document | None:
        try:
            content = await read_blob(self._store, self._repository, each.layer)
        except PromotionError as error:
            if not is_for_good(error):
                raise
            error.about(self._subject(each.layer.digest))
            self._basket.note(each.found.subject, f"{each.location} cannot be had", error=error)
            return None
        annotations = {**each.found.manifest.annotations, **each.layer.annotations}
        return Document(
            content=content,
            kind=each.kind,
            media_type=each.layer.media_type,
            source=self._source,
            location=each.location,
            subject=str(each.found.subject),
            annotations=annotations,
            artifact_type=artifact_type_of(each.found.manifest),
            at=moment_of(annotations.get(CREATED)),
        )

    def _subject(self, digest: Digest) -> Subject:
        return Subject(self._store.name, self._repository, digest=str(digest))


async def read_blob(store: Store, repository: str, blob: Descriptor) -> bytes:
    """Read a blob whose size is known to be bearable, held against size and digest.

    Args:
        store: Where it is.
        repository: Its repository, as policies name it.
        blob: The blob.

    Returns:
        Its bytes.

    Raises:
        PromotionError: As from the store's ``open_blob``.
    """
    async with store.open_blob(repository, blob) as pieces:
        return b"".join([piece async for piece in pieces])


def is_for_good(error: PromotionError) -> bool:
    """Say whether an error is of one document alone and will be there the next time too.

    Args:
        error: The error.

    Returns:
        False for what concerns the whole store, or may pass: then the source has no answer.
    """
    if isinstance(error, ContentMismatchError):
        return True
    return not error.retryable and not isinstance(error, AuthenticationError | DeniedError)


def moment_of(text: str | None) -> datetime | None:
    """Read a time that somebody wrote into an annotation.

    Args:
        text: Such as ``2026-11-24T12:00:00Z``; None where nothing is written.

    Returns:
        The time in UTC; None where it is none, or says no time zone.
    """
    try:
        moment = datetime.fromisoformat(text or "")
        return moment.astimezone(UTC) if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def _type_of(layer: Descriptor, manifest: ImageManifest) -> str:
    """Return the type to show: the layer's, or the artifact's where that says nothing."""
    return artifact_type_of(manifest) if layer.media_type in _SAY_NOTHING else layer.media_type
