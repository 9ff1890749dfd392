"""The pipeline as policies make it: repositories by stage, policies between them, and a picture."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from image_promotion.policy.repositories import NAME_PLACEHOLDER, name_in
from image_promotion.web.api.models import Arrow, Node, PolicySummary, Repository

NODE_WIDTH, POLICY_WIDTH, HEIGHT = 210, 230, 52
GAP_X, GAP_Y, MARGIN = 56, 20, 12

Where = tuple[str, str]
"""A repository, behind a connection."""


@dataclass(frozen=True, slots=True)
class Box:
    """A box of the picture, in pixels.

    Args:
        x: Its left side.
        y: Its upper side.
        width: How wide it is.
        height: How high it is.
    """

    x: float
    y: float
    width: float
    height: float = HEIGHT


@dataclass(frozen=True, slots=True)
class NodeBox:
    """A repository in the picture."""

    node: Node
    box: Box


@dataclass(frozen=True, slots=True)
class PolicyBox:
    """A policy in the picture, with the lines that lead to it and from it, as SVG paths."""

    policy: PolicySummary
    box: Box
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """The pipeline, drawn."""

    width: float
    height: float
    nodes: tuple[NodeBox, ...]
    policies: tuple[PolicyBox, ...]


def nodes_of(policies: Sequence[PolicySummary]) -> tuple[Node, ...]:
    """Return the repositories that policies name, each with its stage.

    Args:
        policies: The policies.

    Returns:
        The repositories, by stage and then by name. A repository comes after all from which images
        get to it; where policies go round in a circle, the one that closes it does not count.
    """
    into: dict[Where, set[Where]] = defaultdict(set)
    for policy in policies:
        source = _where(policy.source)
        into[source] |= set()
        for target in policy.targets:
            into[_where(target)].add(source)
    for node in into:
        # What a policy for dev/* puts into qa/* another takes from qa/website.
        into[node] |= {
            other for other in into if other[0] == node[0] and _is_of_pattern(node[1], other[1])
        }
    stages = stages_of(into)
    return tuple(
        Node(id=_id(each), connection=each[0], repository=each[1], stage=stages[each])
        for each in sorted(into, key=lambda each: (stages[each], each))
    )


def arrows_of(policies: Sequence[PolicySummary]) -> tuple[Arrow, ...]:
    """Return the policies as arrows between repositories."""
    return tuple(
        Arrow(
            policy=each.name,
            source=_id(_where(each.source)),
            targets=tuple(dict.fromkeys(_id(_where(target)) for target in each.targets)),
        )
        for each in policies
    )


def draw(
    policies: Sequence[PolicySummary], nodes: Sequence[Node], arrows: Sequence[Arrow]
) -> Picture:
    """Draw the pipeline from left to right: stages of repositories, and policies between them.

    Args:
        policies: The policies.
        nodes: Their repositories.
        arrows: How they lie between them.

    Returns:
        Where everything is.
    """
    stages = {each.id: each.stage for each in nodes}
    order = {each.id: place for place, each in enumerate(nodes)}
    by_name = {each.name: each for each in policies}
    columns: dict[int, list[Arrow]] = defaultdict(list)
    for arrow in sorted(arrows, key=lambda each: (order[each.source], each.policy)):
        columns[stages[arrow.source]].append(arrow)
    step = HEIGHT + GAP_Y
    policy_y = {
        arrow.policy: MARGIN + place * step
        for column in columns.values()
        for place, arrow in enumerate(column)
    }
    node_y = _node_heights(nodes, arrows, policy_y)
    boxes = {
        each.id: Box(_node_x(each.stage), node_y[each.id], NODE_WIDTH, HEIGHT) for each in nodes
    }
    drawn = []
    for stage, column in sorted(columns.items()):
        for arrow in column:
            x = _node_x(stage) + NODE_WIDTH + GAP_X
            box = Box(x, policy_y[arrow.policy], POLICY_WIDTH, HEIGHT)
            lines = (
                _line(boxes[arrow.source], box),
                *(_line(box, boxes[t]) for t in arrow.targets),
            )
            drawn.append(PolicyBox(by_name[arrow.policy], box, lines))
    everything = [*boxes.values(), *(each.box for each in drawn)]
    return Picture(
        width=max((each.x + each.width for each in everything), default=0) + MARGIN,
        height=max((each.y + each.height for each in everything), default=0) + MARGIN,
        nodes=tuple(NodeBox(each, boxes[each.id]) for each in nodes),
        policies=tuple(drawn),
    )


def _node_heights(
    nodes: Sequence[Node], arrows: Sequence[Arrow], policy_y: Mapping[str, float]
) -> dict[str, float]:
    """Place each repository beside the policies that it has to do with, and none upon another."""
    near: dict[str, list[float]] = defaultdict(list)
    for arrow in arrows:
        for end in (arrow.source, *arrow.targets):
            near[end].append(policy_y[arrow.policy])
    wished = {each: sum(heights) / len(heights) for each, heights in near.items()}
    found: dict[str, float] = {}
    free: dict[int, float] = defaultdict(lambda: float(MARGIN))
    for node in sorted(nodes, key=lambda each: wished[each.id]):
        found[node.id] = max(wished[node.id], free[node.stage])
        free[node.stage] = found[node.id] + HEIGHT + GAP_Y
    return found


def _node_x(stage: int) -> float:
    return MARGIN + stage * (NODE_WIDTH + POLICY_WIDTH + 2 * GAP_X)


def _line(one: Box, other: Box) -> str:
    x1, y1 = one.x + one.width, one.y + one.height / 2
    x2, y2 = other.x, other.y + other.height / 2
    bend = max(abs(x2 - x1) / 2, GAP_X / 2)
    return f"M{x1:g} {y1:g}C{x1 + bend:g} {y1:g} {x2 - bend:g} {y2:g} {x2:g} {y2:g}"


def stages_of(into: Mapping[Where, set[Where]]) -> dict[Where, int]:
    """Return, for each repository, the longest way to it.

    Args:
        into: For each repository, those from which images get to it.

    Returns:
        How many promotions it takes at most; what closes a circle does not count.
    """
    stages: dict[Where, int] = {}
    for start in sorted(into):
        # By hand, not by recursion: a chain may be longer than Python's stack.
        path = [(start, iter(sorted(into[start])))]
        on_path = {start}
        while path:
            node, before = path[-1]
            following = next((each for each in before if each not in on_path), None)
            if following is None:
                reached = [stages[each] + 1 for each in into[node] if each in stages]
                stages[node] = max(stages.get(node, 0), *reached, 0)
                on_path.discard(node)
                path.pop()
            elif following not in stages:
                on_path.add(following)
                path.append((following, iter(sorted(into[following]))))
    return stages


def _is_of_pattern(repository: str, pattern: str) -> bool:
    is_pattern = "*" in pattern and "*" not in repository
    return is_pattern and name_in(pattern, repository) is not None


def _where(place: Repository) -> Where:
    return place.connection, place.repository.replace(NAME_PLACEHOLDER, "*")


def _id(where: Where) -> str:
    return "/".join(where)
