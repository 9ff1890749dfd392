from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from image_promotion.errors import PolicyError
from image_promotion.policy.yaml_document import (
    MAX_ALIASES,
    MAX_DEPTH,
    MAX_FILE_BYTES,
    MAX_NODES,
    YamlDocument,
    dotted,
    read_document,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "policy.yaml"


def read(path: Path, content: str | bytes) -> YamlDocument:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_document(path)


def test_values_come_with_their_places_keys_and_spelling(path: Path) -> None:
    document = read(path, "a:\n  b: [no, 1.10]\n  c: 'x'\n")

    assert document.content == {"a": {"b": [False, 1.1], "c": "x"}}
    assert document.places["a", "b", 1] == (2, 11)
    assert document.keys["a", "c"] == (3, 3)
    assert document.written["a", "b", 0] == "no"
    assert document.written["a", "b", 1] == "1.10"
    assert document.faults == []


def test_a_byte_order_mark_is_no_part_of_the_text(path: Path) -> None:
    assert read(path, b"\xef\xbb\xbfa: 1").content == {"a": 1}


def test_keys_are_what_they_say_even_on_and_no(path: Path) -> None:
    assert read(path, "on: x\nno: y\n1.10: z\n2026-01-31: w\nnull: v\n").content == {
        "on": "x",
        "no": "y",
        "1.10": "z",
        "2026-01-31": "w",
        "null": "v",
    }


def test_a_key_that_stands_twice_is_a_fault_at_its_second_place(path: Path) -> None:
    document = read(path, "a:\n  b: 1\n  c: 2\n  b: 3\na: 4\n")

    assert document.content == {"a": {"b": 1, "c": 2}}
    assert [str(fault) for fault in document.faults] == [
        f"{path}:4:3: a.b: stands twice, in line 2 already",
        f"{path}:5:1: a: stands twice, in line 1 already",
    ]


def test_anchors_and_aliases_within_reason_are_read(path: Path) -> None:
    document = read(path, "a: &x [1, 2]\nb: *x\n")

    assert document.content == {"a": [1, 2], "b": [1, 2]}
    assert document.places["b", 1] == (1, 11)


def laughs(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "content",
    [
        laughs(9),
        laughs(5),
        "a: &a [*a]",
        "a: &a {b: *a}",
        "a: &x 1\nb: [" + "*x, " * (MAX_ALIASES + 1) + "]",
        "a: [" + "1, " * MAX_NODES + "]",
        "a: " + "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1),
        "a: " + "[" * 5000 + "]" * 5000,
        "a: " + "{b: " * 5000 + "}" * 5000,
        "- " * 5000 + "x",
        "a: '" + "x" * MAX_FILE_BYTES + "'",
    ],
    ids=[
        "billion laughs",
        "fewer laughs",
        "a list in itself",
        "a mapping in itself",
        "many aliases",
        "many values",
        "just too deep",
        "deep lists",
        "deep mappings",
        "deep dashes",
        "large file",
    ],
)
def test_a_bomb_is_too_large_to_be_a_policy(path: Path, content: str) -> None:
    with pytest.raises(PolicyError, match="is too large to be a policy"):
        read(path, content)


@pytest.mark.parametrize(
    ("content", "place", "said", "advice"),
    [
        ("a:\n\tb: 1\n", (2, 1), "cannot start any token", "Indent with spaces"),
        ("a: 1\nb: *x/5 * *\n", (2, 4), "alias", "begins with * must be in quotes"),
        ("a: */5 * * * *\n", (1, 4), "alias", "begins with * must be in quotes"),
        ("a: %n\n", (1, 4), "cannot start any token", "begins with % must be in quotes"),
        ("a: @daily\n", (1, 4), "cannot start any token", "begins with @ must be in quotes"),
        ("a: >= 0\n", (1, 4), "block scalar", "begins with > must be in quotes"),
        ("a: > 0\n", (1, 4), "block scalar", "begins with > must be in quotes"),
        ("a: 1\nb: {c: 1\n", (2, 4), "flow mapping", "Look at the indentation"),
        ("a: 1\nb: [1\n", (2, 4), "flow sequence", "Look at the indentation"),
        ("a: 1\nb\nc: 2\n", (2, 1), "could not find expected ':'", "Look at the indentation"),
        ("a: 1\n  b: 2\n", (2, 4), "mapping values are not allowed here", "indentation"),
        ("a: 'x\n", (1, 4), "quoted scalar", "Look at the indentation"),
        ("a: 1\n---\nb: 2\n", (2, 1), "a single document", "A file holds one policy"),
        ("a: *x\n", (1, 4), "undefined alias", "anchors come before"),
    ],
)
def test_broken_yaml_is_told_by_line_and_column_with_what_helps(
    path: Path, content: str, place: tuple[int, int], said: str, advice: str
) -> None:
    with pytest.raises(PolicyError, match=re.escape(said)) as caught:
        read(path, content)

    assert (caught.value.line, caught.value.column) == place
    assert advice in caught.value.advice


@pytest.mark.parametrize(
    ("content", "line", "said"),
    [
        (b"", 1, "is empty"),
        (b"# nothing but words\n", 1, "is empty"),
        (b"- a\n", 1, "must be a mapping"),
        (b"hello\n", 1, "must be a mapping"),
        (b"null\n", 1, "must be a mapping"),
        (b"a: 1\nb: \xff\n", 2, "is not UTF-8 text"),
        ("a: 1".encode("utf-16"), 1, "is not UTF-8 text"),
        (b"a: 1\nb: \x01\n", 2, "a character that is not allowed in YAML, number 1"),
        (b"a: 1\nb: 2026-02-31\n", 2, "cannot be read: day is out of range for month"),
        (b"a: 1\nb: != 0\n", 2, "YAML takes != for a type; put the value in quotes"),
        (b"a: 1\nb: !!int x\n", 2, "cannot be read"),
        (b"a: =\n", 1, "cannot be read"),
        (b"a: !!python/object/apply:os.system [x]\n", 1, "has the type tag:yaml.org,2002:python"),
        (b"a: !!set {x}\n", 1, "has the type"),
        (b"[a, b]: 1\n", 1, "a key must be a word"),
        (b'a: "\\ud800"\n', 1, "half a character"),
        (b'"\\ud800": 1\n', 1, "half a character"),
    ],
)
def test_what_is_no_mapping_of_plain_values_is_refused(
    path: Path, content: bytes, line: int, said: str
) -> None:
    with pytest.raises(PolicyError, match=re.escape(said)) as caught:
        read(path, content)

    assert caught.value.file == path
    assert caught.value.line == line


def test_no_file_is_a_policy_error(path: Path) -> None:
    with pytest.raises(PolicyError, match="is not a file"):
        read_document(path)
    path.mkdir()
    with pytest.raises(PolicyError, match="is not a file"):
        read_document(path)


def test_a_pipe_keeps_nobody_waiting(path: Path) -> None:
    os.mkfifo(path)

    with pytest.raises(PolicyError, match="is not a file"):
        read_document(path)


def test_a_file_that_may_not_be_read_is_a_policy_error(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_text("a: 1")

    def refuse(*_: object, **__: object) -> None:
        # Root, who runs tests in containers, may read everything.
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(PolicyError, match="cannot be read: Permission denied"):
        read_document(path)


def test_a_place_is_written_as_people_write_it() -> None:
    assert dotted(("triggers", 0, "not", "any", 12, "tag")) == "triggers[0].not.any[12].tag"
    assert dotted(()) == ""
