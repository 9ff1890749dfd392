"""DTR's rules as triggers.

Source: DTR 2.6 API, "rules": a field, an operator, values; all rules must hold. Of several values
any is enough, which DTR does not document.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from image_promotion.errors import PolicyError
from image_promotion.moving.schedules import parse_duration
from image_promotion.moving.words import shown
from image_promotion.registry.document import Fields

Trigger = Mapping[str, object]

TEXT_OPERATORS = {
    "eq": "equals",
    "sw": "starts_with",
    "ew": "ends_with",
    "c": "contains",
    "oo": "is_one_of",
    "noo": "is_not_one_of",
}
LICENSE_OPERATORS = {"oo": "is_one_of", "noo": "is_not_one_of"}
NUMBER_OPERATORS = {"gte": ">=", "gt": ">", "eq": "=", "neq": "!=", "lte": "<=", "lt": "<"}
TIME_OPERATORS = {"bf": "before", "af": "after"}
DURATION_OPERATORS = {"bf": "older_than", "af": "newer_than"}

VULNERABILITIES = "vulnerability_"
BANDS = ("all", "critical", "major", "minor")

_LISTS = frozenset({"is_one_of", "is_not_one_of"})
_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)
_WORDS = re.compile(r"([0-9]{1,6})\s*(minute|hour|day|week)s?")


def trigger_of(rule: Fields) -> Trigger:
    """Turn one rule into one trigger.

    Args:
        rule: The rule.

    Returns:
        The trigger, as a policy file has it.

    Raises:
        PolicyError: It is no rule of DTR, or cannot be carried.
    """
    field, operator = rule.text("field"), rule.text("operator")
    values = rule.texts("values")
    if not values:
        raise PolicyError(f"the rule on {shown(field)} has no value")
    match field:
        case "tag":
            return {"tag": _on_text(field, operator, values, TEXT_OPERATORS)}
        case "component.name":
            return {"component": _on_text(field, operator, values, TEXT_OPERATORS)}
        case "license.name":
            return {"license": _on_text(field, operator, values, LICENSE_OPERATORS)}
        case "updated_at":
            name = _operator(field, operator, TIME_OPERATORS)
            return _any(values, lambda value: {"updated": {name: _moment(value)}})
        case "updated_at_duration":
            name = _operator(field, operator, DURATION_OPERATORS)
            return _any(values, lambda value: {"updated": {name: _duration(value)}})
    band = field.removeprefix(VULNERABILITIES)
    if field.startswith(VULNERABILITIES) and band in BANDS:
        sign = _operator(field, operator, NUMBER_OPERATORS)
        return _any(
            values, lambda value: {"vulnerabilities": {band: f"{sign} {_number(field, value)}"}}
        )
    raise PolicyError(f"there is no field {shown(field)} in DTR's rules")


def _operator(field: str, operator: str, known: Mapping[str, str]) -> str:
    name = known.get(operator)
    if name is None:
        raise PolicyError(
            f"the rule on {field} has the operator {shown(operator)}", allowed=", ".join(known)
        )
    return name


def _on_text(
    field: str, operator: str, values: Sequence[str], known: Mapping[str, str]
) -> Mapping[str, object]:
    name = _operator(field, operator, known)
    if "" in values:
        raise PolicyError(f"the rule on {field} has an empty value, which every name contains")
    is_single = len(values) == 1 and name not in _LISTS
    return {name: values[0] if is_single else list(values)}


def _any(values: Sequence[str], make: Callable[[str], Trigger]) -> Trigger:
    triggers = [make(value) for value in values]
    return triggers[0] if len(triggers) == 1 else {"any": triggers}


def _number(field: str, value: str) -> int:
    if not _NUMBER.fullmatch(value.strip()):
        raise PolicyError(f"the rule on {field} compares with {shown(value)}, which is no number")
    return int(value)


def _moment(value: str) -> str:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise PolicyError(
            f"the rule on updated_at has {shown(value)}, which is no time",
            allowed="such as 2019-01-31T10:00:00Z",
        ) from None
    return moment.isoformat()


def _duration(value: str) -> str:
    """Return a duration as policies write it.

    DTR's documentation does not say how it writes one: Go's way and words are understood.
    """
    text = value.strip().lower()
    if words := _WORDS.fullmatch(text):
        text = f"{words[1]}{words[2][0]}"
    duration = parse_duration(text)
    minutes, rest = divmod(duration or timedelta(), timedelta(minutes=1))
    if not minutes or rest:
        raise PolicyError(
            f"the rule on updated_at_duration has {shown(value)}, which cannot be read",
            allowed="such as 720h0m0s, 30d or 2 weeks, in whole minutes",
        )
    for letter, size in (("w", 10_080), ("d", 1_440), ("h", 60)):
        if minutes % size == 0:
            return f"{minutes // size}{letter}"
    return f"{minutes}m"
