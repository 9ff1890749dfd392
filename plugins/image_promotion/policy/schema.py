"""What is generated from the model: the JSON Schema for editors, and the reference page.

Run `python -m image_promotion.policy.schema --write` after a change of the model; a test says when
it was forgotten.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from image_promotion.policy.model import Policy
from image_promotion.policy.tag_template import CODES

COMMAND = "python -m image_promotion.policy.schema --write"
ROOT = Path(__file__).resolve().parents[3]
SCHEMA_FILE = ROOT / "include" / "policies" / "policy.schema.json"
REFERENCE_FILE = ROOT / "docs" / "policy-reference.md"

EXAMPLES_OF_CODES = {
    "A": "Sunday",
    "a": "Sun",
    "w": "0-6, Sunday is 0",
    "d": "01-31",
    "B": "January",
    "b": "Jan",
    "m": "01-12",
    "Y": "2026",
    "y": "26",
    "H": "00-23",
    "I": "01-12",
    "p": "AM, PM",
    "M": "00-59",
    "S": "00-59",
    "f": "microseconds, 000000-999999",
    "Z": "name of the time zone, such as UTC or CET",
    "j": "day of the year, 001-366",
    "W": "week of the year, from Monday, 00-53",
}


@cache
def _schema() -> dict[str, Any]:
    """Return the schema of the model, without the "or nothing" of optional keys.

    A key that is there must have a value; pydantic's schema says what the model holds when a key is
    not there.
    """
    schema: dict[str, Any] = _without_null(Policy.model_json_schema(by_alias=True))
    return schema


def _without_null(part: Any) -> Any:  # noqa: ANN401 - any JSON, inside this module alone
    if isinstance(part, list):
        return [_without_null(each) for each in part]
    if not isinstance(part, dict):
        return part
    cleaned = {key: _without_null(value) for key, value in part.items() if value is not None}
    options = [each for each in cleaned.get("anyOf", ()) if each != {"type": "null"}]
    if len(options) == 1:
        del cleaned["anyOf"]
        return {**options[0], **cleaned}
    return {**cleaned, "anyOf": options} if options else cleaned


def json_schema() -> str:
    """Return the JSON Schema of a policy file."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **_schema()}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def keys_at(location: Sequence[str | int]) -> list[str]:
    """Return the keys that may stand at a place of a policy file.

    Args:
        location: The path to the mapping, such as ``("target",)``.

    Returns:
        The keys; none where any may stand or none.
    """
    return list(_resolve(_part_at(location)).get("properties", {}))


def meaning_at(location: Sequence[str | int]) -> str:
    """Return what is said about a place of a policy file, or nothing.

    Args:
        location: The path to the value, such as ``("target", "tag")``.

    Returns:
        A sentence or two without the last full stop.
    """
    return str(_part_at(location).get("description", "")).removesuffix(".")


def _part_at(location: Sequence[str | int]) -> dict[str, Any]:
    part = _schema()
    for step in location:
        part = _resolve(part)
        part = (
            part.get("items", {})
            if isinstance(step, int)
            else part.get("properties", {}).get(step, {})
        )
    return part


def _resolve(part: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference."""
    if reference := part.get("$ref"):
        resolved: dict[str, Any] = _schema()["$defs"][reference.rsplit("/", 1)[1]]
        return resolved
    return part


def reference_page() -> str:
    """Return the reference of policy files as Markdown."""
    schema = _schema()
    lines = [
        "# Policy reference",
        "",
        f"Generated from the model by `{COMMAND}`; do not edit.",
        "",
        (
            "A policy is one YAML file in `include/policies/`; the examples there are commented. "
            "A key that is not here is an error, and so is one without a value."
        ),
        "",
        "## Policy",
        "",
        *_table(schema),
    ]
    for name in dict.fromkeys(_references(schema["properties"])):
        part = schema["$defs"][name]
        lines += ["", f"## {name}", "", part.get("description", ""), ""]
        if "enum" in part:
            values = ", ".join(f"`{value}`" for value in part["enum"])
            lines.append(f"One of {values}.")
        else:
            lines += _table(part)
    lines += [
        "",
        "## Tag template",
        "",
        (
            "The time is that of the promotion in `target.timezone`; names are English. What is "
            "rendered must be a legal tag: letters, digits, `_`, `.`, `-`, not beginning with `.` "
            "or `-`, at most 128 characters. It is rendered once, when the promotion is planned; a "
            "retry sets the same tag."
        ),
        "",
        "| code | gives |",
        "|---|---|",
        "| `%n` | the source tag |",
        *(f"| `%{code}` | {EXAMPLES_OF_CODES[code]} |" for code in CODES),
        "| `%{1}`, `%{name}` | what a group of a `matches` trigger matched |",
        "",
        (
            "`%%` is refused: a percent sign is never legal in a tag. Groups come from the "
            "`matches` triggers that must hold (not from `any` or `not`); numbered ones when there "
            "is one such trigger. `%Z` is refused in a time zone whose names are never legal in a "
            "tag, such as the `+14` of Etc/GMT-14."
        ),
        "",
    ]
    return "\n".join(lines)


def _references(part: Any, seen: tuple[str, ...] = ()) -> Iterator[str]:  # noqa: ANN401 - any JSON
    """Yield the names of the definitions in the order in which a reader comes upon them."""
    if isinstance(part, list):
        for each in part:
            yield from _references(each, seen)
    elif isinstance(part, dict):
        if reference := part.get("$ref"):
            name = reference.rsplit("/", 1)[1]
            if name not in seen:
                yield name
                yield from _references(_resolve(part), (*seen, name))
        for each in part.values():
            yield from _references(each, seen)


def _table(part: dict[str, Any]) -> Iterator[str]:
    yield "| key | type | default | meaning |"
    yield "|---|---|---|---|"
    required = part.get("required", ())
    for key, value in part["properties"].items():
        default = "required" if key in required else _default(value)
        meaning = (value.get("description") or _resolve(value).get("description", "")).split("\n")[
            0
        ]
        yield f"| `{key}` | {_type(value)} | {default} | {meaning} |"


def _default(value: dict[str, Any]) -> str:
    default = value.get("default")
    return "" if default in (None, "", {}, []) else f"`{json.dumps(default)}`"


def _type(value: dict[str, Any]) -> str:
    """Name the type of a value in words."""
    if options := value.get("anyOf"):
        return " or ".join(dict.fromkeys(_type(each) for each in options))
    if reference := value.get("$ref"):
        name = reference.rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    if value.get("type") == "array":
        return f"list of {_type(value['items'])}"
    if value.get("type") == "object":
        return "mapping"
    return {"string": "text", "integer": "whole number", "boolean": "true or false"}.get(
        value.get("type", ""), "value"
    )


def main() -> int:
    """Write the generated files, with --write; else say whether they are fresh."""
    files = {SCHEMA_FILE: json_schema(), REFERENCE_FILE: reference_page()}
    if sys.argv[1:] == ["--write"]:
        for path, content in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return 0
    stale = [path for path, content in files.items() if path.read_text() != content]
    for path in stale:
        sys.stderr.write(f"{path} is stale: run {COMMAND}\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
