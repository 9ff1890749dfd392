"""Whether an image is whole in a place: its manifests by their bytes, its blobs by their sizes."""

from __future__ import annotations

from collections.abc import Sequence

from image_promotion.errors import ContentMismatchError, NotFoundError
from image_promotion.registry.concurrency import ask_each
from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.digest import Digest
from image_promotion.registry.store import Store
from image_promotion.registry.transfer import list_content

BLOBS_AT_ONCE = 8


async def whats_missing(store: Store, repository: str, digest: Digest) -> tuple[str, ...]:
    """Say what a repository lacks of an image, foreign layers aside.

    Args:
        store: The store.
        repository: The repository.
        digest: The image.

    Returns:
        What is missing or different, each a phrase; nothing when it is whole.

    Raises:
        RegistryError: The store cannot be asked.
    """
    try:
        content = await list_content(store, repository, digest)
    except (NotFoundError, ContentMismatchError) as error:
        return (error.attempted,)
    return await missing_blobs(store, repository, content.blobs)


async def missing_blobs(
    store: Store, repository: str, blobs: Sequence[Descriptor]
) -> tuple[str, ...]:
    """Say which blobs a repository lacks, or has in another size.

    Args:
        store: The store.
        repository: The repository.
        blobs: The blobs.

    Returns:
        What is missing or different, each a phrase.

    Raises:
        RegistryError: The store cannot be asked.
    """

    async def find_problem(blob: Descriptor) -> str | None:
        size_bytes = await store.blob_size(repository, blob.digest)
        if size_bytes is None:
            return f"blob {blob.digest} is missing"
        if size_bytes != blob.size_bytes:
            return f"blob {blob.digest} has {size_bytes} bytes instead of {blob.size_bytes}"
        return None

    answers = await ask_each(find_problem, blobs, at_once=BLOBS_AT_ONCE)
    return tuple(problem for problem in answers if problem)
