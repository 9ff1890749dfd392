"""A changed policy into the text of its file: what has not changed stays as people wrote it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

import yaml

from image_promotion.policy.yaml_document import Location
from image_promotion.web.form.documents import Document, Entry, rendered
from image_promotion.web.form.source_text import Part, SourceText
from image_promotion.web.form.vocabulary import KEYS
from image_promotion.web.form.yaml_parts import INDENT, Plain, entry, item

_DEEP = 64
_WHOLE_KEYS = 1


@dataclass(frozen=True, slots=True)
class _Edit:
    start: int
    end: int
    text: str


class _NotHereError(Exception):
    """The text is not of the kind that can be changed in place."""


def spliced(
    text: str, old: Document, new: Document, meaning: Callable[[str], Document | None]
) -> str:
    """Write a changed policy into its file's text.

    Keys that have not changed stay to the letter, and within those that have, as much as can:
    comments, order, spelling. Where that would mean something else, first the changed keys and at
    last all of them are written anew.

    Args:
        text: The file's text.
        old: What it means.
        new: What it is to mean.
        meaning: Says what a text means, as the form has it; None for what is no policy file.

    Returns:
        The new text; the old one if nothing has changed.
    """
    if old == new:
        return text
    for depth in (_DEEP, _WHOLE_KEYS):
        try:
            found = _Splicer(SourceText(text), depth).spliced(old, new)
        except _NotHereError:
            break
        means = meaning(found)
        if means is not None and _values(means) == _values(new):
            return found
    return rendered(new)


def _values(document: Document) -> dict[str, Plain]:
    return {key: each.value for key, each in document.items()}


class _Splicer:
    """Gathers what is to be changed in a text.

    Args:
        source: The text.
        depth: So many levels of keys may be changed in place; deeper ones with what they are in.
    """

    def __init__(self, source: SourceText, depth: int) -> None:
        self._source = source
        self._depth = depth
        self._edits: list[_Edit] = []

    def spliced(self, old: Document, new: Document) -> str:
        """Return the text with the changes in it."""
        source = self._source
        root = source.root
        if source.has_aliases or not isinstance(root, yaml.MappingNode) or root.flow_style:
            raise _NotHereError
        parts = source.entries(root, len(source.text))
        for key, part in parts.items():
            self._change_key(part, old.get(key), new.get(key), key)
        staying = {key: part for key, part in parts.items() if key not in old or key in new}
        for key, each in new.items():
            if key not in parts:
                self._add_key(each.lines(key), key, staying)
        text = source.text
        # The last place first, so that the places before it stay where they are.
        for edit in sorted(self._edits, key=lambda each: each.start, reverse=True):
            text = text[: edit.start] + edit.text + text[edit.end :]
        return text

    def _change_key(self, part: Part, old: Entry | None, new: Entry | None, key: str) -> None:
        if old == new:
            return
        if new is None:
            self._remove(part)
        elif new.text is not None or (old is not None and old.text is not None):
            self._replace(part, new.lines(key), self._source.end_with_comments(part))
        else:
            self._change(part, old.value if old else None, new.value, (key,))

    def _change(self, part: Part, old: Plain, new: Plain, at: Location) -> None:
        """Change what stands under a key, or behind a dash."""
        if len(at) >= self._depth or not self._change_within(part, old, new, at):
            self._replace(part, _lines(new, at), part.end)

    def _change_within(self, part: Part, old: Plain, new: Plain, at: Location) -> bool:
        """Change parts of a value; return whether that can be done."""
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            return self._change_mapping(part, old, new, at)
        if isinstance(old, list) and isinstance(new, list):
            return self._change_list(part, old, new, at)
        return False

    def _change_mapping(
        self, part: Part, old: Mapping[str, Plain], new: Mapping[str, Plain], at: Location
    ) -> bool:
        """Change a mapping key by key; return whether that can be done."""
        if not isinstance(part.node, yaml.MappingNode) or part.node.flow_style:
            return False
        parts = self._source.entries(part.node, part.end)
        removed = [key for key in parts if key in old and key not in new]
        staying = [each for key, each in parts.items() if key not in removed]
        in_its_line = (self._source.is_first_in_line(parts[key].start) for key in removed)
        if not staying or not all(in_its_line):
            return False
        for key, each in parts.items():
            if key in removed:
                self._remove(each)
            elif key in new and not (key in old and old[key] == new[key]):
                self._change(each, old.get(key), new[key], (*at, key))
        added = [key for key in new if key not in parts]
        column = staying[0].start - self._source.line_start(staying[0].start)
        for key in reversed(added):
            self._insert(staying[-1], _lines(new[key], (*at, key)), column)
        return True

    def _change_list(
        self, part: Part, old: Sequence[Plain], new: Sequence[Plain], at: Location
    ) -> bool:
        """Change a list value by value; return whether that can be done."""
        if not isinstance(part.node, yaml.SequenceNode) or part.node.flow_style or not new:
            return False
        parts = self._source.items(part.node, part.end)
        if len(parts) != len(old) or not all(
            self._source.is_first_in_line(each.start) for each in parts
        ):
            return False
        matcher = SequenceMatcher(None, list(map(repr, old)), list(map(repr, new)), autojunk=False)
        for kind, first, last, new_first, new_last in matcher.get_opcodes():
            if kind == "equal":
                continue
            pairs = min(last - first, new_last - new_first)
            for n in range(pairs):
                where = (*at, new_first + n)
                self._change(parts[first + n], old[first + n], new[new_first + n], where)
            for each in parts[first + pairs : last]:
                self._remove(each)
            for n in reversed(range(new_first + pairs, new_last)):
                lines = _lines(new[n], (*at, n))
                if first + pairs:
                    self._insert(parts[first + pairs - 1], lines, parts[0].column)
                else:
                    self._insert_before(parts[0], lines)
        return True

    def _replace(self, part: Part, lines: str, end: int) -> None:
        if "\n" in lines:
            # A comment behind the last of several lines might become part of a text.
            end = max(end, self._source.end_of_line(end))
        column = part.start - self._source.line_start(part.start)
        self._edits.append(_Edit(part.start, end, self._indented(lines, column)))

    def _remove(self, part: Part) -> None:
        start = self._source.line_start(part.start)
        end = self._source.after_line(self._source.end_with_comments(part))
        before = self._source.line_start(start - 1) if start else 0
        if self._source.is_blank_line(end) and start and self._source.is_blank_line(before):
            end = self._source.after_line(end)
        self._edits.append(_Edit(start, end, ""))

    def _insert(self, after: Part, lines: str, column: int) -> None:
        place = self._source.end_with_comments(after)
        text = self._source.line_end + " " * column + self._indented(lines, column)
        self._edits.append(_Edit(place, place, text))

    def _insert_before(self, part: Part, lines: str) -> None:
        place = self._source.line_start(part.start)
        text = " " * part.column + self._indented(lines, part.column) + self._source.line_end
        self._edits.append(_Edit(place, place, text))

    def _add_key(self, lines: str, key: str, staying: Mapping[str, Part]) -> None:
        """Add a key to the file, behind the one that comes before it in the reference."""
        before = [each for each in KEYS[: KEYS.index(key)] if each in staying]
        if not before:
            self._insert_before(next(iter(staying.values())), lines)
            return
        text, parts = self._source.text, list(staying.values())
        between = text[parts[0].start : parts[-1].start].replace("\r\n", "\n")
        self._insert(staying[before[-1]], lines, 0)
        if "\n\n" in between:
            edit = self._edits.pop()
            self._edits.append(_Edit(edit.start, edit.end, self._source.line_end + edit.text))

    def _indented(self, lines: str, column: int) -> str:
        """Indent all lines but the first, and end them as the file does."""
        first, *others = lines.split("\n")
        indented = [" " * column + each if each else "" for each in others]
        return self._source.line_end.join([first, *indented])


def _lines(value: Plain, at: Location) -> str:
    """Write a key and its value, or a dash and its value."""
    step = at[-1]
    if isinstance(step, str):
        return entry(step, value, at[:-1])
    first, *others = item(value, at).split("\n")
    hung = [" " * INDENT + each if each else "" for each in others]
    return "\n".join([f"- {first}", *hung])
