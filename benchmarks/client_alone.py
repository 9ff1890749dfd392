"""Copies all tags of a repository with our registry client as a library, as a peer would.

No policy, no ledger, no verification: the difference to a whole run is what these cost.
"""

from __future__ import annotations

import asyncio
import sys

from image_promotion.registry.client import RegistryClient
from image_promotion.registry.concurrency import ask_each
from image_promotion.registry.endpoint import RegistryEndpoint
from image_promotion.registry.transfer import copy_image

IMAGES_AT_ONCE = 8


async def copy_all(
    source_url: str, source_repository: str, target_url: str, target_repository: str
) -> None:
    """Copy every tag that the target does not have at the same digest."""
    source = RegistryClient(RegistryEndpoint("source", source_url))
    target = RegistryClient(RegistryEndpoint("target", target_url))

    async def copy(tag: str) -> None:
        wanted = await source.resolve(source_repository, tag)
        if wanted is None:
            return
        held = await target.resolve(target_repository, tag)
        if held is not None and held.digest == wanted.digest:
            return
        await copy_image(source, source_repository, wanted.digest, target, target_repository)
        manifest = await source.get_manifest(source_repository, wanted.digest)
        await target.put_manifest(target_repository, tag, manifest)

    async with source, target:
        tags = [tag async for tag in source.list_tags(source_repository)]
        await ask_each(copy, tags, at_once=IMAGES_AT_ONCE)


if __name__ == "__main__":
    asyncio.run(copy_all(*sys.argv[1:5]))
