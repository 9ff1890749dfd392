"""What Git says of a policy file, and that it never keeps a page from being shown."""

from __future__ import annotations

import os
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from image_promotion.web.api.models import GitState
from image_promotion.web.pages.git_revision import KEPT_S, GitRevisions

WHEN = "2026-03-01T12:00:00+00:00"


class Clock:
    """A clock that the test turns."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def _git(folder: Path, *arguments: str) -> str:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
        "GIT_COMMITTER_DATE": WHEN,
    }
    identity = ("-c", "user.name=Ada <script>", "-c", "user.email=ada@example.com")
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(
        command, env=environment, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """A policy file, committed, in a folder of a repository."""
    folder = tmp_path / "repository" / "include" / "policies"
    folder.mkdir(parents=True)
    path = folder / "-odd [name].yaml"
    path.write_text("name: x\n")
    _git(folder, "init", "--quiet", str(tmp_path / "repository"))
    _git(folder, "add", "--", "./" + path.name)
    _git(folder, "commit", "--quiet", "-m", "first")
    return path


def test_the_last_commit_of_the_file_is_told(policy: Path) -> None:
    commit = _git(policy.parent, "rev-parse", "HEAD")
    policy.with_name("other.yaml").write_text("name: other\n")
    _git(policy.parent, "add", ".")
    _git(policy.parent, "commit", "--quiet", "-m", "of another file")

    found = GitRevisions().of(policy)

    assert found.state is GitState.COMMITTED
    assert found.commit == commit
    assert found.at == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert found.author is not None
    assert found.author.startswith("Ada")


def test_a_file_that_differs_from_its_commit_is_said_to(policy: Path) -> None:
    policy.write_text("name: y\n")

    assert GitRevisions().of(policy).state is GitState.CHANGED


def test_a_file_that_its_last_commit_removed_and_that_is_there_has_changed(policy: Path) -> None:
    _git(policy.parent, "rm", "--quiet", "--cached", "--", "./" + policy.name)
    _git(policy.parent, "commit", "--quiet", "-m", "removed")

    assert GitRevisions().of(policy).state is GitState.CHANGED


def test_a_file_that_was_never_committed_is_said_to_be_none_of_git(policy: Path) -> None:
    new = policy.with_name("new.yaml")
    new.write_text("name: new\n")

    assert GitRevisions().of(new).state is GitState.UNCOMMITTED


def test_outside_of_a_repository_and_without_git_nothing_is_said(
    tmp_path: Path, policy: Path
) -> None:
    alone = tmp_path / "alone.yaml"
    alone.write_text("name: x\n")

    assert GitRevisions().of(alone).state is GitState.NONE
    assert GitRevisions(git=None).of(policy).state is GitState.NONE


@pytest.mark.parametrize("damage", ["foreign", "empty", "gone"])
def test_a_repository_that_git_does_not_read_fails_nothing(
    policy: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = policy.parents[2] / ".git"
    if damage == "foreign":
        # What Git itself has for its own tests of `safe.directory`.
        monkeypatch.setenv("HOME", str(policy.parent))
        git = _git_that_says_it_is_foreign(policy.parents[2])
        assert GitRevisions(git=git).of(policy).state is GitState.UNREADABLE
        return
    if damage == "empty":
        (inner / "HEAD").write_text("")
    else:
        policy.unlink()

    assert GitRevisions().of(policy).state is GitState.UNREADABLE


def _git_that_says_it_is_foreign(folder: Path) -> str:
    program = folder / "git"
    found = shutil.which("git")
    program.write_text(
        f'#!/bin/sh\nGIT_CONFIG_NOSYSTEM=1 GIT_TEST_ASSUME_DIFFERENT_OWNER=1 exec {found} "$@"\n'
    )
    program.chmod(0o755)
    return str(program)


def test_nothing_that_the_repository_names_is_run(policy: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    trap = tmp_path / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {ran}\nexit 1\n")
    trap.chmod(0o755)
    for name, value in {
        "log.showSignature": "true",
        "gpg.program": str(trap),
        "core.fsmonitor": str(trap),
        "core.pager": str(trap),
        "core.hooksPath": str(tmp_path),
        "diff.external": str(trap),
        "filter.trap.clean": str(trap),
        "filter.trap.smudge": str(trap),
        "diff.trap.textconv": str(trap),
    }.items():
        _git(policy.parent, "config", name, value)
    (policy.parent / ".gitattributes").write_text("*.yaml filter=trap diff=trap\n")
    signed = _git(policy.parent, "cat-file", "commit", "HEAD").replace(
        "\n\n", "\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n -----END PGP SIGNATURE-----\n\n", 1
    )
    body = tmp_path / "commit"
    body.write_text(signed + "\n")
    commit = _git(policy.parent, "hash-object", "-t", "commit", "-w", str(body))
    _git(policy.parent, "update-ref", "HEAD", commit)

    found = GitRevisions().of(policy)

    assert found.state is GitState.COMMITTED
    assert found.commit == commit
    assert not ran.exists()


def test_what_git_said_is_kept_for_a_while(policy: Path) -> None:
    clock = Clock()
    revisions = GitRevisions(clock=clock)

    first = revisions.of(policy)
    policy.write_text("name: y\n")
    clock.now = KEPT_S - 1
    kept = revisions.of(policy)
    clock.now = KEPT_S + 1

    assert kept == first
    assert revisions.of(policy).state is GitState.CHANGED
