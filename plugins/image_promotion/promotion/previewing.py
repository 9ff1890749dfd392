"""The preview: what a run would move, found out without moving anything.

The manifests of the images that would be promoted are read in the source, and the target is asked
for each of their blobs, as `registry.transfer` does, and for each of them once: a layer that
several images share is moved by the first of them. Nothing is written, not even a mount is tried:
blobs within one registry are taken to be mounted, which it may refuse; then they are sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from image_promotion.errors import ContentMismatchError, PromotionError
from image_promotion.policy.foreign_layers import ForeignLayers
from image_promotion.policy.governance import Mode
from image_promotion.policy.model import Policy
from image_promotion.promotion.aiming import StoreOf
from image_promotion.promotion.planning import PlannedImage
from image_promotion.promotion.sboms import attaches_sboms
from image_promotion.promotion.scanning import FAULTS_OF_ONE_IMAGE
from image_promotion.promotion.selection import select
from image_promotion.registry.arrivals import Place
from image_promotion.registry.concurrency import ask_each
from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.digest import Digest
from image_promotion.registry.passage import BlobOutcome
from image_promotion.registry.platforms import with_manifest
from image_promotion.registry.referrer_memory import ReferrerMemory
from image_promotion.registry.referrers import find_attachments
from image_promotion.registry.store import Store
from image_promotion.registry.transfer import list_content

IMAGES_AT_ONCE = 8
MANIFESTS_AT_ONCE = 2
BLOBS_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Figures:
    """What the copy of one image, or of several, would move; as in TransferReport.

    Attributes:
        blobs_copied: Blobs whose bytes would be sent, those of what is attached included.
        blobs_mounted: Blobs of the image that the target's registry would share.
        blobs_skipped: Blobs of the image that the target has, or has from an image before.
        bytes_copied: The size of the first kind, in bytes.
        bytes_mounted: The size of the second, in bytes.
        bytes_skipped: The size of the third, in bytes.
        referrers: How many attachments go along.
    """

    blobs_copied: int = 0
    blobs_mounted: int = 0
    blobs_skipped: int = 0
    bytes_copied: int = 0
    bytes_mounted: int = 0
    bytes_skipped: int = 0
    referrers: int = 0

    def __add__(self, other: Figures) -> Figures:
        return Figures(
            self.blobs_copied + other.blobs_copied,
            self.blobs_mounted + other.blobs_mounted,
            self.blobs_skipped + other.blobs_skipped,
            self.bytes_copied + other.bytes_copied,
            self.bytes_mounted + other.bytes_mounted,
            self.bytes_skipped + other.bytes_skipped,
            self.referrers + other.referrers,
        )


NO_FIGURES = Figures()


@dataclass(frozen=True, slots=True)
class PreviewedImage:
    """One tag of the source, and what its copy would move.

    Attributes:
        planned: What a run would decide about it.
        figures: What it would move; None where it is not promoted, or that is not known.
        problem: Why it is not known, though it would be promoted; empty otherwise.
    """

    planned: PlannedImage
    figures: Figures | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Preview:
    """What a run would do now.

    Attributes:
        images: One for each tag, in the order of the plan.
        total: What all images together would move, as far as it is known; None where nobody asked.
        notes: What else is to be known of such a run, each a sentence.
    """

    images: tuple[PreviewedImage, ...]
    total: Figures | None
    notes: tuple[str, ...]

    @property
    def planned(self) -> tuple[PlannedImage, ...]:
        """Return the plan without what would be moved."""
        return tuple(each.planned for each in self.images)


async def preview(
    policy: Policy,
    rows: Sequence[PlannedImage],
    *,
    source: Store,
    target_of: StoreOf,
    with_sizes: bool = True,
) -> Preview:
    """Say what a run would move, writing nothing.

    Args:
        policy: The policy.
        rows: Its plan.
        source: The store of its source connection.
        target_of: Gives the store of a target connection; it is only read.
        with_sizes: Whether to ask for sizes, which costs some requests for each image that would be
            promoted, and one for each blob of theirs.

    Returns:
        The plan with what would be moved. What cannot be found out of one image stands with it.

    Raises:
        RegistryError: A registry cannot be asked.
    """
    if not with_sizes:
        images = tuple(PreviewedImage(row) for row in rows)
        return Preview(images, None, tuple(_notes(policy, rows)))
    errands = {row: errand for row in rows if (errand := _errand(row, target_of))}
    found = await _Survey(policy, source).figures(list(errands.values()))
    by_row = dict(zip(errands, found, strict=True))
    images = tuple(_previewed(row, by_row.get(row)) for row in rows)
    total = NO_FIGURES
    for each in images:
        total += each.figures or NO_FIGURES
    return Preview(images, total, tuple(_notes(policy, rows)))


def _previewed(row: PlannedImage, found: Figures | PromotionError | None) -> PreviewedImage:
    if isinstance(found, PromotionError):
        return PreviewedImage(row, problem=str(found))
    return PreviewedImage(row, found)


def _notes(policy: Policy, rows: Sequence[PlannedImage]) -> list[str]:
    """Say what a run does besides, or waits for."""
    if not any(row.is_new for row in rows):
        return []
    notes = []
    if policy.mode is Mode.AUDIT:
        notes.append("mode: audit: a run records these decisions and copies nothing")
    if policy.approval is not None:
        number = policy.approval.approvals
        people = "a person" if number == 1 else f"{number} people"
        notes.append(f"nothing is copied before {people} approved it")
    if attaches_sboms(policy):
        notes.append("an SBOM by syft is attached to each image, and is not in the figures")
    if policy.attestation is not None:
        notes.append("a signed statement is attached to each image, and is not in the figures")
    return notes


@dataclass(frozen=True, slots=True)
class _Errand:
    """One image that would go to one repository."""

    repository: str
    digest: str
    target_digest: str
    target: Store
    target_repository: str

    @property
    def image(self) -> tuple[str, str, str]:
        """What tells the content of one image from that of another."""
        return self.repository, self.digest, self.target_digest


def _errand(row: PlannedImage, target_of: StoreOf) -> _Errand | None:
    if not (row.is_new and row.digest and row.target and row.target_digest):
        return None
    target = target_of(row.target_connection)
    return _Errand(row.repository, row.digest, row.target_digest, target, row.target.repository)


@dataclass(frozen=True, slots=True)
class _Load:
    """What goes to one place for one image.

    Attributes:
        target: The store it goes to.
        repository: The repository there.
        of_image: The blobs of the image.
        of_attachments: Those of what is attached.
        referrers: How many attachments there are.
    """

    target: Store
    repository: str
    of_image: tuple[Descriptor, ...]
    of_attachments: tuple[Descriptor, ...]
    referrers: int

    @property
    def place(self) -> Place:
        return self.target.identity, self.target.full_repository(self.repository)

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        return self.of_image + self.of_attachments


_Cargo = tuple[tuple[Descriptor, ...], tuple[Descriptor, ...], int]
_Answer = BlobOutcome | PromotionError


class _Survey:
    """One look at the images that would be promoted."""

    def __init__(self, policy: Policy, source: Store) -> None:
        self._policy = policy
        self._source = source
        self._memories: dict[str, ReferrerMemory] = {}

    async def figures(self, errands: Sequence[_Errand]) -> list[Figures | PromotionError]:
        """Return what each errand would move, or why that is not known, in their order."""
        # Several tags may point at one image, and one image go to several targets.
        images = list(dict.fromkeys(each.image for each in errands))
        read = await ask_each(self._read, images, at_once=IMAGES_AT_ONCE)
        cargo = dict(zip(images, read, strict=True))
        loads = [_load(each, cargo[each.image]) for each in errands]
        answers = await self._ask([each for each in loads if isinstance(each, _Load)])
        taken: set[tuple[Place, Digest]] = set()
        return [
            each if isinstance(each, PromotionError) else _figures(each, answers, taken)
            for each in loads
        ]

    async def _read(self, image_name: tuple[str, str, str]) -> _Cargo | PromotionError:
        """Read what an image and its attachments consist of."""
        repository, digest, target_digest = image_name
        try:
            view = self._source
            if target_digest != digest:
                chosen = await select(self._policy, view, repository, Digest.parse(digest))
                view = with_manifest(view, repository, chosen.image)
            image = Digest.parse(target_digest)
            content = await list_content(view, repository, image, concurrency=MANIFESTS_AT_ONCE)
            blobs = content.blobs
            if self._policy.foreign_layers is ForeignLayers.COPY:
                blobs += content.foreign_layers
            wishes = self._policy.referrers
            if wishes.carries_nothing:
                return blobs, (), 0
            attached = await find_attachments(
                view,
                repository,
                image,
                wanted=wishes.wants,
                concurrency=MANIFESTS_AT_ONCE,
                memory=self._memories.setdefault(repository, ReferrerMemory()),
            )
            digests = list(dict.fromkeys(each.digest for each in attached.found))
            further: dict[Digest, Descriptor] = {}
            for each in digests:
                part = await list_content(view, repository, each, concurrency=MANIFESTS_AT_ONCE)
                further |= {blob.digest: blob for blob in part.blobs}
            return blobs, tuple(further.values()), len(attached.found)
        except FAULTS_OF_ONE_IMAGE as fault:
            return fault

    async def _ask(self, loads: Sequence[_Load]) -> Mapping[tuple[Place, Digest], _Answer]:
        """Ask each target once for each blob that would go there."""
        questions: dict[tuple[Place, Digest], tuple[_Load, Descriptor]] = {}
        for load in loads:
            for blob in load.blobs:
                questions.setdefault((load.place, blob.digest), (load, blob))

        async def ask(question: tuple[_Load, Descriptor]) -> _Answer:
            load, blob = question
            try:
                size_bytes = await load.target.blob_size(load.repository, blob.digest)
            except FAULTS_OF_ONE_IMAGE as fault:
                return fault
            if size_bytes is None:
                is_shared = self._source.identity == load.target.identity
                return BlobOutcome.MOUNTED if is_shared else BlobOutcome.COPIED
            if size_bytes != blob.size_bytes:
                return ContentMismatchError(
                    f"the target holds the blob {blob.digest} in another size than the manifest "
                    "says",
                    expected=f"{blob.size_bytes} bytes",
                    actual=f"{size_bytes} bytes",
                )
            return BlobOutcome.SKIPPED

        answers = await ask_each(ask, list(questions.values()), at_once=BLOBS_AT_ONCE)
        return dict(zip(questions, answers, strict=True))


def _load(errand: _Errand, cargo: _Cargo | PromotionError) -> _Load | PromotionError:
    if isinstance(cargo, PromotionError):
        return cargo
    return _Load(errand.target, errand.target_repository, *cargo)


def _figures(
    load: _Load,
    answers: Mapping[tuple[Place, Digest], _Answer],
    taken: set[tuple[Place, Digest]],
) -> Figures | PromotionError:
    """Count what one image moves, and note that it is there for those that follow."""
    place = load.place
    faults = [answers[place, blob.digest] for blob in load.blobs]
    for fault in faults:
        if isinstance(fault, PromotionError):
            return fault
    figures = Figures(referrers=load.referrers)
    for blob in load.of_image:
        figures += _passage(place, blob, answers, taken)
    for blob in load.of_attachments:
        of_one = _passage(place, blob, answers, taken)
        # Of attachments the ledger counts alone what is sent.
        figures += Figures(blobs_copied=of_one.blobs_copied, bytes_copied=of_one.bytes_copied)
    return figures


def _passage(
    place: Place,
    blob: Descriptor,
    answers: Mapping[tuple[Place, Digest], _Answer],
    taken: set[tuple[Place, Digest]],
) -> Figures:
    key = place, blob.digest
    how = BlobOutcome.SKIPPED if key in taken else answers[key]
    taken.add(key)
    match how:
        case BlobOutcome.COPIED:
            return Figures(blobs_copied=1, bytes_copied=blob.size_bytes)
        case BlobOutcome.MOUNTED:
            return Figures(blobs_mounted=1, bytes_mounted=blob.size_bytes)
        case _:
            return Figures(blobs_skipped=1, bytes_skipped=blob.size_bytes)
