"""When images were last updated: by the registry's listing, else by their own word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from image_promotion.errors import NotFoundError
from image_promotion.policy.criteria.verdict import Need
from image_promotion.policy.facts import Moment
from image_promotion.policy.model import Policy
from image_promotion.promotion.creation import creation_moment
from image_promotion.promotion.decision import ImageName
from image_promotion.promotion.scanning import FAULTS_OF_ONE_IMAGE
from image_promotion.registry.concurrency import ask_each
from image_promotion.registry.digest import Digest
from image_promotion.registry.products.catalogue import INTERFACE_FAULTS, HasCatalogue
from image_promotion.registry.store import Store

IMAGES_AT_ONCE = 8


async def image_moments(
    policy: Policy, images: Sequence[ImageName], source: Store
) -> Mapping[ImageName, Moment | None]:
    """Ask for the images' times if a trigger needs them: of the push, else of the creation.

    Args:
        policy: The policy.
        images: The images.
        source: The store they are in.

    Returns:
        For each image its time and where that was read; None for one that does not say any.

    Raises:
        RegistryError: The source cannot be asked.
    """
    if Need.UPDATED not in policy.criterion.needs:
        return {}
    pushed = await _push_moments(images, source)

    async def ask(image: ImageName) -> Moment | None:
        if image in pushed:
            return pushed[image]
        try:
            return await creation_moment(source, image.repository, Digest.parse(image.digest))
        except FAULTS_OF_ONE_IMAGE:
            # Without a time the trigger waits. If the image is broken, copying will say how.
            return None

    answers = await ask_each(ask, images, at_once=IMAGES_AT_ONCE)
    return dict(zip(images, answers, strict=True))


async def _push_moments(images: Sequence[ImageName], source: Store) -> Mapping[ImageName, Moment]:
    """Return when the tags were last pushed, as far as the registry's own interface lists it."""
    if not isinstance(source, HasCatalogue):
        return {}
    wanted = set(images)
    moments = {}
    for repository in sorted({image.repository for image in images}):
        with suppress(NotFoundError, *INTERFACE_FAULTS):
            async for record in source.catalogue.list_tags(repository):
                # A tag that was pushed again meanwhile says nothing about the image it had.
                image = ImageName(repository, record.tag, str(record.digest))
                if image in wanted and record.pushed_at is not None:
                    moments[image] = Moment(record.pushed_at, f"time of push, by {source.name}")
    return moments
