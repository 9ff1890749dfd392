"""What the form's buttons do to it that add, remove and turn around."""

from __future__ import annotations

from collections.abc import MutableSequence
from dataclasses import dataclass
from typing import Any

from image_promotion.web.form.fields import (
    ConditionFields,
    PolicyFields,
    SourceFields,
    TargetFields,
    TriggerFields,
)
from image_promotion.web.form.vocabulary import GROUPS, KINDS, YAML_KIND

_ADD = "add:"
_REMOVE = "remove:"
SWAP = "swap"

_MAX_STEPS = 40


@dataclass(frozen=True, slots=True)
class Changed:
    """What became of a form.

    Args:
        form: The form.
        focus: The field that whoever pressed the button goes on with.
        said: What was done, in words.
    """

    form: PolicyFields
    focus: str
    said: str


def changed(form: PolicyFields, action: str) -> Changed | None:
    """Do what a button says.

    Args:
        form: The form, which is left as it is.
        action: ``add:`` and a list's name, and for triggers ``:`` and a kind; ``remove:`` and the
            name of what is in a list; or ``swap``.

    Returns:
        The changed form; None when the action is none of these, or about what is not there.
    """
    form = form.model_copy(deep=True)
    if action == SWAP:
        return _swapped(form)
    if action.startswith(_ADD):
        name, _, kind = action.removeprefix(_ADD).partition(":")
        return _added(form, name, kind)
    if action.startswith(_REMOVE):
        return _removed(form, action.removeprefix(_REMOVE))
    return None


def new_form() -> PolicyFields:
    """Return the form of a policy that nobody has begun."""
    return PolicyFields(
        targets=[TargetFields(tag="%n", timezone="UTC")], triggers=[_trigger("tag")]
    )


def _swapped(form: PolicyFields) -> Changed | None:
    if not form.targets:
        return None
    source, target = form.source, form.targets[0]
    form.source = SourceFields(
        connection=target.connection, repository=target.repository.replace("{name}", "*")
    )
    target.connection = source.connection
    target.repository = source.repository.replace("*", "{name}")
    return Changed(form, "source.connection", "Source and target have changed places.")


def _added(form: PolicyFields, name: str, kind: str) -> Changed | None:
    rows = _list_at(form, name)
    if rows is None:
        return None
    at = f"{name}.{len(rows)}"
    last = name.rsplit(".", 1)[-1]
    if last == "targets":
        like = form.targets[-1] if form.targets else TargetFields(timezone="UTC")
        rows.append(TargetFields(tag="%n", timezone=like.timezone))
        return Changed(form, f"{at}.connection", "A target was added.")
    if last == "conditions":
        rows.append(ConditionFields())
        return Changed(form, f"{at}.operator", "A condition was added.")
    made = _trigger(kind)
    if made is None:
        return None
    rows.append(made)
    fields = {"": "text"} if kind == YAML_KIND else {}
    field = fields.get("", "legend" if kind in GROUPS else "conditions.0.operator")
    return Changed(form, f"{at}.{field}", "A trigger was added.")


def _trigger(kind: str) -> TriggerFields | None:
    if kind in KINDS:
        first = KINDS[kind].operators[0]
        return TriggerFields(kind=kind, conditions=[ConditionFields(operator=first.key)])
    if kind in GROUPS or kind == YAML_KIND:
        return TriggerFields(kind=kind)
    return None


def _removed(form: PolicyFields, name: str) -> Changed | None:
    within, _, number = name.rpartition(".")
    rows = _list_at(form, within)
    if rows is None or not _is_in(rows, number):
        return None
    del rows[int(number)]
    outer = within.rpartition(".")[0]
    focus = f"{within}.add" if within in {"targets", "triggers"} else f"{outer}.legend"
    return Changed(form, focus, "It was removed.")


def _list_at(form: PolicyFields, name: str) -> MutableSequence[Any] | None:
    """Return a list of the form by its name; None for what is none of its lists."""
    first, *steps = name.split(".")[:_MAX_STEPS]
    lists: dict[str, MutableSequence[Any]]
    lists = {"targets": form.targets, "triggers": form.triggers}
    rows = lists.get(first)
    while steps and rows is not None:
        number, *rest = steps
        if len(rest) < 1 or not _is_in(rows, number):
            return None
        row, steps = rows[int(number)], rest[1:]
        is_trigger = isinstance(row, TriggerFields)
        lists = {"parts": row.parts, "conditions": row.conditions} if is_trigger else {}
        rows = lists.get(rest[0])
    return rows


def _is_in(rows: MutableSequence[Any], number: str) -> bool:
    is_number = number.isascii() and number.isdigit() and len(number) <= len(str(len(rows)))
    return is_number and int(number) < len(rows)
