"""How policies follow one another: what one sets in a repository, another takes from there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from image_promotion.policy.model import Policy
from image_promotion.policy.repositories import NAME_PLACEHOLDER, STAR, name_in


@dataclass(frozen=True, slots=True)
class Place:
    """A repository, or a pattern of repositories, behind a connection.

    Attributes:
        connection_id: The connection.
        repository: The repository, or a pattern with one `*`.
    """

    connection_id: str
    repository: str

    def holds(self, connection_id: str, repository: str) -> bool:
        """Return whether a repository is this one, or one of these."""
        return (
            self.connection_id == connection_id and name_in(self.repository, repository) is not None
        )

    def may_share_with(self, other: Place) -> bool:
        """Return whether some repository may be among both."""
        return self.connection_id == other.connection_id and may_share(
            self.repository, other.repository
        )


def may_share(one: str, other: str) -> bool:
    """Return whether a repository may match two patterns.

    Args:
        one: A repository, or a pattern with `*`, which stands for any characters but `/`.
        other: Likewise.

    Returns:
        Whether there is a text that matches both.
    """
    segments, others = one.split("/"), other.split("/")
    return len(segments) == len(others) and all(
        _may_share_segment(*pair) for pair in zip(segments, others, strict=True)
    )


def _may_share_segment(one: str, other: str) -> bool:
    if STAR not in one:
        return name_in(other, one) is not None
    if STAR not in other:
        return name_in(one, other) is not None
    (before, _, after), (before_other, _, after_other) = one.partition(STAR), other.partition(STAR)
    return _agree(before, before_other) and _agree(after[::-1], after_other[::-1])


def _agree(one: str, other: str) -> bool:
    """Return whether one begins with the other."""
    return one.startswith(other) or other.startswith(one)


def source_of(policy: Policy) -> Place:
    """Return where a policy takes images from."""
    return Place(policy.source.connection, policy.source.repository)


def targets_of(policy: Policy) -> tuple[Place, ...]:
    """Return where a policy brings images, each place once."""
    return tuple(
        dict.fromkeys(
            Place(each.target.connection, each.target.repository.replace(NAME_PLACEHOLDER, STAR))
            for each in policy.destinations
        )
    )


def outlets_of(policy: Policy, others: Iterable[Policy]) -> tuple[Place, ...]:
    """Return the places of which people and policies may want to know that something has arrived.

    Airflow starts a DAG by the name of an asset, which knows nothing of patterns. So what arrives
    in `qa/website` is announced under each name under which some policy waits for it.

    Args:
        policy: The policy that brings images.
        others: The other policies of the folder; it may be among them.

    Returns:
        Its own targets, and the sources of other policies with which they may share a repository.
    """
    targets = targets_of(policy)
    awaited = (
        source_of(other)
        for other in others
        if other.name != policy.name and other.schedule != "manual"
    )
    return tuple(
        dict.fromkeys(
            (*targets, *(each for each in awaited if any(each.may_share_with(t) for t in targets)))
        )
    )
