"""What a registry of a known type can be asked beyond the distribution protocol."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol, runtime_checkable

from image_promotion.errors import AuthenticationError, DeniedError, ProtocolViolationError
from image_promotion.registry.digest import Digest


class ScanState(StrEnum):
    """How far the registry's own scan of an image is."""

    ABSENT = "absent"
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class TagRecord:
    """One tag, as the registry's own listing has it.

    Args:
        tag: The tag.
        digest: What it points at; None where the listing does not say, so that it must be resolved.
        pushed_at: When the tag was last pushed, aware; None where the listing does not say.
        scan: How far the registry's scan is; None where the listing does not say.
        is_immutable: Whether the tag cannot be set again; None where the listing does not say.
    """

    tag: str
    digest: Digest | None
    pushed_at: datetime | None = None
    scan: ScanState | None = None
    is_immutable: bool | None = None


class Catalogue(Protocol):
    """The listing of one registry, by its own interface; repositories are named as in policies."""

    def list_tags(self, repository: str) -> AsyncIterator[TagRecord]:
        """Yield each tag with what the registry says about it, each once.

        Raises:
            NotFoundError: There is no such repository.
            InvalidReferenceError: The registry cannot have a repository of this name.
            RegistryError: The registry answers with an error, or not at all.
        """

    async def ensure_repository(self, repository: str) -> bool:
        """See that images can be pushed into a repository.

        Returns:
            Whether something had to be created.

        Raises:
            DeniedError: It is missing, and we may not create it.
            RegistryError: The registry answers with another error, or not at all.
        """

    async def has_immutable_tags(self, repository: str) -> bool | None:
        """Say whether no tag of a repository can be set again; None where it depends on the tag.

        Raises:
            RegistryError: The registry answers with an error, or not at all.
        """

    async def remove_tag(self, repository: str, tag: str, digest: Digest) -> bool | None:
        """Take a tag away; what it points at stays.

        Args:
            repository: The repository.
            tag: The tag.
            digest: What it points at.

        Returns:
            Whether it is gone; None where the product's interface has nothing for it, so that the
            distribution protocol's way is tried.

        Raises:
            DeniedError: We may not.
            RegistryError: The registry refuses, or does not answer.
        """

    async def allowances(self, repository: str, tag: str) -> tuple[str, ...]:
        """Return what the registry still allows us, each a phrase for people; often nothing.

        Args:
            repository: A repository that was listed just now.
            tag: A tag of it.

        Raises:
            RegistryError: The registry answers with an error, or not at all.
        """


@runtime_checkable
class HasCatalogue(Protocol):
    """A store that can be asked more than the distribution protocol has."""

    @property
    def catalogue(self) -> Catalogue:
        """The product's own interface."""


INTERFACE_FAULTS = (AuthenticationError, DeniedError, ProtocolViolationError)
"""What a product's interface may answer while the registry itself serves us well: it is another
login for some, another right for others, and another version for all."""


async def immutable_tags(
    catalogue: Catalogue, repository: str, tags: Collection[str]
) -> frozenset[str]:
    """Return which tags cannot be set again, as far as the registry says.

    Args:
        catalogue: The registry's own interface.
        repository: The repository, as policies name it.
        tags: The tags; they are there.

    Returns:
        Those that are known to be immutable.

    Raises:
        RegistryError: The registry answers with an error, or not at all.
    """
    answer = await catalogue.has_immutable_tags(repository)
    if answer is not None:
        return frozenset(tags if answer else ())
    return frozenset(
        [
            record.tag
            async for record in catalogue.list_tags(repository)
            if record.is_immutable and record.tag in tags
        ]
    )
