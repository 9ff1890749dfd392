"""What asking about some images of a repository teaches about the next ones.

Most images have nothing attached, and to find that out takes a request for each place where
something could be. After a few images it is cheaper to list the repository's tags once.
"""

from __future__ import annotations

import asyncio

from image_promotion.errors import DeniedError
from image_promotion.registry.referrer_tags import is_attachment_tag
from image_promotion.registry.store import Store

TRIED = 8
"""For so many images each place is asked about; from then on the repository's tags are known."""


class ReferrerMemory:
    """What is known of one repository while many of its images are looked at.

    It is for one look at many images: what is attached afterwards is for another one.
    """

    def __init__(self) -> None:
        self._images = 0
        self._without_lists = 0
        self._has_lists = False
        self._tags: frozenset[str] | None = None
        self._may_list = True
        self._listing = asyncio.Lock()

    async def begin(self, store: Store, repository: str) -> None:
        """Learn that one more image is looked at.

        Args:
            store: Where it is.
            repository: Its repository, as policies name it.

        Raises:
            PromotionError: As from the store's ``list_tags``.
        """
        async with self._listing:
            self._images += 1
            if self._images <= TRIED or self._tags is not None or not self._may_list:
                return
            try:
                self._tags = frozenset(
                    [tag async for tag in store.list_tags(repository) if is_attachment_tag(tag)]
                )
            except DeniedError:
                self._may_list = False

    def note_list(self, *, is_there: bool) -> None:
        """Learn whether the store had a list of its own of what is about a digest."""
        self._has_lists = self._has_lists or is_there
        self._without_lists += not is_there

    @property
    def may_have_lists(self) -> bool:
        """Whether the store may have lists of its own, by all it has answered."""
        return self._has_lists or self._without_lists < TRIED

    @property
    def nothing_is_attached(self) -> bool:
        """Whether no image of the repository has anything attached."""
        return self._tags is not None and not self._tags and not self.may_have_lists

    def may_have(self, tag: str) -> bool:
        """Say whether the repository may have a tag of an attachment."""
        return self._tags is None or tag in self._tags
