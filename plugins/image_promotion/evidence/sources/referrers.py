"""The source ``referrers``: what is attached to the image in its own registry.

Four places are looked at: the referrers API, or else the fallback tag; cosign's own tags; and the
attestation manifests that BuildKit lists in the index itself, beside the images they are about.
"""

from __future__ import annotations

from collections import defaultdict

from image_promotion.errors import (
    InvalidReferenceError,
    NotFoundError,
    PromotionError,
    Subject,
    UnsupportedContentError,
)
from image_promotion.evidence.sources.artifact import ArtifactReader, Found, is_for_good
from image_promotion.evidence.sources.source import Basket, Image, SourceAnswer
from image_promotion.policy.evidence_sources import SourceName
from image_promotion.registry.digest import Digest
from image_promotion.registry.manifest import ImageIndex, Manifest
from image_promotion.registry.platforms import ABOUT
from image_promotion.registry.referrer_memory import ReferrerMemory
from image_promotion.registry.referrers import (
    Attachment,
    LeftOut,
    Reason,
    find_attachments,
)
from image_promotion.registry.store import Store

_REFERENCE_TYPE = "vnd.docker.reference.type"
_ATTESTATION = "attestation-manifest"


class ReferrersSource:
    """What is attached to an image; implements ``source.EvidenceSource``.

    Args:
        store: Where the image is.
        concurrency: How many requests are under way at a time.
    """

    def __init__(self, store: Store, *, concurrency: int = 4) -> None:
        self._store = store
        # What looking at some images of a repository teaches about the next ones.
        self._memories: defaultdict[str, ReferrerMemory] = defaultdict(ReferrerMemory)
        self._concurrency = concurrency

    @property
    def name(self) -> SourceName:
        """Its name in policies."""
        return SourceName.REFERRERS

    async def documents(self, image: Image) -> SourceAnswer:
        """Find and open all that is attached to an image and to its parts.

        Source: OCI Distribution Specification 1.1, "Listing Referrers"; cosign, "Signature
        Specification"; BuildKit, "Image attestation storage".
        """
        basket = Basket(Subject(self._store.name, image.repository, digest=str(image.digest)))
        found = await self._attestations_within(image, basket)
        seen = {each.manifest.digest for each in found}
        attachments = await find_attachments(
            self._store,
            image.repository,
            image.digest,
            concurrency=self._concurrency,
            memory=self._memories[image.repository],
        )
        attached = {each.digest for each in attachments.found}
        for attachment in sorted(attachments.found, key=lambda each: _order(each, image)):
            if attachment.subject in attached:
                basket.note(
                    image.digest,
                    f"{_place(attachment, image)} is about something attached, not about the image",
                )
            elif attachment.subject in image.subjects and (
                attachment.digest not in seen or attachment.tag is not None
            ):
                manifest = await self._open(attachment, image, basket)
                if manifest is not None:
                    found.append(Found(manifest, attachment.subject, _place(attachment, image)))
        for left_out in attachments.left_out:
            if left_out.subject in image.subjects:
                self._note_left_out(left_out, image, basket)
        reader = ArtifactReader(
            self._store, image.repository, self.name, basket, concurrency=self._concurrency
        )
        await reader.read(found)
        return basket.answer()

    async def _attestations_within(self, image: Image, basket: Basket) -> list[Found]:
        """Return the attestation manifests that an index lists beside its images.

        Source: BuildKit, "Image attestation storage", "Attestation Manifest Descriptor".
        """
        if not image.parts:
            return []
        index = await self._store.get_manifest(image.repository, image.digest)
        found = []
        for entry in index.manifests if isinstance(index, ImageIndex) else ():
            if entry.annotations.get(_REFERENCE_TYPE) != _ATTESTATION:
                continue
            about = _digest_or_none(entry.annotations.get(ABOUT, ""))
            if about not in image.subjects or about is None:
                continue
            place = f"attestation manifest {entry.digest} of {image.repository}@{image.digest}"
            try:
                manifest = await self._store.get_manifest(image.repository, entry.digest)
            except PromotionError as error:
                if not is_for_good(error):
                    raise
                basket.note(about, f"{place} cannot be had", error=error)
            else:
                found.append(Found(manifest, about, place))
        return found

    async def _open(self, attachment: Attachment, image: Image, basket: Basket) -> Manifest | None:
        try:
            return await self._store.get_manifest(image.repository, attachment.digest)
        except PromotionError as error:
            if not is_for_good(error):
                raise
            basket.note(
                attachment.subject, f"{_place(attachment, image)} cannot be had", error=error
            )
            return None

    def _note_left_out(self, left_out: LeftOut, image: Image, basket: Basket) -> None:
        place = f"referrer {left_out.digest} of {image.repository}@{left_out.subject}"
        about = Subject(self._store.name, image.repository, digest=str(left_out.digest))
        match left_out.reason:
            case Reason.MISSING:
                error: PromotionError = NotFoundError(
                    "it is listed as being about the image, and is not there",
                    subject=about,
                    advice="Attach it again.",
                )
                basket.note(left_out.subject, f"{place} is listed and missing", error=error)
            case Reason.UNSUPPORTED:
                error = UnsupportedContentError(
                    "it is listed as being about the image, and is of a kind that is not read",
                    subject=about,
                )
                basket.note(left_out.subject, f"{place} is of an unknown kind", error=error)
            case Reason.STRANGER:
                basket.note(left_out.subject, f"{place} is listed, but is not about the image")
            case Reason.UNWANTED:
                pass  # everything is wanted here


def _order(attachment: Attachment, image: Image) -> tuple[int, str, str]:
    subjects = image.subjects
    place = subjects.index(attachment.subject) if attachment.subject in subjects else len(subjects)
    return place, attachment.tag or "", str(attachment.digest)


def _place(attachment: Attachment, image: Image) -> str:
    if attachment.tag is not None:
        return f"tag {attachment.tag} of {image.repository}"
    return f"referrer {attachment.digest} of {image.repository}@{attachment.subject}"


def _digest_or_none(text: str) -> Digest | None:
    try:
        return Digest.parse(text)
    except InvalidReferenceError:
        return None
