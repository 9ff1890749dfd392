from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from image_promotion.promotion.batches import divide
from tests.support.promotions import promotion_of


@given(count=st.integers(0, 300), most=st.integers(1, 60))
def test_every_promotion_is_in_one_batch_and_batches_are_even(count: int, most: int) -> None:
    batches = divide([promotion_of(number) for number in range(count)], most=most)
    ids = [number for batch in batches for number in batch.promotion_ids]
    sizes = {len(batch.promotion_ids) for batch in batches}
    assert ids == list(range(count))
    assert len(batches) == min(count, most)
    assert not sizes or max(sizes) - min(sizes) <= 1


def test_a_batch_of_one_bears_the_images_name() -> None:
    (batch,) = divide([promotion_of(7)], most=50)
    assert batch.label == "dev/website:7-stable"
