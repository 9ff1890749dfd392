"""What was measured, as data that a file keeps and the simulation and the plots read."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter


@dataclass(frozen=True, slots=True)
class StageTook:
    """One task of a run, or all mapped instances of it.

    Attributes:
        task: The task's id.
        instances: How many instances ran.
        from_s: When the first of them began, in seconds after the run was asked for.
        to_s: When the last of them ended.
        busy_s: What they took together.
    """

    task: str
    instances: int
    from_s: float
    to_s: float
    busy_s: float


@dataclass(frozen=True, slots=True)
class RunTook:
    """One run of a policy in Airflow.

    Attributes:
        images: How many images it had to promote.
        workers: How many tasks could run at a time.
        promoted: How many were verified in it.
        verified_s: Seconds until the last verification had ended; None where nothing was promoted.
        wall_s: Seconds until the run had ended.
        processor_s: Seconds of processor, by program: Airflow's, and the two registries.
        stages: What each task took.
        load: The machine's load average of the last minute when it had ended.
    """

    images: int
    workers: int
    promoted: int
    verified_s: float | None
    wall_s: float
    processor_s: dict[str, float]
    stages: tuple[StageTook, ...]
    load: float


@dataclass(frozen=True, slots=True)
class ScanMeasured:
    """One scan.

    Attributes:
        title: What was scanned.
        repositories: How many repositories the policy's pattern matched.
        tags: How many tags they had.
        looked_up: How many of them could matter.
        requests: How many requests the registry got, by their kind.
        wall_s: Seconds by the clock.
        processor_s: Seconds of processor of ours.
        registry_s: Seconds of processor of the registry.
        peak_bytes: The most memory that was resident.
        grown_bytes: How much of it came during the scan.
    """

    title: str
    repositories: int
    tags: int
    looked_up: int
    requests: dict[str, int]
    wall_s: float
    processor_s: float
    registry_s: float
    peak_bytes: int
    grown_bytes: int


@dataclass(frozen=True, slots=True)
class Machine:
    """Where and when it was measured."""

    processors: int
    python: str
    began: datetime
    load: float

    @classmethod
    def here(cls) -> Machine:
        """Describe this machine as it is now."""
        return cls(
            os.cpu_count() or 1, platform.python_version(), datetime.now(UTC), os.getloadavg()[0]
        )


@dataclass(frozen=True, slots=True)
class Measurements:
    """Everything that `benchmarks/scale` measured in one go."""

    machine: Machine
    runs: tuple[RunTook, ...] = ()
    unchanged: RunTook | None = None
    by_workers: tuple[RunTook, ...] = ()
    scans: tuple[ScanMeasured, ...] = field(default=())

    def write(self, file: Path) -> None:
        """Keep them in a file."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(_MEASUREMENTS.dump_json(self, indent=2) + b"\n")

    @classmethod
    def read(cls, file: Path) -> Measurements:
        """Read what `write` kept.

        Raises:
            ValidationError: It is another thing.
        """
        return _MEASUREMENTS.validate_json(file.read_bytes())


_MEASUREMENTS = TypeAdapter(Measurements)
