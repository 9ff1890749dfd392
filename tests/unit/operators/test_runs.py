from __future__ import annotations

import pytest

from image_promotion.operators.runs import RunRequest


@pytest.mark.parametrize(
    ("written", "tags"),
    [
        ((), ()),
        ("", ()),
        ("  ", ()),
        (["1.0", "2.0"], ("1.0", "2.0")),
        ("1.0 2.0", ("1.0", "2.0")),
        ("1.0, 2.0,3.0\n4.0", ("1.0", "2.0", "3.0", "4.0")),
        ([" 1.0 ", ""], ("1.0",)),
        (["1.0", "1.0"], ("1.0",)),
    ],
)
def test_tags_come_as_a_list_or_as_a_text(written: list[str] | str, tags: tuple[str, ...]) -> None:
    assert RunRequest.read(written).tags == tags


@pytest.mark.parametrize(
    ("written", "is_on"),
    [(True, True), (False, False), ("True", True), ("False", False), (" yes ", True), ("", False)],
)
def test_switches_come_as_truth_values_or_as_texts(written: bool | str, is_on: bool) -> None:
    request = RunRequest.read(dry_run=written, decide_again=written)

    assert (request.dry_run, request.decide_again) == (is_on, is_on)


def test_a_switch_that_is_no_switch_is_refused() -> None:
    """A dry run that is spelt wrong must not be taken for a real one."""
    with pytest.raises(ValueError, match="'treu' is neither yes nor no"):
        RunRequest.read(dry_run="treu")
