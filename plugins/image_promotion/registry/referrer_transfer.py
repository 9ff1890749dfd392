"""What is attached to an image, brought after it to another store; and looked at there.

The image itself is there before; each attachment follows what it is attached to. Nothing is set
before its content is there, and what is there already is left alone, so that a transfer can be
killed and repeated at any moment.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from image_promotion.errors import NotFoundError, PromotionError, Subject, TagConflictError
from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.digest import Digest
from image_promotion.registry.fallback_index import PATIENCE, Patience, list_under_tag
from image_promotion.registry.manifest import ImageIndex, Manifest
from image_promotion.registry.passage import TransferProgress
from image_promotion.registry.referrer_memory import ReferrerMemory
from image_promotion.registry.referrer_tags import fallback_tag
from image_promotion.registry.referrers import (
    Attachment,
    HoldsReferrers,
    LeftOut,
    everything,
    find_attachments,
)
from image_promotion.registry.retry import RetryRules
from image_promotion.registry.store import Store
from image_promotion.registry.transfer import BLOB_RETRY, NO_PROGRESS, copy_image, list_content


@dataclass(frozen=True, slots=True)
class CarriageReport:
    """What was carried.

    Args:
        attachments: What belongs to the image at the target now.
        left_out: What the source lists and does not count.
        manifests_copied: Manifests that were sent.
        bytes_copied: The size of the blobs that were sent, in bytes.
        lists_written: How many fallback tags had to be written.
        tags_set: How many tags of cosign's had to be set.
        seconds: How long it all took.
    """

    attachments: tuple[Attachment, ...]
    left_out: tuple[LeftOut, ...]
    manifests_copied: int
    bytes_copied: int
    lists_written: int
    tags_set: int
    seconds: float

    def __str__(self) -> str:
        number = len(self.attachments)
        if not number and not self.left_out:
            return "nothing attached"
        said = f"{number} attachment{'' if number == 1 else 's'}, {self.manifests_copied} copied"
        reasons = Counter(each.reason.value for each in self.left_out)
        left_out = ", ".join(f"{number} {reason}" for reason, number in sorted(reasons.items()))
        return f"{said}; left out: {left_out}" if left_out else said


NOTHING_CARRIED = CarriageReport((), (), 0, 0, 0, 0, 0.0)


async def carry_attachments(
    source: Store,
    source_repository: str,
    image: Digest,
    target: Store,
    target_repository: str,
    *,
    wanted: Callable[[str], bool] = everything,
    progress: TransferProgress = NO_PROGRESS,
    concurrency: int = 4,
    retry: RetryRules = BLOB_RETRY,
    patience: Patience = PATIENCE,
    memory: ReferrerMemory | None = None,
) -> CarriageReport:
    """Bring what is attached to an image after the image.

    Args:
        source: Where the image is.
        source_repository: Its repository there, as policies name it.
        image: The image: a manifest or an index.
        target: Where it was brought to.
        target_repository: Its repository there, as policies name it.
        wanted: Says by its type whether an attachment is carried.
        progress: Who wants to know how far it has come; told anew of each attachment.
        concurrency: How many requests are under way at a time.
        retry: How often a blob whose stream breaks is read and sent again.
        patience: How long a fallback tag is tried to be written while others write it.
        memory: What looking at other images of the source has taught; None for nothing.

    Returns:
        What was carried, and what was not.

    Raises:
        TagConflictError: A tag that is needed at the target holds something else.
        VerificationError: A fallback tag does not keep what is written to it.
        PromotionError: As from ``find_attachments`` and ``copy_image``.

    Source: OCI Distribution Specification 1.1, "Pushing Manifests with Subject".
    """
    started_s = time.monotonic()
    attachments = await find_attachments(
        source, source_repository, image, wanted=wanted, concurrency=concurrency, memory=memory
    )
    manifests_copied = bytes_copied = 0
    for digest in dict.fromkeys(attachment.digest for attachment in attachments.found):
        report = await copy_image(
            source,
            source_repository,
            digest,
            target,
            target_repository,
            progress=progress,
            concurrency=concurrency,
            retry=retry,
        )
        manifests_copied += report.manifests_copied
        bytes_copied += report.bytes_copied
    lists_written = 0
    for subject, referrers in _referrers_by_subject(attachments.found).items():
        lists_written += await _list(target, target_repository, subject, referrers, patience)
    tags_set = 0
    for attachment in attachments.found:
        if attachment.tag is not None:
            manifest = await source.get_manifest(source_repository, attachment.digest)
            tags_set += await _set_tag(target, target_repository, attachment.tag, manifest)
    return CarriageReport(
        attachments.found,
        attachments.left_out,
        manifests_copied,
        bytes_copied,
        lists_written,
        tags_set,
        time.monotonic() - started_s,
    )


async def check_attachments(
    attachments: Sequence[Attachment], store: Store, repository: str
) -> tuple[str, ...]:
    """Look whether a store holds what is attached to an image, whole and where it is looked for.

    Args:
        attachments: What should be there.
        store: Where it should be.
        repository: The repository there, as policies name it.

    Returns:
        Each thing that is missing or different, as a phrase; empty when all is well.

    Raises:
        PromotionError: As from the store, but for what is missing there.
    """
    problems: list[str] = []
    for digest in dict.fromkeys(attachment.digest for attachment in attachments):
        problems += await _check_content(store, repository, digest)
    for subject, referrers in _referrers_by_subject(attachments).items():
        listed = await _listed(store, repository, subject)
        problems += [
            f"{referrer.digest} is not listed as being about {subject}"
            for referrer in referrers
            if referrer.digest not in listed
        ]
    for attachment in attachments:
        if attachment.tag is not None:
            problems += await _check_tag(store, repository, attachment, attachment.tag)
    return tuple(problems)


def _referrers_by_subject(found: Sequence[Attachment]) -> dict[Digest, list[Descriptor]]:
    grouped: dict[Digest, list[Descriptor]] = {}
    for attachment in found:
        if attachment.tag is None:
            grouped.setdefault(attachment.subject, []).append(attachment.descriptor)
    return grouped


async def _list(
    target: Store,
    repository: str,
    subject: Digest,
    referrers: list[Descriptor],
    patience: Patience,
) -> bool:
    """See that referrers are listed; what the target does not list by itself goes under the tag."""
    if isinstance(target, HoldsReferrers):
        listed = await target.list_referrers(repository, subject)
        known = {entry.digest for entry in listed or ()}
        referrers = [each for each in referrers if each.digest not in known]
    if not referrers:
        return False
    return await list_under_tag(target, repository, subject, referrers, patience=patience)


async def _set_tag(target: Store, repository: str, tag: str, manifest: Manifest) -> bool:
    """Set a tag of cosign's; what the target has beyond the source, such as a signature, stays."""
    held = await _find(target, repository, tag)
    if held is not None and held.digest == manifest.digest:
        return False
    if held is None or _layers(held) < _layers(manifest):
        await target.put_manifest(repository, tag, manifest)
        return True
    if _layers(held) >= _layers(manifest):
        return False
    raise TagConflictError(
        "a tag of cosign's holds what the source does not have, and lacks what it has",
        held_digest=str(held.digest),
        subject=Subject(target.name, repository, tag, str(manifest.digest)),
        advice="One tag cannot keep both; sign at the target again, or delete the tag there.",
    )


def _layers(manifest: Manifest) -> frozenset[object]:
    """Return what cosign adds to a manifest: a signature stands in its layer's annotations."""
    if isinstance(manifest, ImageIndex):
        return frozenset({manifest.digest})
    return frozenset(
        (layer.digest, frozenset(layer.annotations.items())) for layer in manifest.layers
    )


async def _find(store: Store, repository: str, reference: str | Digest) -> Manifest | None:
    try:
        return await store.get_manifest(repository, reference)
    except NotFoundError:
        return None


async def _listed(store: Store, repository: str, subject: Digest) -> set[Digest]:
    listed = None
    if isinstance(store, HoldsReferrers):
        listed = await store.list_referrers(repository, subject)
    if listed is None:
        index = await _find(store, repository, fallback_tag(subject))
        listed = index.manifests if isinstance(index, ImageIndex) else ()
    return {entry.digest for entry in listed}


async def _check_content(store: Store, repository: str, digest: Digest) -> list[str]:
    try:
        content = await list_content(store, repository, digest)
    except NotFoundError:
        return [f"{digest} is not there whole"]
    except PromotionError as error:
        if error.retryable:
            raise
        return [f"{digest} cannot be read: {error.attempted}"]
    problems = []
    for blob in content.blobs:
        size_bytes = await store.blob_size(repository, blob.digest)
        if size_bytes != blob.size_bytes:
            found = "missing" if size_bytes is None else f"of {size_bytes} bytes"
            problems.append(f"the blob {blob.digest} of {digest} is {found}")
    return problems


async def _check_tag(store: Store, repository: str, attachment: Attachment, tag: str) -> list[str]:
    held = await _find(store, repository, tag)
    if held is None:
        return [f"the tag {tag} is missing"]
    if held.digest == attachment.digest:
        return []
    manifest = await _find(store, repository, attachment.digest)
    if manifest is not None and _layers(held) >= _layers(manifest):
        return []
    return [f"the tag {tag} points at {held.digest}"]
