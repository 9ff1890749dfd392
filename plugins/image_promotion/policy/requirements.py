"""Whether the policies of a folder can have of one another what they require.

A policy waits for those it requires. One that nobody has written, that brings its images elsewhere,
or that itself waits for this one, would make it wait for ever, and nobody would be told.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from image_promotion.errors import PolicyError
from image_promotion.policy.chaining import may_share, targets_of
from image_promotion.policy.model import Policy
from image_promotion.policy.yaml_document import Location, YamlDocument, dotted

NAMES_SHOWN = 20


@dataclass(frozen=True, slots=True)
class WrittenPolicy:
    """A valid policy, its file, and what stands where in it."""

    path: Path
    policy: Policy
    document: YamlDocument


def requirement_faults(
    written: Sequence[WrittenPolicy], names: Collection[str]
) -> tuple[PolicyError, ...]:
    """Find what policies require and cannot have.

    Args:
        written: The valid policies of a folder.
        names: The names of all its policies. One whose file is broken keeps those that require it
            waiting, and does not break them.

    Returns:
        The faults, in the order of the policies.
    """
    by_name = {each.policy.name: each.policy for each in written}
    return tuple(fault for each in written for fault in faults_of(each, by_name, names))


def faults_of(
    written: WrittenPolicy, by_name: Mapping[str, Policy], names: Collection[str]
) -> Iterator[PolicyError]:
    """Find what one policy requires and cannot have.

    Args:
        written: The policy.
        by_name: The valid policies of its folder; of its own name it is the one that counts.
        names: As in `requirement_faults`.

    Yields:
        The faults, in the order of what it requires.
    """
    known = {**by_name, written.policy.name: written.policy}
    for n, name in enumerate(written.policy.requires or ()):
        if said := _fault(written.policy, name, known, names):
            yield _error(written, n, *said)


def _fault(
    policy: Policy, name: str, by_name: Mapping[str, Policy], names: Collection[str]
) -> tuple[str, str] | None:
    """Say what is wrong with one requirement, and what is allowed."""
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        others = sorted(set(names) - {policy.name})
        more = f" and {len(others) - NAMES_SHOWN} more" if len(others) > NAMES_SHOWN else ""
        return f"there is no policy {name!r}{hint}", ", ".join(others[:NAMES_SHOWN]) + more
    if way := _way_back(policy.name, name, lambda each: _required(by_name.get(each))):
        shown = " -> ".join((policy.name, *way))
        return f"policies wait for one another: {shown}", "what comes before it"
    upstream = by_name.get(name)
    if upstream is not None and not any(
        may_share(place.repository, policy.source.repository) for place in targets_of(upstream)
    ):
        places = ", ".join(place.repository for place in targets_of(upstream))
        return (
            f"{name} brings nothing to {policy.source.repository}, but to {places}",
            "policies that promote to this policy's source",
        )
    return None


def _required(policy: Policy | None) -> tuple[str, ...]:
    return (policy.requires or ()) if policy else ()


def _way_back(
    goal: str, start: str, required_by: Callable[[str], tuple[str, ...]]
) -> tuple[str, ...]:
    """Return the shortest way by which a policy requires itself; empty where there is none."""
    ways: list[tuple[str, ...]] = [(start,)]
    seen = {start}
    for way in ways:
        if way[-1] == goal:
            return way
        for each in required_by(way[-1]):
            if each not in seen:
                seen.add(each)
                ways.append((*way, each))
    return ()


def _error(written: WrittenPolicy, n: int, said: str, allowed: str) -> PolicyError:
    location: Location = ("requires", n)
    if location not in written.document.places:
        # One name alone need not be a list.
        location = ("requires",)
    line, column = written.document.places[location]
    return PolicyError(
        said,
        file=written.path,
        line=line,
        column=column,
        key=dotted(location),
        allowed=allowed,
    )
