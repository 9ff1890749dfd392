"""The two registries: a source that is filled once and kept, and a target that begins empty."""

from __future__ import annotations

import json
import os
import shutil
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.workloads import Workload
from sandbox.image_pusher import ImagePusher
from sandbox.registry_process import RegistryProcess

FOLDER = Path(__file__).parents[1] / ".sandbox" / "benchmarks"
_PAGE = 10_000


@contextmanager
def filled_source(workload: Workload) -> Iterator[RegistryProcess]:
    """Start the source registry and see that it holds the workload's content.

    Args:
        workload: What it must hold.

    Yields:
        The running registry.
    """
    with RegistryProcess.start(FOLDER / "source", name="source") as source:
        mark = FOLDER / "filled" / workload.repository
        if not mark.exists() or len(tags_of(source, workload.repository)) != workload.images:
            with ImagePusher(source.url) as pusher:
                workload.fill(pusher, source.url)
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()
        yield source


@contextmanager
def empty_target() -> Iterator[RegistryProcess]:
    """Start a registry that holds nothing, and take its content away afterwards.

    Yields:
        The running registry.
    """
    folder = FOLDER / "target"
    shutil.rmtree(folder, ignore_errors=True)
    with RegistryProcess.start(folder, name="target") as target:
        # What earlier runs wrote must not be on its way to the disk while the next is measured.
        os.sync()
        yield target
    shutil.rmtree(folder, ignore_errors=True)


def tags_of(registry: RegistryProcess, repository: str) -> frozenset[str]:
    """List the tags of a repository; none when there is no such repository."""
    try:
        with urllib.request.urlopen(  # noqa: S310 - loopback, our own registry
            f"{registry.url}/v2/{repository}/tags/list?n={_PAGE}"
        ) as answer:
            return frozenset(json.load(answer)["tags"] or ())
    except urllib.error.HTTPError:
        return frozenset()


def forget_repository(registry: RegistryProcess, repository: str) -> None:
    """Take a repository away, leaving the blobs that others share with it."""
    shutil.rmtree(registry.content / "docker/registry/v2/repositories" / repository)
