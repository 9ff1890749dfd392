"""The fallback tag, written so that of several writers none loses what it wrote.

A registry without the referrers API takes whatever index is put under the tag, the last one wins,
and it has no way to put one only if nothing changed. So each writer reads, merges, writes at once,
and reads back until its entries hold: once directly, and once more after a pause in which a writer
that had read before would have overwritten them. A writer that stalls for longer between its two
requests can still undo another's work; verification sees that, and a repeated transfer mends it.

Source: OCI Distribution Specification 1.1, "Pushing Manifests with Subject", referrers tag schema.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from image_promotion.errors import (
    NotFoundError,
    RegistryError,
    Subject,
    TagConflictError,
    VerificationError,
)
from image_promotion.registry.concurrency import ask_each
from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.digest import Digest
from image_promotion.registry.manifest import OCI_INDEX, ImageIndex, Manifest, parse_manifest
from image_promotion.registry.referrer_tags import fallback_tag
from image_promotion.registry.store import Store

_LACKS_A_PART = frozenset({None, 400, 404})
"""How an index is refused that lists what is not there; a store without HTTP has no status."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a writer of a fallback tag tries.

    Args:
        writes: How often it writes at most.
        settling_s: The shortest pause after which its entries must still be there, in seconds; up
            to half as long again is added by chance.
        backoff_s: The longest pause after the first loss, in seconds; it doubles each time.
        sleep: Waits for some seconds; another one in tests.
        chance: Gives random numbers, 0 <= number < 1; another one in tests.
    """

    writes: int = 12
    settling_s: float = 0.2
    backoff_s: float = 0.1
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    chance: Callable[[], float] = random.random


PATIENCE = Patience()


async def list_under_tag(
    store: Store,
    repository: str,
    subject: Digest,
    referrers: Sequence[Descriptor],
    *,
    patience: Patience = PATIENCE,
) -> bool:
    """See that referrers are listed under the fallback tag of what they are about.

    What else is listed there stays, unless it is gone from the repository and the registry for
    that reason refuses the list.

    Args:
        store: Where they are; their manifests are there already.
        repository: The repository, as policies name it.
        subject: What they are about.
        referrers: Their descriptors, with artifact type and annotations.
        patience: How long it is tried while other writers interfere.

    Returns:
        Whether anything had to be written.

    Raises:
        TagConflictError: The tag points at something that is no list.
        VerificationError: What is written there does not stay.
        PromotionError: As from the store.

    Source: OCI Distribution Specification 1.1, "Pushing Manifests with Subject".
    """
    tag = fallback_tag(subject)
    writes = 0
    has_settled = has_paused = False
    while True:
        index = await _read(store, repository, tag)
        listed = set() if index is None else {entry.digest for entry in index.manifests}
        missing = [each for each in referrers if each.digest not in listed]
        if not missing:
            if has_settled or not writes:
                return writes > 0
            has_settled = True
            await patience.sleep(patience.settling_s * (1 + patience.chance() / 2))
            continue
        has_settled = False
        if writes >= patience.writes:
            raise VerificationError(
                f"the list of what is attached to the image did not keep what was written to it "
                f"{writes} times",
                problems=tuple(f"{each.digest} is not listed" for each in missing),
                subject=Subject(store.name, repository, tag, str(subject)),
                advice="Others write the same list at the same time; try again.",
                retryable=True,
            )
        if writes and not has_paused:
            # Another moment than the other writer's; and what is written was read just before.
            has_paused = True
            await patience.sleep(patience.backoff_s * 2 ** (writes - 1) * patience.chance())
            continue
        await _write(store, repository, tag, index, missing)
        writes += 1
        has_paused = False


async def _read(store: Store, repository: str, tag: str) -> ImageIndex | None:
    try:
        manifest = await store.get_manifest(repository, tag)
    except NotFoundError:
        return None
    if isinstance(manifest, ImageIndex) and manifest.media_type == OCI_INDEX:
        return manifest
    raise TagConflictError(
        "the tag that lists what is attached to an image points at something else",
        held_digest=str(manifest.digest),
        subject=Subject(store.name, repository, tag),
        advice="Delete the tag if nobody needs what it points at; then try again.",
    )


async def _write(
    store: Store,
    repository: str,
    tag: str,
    index: ImageIndex | None,
    referrers: Sequence[Descriptor],
) -> None:
    try:
        await store.put_manifest(repository, tag, _merged(index, (), referrers))
    except RegistryError as error:
        if index is None or error.status not in _LACKS_A_PART:
            raise
        held = await ask_each(
            lambda entry: store.has_manifest(repository, entry.digest), index.manifests, at_once=4
        )
        gone = {
            entry.digest
            for entry, is_held in zip(index.manifests, held, strict=True)
            if not is_held
        }
        if not gone:
            raise
        await store.put_manifest(repository, tag, _merged(index, gone, referrers))


def _merged(
    index: ImageIndex | None, gone: Sequence[Digest] | set[Digest], referrers: Sequence[Descriptor]
) -> Manifest:
    """Add entries to an index; those that stay are left as they were written."""
    document: dict[str, object] = (
        {"schemaVersion": 2, "mediaType": OCI_INDEX} if index is None else json.loads(index.content)
    )
    raw = document.get("manifests")
    written: list[object] = raw if isinstance(raw, list) else []
    known = () if index is None else index.manifests
    document["manifests"] = [
        *(
            entry
            for entry, descriptor in zip(written, known, strict=True)
            if descriptor.digest not in gone
        ),
        *(_entry(referrer) for referrer in referrers),
    ]
    return parse_manifest(json.dumps(document).encode(), OCI_INDEX)


def _entry(referrer: Descriptor) -> dict[str, object]:
    entry: dict[str, object] = {
        "mediaType": referrer.media_type,
        "digest": str(referrer.digest),
        "size": referrer.size_bytes,
    }
    if referrer.artifact_type:
        entry["artifactType"] = referrer.artifact_type
    if referrer.annotations:
        entry["annotations"] = dict(referrer.annotations)
    return entry
