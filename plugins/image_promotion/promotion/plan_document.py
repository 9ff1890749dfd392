"""A plan as a document for people: Markdown that reads well as plain lines of a log, too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from image_promotion.ledger.records import Outcome, State
from image_promotion.promotion.planning import PlannedImage
from image_promotion.promotion.previewing import Figures, Preview, PreviewedImage
from image_promotion.registry.transfer import readable_size

SHOWN = 50
"""So many images stand under each heading; `promotion plan` has all of them."""

LONGEST_REASON = 300
CUT = " ..."


@dataclass(frozen=True, slots=True)
class PlanCounts:
    """A plan in numbers.

    Attributes:
        tags: How many tags there are.
        images: How many of them have an image that would be promoted now.
        promote: How many target tags these images would get.
        moved_tags: How many of these are another image's now.
        over_cap: How many target tags would be set by a later run only, since this one is full.
        wait: How many tags wait for something else.
        conflict: How many are in conflict over their target tag.
        reject: How many are rejected.
        unreadable: How many could not be looked at.
        arrived: How many were promoted before.
    """

    tags: int
    images: int
    promote: int
    moved_tags: int
    over_cap: int
    wait: int
    conflict: int
    reject: int
    unreadable: int
    arrived: int


def count(rows: Sequence[PlannedImage]) -> PlanCounts:
    """Count what a plan holds.

    Args:
        rows: The plan.

    Returns:
        The counts; each row is in one of those from ``promote`` on, but for ``moved_tags``.
    """
    numbers = Counter(heading_of(row) for row in rows)
    return PlanCounts(
        tags=len({(row.repository, row.tag) for row in rows}),
        images=len({(row.repository, row.tag) for row in rows if row.is_new}),
        promote=numbers[_PROMOTE],
        moved_tags=sum(row.is_new and row.moves_tag for row in rows),
        over_cap=numbers[_OVER_CAP],
        wait=numbers[_WAIT],
        conflict=numbers[_CONFLICT],
        reject=numbers[_REJECT],
        unreadable=numbers[_UNREADABLE],
        arrived=numbers[_ARRIVED],
    )


def figures_of(found: Preview) -> Mapping[str, int]:
    """Give a plan's counts and sizes by their names, as an XCom holds them.

    Args:
        found: The plan.

    Returns:
        The fields of PlanCounts, and those of Figures where they are known.
    """
    counts = asdict(count(found.planned))
    return counts if found.total is None else {**counts, **asdict(found.total)}


def document(policy: str, found: Preview) -> list[str]:
    """Write a plan for people.

    Args:
        policy: The policy's name.
        found: The plan.

    Returns:
        The lines of a Markdown document. It has at most 50 images under each heading.
    """
    lines = [
        f"# Dry run of {policy}",
        "",
        f"dry run: {result(found)}",
        *summary(found),
    ]
    for heading, say in _SECTIONS.items():
        under = [each for each in found.images if heading_of(each.planned) == heading]
        if not under:
            continue
        lines += ["", f"## {heading}: {len(under)}", ""]
        # What a name alone ruled out tells the least.
        under.sort(key=lambda each: each.planned.digest is None)
        lines += [f"- {_clean(say(each))}" for each in under[:SHOWN]]
        if len(under) > SHOWN:
            lines.append(f"- and {len(under) - SHOWN} more; `promotion plan` shows all")
    return lines


def result(found: Preview) -> str:
    """Say how many images would be promoted.

    Args:
        found: The plan.

    Returns:
        Such as ``2 of 12 tags would be promoted now``.
    """
    numbers = count(found.planned)
    return f"{numbers.images} of {_tags(numbers.tags)} would be promoted now"


def summary(found: Preview) -> Iterator[str]:
    """Say what a run would move, and what else is to be known of it.

    Args:
        found: The plan.

    Yields:
        Sentences without a full stop; none where nothing would be promoted.
    """
    numbers = count(found.planned)
    if found.total is not None and numbers.promote:
        unknown = sum(bool(each.problem) for each in found.images)
        besides = f", besides {_images(unknown)} of unknown size" if unknown else ""
        yield f"to the target: {figures_in_words(found.total)}{besides}"
    if numbers.promote:
        new = numbers.promote - numbers.moved_tags
        yield f"target tags: {new} set, {numbers.moved_tags} taken from another image"
    if numbers.over_cap:
        yield (
            f"{_images(numbers.over_cap)} more would be promoted by later runs, since a run takes "
            "limits.images_per_run"
        )
    yield from found.notes


def figures_in_words(figures: Figures) -> str:
    """Say what a copy would move.

    Args:
        figures: The figures.

    Returns:
        Such as ``1.2 MB copied, 0 B mounted, 3.4 MB skipped; 2 referrers go along``.
    """
    said = (
        f"{readable_size(figures.bytes_copied)} copied, "
        f"{readable_size(figures.bytes_mounted)} mounted, "
        f"{readable_size(figures.bytes_skipped)} skipped"
    )
    if figures.referrers:
        along = "1 referrer goes" if figures.referrers == 1 else f"{figures.referrers} referrers go"
        said += f"; {along} along"
    return said


def tag_in_words(row: PlannedImage) -> str:
    """Say what would become of the target tag of an image that is promoted.

    Args:
        row: What is planned.

    Returns:
        Such as ``taken from sha256:..``; empty where the image is not promoted.
    """
    if not row.is_new:
        return ""
    if row.held_digest is None:
        return "new"
    return f"taken from {row.held_digest}" if row.moves_tag else "set already"


def heading_of(row: PlannedImage) -> str:
    """Say how one entry of a plan fares.

    Args:
        row: The entry.

    Returns:
        One of HEADINGS.
    """
    if row.outcome is None:
        return _UNREADABLE
    if row.is_over_cap:
        return _OVER_CAP
    if row.outcome is Outcome.PROMOTE:
        return _PROMOTE if row.is_new else _ARRIVED
    return _BY_OUTCOME[row.outcome]


def _promoted(each: PreviewedImage) -> str:
    row = each.planned
    tag = tag_in_words(row)
    said = f"{_name(row)} -> {row.named_target} ({row.target_digest}):" + (
        f" tag {tag};" if tag else ""
    )
    if each.figures is not None:
        said += f" {figures_in_words(each.figures)};"
    if each.problem:
        said += f" what would be moved is not known: {each.problem};"
    if row.promotion and row.promotion.state is State.FAILED:
        said += " failed before:"
    return f"{said} {_cut(row.why)}"


def _kept_back(each: PreviewedImage) -> str:
    row = each.planned
    until = f" until {_time(row.wait_until)} at least" if row.wait_until else ""
    return f"{_name(row)}{until}: {_cut(row.why)}"


def _arrived(each: PreviewedImage) -> str:
    row = each.planned
    at = row.promotion.ended_at if row.promotion else None
    return f"{_name(row)} -> {row.named_target}" + (f", {_time(at)}" if at else "")


def _name(row: PlannedImage) -> str:
    return f"{row.repository}:{row.tag}"


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}Z"


def _cut(text: str) -> str:
    if len(text) <= LONGEST_REASON:
        return text
    return text[: LONGEST_REASON - len(CUT)].rsplit(" ", 1)[0] + CUT


def _clean(text: str) -> str:
    """Keep what strangers may have written on its line."""
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


def _tags(number: int) -> str:
    return "1 tag" if number == 1 else f"{number} tags"


def _images(number: int) -> str:
    return "1 image" if number == 1 else f"{number} images"


_PROMOTE = "Would be promoted"
_OVER_CAP = "Over the cap of one run"
_CONFLICT = "In conflict"
_UNREADABLE = "Cannot be read"
_WAIT = "Waiting"
_REJECT = "Rejected"
_ARRIVED = "Promoted before"

_BY_OUTCOME = {Outcome.REJECT: _REJECT, Outcome.WAIT: _WAIT, Outcome.CONFLICT: _CONFLICT}

_SECTIONS: dict[str, Callable[[PreviewedImage], str]] = {
    _PROMOTE: _promoted,
    _OVER_CAP: _promoted,
    _CONFLICT: _kept_back,
    _UNREADABLE: _kept_back,
    _WAIT: _kept_back,
    _REJECT: _kept_back,
    _ARRIVED: _arrived,
}

HEADINGS = tuple(_SECTIONS)
"""How entries of a plan can fare, in the order in which people read of them."""
