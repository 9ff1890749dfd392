"""Who does the work: each peer's best way to do it, and ours; as command lines."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from benchmarks.workloads import Workload
from sandbox.registry_process import RegistryProcess

_JOBS = 8
"""For peers that have a knob; more was not faster on two cores."""


@dataclass(frozen=True, slots=True)
class Job:
    """One run to be made.

    Args:
        workload: The work.
        source: The registry that holds it.
        target: The registry to bring it to, which may be the source.
        repository: The repository of the target.
        folder: Where the contender may write; empty, and its HOME.
    """

    workload: Workload
    source: RegistryProcess
    target: RegistryProcess
    repository: str
    folder: Path

    @property
    def source_name(self) -> str:
        """The source repository, with its registry."""
        return f"{self.source.host}/{self.workload.repository}"

    @property
    def target_name(self) -> str:
        """The target repository, with its registry."""
        return f"{self.target.host}/{self.repository}"


@dataclass(frozen=True, slots=True)
class Contender:
    """One who does the work.

    Args:
        name: What the tables call it.
        program: The program it needs.
        command: Gives the command line of a job; may write files into the job's folder first.
        fits: Says whether it is a sensible way to do a workload.
        version: Gives the arguments that make the program say its version.
        warm: Whether it keeps what it learnt between runs, and is run once beforehand.
    """

    name: str
    program: str
    command: Callable[[Job], list[str]]
    fits: Callable[[Workload], bool]
    version: tuple[str, ...]
    warm: bool = False


def peers() -> tuple[Contender, ...]:
    """List the peers, each with its default settings and, where it has a knob, a higher one."""
    return (
        Contender("crane", "crane", _crane(None), lambda _: True, ("version",)),
        Contender(f"crane -j {_JOBS}", "crane", _crane(_JOBS), _has_many, ("version",)),
        Contender("regctl", "regctl", _regctl, _has_one, ("version", "--format", "{{.VCSTag}}")),
        Contender(
            "regsync", "regsync", _regsync(None), _has_many, ("version", "--format", "{{.VCSTag}}")
        ),
        Contender(
            f"regsync, parallel {_JOBS}",
            "regsync",
            _regsync(_JOBS),
            _has_many,
            ("version", "--format", "{{.VCSTag}}"),
        ),
        Contender("skopeo", "skopeo", _skopeo, lambda _: True, ("--version",), warm=True),
    )


def find_program(name: str) -> str | None:
    """Find a peer: on PATH, else where `go install` puts programs."""
    return shutil.which(name, path=os.pathsep.join((os.environ["PATH"], str(_go_programs()))))


def version_of(contender: Contender) -> str:
    """Ask a peer for its version."""
    program = find_program(contender.program) or contender.program
    said = subprocess.run(
        [program, *contender.version], capture_output=True, text=True, check=False
    ).stdout
    return said.strip().splitlines()[0] if said.strip() else "unknown"


def readable(command: list[str], job: Job) -> str:
    """Write a command line as documentation has it: names in place of ports and folders."""
    text = shlex.join(command)
    for long, short in (
        (job.source.host, "SOURCE"),
        (job.target.host, "TARGET"),
        (str(job.folder), "."),
    ):
        text = text.replace(long, short)
    program = Path(command[0])
    return text.replace(str(program), program.name, 1)


def peer_environment(job: Job) -> Mapping[str, str]:
    """Give a peer a home of its own, so that no cache of an earlier run helps or misleads it."""
    return {"HOME": str(job.folder), "XDG_RUNTIME_DIR": str(job.folder)}


def _has_many(workload: Workload) -> bool:
    return workload.images > 1


def _has_one(workload: Workload) -> bool:
    return workload.images == 1


def _go_programs() -> Path:
    return Path(os.environ.get("GOBIN") or Path.home() / "go" / "bin")


def _crane(jobs: int | None) -> Callable[[Job], list[str]]:
    def command(job: Job) -> list[str]:
        program = _program("crane")
        if _has_one(job.workload):
            return [program, "copy", f"{job.source_name}:v1", f"{job.target_name}:v1"]
        more = [] if jobs is None else ["--jobs", str(jobs)]
        return [program, "copy", "--all-tags", *more, job.source_name, job.target_name]

    return command


def _regctl(job: Job) -> list[str]:
    hosts = [
        argument
        for host in sorted({job.source.host, job.target.host})
        for argument in ("--host", f"reg={host},tls=disabled")
    ]
    copy = ["image", "copy", f"{job.source_name}:v1", f"{job.target_name}:v1"]
    return [_program("regctl"), *hosts, *copy]


def _regsync(parallel: int | None) -> Callable[[Job], list[str]]:
    def command(job: Job) -> list[str]:
        hosts = sorted({job.source.host, job.target.host})
        concurrent = {} if parallel is None else {"reqConcurrent": 2 * parallel}
        configuration = {
            "version": 1,
            "creds": [{"registry": host, "tls": "disabled"} | concurrent for host in hosts],
            "defaults": {} if parallel is None else {"parallel": parallel},
            "sync": [{"source": job.source_name, "target": job.target_name, "type": "repository"}],
        }
        file = job.folder / "regsync.yaml"
        file.write_text(yaml.safe_dump(configuration, sort_keys=False))
        return [_program("regsync"), "once", "--config", str(file)]

    return command


def _skopeo(job: Job) -> list[str]:
    plain = ["--src-tls-verify=false", "--dest-tls-verify=false", "--preserve-digests"]
    program = [_program("skopeo"), "--insecure-policy"]
    if _has_one(job.workload):
        images = (f"docker://{job.source_name}:v1", f"docker://{job.target_name}:v1")
        return [*program, "copy", *plain, *images]
    parent = job.target_name.rpartition("/")[0]
    route = ["--src", "docker", "--dest", "docker"]
    return [*program, "sync", *plain, *route, job.source_name, parent]


def _program(name: str) -> str:
    return find_program(name) or name
