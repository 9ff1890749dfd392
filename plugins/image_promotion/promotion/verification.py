"""The verification: read back from the target what a reader of the tag will get.

Only after it is a promotion called verified. Every manifest is read and hashed anew; every blob is
asked for by digest and its size compared; what is attached to the image is looked at likewise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from image_promotion.errors import (
    ContentMismatchError,
    NotFoundError,
    Subject,
    VerificationError,
)
from image_promotion.ledger.records import Kind, Promotion, State
from image_promotion.policy.foreign_layers import ForeignLayers
from image_promotion.promotion.attachments import (
    AttachmentCheck,
    AttachmentMemory,
    check,
    seen_from_target,
)
from image_promotion.promotion.presence import missing_blobs
from image_promotion.registry.store import Store
from image_promotion.registry.transfer import list_content

if TYPE_CHECKING:
    # These need a database toolkit and scanners; who verifies without a ledger loads neither.
    from image_promotion.promotion.journal import Journal
    from image_promotion.promotion.sboms import SbomReport, Sboms


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found in the target, all of it as promised.

    Attributes:
        manifests: How many manifests were read and hashed.
        blobs: How many blobs are there with their sizes.
        size_bytes: The size of both together.
        attached: What was found of the attachments; None where none are wanted.
        foreign_layers_left: Layers that were not asked for, since they are fetched elsewhere.
        sboms: The SBOMs that were attached; None where none are wanted.
    """

    manifests: int
    blobs: int
    size_bytes: int
    attached: AttachmentCheck | None = None
    foreign_layers_left: int = 0
    sboms: SbomReport | None = None

    def __str__(self) -> str:
        said = (
            f"{_counted(self.manifests, 'manifest')} read and hashed, "
            f"{_counted(self.blobs, 'blob')} there in full size, "
            f"{self.size_bytes / 1_000_000:.1f} MB"
        )
        if self.foreign_layers_left:
            said += f"; {_counted(self.foreign_layers_left, 'foreign layer')} not asked for"
        if self.sboms is not None:
            said += f"; {self.sboms}"
        return said if self.attached is None else f"{said}; {self.attached}"


async def verify(
    promotion: Promotion,
    *,
    source: Store,
    target: Store,
    journal: Journal,
    sboms: Sboms,
    memory: AttachmentMemory | None = None,
) -> Verification:
    """Verify a promotion in the target and note it in the ledger.

    Args:
        promotion: The promotion, tagged; a verified one is verified again.
        source: The store of its source connection, which says what is attached to the image.
        target: The store of its target connection.
        journal: Where the run notes what it did.
        sboms: Looks for the SBOMs, and attaches what is lost.
        memory: What this stage has learnt of attachments in the source; None for nothing.

    Returns:
        What was found.

    Raises:
        VerificationError: Something is missing or different.
        RegistryError: A registry cannot be asked.
    """
    subject = Subject(
        target.name, promotion.target_repository, promotion.target_tag, promotion.target_digest
    )
    wants_foreign_layers = journal.policy_of(promotion).foreign_layers is ForeignLayers.COPY
    image = await verify_image(
        target,
        promotion.target_repository,
        promotion.target_tag,
        promotion.target_digest,
        subject,
        wants_foreign_layers=wants_foreign_layers,
    )
    # What a tag is set back to may be gone from its source; the target says what is attached.
    of_itself = promotion.kind is Kind.ROLLBACK
    attached = await check(
        seen_from_target(promotion) if of_itself else promotion,
        source=target if of_itself else source,
        target=target,
        journal=journal,
        memory=None if of_itself else memory,
    )
    there = await sboms.check(promotion, target=target, journal=journal)
    found = replace(image, attached=attached, sboms=there)
    journal.note(promotion, State.VERIFIED, str(found))
    return found


async def verify_image(
    target: Store,
    repository: str,
    tag: str,
    digest: str,
    subject: Subject,
    *,
    wants_foreign_layers: bool = False,
) -> Verification:
    """Compare what a tag leads to with what was promised.

    Args:
        target: The store to read.
        repository: The repository.
        tag: The tag.
        digest: The digest it has to point at.
        subject: What errors are about.
        wants_foreign_layers: Whether layers must be there that registries need not hold.

    Returns:
        What was found.

    Raises:
        VerificationError: Something is missing or different.
        RegistryError: The store cannot be asked.
    """

    def refuse(*problems: str) -> VerificationError:
        return VerificationError(
            "the target does not hold what was promoted",
            problems=problems,
            subject=subject,
            advice="Run the promotion again: it copies what is missing. If it happens again, "
            "something else writes to or cleans up this repository.",
        )

    try:
        tagged = await target.get_manifest(repository, tag)
    except NotFoundError as error:
        raise refuse("there is no such tag") from error
    if str(tagged.digest) != digest:
        raise refuse(f"the tag points at {tagged.digest}")
    try:
        content = await list_content(target, repository, tagged.digest, image=tagged)
    except (NotFoundError, ContentMismatchError) as error:
        raise refuse(str(error)) from error

    blobs = content.blobs + (content.foreign_layers if wants_foreign_layers else ())
    if problems := await missing_blobs(target, repository, blobs):
        raise refuse(*problems)
    every = (*content.manifests, *blobs)
    return Verification(
        manifests=len(content.manifests),
        blobs=len(blobs),
        size_bytes=sum(each.size_bytes for each in every),
        foreign_layers_left=0 if wants_foreign_layers else len(content.foreign_layers),
    )


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
