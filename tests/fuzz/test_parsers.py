"""A few hundred mutated inputs for each parser; `python -m tests.fuzz` gives as many as wanted."""

from __future__ import annotations

import json
import random
import warnings
from pathlib import Path

import pytest

from tests.fuzz.command import TARGETS, main, target_named
from tests.fuzz.harness import SLOW_S, Target, input_of, run
from tests.fuzz.mutation import Mutator

COUNT = 200


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: str(target.name))
def test_a_valid_sample_is_read(target: Target) -> None:
    for sample in target.samples:
        target.read(sample)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: str(target.name))
def test_whatever_is_changed_in_it_an_input_is_read_or_refused_by_a_named_error(
    target: Target,
) -> None:
    outcome = run(target, seed=1, count=COUNT)
    assert outcome.finds == []
    assert outcome.read + outcome.refused == COUNT


def test_an_input_can_be_made_again_from_its_number() -> None:
    target = target_named("manifests")
    assert [input_of(target, 7, n) for n in range(50)] == [
        input_of(target, 7, n) for n in range(50)
    ]
    assert input_of(target, 7, 0) != input_of(target, 8, 0)


def test_half_of_the_inputs_of_a_document_are_still_documents() -> None:
    sample = b'{"a": [1, {"b": "c"}], "d": null}'
    inputs = [Mutator((sample,), (), random.Random(n)).next() for n in range(200)]  # noqa: S311
    assert 60 < sum(_is_json(each) for each in inputs) < 180


def _is_json(content: bytes) -> bool:
    try:
        json.loads(content)
    except ValueError:
        return False
    return True


def _planted(kind: str) -> Target:
    def read(content: bytes) -> None:
        if b"sample" in content:
            return
        if kind == "raises":
            raise KeyError(content)
        if kind == "warns":
            warnings.warn("careless", stacklevel=1)
        if kind == "refuses":
            raise ValueError("not so")

    return Target(kind, (b"a sample",), read, (ValueError,))


@pytest.mark.parametrize("kind", ["raises", "warns"])
def test_any_other_exception_is_a_find(kind: str) -> None:
    outcome = run(_planted(kind), seed=1, count=COUNT)
    assert [find.what.partition(" ")[0] for find in outcome.finds] == [
        "KeyError" if kind == "raises" else "UserWarning"
    ]


def test_a_refusal_is_none() -> None:
    outcome = run(_planted("refuses"), seed=1, count=COUNT)
    assert not outcome.finds
    assert outcome.refused


def test_what_takes_long_is_a_find(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fuzz.harness.SLOW_S", -1.0)
    assert run(_planted("refuses"), seed=1, count=1).finds[0].what.startswith("took ")
    assert SLOW_S > 0


def test_the_command_counts_and_says_so(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    arguments = ["--count", "5", "--only", "digests", "--processes", "1", "--keep", str(tmp_path)]
    assert main(arguments) == 0
    assert "5 inputs, seed 0" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
