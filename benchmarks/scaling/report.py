"""The figures as Markdown, and the page of the documentation that shows them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from benchmarks.scaling.curves import Plot, draw
from benchmarks.scaling.measurements import Measurements, RunTook

MB = 1_000_000

_BEGIN, _END = "<!-- {}: written by benchmarks/scale --publish -->", "<!-- end of {} -->"


def figures(measured: Measurements) -> str:
    """Write what was measured as tables in Markdown."""
    machine = measured.machine
    unchanged = () if measured.unchanged is None else (measured.unchanged,)
    lines = [
        f"{machine.processors} processors, Python {machine.python}, {machine.began:%Y-%m-%d}.",
        "",
        (
            "| new images | tasks at a time | task instances | verified s | run ended s "
            "| processor s: tasks and scheduler, server, registries | load |"
        ),
        "|--:|--:|--:|--:|--:|--:|--:|",
        *(_run(each) for each in (*measured.runs, *unchanged, *measured.by_workers)),
        "",
        "| scan | requests | seconds | processor s: ours, registry | memory MB | scan's part |",
        "|---|--:|--:|--:|--:|--:|",
        *(
            f"| {each.title} | {sum(each.requests.values()):,} | {each.wall_s:.1f} "
            f"| {each.processor_s:.1f}, {each.registry_s:.1f} | {each.peak_bytes / MB:.0f} "
            f"| {each.grown_bytes / MB:.1f} |"
            for each in measured.scans
        ),
    ]
    return "\n".join(lines) + "\n"


def _run(run: RunTook) -> str:
    took = run.processor_s
    registries = sum(seconds for name, seconds in took.items() if name.endswith("registry"))
    verified = "" if run.verified_s is None else f"{run.verified_s:.1f}"
    return (
        f"| {run.images:,} | {run.workers} | {sum(each.instances for each in run.stages)} "
        f"| {verified} | {run.wall_s:.1f} | {took.get('scheduler', 0.0):.0f}, "
        f"{took.get('api-server', 0.0):.0f}, {registries:.0f} | {run.load:.1f} |"
    )


def publish(page: Path, parts: Mapping[str, str], plots: Mapping[str, Plot]) -> None:
    """Put figures into a page of the documentation, and its plots beside it.

    Args:
        page: The page; it has a pair of marks for each part.
        parts: The new content between the marks, by the parts' names.
        plots: The plots, by the names of their files without ending.

    Raises:
        ValueError: The page lacks the marks of a part.
    """
    text = page.read_text()
    for name, content in parts.items():
        text = _replaced(text, name, content)
    page.write_text(text)
    for name, plot in plots.items():
        (page.parent / "images" / f"scale-{name}.svg").write_text(draw(plot))


def _replaced(text: str, name: str, content: str) -> str:
    begin, end = _BEGIN.format(name), _END.format(name)
    before, found, rest = text.partition(begin)
    _, ended, after = rest.partition(end)
    if not (found and ended):
        raise ValueError(f"the page lacks the marks of {name}: {begin} and {end}")
    return f"{before}{begin}\n{content}{end}{after}"
