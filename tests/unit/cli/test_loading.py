"""How a command is loaded."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from image_promotion.cli.loading import loaded_for_good


@pytest.fixture(autouse=True)
def garbage_is_found_again() -> Iterator[None]:
    yield
    gc.unfreeze()
    gc.enable()


def test_what_is_loaded_is_not_looked_through_and_what_comes_later_is() -> None:
    with loaded_for_good():
        assert not gc.isenabled()
        loaded: list[list[int]] = [[]]
    assert gc.isenabled()
    later: list[list[int]] = [[]]
    assert not any(each is loaded for each in gc.get_objects())
    assert any(each is later for each in gc.get_objects())


def test_garbage_is_looked_for_again_also_where_loading_failed() -> None:
    with pytest.raises(ImportError), loaded_for_good():
        raise ImportError
    assert gc.isenabled()
