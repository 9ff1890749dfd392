"""A policy in words: the documentation page of its DAG."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from image_promotion.policy.criteria.logic import AllOf, AnyOf, Not
from image_promotion.policy.criteria.verdict import Criterion

if TYPE_CHECKING:
    from image_promotion.policy.model import Policy

_EXISTING_TAG = {
    "fail": "the image is not promoted and the run fails, so that somebody looks",
    "skip": "the image is not promoted",
    "overwrite": "the tag is moved to the promoted image",
}
_EXISTING_IMAGES = {
    "consider": "Images that were there before the policy count as well.",
    "ignore": "Images that were there when the policy was made or changed do not count.",
}
_FOREIGN_LAYERS = {
    "copy": "Layers that registries usually do not hold (non-distributable ones) go along.",
    "refuse": "An image with layers that must not be pushed (non-distributable ones) is rejected.",
}
# What Markdown would make something of: a regular expression is full of it.
_MARKUP = re.compile(r"([\\`*_<>\[\]|~])")
_ESCAPED = r"\\\1"


def describe(policy: Policy) -> str:
    """Say in words what a policy does.

    Args:
        policy: The policy.

    Returns:
        Markdown.
    """
    source, target = policy.source, policy.target
    tag = "the tag it has" if target.tag == "%n" else f"the tag `{target.tag}` ({target.timezone})"
    when = (
        "Runs when somebody triggers it."
        if policy.schedule == "manual"
        else f"Runs at `{policy.schedule}` ({target.timezone}) and when an event says that "
        "something arrived at its source."
    )
    lines = [
        *([policy.description, ""] if policy.description else []),
        (
            f"Promotes images from `{source.repository}` (connection `{source.connection}`) "
            f"to `{target.repository}` (connection `{target.connection}`) under {tag}."
        ),
        "",
        "An image is promoted when all of these hold:",
        "",
        *_items(policy.criterion.parts, ""),
        "",
        (
            f"If the target tag holds another image, {_EXISTING_TAG[target.existing_tag]}. "
            f"{_EXISTING_IMAGES[policy.existing_images]}"
        ),
        "",
        *_parts_of_images(policy),
        _attachments(policy),
        "",
        when,
    ]
    return "\n".join(lines)


def _parts_of_images(policy: Policy) -> Iterator[str]:
    """Say which parts of an image go, where that is not the usual."""
    if policy.platforms is not None:
        shown = ", ".join(f"`{each}`" for each in policy.platforms)
        yield (
            f"Of an image for several platforms only those for {shown} go, in a new index, to "
            "which signatures over the old one do not apply. An image that lacks one of them is "
            "rejected."
        )
        yield ""
    if policy.foreign_layers in _FOREIGN_LAYERS:
        yield _FOREIGN_LAYERS[policy.foreign_layers]
        yield ""


def _attachments(policy: Policy) -> str:
    """Say what goes along with an image."""
    if policy.referrers.carries_nothing:
        return "Signatures, SBOMs and whatever else is attached to an image stay behind."
    types = policy.referrers.artifact_types
    if types is None:
        return "Signatures, SBOMs and whatever else is attached to an image go with it."
    shown = ", ".join(f"`{each}`" for each in types)
    return f"Of what is attached to an image, these types go with it: {shown}."


def _items(parts: tuple[Criterion, ...], indent: str) -> Iterator[str]:
    """Yield triggers as a list, nested ones indented."""
    for part in parts:
        match part:
            case AllOf(nested):
                yield f"{indent}- all of:"
                yield from _items(nested, f"{indent}  ")
            case AnyOf(nested):
                yield f"{indent}- any of:"
                yield from _items(nested, f"{indent}  ")
            case Not(nested):
                yield f"{indent}- not:"
                yield from _items((nested,), f"{indent}  ")
            case _:
                yield f"{indent}- {_MARKUP.sub(_ESCAPED, part.describe())}"
