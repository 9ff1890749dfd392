"""Between triggers as a policy file has them and the form's rows; nothing is lost on the way.

A trigger that rows cannot hold to the letter, such as one that looks for a line break, is a row
with its YAML.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING

from pydantic import ValidationError

from image_promotion.policy.triggers import Trigger
from image_promotion.policy.values import BOUND
from image_promotion.web.form.fields import ConditionFields, TriggerFields
from image_promotion.web.form.findings import Draft, Location
from image_promotion.web.form.vocabulary import (
    GROUPS,
    KINDS,
    SEVERITY,
    YAML_KIND,
    Kind,
    Takes,
)
from image_promotion.web.form.yaml_parts import NotYamlError, value_of, written

if TYPE_CHECKING:
    from image_promotion.web.form.yaml_parts import Plain

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def rows_of(triggers: object) -> list[TriggerFields]:
    """Return the rows of triggers.

    Args:
        triggers: What stands under ``triggers``, or ``any``, or ``all``.

    Returns:
        A row for each.
    """
    found = triggers if isinstance(triggers, Sequence) and not isinstance(triggers, str) else ()
    return [row_of(each) for each in found]


def row_of(trigger: object) -> TriggerFields:
    """Return the row of one trigger."""
    if isinstance(trigger, Mapping) and len(trigger) == 1:
        key, inner = next(iter(trigger.items()))
        if key in GROUPS:
            parts = rows_of([inner] if key == "not" else inner)
            return TriggerFields(kind=str(key), parts=parts)
        if key in KINDS and isinstance(inner, Mapping):
            row = _leaf(KINDS[str(key)], inner)
            if _means_the_same(trigger, row):
                return row
    return TriggerFields(kind=YAML_KIND, text=written(trigger).rstrip("\n"))


def _leaf(kind: Kind, inner: Mapping[str, object]) -> TriggerFields:
    row = TriggerFields(kind=kind.key)
    for key, value in inner.items():
        if kind.choice_key and key == kind.choice_key:
            row.choice = str(value).lower()
        elif kind.key == "vulnerabilities" and key == "severity" and isinstance(value, Mapping):
            row.conditions += [_bound(f"{SEVERITY}{word}", each) for word, each in value.items()]
        elif kind.key == "vulnerabilities":
            row.conditions.append(_bound(key, value))
        else:
            row.conditions.append(ConditionFields(operator=key, values=_lines(value)))
    return row


def _lines(value: object) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "\n".join(_line(each) for each in value)
    return _line(value)


def _line(value: object) -> str:
    return value.isoformat() if isinstance(value, date | datetime) else str(value)


def _bound(operator: str, value: object) -> ConditionFields:
    spelled = str(value).strip()
    match = BOUND.fullmatch(spelled)
    if match is None:
        return ConditionFields(operator=operator, written=spelled)
    return ConditionFields(operator=operator, comparison=match[1], number=match[2], written=spelled)


def _means_the_same(trigger: Mapping[str, object], row: TriggerFields) -> bool:
    """Return whether a row says all of a trigger, also when a page has posted it."""
    # A page ends lines as it likes.
    if "\r" in row.model_dump_json():
        return False
    draft = Draft()
    again = trigger_of(row, draft, ("triggers", 0), "triggers.0")
    try:
        return not draft.faults and Trigger.model_validate(again) == Trigger.model_validate(trigger)
    except ValidationError:
        return False


def triggers_of(
    rows: Sequence[TriggerFields], draft: Draft, at: Location, name: str
) -> list[Plain]:
    """Return the triggers of rows, as a policy file has them.

    Args:
        rows: The rows.
        draft: Is told which field stands where, and what is wrong that no file could have.
        at: Where the list stands in the policy.
        name: The list's name in the form.

    Returns:
        The triggers, valid or not.
    """
    return [trigger_of(row, draft, (*at, n), f"{name}.{n}") for n, row in enumerate(rows)]


def trigger_of(row: TriggerFields, draft: Draft, at: Location, name: str) -> Plain:
    """Return the trigger of one row; see `triggers_of`."""
    draft.place(at, name)
    if row.kind == YAML_KIND:
        draft.place(at, f"{name}.text")
        try:
            return value_of(row.text)
        except NotYamlError as error:
            draft.fault(f"{name}.text", at, error.said, error.allowed)
            return {}
    if row.kind in GROUPS:
        return {row.kind: _parts(row, draft, (*at, row.kind), f"{name}.parts")}
    kind = KINDS.get(row.kind)
    if kind is None:
        return {row.kind: {}}
    draft.place((*at, kind.key), name)
    return {kind.key: _conditions(kind, row, draft, (*at, kind.key), name)}


def _parts(row: TriggerFields, draft: Draft, at: Location, name: str) -> Plain:
    if row.kind != "not":
        return list(triggers_of(row.parts, draft, at, name))
    if len(row.parts) > 1:
        said = "holds one trigger"
        draft.fault(name.removesuffix(".parts"), at, said, "several within `any` or `all`")
    for part in row.parts:
        return trigger_of(part, draft, at, f"{name}.0")
    return {}


def _conditions(
    kind: Kind, row: TriggerFields, draft: Draft, at: Location, name: str
) -> dict[str, Plain]:
    found: dict[str, Plain] = {}
    for n, each in enumerate(row.conditions):
        field = f"{name}.conditions.{n}"
        inner, key, location = found, each.operator, (*at, each.operator)
        if each.operator.startswith(SEVERITY):
            key = each.operator.removeprefix(SEVERITY)
            location = (*at, "severity", key)
            severity = found.setdefault("severity", {})
            inner = severity if isinstance(severity, dict) else {}
        if key in inner:
            said, allowed = "stands twice in one trigger", "a trigger of its own for the second"
            draft.fault(f"{field}.operator", location, said, allowed)
        inner[key] = _value(kind, each)
        is_bound = kind.key == "vulnerabilities"
        draft.place(location, f"{field}.number" if is_bound else f"{field}.values")
    if kind.choice_key and row.choice:
        words = {"true": True, "false": False}
        found[kind.choice_key] = words.get(row.choice, row.choice)
        draft.place((*at, kind.choice_key), f"{name}.choice")
    return found


def _value(kind: Kind, condition: ConditionFields) -> Plain:
    if kind.key == "vulnerabilities":
        return _bound_of(condition)
    operator = kind.operator(condition.operator)
    lines = [line.strip() for line in condition.values.splitlines() if line.strip()]
    if operator is None or operator.takes is Takes.TEXTS:
        one = len(lines) == 1 and not condition.operator.startswith(("is_", "signed_by"))
        return lines[0] if one else list(lines)
    text = " ".join(lines)
    if operator.takes is Takes.TIME and _DAY.fullmatch(text):
        try:
            return date.fromisoformat(text)
        except ValueError:
            return text
    return text


def _bound_of(condition: ConditionFields) -> str:
    """Return a bound, spelled as the file has it where it still says the same."""
    number = condition.number.strip()
    match = BOUND.fullmatch(condition.written)
    if match and (match[1], match[2]) == (condition.comparison, number):
        return condition.written
    return f"{condition.comparison} {number}"
