"""A YAML file as plain values, with the place and the spelling of each of its parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from image_promotion.errors import PolicyError

MAX_FILE_BYTES = 256 * 1024
MAX_NODES = 20_000
MAX_ALIASES = 100
MAX_DEPTH = 64

Step = str | int
Location = tuple[Step, ...]
Place = tuple[int, int]

_COLLECTION_TAGS = {"tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"}
# What YAML has a use for at the beginning of a value, so that a text cannot begin with it.
_NEEDS_QUOTES = "*&!|>%@`"


@dataclass(slots=True)
class YamlDocument:
    """A YAML document with the place of each of its parts.

    Attributes:
        path: The file.
        content: The document.
        places: Line and column, from 1, of each value, by its path of keys and positions.
        keys: Line and column, from 1, of each key, by the path of its value.
        written: How each scalar stands in the file, without quotes, by its path.
        faults: Keys that stand twice.
    """

    path: Path
    content: dict[str, object] = field(default_factory=dict)
    places: dict[Location, Place] = field(default_factory=dict)
    keys: dict[Location, Place] = field(default_factory=dict)
    written: dict[Location, str] = field(default_factory=dict)
    faults: list[PolicyError] = field(default_factory=list)


def read_document(path: Path, kind: str = "a policy") -> YamlDocument:
    """Read a YAML file of one document that is a mapping.

    Args:
        path: The file.
        kind: What it should hold, in words.

    Returns:
        The document; its `faults` may hold keys that stand twice.

    Raises:
        PolicyError: It cannot be read, is too large, is no UTF-8, or not the YAML of one mapping.
    """
    return parse_document(_read_text(path), path, kind)


def parse_document(text: str, path: Path, kind: str = "a policy") -> YamlDocument:
    """Read the text of a YAML file, which need not be written yet.

    Args:
        text: The text.
        path: The file that it is in, or would be in.
        kind: What it should hold, in words.

    Returns:
        The document; its `faults` may hold keys that stand twice.

    Raises:
        PolicyError: It is too large, or not the YAML of one mapping.
    """
    if len(text.encode(errors="replace")) > MAX_FILE_BYTES:
        raise _too_large(path)
    document = YamlDocument(path)
    loader = None
    try:
        loader = _Loader(text, path)
        node = loader.get_single_node()
        if node is None:
            raise PolicyError("is empty", file=path, line=1, allowed=kind)
        content = _Values(loader, document).build(node, ())
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, text, path) from None
    except yaml.reader.ReaderError as error:
        raise PolicyError(
            f"has a character that is not allowed in YAML, number {ord(text[error.position])}",
            file=path,
            line=text.count("\n", 0, error.position) + 1,
        ) from None
    finally:
        if loader is not None:
            loader.dispose()
    if not isinstance(content, dict):
        raise PolicyError("must be a mapping of keys to values", file=path, line=1)
    document.content = content
    return document


def _read_text(path: Path) -> str:
    if not path.is_file():
        # A pipe, which would keep its reader waiting, or a link to nothing.
        raise PolicyError("is not a file", file=path)
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise PolicyError(f"cannot be read: {error.strerror}", file=path) from None
    if len(raw) > MAX_FILE_BYTES:
        raise _too_large(path)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise PolicyError("is not UTF-8 text", file=path, line=line) from None


def _too_large(path: Path) -> PolicyError:
    return PolicyError("is too large to be a policy", file=path, allowed=f"{MAX_FILE_BYTES} bytes")


def _syntax_error(error: yaml.MarkedYAMLError, text: str, path: Path) -> PolicyError:
    """Say where the YAML breaks, and how that is put right."""
    mark = error.problem_mark or error.context_mark
    if error.context_mark and (
        isinstance(error, yaml.scanner.ScannerError) or (mark and mark.index >= len(text))
    ):
        # What was begun and not finished is where it begins, not where the file ends.
        mark = error.context_mark
    problem = " ".join(each for each in (error.context, error.problem) if each)
    character = text[mark.index : mark.index + 1] if mark else ""
    advice = "Look at the indentation and at the quotes, here and in the line before."
    if isinstance(error, yaml.composer.ComposerError):
        advice = "A file holds one policy; anchors come before their aliases."
    elif character == "\t":
        advice = "Indent with spaces; YAML allows no tabs."
    elif character and character in _NEEDS_QUOTES:
        advice = f"A value that begins with {character} must be in quotes."
    return PolicyError(
        f"is not the YAML of one document: {printable(problem)}",
        file=path,
        line=mark.line + 1 if mark else None,
        column=mark.column + 1 if mark else None,
        advice=advice,
    )


class _Loader(yaml.SafeLoader):
    """A safe loader that refuses bombs while it composes."""

    def __init__(self, text: str, path: Path) -> None:
        super().__init__(text)
        self._path = path
        self._nodes = 0
        self._aliases = 0
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose one node, counting it."""
        if self.check_event(yaml.AliasEvent):
            self._aliases += 1
        self._nodes += 1
        self._depth += 1
        if self._nodes > MAX_NODES or self._aliases > MAX_ALIASES or self._depth > MAX_DEPTH:
            raise PolicyError(
                "is too large to be a policy",
                file=self._path,
                line=self.line + 1,
                allowed=f"{MAX_NODES} values, {MAX_ALIASES} aliases, {MAX_DEPTH} levels",
            )
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


class _Values:
    """Turns YAML nodes into plain values, and notes where each stands."""

    def __init__(self, loader: _Loader, document: YamlDocument) -> None:
        self._loader = loader
        self._document = document
        self._built = 0

    def build(self, node: yaml.Node, path: Location) -> object:
        """Build the value of a node."""
        self._built += 1
        if self._built > MAX_NODES or len(path) > MAX_DEPTH:
            # Aliases make one node count many times.
            raise self._error(node, path[:1], "is too large to be a policy")
        self._document.places[path] = _place(node)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if node.tag not in _COLLECTION_TAGS:
            raise self._error(node, path, f"has the type {node.tag}, and may have none")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        return [self.build(each, (*path, n)) for n, each in enumerate(node.value)]

    def _mapping(self, node: yaml.MappingNode, path: Location) -> dict[str, object]:
        content: dict[str, object] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, path)
            location = (*path, key)
            if key in content:
                line = self._document.keys[location][0]
                said = f"stands twice, in line {line} already"
                self._document.faults.append(self._error(key_node, location, said))
                continue
            self._document.keys[location] = _place(key_node)
            content[key] = self.build(value_node, location)
        return content

    def _key(self, node: yaml.Node, path: Location) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise self._error(node, path, "a key must be a word")
        # YAML 1.1 reads keys such as `on` and `no` as true and false; here a key is what it says.
        return self._text(node, path)

    def _scalar(self, node: yaml.ScalarNode, path: Location) -> object:
        self._document.written[path] = self._text(node, path)
        try:
            return self._loader.construct_object(node)
        except (yaml.YAMLError, ValueError, OverflowError) as error:
            if node.tag.startswith("!"):
                said = f"YAML takes {node.tag} for a type; put the value in quotes"
            else:
                said = f"cannot be read: {getattr(error, 'problem', None) or error}"
            raise self._error(node, path, said) from None

    def _text(self, node: yaml.ScalarNode, path: Location) -> str:
        """Return the text of a scalar, refusing halves of characters, which no file can hold."""
        text = str(node.value)
        if any("\ud800" <= each <= "\udfff" for each in text):
            raise self._error(node, path, "has half a character: a lone surrogate")
        return text

    def _error(self, node: yaml.Node, path: Location, said: str) -> PolicyError:
        line, column = _place(node)
        return PolicyError(
            printable(said), file=self._document.path, line=line, column=column, key=dotted(path)
        )


def _place(node: yaml.Node) -> Place:
    return node.start_mark.line + 1, node.start_mark.column + 1


def dotted(location: Sequence[Step]) -> str:
    """Return a path as people write it, such as ``triggers[0].tag.ends_with``."""
    text = ""
    for step in location:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return printable(text)


def printable(text: str) -> str:
    """Return a text that does to a terminal or a log nothing but be read."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)
