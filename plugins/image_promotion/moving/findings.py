"""What an export turned into: drafts of policies, what was left out and why, and connections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from image_promotion.moving.connections import Connection

MANUAL = "manual"


@dataclass(frozen=True, slots=True)
class Place:
    """One side of a policy.

    Args:
        connection: The id of an Airflow connection.
        repository: A repository or a pattern, as policies have them.
    """

    connection: str
    repository: str


@dataclass(frozen=True, slots=True)
class Draft:
    """A policy that has no name yet and has not been validated.

    Args:
        origin: What it was, in words, such as ``DTR promotion policy 4f1c of dev/website``.
        source: Where images come from.
        target: Where they go.
        triggers: The triggers, as a policy file has them.
        tag: The tag template.
        timezone: The zone of the template and the schedule.
        existing_tag: What happens to a target tag that holds another image.
        schedule: A cron expression or ``manual``.
        existing_images: Whether images that are there already count.
        platforms: The platforms that go; none for all.
        referrers: The key of this name; None for what holds without it.
        foreign_layers: The same.
        notes: What could not be carried, or is done otherwise, a sentence each.
    """

    origin: str
    source: Place
    target: Place
    triggers: tuple[Mapping[str, object], ...]
    tag: str = "%n"
    timezone: str = "UTC"
    existing_tag: str = "overwrite"
    schedule: str = MANUAL
    existing_images: str = "consider"
    platforms: tuple[str, ...] = ()
    referrers: Mapping[str, object] | None = None
    foreign_layers: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An entry of which no policy was made.

    Args:
        origin: What it was, in words.
        reason: Why.
    """

    origin: str
    reason: str

    def __str__(self) -> str:
        return f"{self.origin}: {self.reason}"


@dataclass(slots=True)
class Findings:
    """What an export turned into; filled while it is read.

    Args:
        drafts: In the order of the export.
        left_out: The same.
        connections: The connections that the drafts name, in the order of their first use.
        remarks: What is to be said of the export as a whole.
    """

    drafts: list[Draft] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    connections: list[Connection] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
