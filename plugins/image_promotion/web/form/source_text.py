"""The text of a policy file with its parts by their place: what is spliced, and what stays."""

from __future__ import annotations

import re
import textwrap
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import yaml

from image_promotion.errors import PolicyError
from image_promotion.policy.yaml_document import parse_document
from image_promotion.web.form.yaml_parts import NotYamlError, value_of

_STRUCTURE = (
    yaml.tokens.BlockEndToken,
    yaml.tokens.BlockEntryToken,
    yaml.tokens.BlockMappingStartToken,
    yaml.tokens.BlockSequenceStartToken,
    yaml.tokens.DocumentEndToken,
    yaml.tokens.KeyToken,
    yaml.tokens.StreamEndToken,
    yaml.tokens.StreamStartToken,
)
_LINE_END = re.compile(r"\r\n|\n|\r|\Z")


@dataclass(frozen=True, slots=True)
class Part:
    """A key with its value, or a value of a list with its dash, in a text.

    Args:
        start: Where the key or the dash begins, in characters.
        value_start: Where what follows the colon or the dash begins.
        end: Where its content ends; a comment in the same line is not part of it.
        column: How far the key or the dash is indented.
        node: The value.
    """

    start: int
    value_start: int
    end: int
    column: int
    node: yaml.Node


class SourceText:
    """A policy file's text.

    Args:
        text: The text, which is the YAML of one mapping without aliases.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        tokens = list(yaml.scan(text, Loader=yaml.SafeLoader))
        self._contents = [
            (each.start_mark.index, each.end_mark.index)
            for each in tokens
            if not isinstance(each, _STRUCTURE)
        ]
        self._dashes = [
            each.start_mark.index
            for each in tokens
            if isinstance(each, yaml.tokens.BlockEntryToken)
        ]
        self.has_aliases = any(isinstance(each, yaml.tokens.AliasToken) for each in tokens)

    @cached_property
    def root(self) -> yaml.Node:
        """The whole mapping."""
        found = yaml.compose(self.text, Loader=yaml.SafeLoader)
        if found is None:
            raise ValueError("an empty text has no mapping")
        return found

    @property
    def line_end(self) -> str:
        """How its lines end."""
        return "\r\n" if "\r\n" in self.text else "\n"

    def entries(self, node: yaml.MappingNode, end: int) -> dict[str, Part]:
        """Return the parts of a mapping by their keys.

        Args:
            node: The mapping.
            end: Where what comes after the mapping begins.
        """
        starts = [key.start_mark.index for key, _ in node.value] + [end]
        return {
            str(key.value): Part(
                key.start_mark.index,
                self.text.index(":", key.end_mark.index) + 1,
                self._content_end(key.start_mark.index, following),
                key.start_mark.column,
                value,
            )
            for (key, value), following in zip(node.value, starts[1:], strict=True)
        }

    def items(self, node: yaml.SequenceNode, end: int) -> list[Part]:
        """Return the parts of a list in block style; see `entries`."""
        dashes = [self._dashes[self._dash_before(each)] for each in node.value] + [end]
        return [
            Part(
                dash,
                dash + 1,
                self._content_end(dash, following),
                dash - self.line_start(dash),
                each,
            )
            for each, dash, following in zip(node.value, dashes, dashes[1:], strict=False)
        ]

    def _dash_before(self, node: yaml.Node) -> int:
        return bisect_left(self._dashes, node.start_mark.index) - 1

    def _content_end(self, start: int, following: int) -> int:
        """Return where the last content ends that begins between two places."""
        n = bisect_left(self._contents, (following, 0)) - 1
        end = max(self._contents[n][1], start) if n >= 0 else start
        return start + len(self.text[start:end].rstrip())

    def line_start(self, place: int) -> int:
        """Return where the line of a place begins."""
        return max(self.text.rfind("\n", 0, place), self.text.rfind("\r", 0, place)) + 1

    def end_of_line(self, place: int) -> int:
        """Return where the line of a place ends, before its line break."""
        found = _LINE_END.search(self.text, place)
        return found.start() if found else len(self.text)

    def after_line(self, place: int) -> int:
        """Return where the line after that of a place begins."""
        found = _LINE_END.search(self.text, place)
        return found.end() if found else len(self.text)

    def is_first_in_line(self, place: int) -> bool:
        """Return whether nothing but spaces stands before a place in its line."""
        return not self.text[self.line_start(place) : place].strip(" ")

    def is_blank_line(self, place: int) -> bool:
        """Return whether the line that begins at a place is there and has nothing in it."""
        return place < len(self.text) and not self.text[place : self.end_of_line(place)].strip()

    def end_with_comments(self, part: Part) -> int:
        """Return where a part ends with the comments in its last line and, further in, below it."""
        end = self.end_of_line(part.end)
        place = self.after_line(end)
        while place < len(self.text):
            line = self.text[place : self.end_of_line(place)]
            inner = line.lstrip(" ")
            if inner.startswith("#") and len(line) - len(inner) > part.column:
                end = self.end_of_line(place)
            elif inner.strip():
                break
            place = self.after_line(place)
        return end

    def texts(self, content: Mapping[str, object]) -> dict[str, str]:
        """Return the YAML of each key's value as it stands here, with its comments.

        Args:
            content: The values of the keys.

        Returns:
            The YAML by key, from its first column; keys are left out whose YAML means the same
            only where it stands.
        """
        if self.has_aliases or not isinstance(self.root, yaml.MappingNode) or self.root.flow_style:
            return {}
        found = {}
        for key, part in self.entries(self.root, len(self.text)).items():
            raw = self.text[part.value_start : self.end_with_comments(part)]
            first, _, rest = raw.replace("\r\n", "\n").replace("\r", "\n").partition("\n")
            text = "\n".join(each for each in (first.strip(), textwrap.dedent(rest)) if each)
            try:
                if value_of(text) == content.get(key):
                    found[key] = text
            except NotYamlError:
                continue
        return found


def content_of(text: str, path: Path) -> Mapping[str, object] | None:
    """Read a policy file's text.

    Args:
        text: The text.
        path: The file.

    Returns:
        Its keys; None when it is not the YAML of one mapping, each key once.
    """
    try:
        document = parse_document(text, path)
    except PolicyError:
        return None
    return None if document.faults else document.content
