"""Bars for each workload as SVG, written by hand: a plotting library would be one more thing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from benchmarks.figures import MB, Result, Series

_WIDTH = 860
_LEFT = 190
_RIGHT = 150
_BAR = 16
_STEP = 24
_TITLE = 30
_GAP = 18
_COLOURS = {"ours": "#1f6feb", "ours, copy only": "#79b0ff"}
_VARIANT = "#8957e5"
_PEER = "#b0b7bf"


def draw(results: Sequence[Result]) -> str:
    """Draw the medians, with a line from the fastest to the slowest run.

    Args:
        results: What was measured.

    Returns:
        The SVG document.
    """
    parts: list[str] = []
    y = 8
    for result in results:
        parts.extend(_chart(result, y))
        y += _TITLE + _STEP * len(result.series) + _GAP
    return "\n".join(
        (
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{y}" '
                f'viewBox="0 0 {_WIDTH} {y}" font-family="system-ui, sans-serif" font-size="12">'
            ),
            f'<rect width="{_WIDTH}" height="{y}" fill="#ffffff"/>',
            *parts,
            "</svg>\n",
        )
    )


def _chart(result: Result, top: int) -> Iterator[str]:
    by_memory = result.workload.goal_peak_bytes is not None
    unit = "MB resident at most" if by_memory else "seconds, median"
    yield (
        f'<text x="8" y="{top + 16}" font-size="14" font-weight="600">'
        f'{escape(result.workload.title)} <tspan fill="#57606a" font-weight="400" '
        f'font-size="12">({unit})</tspan></text>'
    )
    ordered = sorted(result.series, key=lambda each: _length(each, by_memory=by_memory))
    longest = max(
        [each.peak_bytes / MB if by_memory else each.most_s for each in ordered]
        + [_goal(result) or 0.0]
    )
    scale = (_WIDTH - _LEFT - _RIGHT) / longest
    for number, each in enumerate(ordered):
        yield from _row(result, each, top + _TITLE + number * _STEP, scale, by_memory=by_memory)
    goal = _goal(result)
    if goal is not None:
        x = _LEFT + goal * scale
        bottom = top + _TITLE + _STEP * len(ordered) - (_STEP - _BAR)
        yield (
            f'<line x1="{x:.1f}" y1="{top + _TITLE - 4}" x2="{x:.1f}" y2="{bottom + 4}" '
            'stroke="#cf222e" stroke-dasharray="4 3"/>'
            f'<text x="{x + 4:.1f}" y="{top + _TITLE - 6}" fill="#cf222e" '
            'font-size="10">goal</text>'
        )


def _row(result: Result, series: Series, y: int, scale: float, *, by_memory: bool) -> Iterator[str]:
    value = _length(series, by_memory=by_memory)
    colour = _COLOURS.get(series.contender, _VARIANT if series.is_ours else _PEER)
    middle = y + _BAR / 2
    yield (
        f'<text x="{_LEFT - 8}" y="{y + 12}" text-anchor="end">{escape(series.contender)}</text>'
        f'<rect x="{_LEFT}" y="{y}" width="{value * scale:.1f}" height="{_BAR}" fill="{colour}"/>'
    )
    end = value
    if not by_memory:
        end = series.most_s
        yield (
            f'<line x1="{_LEFT + series.least_s * scale:.1f}" y1="{middle}" '
            f'x2="{_LEFT + series.most_s * scale:.1f}" y2="{middle}" stroke="#24292f"/>'
        )
    ratio = result.ratio(series)
    label = f"{value:.0f} MB" if by_memory else f"{value:.2f} s"
    if ratio is not None and not by_memory:
        label += f" ({ratio:.2f} x)"
    yield f'<text x="{_LEFT + end * scale + 6:.1f}" y="{y + 12}">{label}</text>'


def _length(series: Series, *, by_memory: bool) -> float:
    return series.peak_bytes / MB if by_memory else series.median_s


def _goal(result: Result) -> float | None:
    """Return where the goal is on the axis."""
    if result.workload.goal_peak_bytes is not None:
        return result.workload.goal_peak_bytes / MB
    best = result.best_peer
    if best is None or result.workload.goal_ratio is None:
        return None
    return best.median_s * result.workload.goal_ratio
