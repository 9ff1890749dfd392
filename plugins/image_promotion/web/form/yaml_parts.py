"""YAML as a person writes it: values as parts of a policy file, and parts of one as values."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache
from io import StringIO
from pathlib import Path

import yaml

from image_promotion.errors import PolicyError
from image_promotion.policy.yaml_document import Location, parse_document

Plain = str | int | float | bool | date | None | Sequence["Plain"] | Mapping[str, "Plain"]
"""A value that YAML has a notation for."""

INDENT = 2
WIDTH = 96
SHORT = 72
"""Lists and inner mappings up to this many characters stand on one line."""

_FLOW_DEPTH = 3  # triggers, the trigger's number, its key: what is in that may stand in one line
_VALUE = "value"
_NOWHERE = Path("value.yaml")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_READS_BETTER_QUOTED = re.compile(r"^[=<>!]|\* | \*")  # bounds and cron expressions
_INLINE = ("|", ">", "[", "{", "&", '"', "'")


class NotYamlError(ValueError):
    """A text that is not the YAML of one value.

    Args:
        said: What is wrong, as the rest of a sentence about the text.
        allowed: What may stand there; empty where that leaves no doubt.
    """

    def __init__(self, said: str, allowed: str = "") -> None:
        super().__init__(said)
        self.said = said
        self.allowed = allowed


def value_of(text: str) -> Plain:
    """Read the YAML of one value.

    Args:
        text: The YAML.

    Returns:
        The value.

    Raises:
        NotYamlError: It is none, or has a key twice.
    """
    below = _below(_VALUE, text)
    try:
        document = parse_document(below, _NOWHERE)
    except PolicyError as error:
        where = f", in line {error.line - 1}" if error.line and error.line > 1 else ""
        raise NotYamlError(f"{error.attempted}{where}", error.allowed or error.advice) from None
    if document.faults:
        first = document.faults[0]
        key = first.key.removeprefix(f"{_VALUE}.")
        raise NotYamlError(f"has the key {key} twice", "each key once")
    if list(document.content) != [_VALUE]:
        raise NotYamlError("is more than one value", "the value of this key alone")
    return _plain(document.content[_VALUE])


def _plain(value: object) -> Plain:
    match value:
        case Mapping():
            return {str(key): _plain(each) for key, each in value.items()}
        case list():
            return [_plain(each) for each in value]
        case str() | int() | float() | date() | None:
            return value
        case _:
            # Such as the bytes of !!binary, which no policy has.
            return str(value)


def entry_of_text(key: str, text: str) -> str:
    """Write a key with a value that is YAML already.

    Args:
        key: The key.
        text: The YAML of the value, from its first column.

    Returns:
        The lines, without a line break at the end; on one line where that means the same.
    """
    text = text.strip("\n")
    below = _below(key, text)
    if "\n" in text and not text.startswith(_INLINE):
        return below
    first, newline, rest = text.partition("\n")
    inline = f"{key}: {first}{newline}{textwrap.indent(rest, ' ' * INDENT)}"
    try:
        means = parse_document(below, _NOWHERE).content
        return inline if parse_document(inline, _NOWHERE).content == means else below
    except PolicyError:
        return below


def _below(key: str, text: str) -> str:
    return f"{key}:\n{textwrap.indent(text.strip(chr(10)), ' ' * INDENT)}"


def entry(key: str, value: Plain, within: Location = ()) -> str:
    """Write a key and its value.

    Args:
        key: The key.
        value: The value.
        within: Where in the policy the mapping stands that it is in.

    Returns:
        The lines from the first column, without a line break at the end.
    """
    return _serialized({key: value}, within)


def item(value: Plain, at: Location) -> str:
    """Write a part of a list, without its dash.

    Args:
        value: The value.
        at: Where in the policy it stands.

    Returns:
        The lines from the first column, without a line break at the end.
    """
    lines = _serialized([value], at[:-1]).split("\n")
    return textwrap.dedent("\n".join([" " * INDENT + lines[0][INDENT:], *lines[1:]]))


def written(value: object, at: Location = ("triggers", 0)) -> str:
    """Write a value alone, from the first column; see `value_of`.

    Args:
        value: The value.
        at: Where in the policy it stands.
    """
    plain = _plain(value)
    if isinstance(plain, Mapping) and plain:
        return _serialized(plain, at)
    text = entry(_VALUE, plain, at).removeprefix(f"{_VALUE}:").lstrip(" ")
    return textwrap.dedent(text.removeprefix("\n")) if text.startswith("\n") else text


def _serialized(value: Plain, at: Location) -> str:
    text: str = yaml.serialize(
        _node(value, at, is_root=True), Dumper=_Dumper, width=WIDTH, allow_unicode=True
    )
    return text.rstrip("\n")


class _Dumper(yaml.SafeDumper):
    """Indents lists within mappings, as people do."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Go one level in."""
        del indentless
        super().increase_indent(flow, False)


def _node(value: Plain, at: Location, *, is_root: bool = False, in_flow: bool = False) -> yaml.Node:
    if isinstance(value, Mapping):
        flow = in_flow or not value or (not is_root and _is_short(value, at))
        pairs = [(_key(key), _node(each, (*at, key), in_flow=flow)) for key, each in value.items()]
        return yaml.MappingNode("tag:yaml.org,2002:map", pairs, flow_style=flow)
    if isinstance(value, Sequence) and not isinstance(value, str):
        short = not is_root and _is_leaf(value) and len(_flow(value)) <= SHORT
        flow = in_flow or not value or short
        parts = [_node(each, (*at, n), in_flow=flow) for n, each in enumerate(value)]
        return yaml.SequenceNode("tag:yaml.org,2002:seq", parts, flow_style=flow)
    return _scalar(value, in_flow=in_flow)


def _is_short(value: Mapping[str, Plain], at: Location) -> bool:
    """Return whether an inner mapping stands on one line."""
    return (
        len(at) >= _FLOW_DEPTH
        and all(_is_leaf(each) for each in value.values())
        and len(_flow(value)) <= SHORT
    )


def _is_leaf(value: Plain) -> bool:
    if isinstance(value, Mapping):
        return not value
    if isinstance(value, Sequence) and not isinstance(value, str):
        return all(not isinstance(each, Mapping | list | tuple) for each in value)
    return True


def _flow(value: Plain) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True)
    return text


def _key(key: str) -> yaml.ScalarNode:
    """Write a key without quotes where it is a word: the loader takes `on` for what it says."""
    if _WORD.fullmatch(key):
        return yaml.ScalarNode(_tag_of_word(key), key)
    return _scalar(key)


@cache
def _tag_of_word(word: str) -> str:
    resolver = yaml.resolver.Resolver()
    tag: str = resolver.resolve(yaml.ScalarNode, word, (True, False))  # type: ignore[no-untyped-call]
    return tag


def _scalar(value: Plain, *, in_flow: bool = False) -> yaml.ScalarNode:
    node = yaml.SafeDumper(StringIO()).represent_data(value)
    if not isinstance(node, yaml.ScalarNode):
        raise TypeError(f"{type(value).__name__} is no scalar")
    if isinstance(value, str):
        node.style = _style(value, in_flow=in_flow)
    return node


def _style(text: str, *, in_flow: bool) -> str | None:
    """Return the notation of a text: in double quotes where it needs some, as the examples do."""
    if "\n" in text.strip("\n") and text.replace("\n", "").isprintable() and not in_flow:
        return "|"
    if not text.isprintable():
        return '"'
    plain = yaml.safe_dump([text] if in_flow else text, width=10_000, default_flow_style=in_flow)
    quoted = _READS_BETTER_QUOTED.search(text) or plain.lstrip("[").startswith(("'", '"'))
    return '"' if quoted and not set('"\\') & set(text) else None
