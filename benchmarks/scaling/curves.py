"""Curves as SVG, written by hand as the bars of `plot` are."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 640, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 150, 44, 52
_COLOURS = ("#1f6feb", "#8957e5", "#1a7f37", "#bc4c00")
_TICKS = 5
_LINE = 14


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of a plot.

    Attributes:
        name: What it shows.
        points: Its points, from left to right; at least one.
    """

    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot of curves over one quantity.

    Attributes:
        title: What it is about.
        x: What its horizontal axis shows, with the unit.
        y: What its vertical axis shows, with the unit.
        curves: The curves; at least one.
        goal: A value of the vertical axis that is not to be exceeded.
    """

    title: str
    x: str
    y: str
    curves: tuple[Curve, ...]
    goal: float | None = None


def draw(plot: Plot) -> str:
    """Draw a plot.

    Args:
        plot: What to draw.

    Returns:
        The SVG document.
    """
    xs = [x for curve in plot.curves for x, _ in curve.points]
    ys = [y for curve in plot.curves for _, y in curve.points]
    frame = _Frame(_nice(max(xs)), _nice(max([*ys, plot.goal or 0.0])))
    size = f'width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
    font = 'font-family="system-ui, sans-serif" font-size="12"'
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} {font}>',
            f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
            f'<text x="8" y="22" font-size="14" font-weight="600">{escape(plot.title)}</text>',
            *_axes(plot, frame),
            *_goal(plot, frame),
            *_curves(plot.curves, frame),
            "</svg>\n",
        )
    )


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where values are on the page; both axes begin at 0."""

    most_x: float
    most_y: float

    def x(self, value: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * value / self.most_x

    def y(self, value: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * value / self.most_y


def _axes(plot: Plot, frame: _Frame) -> Iterator[str]:
    bottom, right = frame.y(0), frame.x(frame.most_x)
    for number in range(_TICKS + 1):
        x, y = frame.most_x * number / _TICKS, frame.most_y * number / _TICKS
        yield (
            f'<line x1="{_LEFT}" y1="{frame.y(y):.1f}" x2="{right:.1f}" y2="{frame.y(y):.1f}" '
            'stroke="#d0d7de"/>'
            f'<text x="{_LEFT - 6}" y="{frame.y(y) + 4:.1f}" text-anchor="end">{y:,.4g}</text>'
            f'<text x="{frame.x(x):.1f}" y="{bottom + 18:.1f}" text-anchor="middle">{x:,.5g}</text>'
        )
    yield (
        f'<text x="{(_LEFT + right) / 2:.1f}" y="{_HEIGHT - 12}" text-anchor="middle" '
        f'fill="#57606a">{escape(plot.x)}</text>'
        f'<text x="8" y="{_TOP - 6}" fill="#57606a">{escape(plot.y)}</text>'
    )


def _goal(plot: Plot, frame: _Frame) -> Iterator[str]:
    if plot.goal is not None:
        y = frame.y(plot.goal)
        yield (
            f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{frame.x(frame.most_x):.1f}" y2="{y:.1f}" '
            f'stroke="#cf222e" stroke-dasharray="4 3"/><text x="{_LEFT + 6}" y="{y - 4:.1f}" '
            'fill="#cf222e" font-size="10">goal</text>'
        )


def _curves(curves: Sequence[Curve], frame: _Frame) -> Iterator[str]:
    """Draw the curves, each named at its end; names that would overlap are moved apart."""
    ends = sorted(range(len(curves)), key=lambda number: frame.y(curves[number].points[-1][1]))
    lowest = -math.inf
    for number in ends:
        curve, colour = curves[number], _COLOURS[number % len(_COLOURS)]
        placed = [(frame.x(x), frame.y(y)) for x, y in curve.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
        for x, y in placed:
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>'
        lowest = max(placed[-1][1] + 4, lowest + _LINE)
        name = escape(curve.name)
        yield f'<text x="{placed[-1][0] + 8:.1f}" y="{lowest:.1f}" fill="{colour}">{name}</text>'


def _nice(most: float) -> float:
    """Round up to a number whose fifths people can read."""
    if most <= 0:
        return 1.0
    unit = 10.0 ** math.floor(math.log10(most))
    return next(unit * step for step in (1, 1.5, 2, 2.5, 3, 4, 5, 7.5, 10) if unit * step >= most)


def at_points(pairs: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """Give the points of a curve in the order in which they are drawn."""
    return tuple(sorted(pairs))
