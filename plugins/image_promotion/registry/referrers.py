"""Everything that is attached to an image: signatures, attestations, SBOMs, and what is about them.

It is found in three places: where the store lists referrers itself, by the referrers API; else
under the fallback tag, an index of them; and under cosign's own tags. A list is a claim: each
manifest that it names is read, and one that is not about the digest is a stranger and left where it
is, since otherwise whoever may write a list could have any image carried along.

Source: OCI Distribution Specification 1.1, "Listing Referrers" and "Referrers Tag Schema"; cosign,
"Signature Specification".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from graphlib import CycleError, TopologicalSorter
from typing import Protocol, runtime_checkable

from image_promotion.errors import (
    NotFoundError,
    ProtocolViolationError,
    Subject,
    UnsupportedContentError,
)
from image_promotion.registry.concurrency import ask_each
from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.digest import Digest
from image_promotion.registry.manifest import MANIFEST_MEDIA_TYPES, ImageIndex, Manifest
from image_promotion.registry.manifest_tree import read_by_height
from image_promotion.registry.referrer_memory import ReferrerMemory
from image_promotion.registry.referrer_tags import cosign_tags, fallback_tag
from image_promotion.registry.store import Store

MAX_ATTACHMENTS = 1000
"""How many may be attached to one image, those of its parts and of each other included."""

MAX_DEPTH = 8
"""How long a chain of attachments to attachments may be; real ones go to 2."""


@runtime_checkable
class HoldsReferrers(Protocol):
    """A store that can list referrers by itself; a store without this has the fallback tags."""

    async def list_referrers(
        self, repository: str, digest: Digest
    ) -> tuple[Descriptor, ...] | None:
        """Return what the store lists as being about a digest.

        Returns:
            The descriptors, unverified; None when it keeps no such lists of any digest of the
            repository, so that the fallback tag counts.

        Raises:
            PromotionError: It cannot be asked, or answers what is no list.
        """


@dataclass(frozen=True, slots=True)
class Attachment:
    """One manifest that is attached to another.

    Args:
        subject: What it is attached to.
        descriptor: The manifest, its artifact type and annotations as it has them itself.
        tag: The tag of cosign by which it is attached; None when it names its subject itself.
    """

    subject: Digest
    descriptor: Descriptor
    tag: str | None = None

    @property
    def digest(self) -> Digest:
        """The digest of the manifest."""
        return self.descriptor.digest

    @property
    def artifact_type(self) -> str:
        """What kind of thing it is; never empty."""
        return self.descriptor.artifact_type or self.descriptor.media_type


class Reason(StrEnum):
    """Why something that was listed is no attachment."""

    UNWANTED = "unwanted"
    STRANGER = "stranger"
    MISSING = "missing"
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something that was listed, and is not carried; what is about it is not looked for."""

    subject: Digest
    digest: Digest
    reason: Reason


@dataclass(frozen=True, slots=True)
class Attachments:
    """All that is attached to an image.

    Args:
        image: The image.
        found: The attachments; each comes after what it is attached to.
        left_out: What was listed and does not count.
    """

    image: Digest
    found: tuple[Attachment, ...]
    left_out: tuple[LeftOut, ...] = ()


def everything(_artifact_type: str) -> bool:
    """Want attachments of every type."""
    return True


async def find_attachments(
    store: Store,
    repository: str,
    image: Digest,
    *,
    wanted: Callable[[str], bool] = everything,
    concurrency: int = 4,
    memory: ReferrerMemory | None = None,
) -> Attachments:
    """Find what is attached to an image, to the parts of an index, and to the attachments.

    Args:
        store: Where the image is.
        repository: Its repository, as policies name it.
        image: The image: a manifest or an index.
        wanted: Says by its type whether an attachment counts. It is asked here and not of the
            registry, since lists may lack types.
        concurrency: How many requests are under way at a time.
        memory: What looking at other images of the repository has taught; None for nothing.

    Returns:
        The attachments.

    Raises:
        NotFoundError: There is no such image.
        UnsupportedContentError: There are more than MAX_ATTACHMENTS, or chains of more than
            MAX_DEPTH.
        ProtocolViolationError: Attachments go round in a circle, or the fallback tag is no list.
        PromotionError: As from the store.
    """
    memory = memory or ReferrerMemory()
    await memory.begin(store, repository)
    if memory.nothing_is_attached:
        return Attachments(image, ())
    levels = await read_by_height(store, repository, image, concurrency)
    search = _Search(store, repository, image, wanted, concurrency=concurrency, memory=memory)
    search.enter(image, [manifest for level in levels for manifest in level])
    for _ in range(MAX_DEPTH):
        if not search.to_look_at:
            break
        await search.look_further()
    if search.to_look_at:
        raise search.refusal(f"attachments of attachments go deeper than {MAX_DEPTH} levels")
    return search.result()


def artifact_type_of(manifest: Manifest) -> str:
    """Return the type of an artifact, from its own manifest.

    Source: OCI Distribution Specification 1.1, "Listing Referrers": artifactType, and where that
    is missing or empty the media type of the configuration.
    """
    if manifest.artifact_type:
        return manifest.artifact_type
    return manifest.media_type if isinstance(manifest, ImageIndex) else manifest.config.media_type


class _Search:
    """What is known so far of one image's attachments."""

    def __init__(
        self,
        store: Store,
        repository: str,
        image: Digest,
        wanted: Callable[[str], bool],
        *,
        concurrency: int,
        memory: ReferrerMemory,
    ) -> None:
        self._memory = memory
        self._store = store
        self._repository = repository
        self._image = image
        self._wanted = wanted
        self._concurrency = concurrency
        self._comes_after: dict[Digest, set[Digest]] = {}
        self._found: dict[Attachment, None] = {}
        self._left_out: dict[LeftOut, None] = {}
        self.to_look_at: list[Digest] = []

    def enter(self, top: Digest, manifests: Sequence[Manifest]) -> None:
        """Note manifests to look at: an image or attachment, and what it consists of."""
        for manifest in manifests:
            if manifest.digest not in self._comes_after:
                self._comes_after[manifest.digest] = set()
                self.to_look_at.append(manifest.digest)
            if manifest.digest != top:
                self._comes_after[manifest.digest].add(top)

    async def look_further(self) -> None:
        """Look at what is attached to what was noted last, and note it in turn."""
        subjects, self.to_look_at = self.to_look_at, []
        lists = await ask_each(self._claims, subjects, at_once=self._concurrency)
        claims = [claim for claimed in lists for claim in claimed]
        if len(self._found) + len(claims) > MAX_ATTACHMENTS:
            raise self.refusal(f"more than {MAX_ATTACHMENTS} manifests are attached to the image")
        trees = await ask_each(self._examine, claims, at_once=self._concurrency)
        for claim, tree in zip(claims, trees, strict=True):
            if isinstance(tree, LeftOut):
                self._left_out[tree] = None
                continue
            self._found[_attachment(claim, tree[-1])] = None
            self.enter(claim.digest, tree)
            self._comes_after[claim.digest].add(claim.subject)

    def result(self) -> Attachments:
        """Return what was found, subjects first."""
        try:
            order = tuple(TopologicalSorter(self._comes_after).static_order())
        except CycleError as error:
            raise ProtocolViolationError(
                "what is attached to the image is attached to itself in the end",
                subject=self._subject(self._image),
                advice="A tag of cosign's points at something that it is itself about; remove it.",
            ) from error
        place = {digest: position for position, digest in enumerate(order)}
        return Attachments(
            self._image,
            tuple(sorted(self._found, key=lambda each: place[each.digest])),
            tuple(self._left_out),
        )

    def refusal(self, rule: str) -> UnsupportedContentError:
        return UnsupportedContentError(rule, subject=self._subject(self._image))

    async def _claims(self, subject: Digest) -> list[Attachment]:
        """Return what the lists say is attached to a digest; nothing of it is checked yet."""
        listed = None
        if isinstance(self._store, HoldsReferrers) and self._memory.may_have_lists:
            listed = await self._store.list_referrers(self._repository, subject)
        self._memory.note_list(is_there=listed is not None)
        if listed is None:
            listed = await self._listed_under_tag(subject)
        claims = {entry.digest: Attachment(subject, entry) for entry in listed}
        tagged = [
            Attachment(subject, descriptor, tag)
            for tag in cosign_tags(subject)
            if self._memory.may_have(tag)
            and (descriptor := await self._store.resolve(self._repository, tag)) is not None
        ]
        return [*claims.values(), *tagged]

    async def _listed_under_tag(self, subject: Digest) -> tuple[Descriptor, ...]:
        tag = fallback_tag(subject)
        if not self._memory.may_have(tag):
            return ()
        try:
            index = await self._store.get_manifest(self._repository, tag)
        except NotFoundError:
            return ()
        if not isinstance(index, ImageIndex):
            raise ProtocolViolationError(
                "the tag that lists what is attached to an image is no list",
                subject=replace(self._subject(index.digest), tag=tag),
                advice="Some version of cosign's copy writes the image there; delete the tag, and "
                "attach again what was listed.",
            )
        return index.manifests

    async def _examine(self, claim: Attachment) -> tuple[Manifest, ...] | LeftOut:
        """Read what was listed, with all manifests that it consists of; itself comes last."""
        if claim.descriptor.media_type not in MANIFEST_MEDIA_TYPES:
            return _left_out(claim, Reason.UNSUPPORTED)
        try:
            levels = await read_by_height(
                self._store, self._repository, claim.digest, self._concurrency
            )
        except NotFoundError:
            return _left_out(claim, Reason.MISSING)
        except UnsupportedContentError:
            return _left_out(claim, Reason.UNSUPPORTED)
        manifest = levels[-1][0]
        if claim.tag is None and (
            manifest.subject is None or manifest.subject.digest != claim.subject
        ):
            return _left_out(claim, Reason.STRANGER)
        if not self._wanted(_attachment(claim, manifest).artifact_type):
            return _left_out(claim, Reason.UNWANTED)
        return tuple(manifest for level in levels for manifest in level)

    def _subject(self, digest: Digest) -> Subject:
        return Subject(self._store.name, self._repository, digest=str(digest))


def _left_out(claim: Attachment, reason: Reason) -> LeftOut:
    return LeftOut(claim.subject, claim.digest, reason)


def _attachment(claim: Attachment, manifest: Manifest) -> Attachment:
    kind = artifact_type_of(manifest)
    # What cosign keeps under a tag looks like an image; only its layers say what it is.
    if claim.tag is not None and not isinstance(manifest, ImageIndex) and manifest.layers:
        kind = manifest.layers[0].media_type
    descriptor = replace(manifest.descriptor, artifact_type=kind, annotations=manifest.annotations)
    return replace(claim, descriptor=descriptor)
