"""The tags of a source, told apart by their names: which may matter, and which are out already.

A registry may have a million tags of which a hundred matter. So each repository's list is gone
through when it comes, and of the tags that are out no more is kept than somebody wants to see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from image_promotion.registry.concurrency import ask_each
from image_promotion.registry.products.catalogue import INTERFACE_FAULTS, HasCatalogue
from image_promotion.registry.referrer_tags import is_attachment_tag
from image_promotion.registry.store import Store

LISTS_AT_ONCE = 4
"""How many repositories are listed at a time: each list may be a page of megabytes."""


@dataclass(frozen=True, slots=True)
class TagName:
    """A tag of a source repository, before more is known of it than a listing says.

    Attributes:
        repository: The repository.
        tag: The tag.
        digest: What it points at, where the listing says so.
    """

    repository: str
    tag: str
    digest: str | None = None


IsOut = Callable[[TagName], bool]
"""Says whether a tag is out by its name."""


@dataclass(frozen=True, slots=True)
class SourceTags:
    """The tags of a source, or of a repository of it.

    Attributes:
        wanted: Those that may matter.
        rejected: Those that are out by their names, or the first of them.
        rejected_count: How many are out.
        attachment_count: How many of these name what is attached to an image.
    """

    wanted: tuple[TagName, ...] = ()
    rejected: tuple[TagName, ...] = ()
    rejected_count: int = 0
    attachment_count: int = 0


def tell_apart(names: Iterable[TagName], is_out: IsOut, *, keep: int | None) -> SourceTags:
    """Tell tags apart by their names.

    Args:
        names: The tags.
        is_out: Says which are out.
        keep: How many of those that are out are kept by name; None for all.

    Returns:
        The tags, in the order in which people find them.
    """
    wanted: list[TagName] = []
    rejected: list[TagName] = []
    for name in names:
        (rejected if is_out(name) else wanted).append(name)
    # Registries list in an order of their own.
    for each in (wanted, rejected):
        each.sort(key=lambda name: (name.repository, name.tag))
    return SourceTags(
        tuple(wanted),
        tuple(rejected[:keep]),
        rejected_count=len(rejected),
        attachment_count=sum(is_attachment_tag(name.tag) for name in rejected),
    )


async def list_source_tags(
    source: Store, repositories: Sequence[str], is_out: IsOut, *, keep: int | None = None
) -> tuple[SourceTags, tuple[str, ...]]:
    """List the tags of repositories, some repositories at a time.

    Args:
        source: The store they are in.
        repositories: The repositories.
        is_out: Says which tags are out by their names.
        keep: How many of those are kept by name; None for all.

    Returns:
        The tags; and what people may want to know of how they were listed.

    Raises:
        RegistryError: A repository cannot be listed.
    """
    notes: list[str] = []

    async def look_into(repository: str) -> SourceTags:
        return tell_apart(await _names_in(source, repository, notes), is_out, keep=keep)

    parts = await ask_each(look_into, sorted(repositories), at_once=LISTS_AT_ONCE)
    rejected = [name for part in parts for name in part.rejected]
    tags = SourceTags(
        tuple(name for part in parts for name in part.wanted),
        tuple(rejected[:keep]),
        rejected_count=sum(part.rejected_count for part in parts),
        attachment_count=sum(part.attachment_count for part in parts),
    )
    return tags, tuple(notes)


async def _names_in(source: Store, repository: str, notes: list[str]) -> list[TagName]:
    """List a repository by the registry's own interface, with digests, where it has one."""
    if isinstance(source, HasCatalogue):
        try:
            return [
                TagName(repository, record.tag, str(record.digest) if record.digest else None)
                async for record in source.catalogue.list_tags(repository)
            ]
        except INTERFACE_FAULTS as fault:
            notes.append(
                f"listed without digests, since the product's own interface failed: {fault}"
            )
    return [TagName(repository, tag) async for tag in source.list_tags(repository)]
