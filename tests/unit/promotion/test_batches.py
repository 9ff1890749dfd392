from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from image_promotion.promotion.batches import LEAST_LINES, divide
from tests.support.promotions import promotion_of


@given(count=st.integers(0, 300), most=st.integers(1, 60), per_line=st.integers(1, 80))
def test_every_promotion_is_in_one_batch_and_batches_are_even(
    count: int, most: int, per_line: int
) -> None:
    promotions = [promotion_of(number) for number in range(count)]
    batches = divide(promotions, most=most, per_line=per_line)
    sizes = {len(batch.promotion_ids) for batch in batches}
    assert [number for batch in batches for number in batch.promotion_ids] == list(range(count))
    assert len(batches) <= most
    assert not sizes or max(sizes) - min(sizes) <= 1


@given(count=st.integers(0, 60), per_line=st.integers(1, 80))
def test_up_to_the_limit_each_image_has_a_line_of_its_own(count: int, per_line: int) -> None:
    promotions = [promotion_of(number) for number in range(count)]
    batches = divide(promotions, most=60, per_line=per_line)
    assert [batch.promotion_ids for batch in batches] == [(number,) for number in range(count)]


def test_above_the_limit_a_line_carries_as_many_images_as_the_policy_says() -> None:
    thousand = [promotion_of(number) for number in range(1000)]
    assert {len(each.promotion_ids) for each in divide(thousand, most=50, per_line=50)} == {50}
    # Where so many lines would not do, each carries more.
    assert {len(each.promotion_ids) for each in divide(thousand, most=10, per_line=50)} == {100}
    # Where that would be few lines, each carries less: there may be several workers.
    assert [len(each.promotion_ids) for each in divide(thousand[:60], most=50, per_line=50)] == [
        15
    ] * LEAST_LINES


@given(counts=st.lists(st.integers(1, 90), min_size=1, max_size=5), most=st.integers(1, 60))
def test_no_line_has_images_for_two_connections_unless_there_are_fewer_lines_than_connections(
    counts: list[int], most: int
) -> None:
    behind = [number for number, count in enumerate(counts) for _ in range(count)]
    promotions = [
        replace(promotion_of(number), target_connection=f"registry_{connection}")
        for number, connection in enumerate(behind)
    ]
    batches = divide(promotions, most=most, per_line=40)
    assert len(batches) <= most
    assert sorted(number for each in batches for number in each.promotion_ids) == [
        each.id for each in promotions
    ]
    if len(counts) <= most:
        assert all(len({behind[number] for number in each.promotion_ids}) == 1 for each in batches)


def test_a_batch_of_one_bears_the_images_name() -> None:
    (batch,) = divide([promotion_of(7)], most=50)
    assert batch.label == "dev/website:7-stable"
