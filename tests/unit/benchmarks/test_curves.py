from __future__ import annotations

import itertools
import re

import defusedxml.ElementTree
import pytest

from benchmarks.scaling.curves import Curve, Plot, draw

PLOT = Plot(
    "Images of one <run>",
    "images",
    "seconds",
    (Curve("all verified", ((10.0, 5.0), (100.0, 50.0))),),
    goal=60.0,
)


def test_a_plot_is_a_well_formed_picture_with_its_words_in_it() -> None:
    root = defusedxml.ElementTree.fromstring(draw(PLOT))
    words = [element.text for element in root.iter() if element.tag.endswith("text")]
    assert {"Images of one <run>", "images", "seconds", "all verified", "goal"} <= set(words)


@pytest.mark.parametrize("scale", [0.001, 1.0, 7.0, 12_345.0])
def test_every_point_and_the_goal_are_within_the_picture(scale: float) -> None:
    curve = Curve("curve", ((scale, 2 * scale), (3 * scale, scale)))
    text = draw(Plot("t", "x", "y", (curve,), goal=2.5 * scale))
    places = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', text)
    assert len(places) == 2
    assert all(64 <= float(x) <= 490 and 44 <= float(y) <= 328 for x, y in places)
    # Higher is more: the first point has twice the second's value.
    assert float(places[0][1]) < float(places[1][1])


def test_names_of_curves_that_end_together_do_not_overlap() -> None:
    curves = tuple(Curve(name, ((1.0, 1.0), (2.0, 2.0))) for name in ("one", "two", "three"))
    text = draw(Plot("t", "x", "y", curves))
    places = sorted(
        float(y)
        for y, name in re.findall(r'y="([\d.]+)" fill="#\w+">(\w+)<', text)
        if name in "one two three"
    )
    assert len(places) == 3
    assert all(below - above >= 12 for above, below in itertools.pairwise(places))
