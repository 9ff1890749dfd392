"""The form that reviewers fill in: what it says, and how its fields are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from image_promotion.ledger.records import Reason, Verdict
from image_promotion.policy.model import Policy
from image_promotion.promotion.approval import Answer, Question, labels
from image_promotion.promotion.batches import image_label

APPROVE = "Approve"
REJECT = "Reject"

REJECTED_FIELD = "reject_images"
LEFT_FIELD = "leave_images"
COMMENT_FIELD = "comment"

SHOWN_IN_FULL = 100
"""Of how many images the form shows the reasons; of all of them it shows what goes where."""

# What Markdown or HTML would make something of, in what registries and reports say.
_ESCAPES = str.maketrans({character: f"\\{character}" for character in r"\`*_[]<>|~#&!"})


@dataclass(frozen=True, slots=True)
class Form:
    """What a reviewer sees.

    Attributes:
        subject: One line.
        body: Markdown.
        choices: The names of images that the fields may hold.
    """

    subject: str
    body: str
    choices: tuple[str, ...]


def form(policy: Policy, questions: Sequence[Question], *, until: datetime) -> Form:
    """Write the form.

    Args:
        policy: The policy; it has `approval`.
        questions: What people are asked about, those of one image together.
        until: Until when they are asked.

    Returns:
        The form.
    """
    names = labels([each.promotion for each in questions])
    images = [
        (label, list(group))
        for label, group in groupby(questions, key=lambda each: image_label(each.promotion))
    ]
    noun = "image" if len(images) == 1 else "images"
    lines = [
        (
            f"**{_text(policy.name)}** would promote {len(images)} {noun}; {_quorum(policy)} "
            f"Asked until {until:%Y-%m-%d %H:%M} UTC. Nothing is copied before."
        ),
        "",
        (
            f"`{APPROVE}` approves all but those named under *{REJECTED_FIELD}*, which are "
            f"rejected. `{REJECT}` rejects all. Those named under *{LEFT_FIELD}* are left for the "
            "next run."
        ),
    ]
    for n, (label, group) in enumerate(images):
        lines += ["", f"### {_text(label)}", "", f"digest {_text(group[0].promotion.digest)}", ""]
        lines += [_target(each) for each in group]
        if n < SHOWN_IN_FULL:
            lines += [line for each in group[0].decision.reasons for line in _reason(each)]
    if len(images) > SHOWN_IN_FULL:
        lines += [
            "",
            f"The reasons of {len(images) - SHOWN_IN_FULL} more: `promotion history {policy.name}`",
        ]
    return Form(
        subject=f"Promote {len(images)} {noun} by {policy.name}?",
        body="\n".join(lines),
        choices=tuple(names.values()),
    )


def read_answer(
    chosen: Sequence[str],
    fields: Mapping[str, object],
    *,
    user: Mapping[str, object] | None,
    at: datetime,
) -> Answer:
    """Read what a reviewer sent.

    Args:
        chosen: The button.
        fields: The form's fields; those left out are empty.
        user: The auth manager's user: `id` and `name`.
        at: When.

    Returns:
        The answer. Anything but the one button that approves is taken for a rejection.
    """
    names = [str(user[key]).strip() for key in ("name", "id") if user and user.get(key)]
    return Answer(
        verdict=Verdict.APPROVED if list(chosen) == [APPROVE] else Verdict.REJECTED,
        names=tuple(dict.fromkeys(name for name in names if name)),
        rejected=_list(fields.get(REJECTED_FIELD)),
        left=_list(fields.get(LEFT_FIELD)),
        comment=str(fields.get(COMMENT_FIELD) or "").strip(),
        at=at,
    )


def _list(value: object) -> tuple[str, ...]:
    """Read a field of names; one that is typed may hold several lines."""
    items = value if isinstance(value, list) else str(value or "").splitlines()
    return tuple(text for each in items if (text := str(each).strip()))


def _quorum(policy: Policy) -> str:
    approval = policy.approval
    number = approval.approvals if approval else 0
    whose = (
        f" of {', '.join(_text(each) for each in approval.users)}"
        if approval and approval.users
        else ""
    )
    if number == 1:
        return f"one approval{whose} is needed."
    return f"{number} different people{whose} must approve each."


def _target(question: Question) -> str:
    promotion = question.promotion
    place = f"{promotion.target_registry}/{promotion.target_repository}:{promotion.target_tag}"
    other = f" as {promotion.target_digest}" if promotion.is_selection else ""
    said = f"- to **{_text(place)}**{_text(other)}, which holds {_text(question.held)} now"
    if question.approvals:
        who = ", ".join(
            f"{_text(word.who)}{f' ({_text(word.comment)})' if word.comment else ''}"
            for word in question.approvals
        )
        said += f"; approved by {who}"
    if question.decision.overridden_by:
        said += (
            f"; **override** by {_text(question.decision.overridden_by)}: "
            f"{_text(question.decision.override_reason or '')}"
        )
    return said


def _reason(reason: Reason) -> list[str]:
    source = f" ({_text(reason.source)})" if reason.source else ""
    verdict = reason.verdict.replace("_", " ")
    return [f"- {verdict}: {_text(reason.trigger)}: {_text(reason.found)}{source}"]


def _text(text: str) -> str:
    """Keep what others wrote from being anything but text, and on one line."""
    return " ".join(text.split()).translate(_ESCAPES)
