"""A policy in words: the documentation page of its DAG."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from image_promotion.policy.criteria.age import in_words
from image_promotion.policy.criteria.logic import AllOf, AnyOf, Not
from image_promotion.policy.criteria.verdict import Criterion
from image_promotion.policy.governance import (
    AfterFailedRecheck,
    Mode,
    NotifyOn,
    OnTimeout,
    Overrides,
    RetentionMode,
)

if TYPE_CHECKING:
    from image_promotion.policy.model import Policy
    from image_promotion.policy.places import Target

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
    target = policy.target
    when = (
        "Runs when somebody triggers it."
        if policy.schedule == "manual"
        else f"Runs at `{policy.schedule}` ({target.timezone}) and when an event says that "
        "something arrived at its source."
    )
    lines = [
        *([policy.description, ""] if policy.description else []),
        *_mode(policy),
        *_way(policy),
        "",
        "An image is promoted when all of these hold:",
        "",
        *_items(policy.criterion.parts, ""),
        "",
        *_stages(policy),
        " ".join((*_existing_tags(policy), _EXISTING_IMAGES[policy.existing_images])),
        "",
        *_people(policy),
        *_parts_of_images(policy),
        _attachments(policy),
        "",
        *_attestation(policy),
        *_second_thoughts(policy),
        *_retention(policy),
        *_notify(policy),
        when,
    ]
    return "\n".join(lines)


def _way(policy: Policy) -> Iterator[str]:
    """Say where images come from and where they go."""
    source, targets = policy.source, policy.all_targets
    start = f"Promotes images from `{source.repository}` (connection `{source.connection}`) "
    if len(targets) == 1:
        yield f"{start}to {_place(targets[0])}."
        return
    yield f"{start}to each of these, whatever becomes of the others:"
    yield ""
    for each in targets:
        yield f"- {_place(each)}"


def _place(target: Target) -> str:
    """Say where one target is, and under which tags images arrive there."""
    shown = [
        "the tag it has" if tag == "%n" else f"the tag `{tag}` ({target.timezone})"
        for tag in target.tags
    ]
    return f"`{target.repository}` (connection `{target.connection}`) under {' and '.join(shown)}"


def _stages(policy: Policy) -> Iterator[str]:
    """Say which policies and how much time an image must have behind it."""
    source = policy.source.repository
    if policy.requires:
        names = " and ".join(f"`{name}`" for name in policy.requires)
        each = " each" if len(policy.requires) > 1 else ""
        yield (
            f"Besides, {names} must{each} have verified the same digest in `{source}`, and not "
            "have rolled it back since; until then an image waits."
        )
        yield ""
    if policy.soak is not None:
        since = "they verified it there" if policy.requires else "it was seen there first"
        if policy.requires and len(policy.requires) == 1:
            since = "that"
        yield (
            f"An image waits for {in_words(policy.soak)} after {since}, and goes with the first "
            "run after that."
        )
        yield ""


def _people(policy: Policy) -> Iterator[str]:
    """Say what people decide."""
    if (approval := policy.approval) is not None:
        whose = ""
        if approval.users is not None:
            whose = f" of {', '.join(f'`{each}`' for each in approval.users)}"
        who = (
            f"one person{whose}"
            if approval.approvals == 1
            else f"{approval.approvals} different people{whose}"
        )
        verb = "approves" if approval.approvals == 1 else "approve"
        then = {
            OnTimeout.ASK_AGAIN: "the next run asks again",
            OnTimeout.REJECT: "the image is rejected",
        }[approval.on_timeout]
        yield (
            f"Nothing is copied before {who} {verb} it in Airflow. One rejection is enough to "
            f"reject an image. If nobody has decided after {in_words(approval.timeout)}, {then}."
        )
        yield ""
    if policy.overrides is Overrides.ALLOW:
        yield (
            "A person may promote named tags although a trigger does not hold, with a written "
            "reason."
        )
        yield ""


def _existing_tags(policy: Policy) -> Iterator[str]:
    """Say what happens where a target tag holds another image."""
    kinds = dict.fromkeys(each.existing_tag for each in policy.all_targets)
    for kind in kinds:
        where = ""
        if len(kinds) > 1:
            names = [
                f"`{each.connection}`" for each in policy.all_targets if each.existing_tag is kind
            ]
            where = f" behind {' or '.join(dict.fromkeys(names))}"
        yield f"If the target tag{where} holds another image, {_EXISTING_TAG[kind]}."


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


def _attestation(policy: Policy) -> Iterator[str]:
    """Say what proof is left in the target."""
    if policy.attestation is not None:
        yield (
            "Every verified promotion leaves a statement in the target that says what was promoted "
            f"and why, signed by the key of the connection `{policy.attestation.connection}`."
        )
        yield ""


def _retention(policy: Policy) -> Iterator[str]:
    """Say which target tags stay, where not all do."""
    rule = policy.retention
    if rule is None:
        return
    stay = []
    if rule.keep_newest is not None:
        stay.append("the newest" if rule.keep_newest == 1 else f"the {rule.keep_newest} newest")
    if rule.keep_younger_than is not None:
        stay.append(f"those verified less than {in_words(rule.keep_younger_than)} ago")
    does = "are removed" if rule.mode is RetentionMode.REMOVE else "are named in the log"
    never = "" if rule.keep_newest else ", the newest never"
    yield (
        f"Of the target tags that the policy set, {' and '.join(stay)} stay in each repository; "
        f"the others {does} at the end of each run{never}. Tags that somebody else set or moved "
        "are left alone."
    )
    yield ""


def _mode(policy: Policy) -> Iterator[str]:
    """Say that nothing is copied, where that is so."""
    if policy.mode is Mode.AUDIT:
        yield (
            "**Audit:** each run decides and records, says how many images it would promote, and "
            "copies nothing."
        )
        yield ""


def _second_thoughts(policy: Policy) -> Iterator[str]:
    """Say what happens to what is promoted already."""
    if policy.recheck is not None:
        said = (
            f"What is promoted is judged again {_interval(policy.recheck.every)}, by the triggers "
            "that look at contents and signatures, on fresh evidence. An image that fails is "
            "reported and goes on to no later stage"
        )
        if policy.recheck.on_failure is AfterFailedRecheck.ROLL_BACK:
            said += ", and its target tag is set back to what it held before"
        yield f"{said}."
        yield ""


def _notify(policy: Policy) -> Iterator[str]:
    """Say whom it tells of what."""
    for each in policy.notify:
        events = ", ".join(_EVENTS[NotifyOn(event)] for event in each.on)
        longer = in_words(each.waiting_longer_than)
        yield f"The notifier `{each.notifier}` tells of {events.format(longer=longer)}."
        yield ""


_EVENTS = {
    NotifyOn.PROMOTED: "promoted images",
    NotifyOn.FAILED: "failures and conflicts",
    NotifyOn.REJECTED: "rejected images",
    NotifyOn.WAITING: "images that wait for longer than {longer}",
    NotifyOn.RECHECK_FAILED: "promoted images that pass no longer",
    NotifyOn.ROLLED_BACK: "tags that were set back",
}


def _interval(every: timedelta) -> str:
    words = {timedelta(days=1): "daily", timedelta(weeks=1): "weekly"}
    return words.get(every) or f"every {in_words(every)}"


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
