"""Where the form has policies from and what it stands beside: the folder, the ledger, Airflow."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from image_promotion.errors import PolicyError
from image_promotion.policy.loading import SUFFIXES
from image_promotion.policy.yaml_document import read_document
from image_promotion.web.form.documents import form_of
from image_promotion.web.form.drafting import Neighbours, opened
from image_promotion.web.form.fields import PolicyFields
from image_promotion.web.form.source_text import content_of
from image_promotion.web.pages.page_sources import Site

_FILE_STEM = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}", re.ASCII)
_UNNAMED = "policy"


@dataclass(frozen=True, slots=True)
class OpenedPolicy:
    """A policy that is to be changed.

    Args:
        name: Its name.
        file: The name of its file; empty where only the ledger knows it.
        form: The form as it was opened.
    """

    name: str
    file: str
    form: PolicyFields


def open_policy(site: Site, readable: frozenset[str], name: str) -> OpenedPolicy | None:
    """Open a policy in the form.

    Args:
        site: Where policies are from.
        readable: The DAGs that whoever asks may see.
        name: The policy.

    Returns:
        The policy; None when there is none that they may see.
    """
    shelved = site.shelf.policies(site.ledger(), readable & {name}).get(name)
    if shelved is None:
        return None
    if shelved.file:
        file = site.shelf.folder / shelved.file
        with suppress(OSError):
            form = opened(file.read_bytes(), file)
            if form is not None:
                return OpenedPolicy(name, shelved.file, form)
    content = content_of(shelved.text, site.shelf.folder / f"{name}.yaml") or {}
    return OpenedPolicy(name, "", form_of(_with_names_of_files(content, site.shelf.folder)))


def _with_names_of_files(content: object, folder: Path) -> dict[str, object]:
    """Leave out what stands in files beside the policy, where the files are there.

    A recorded policy has both the names of files and what was in them; a file has one of the two.
    """

    def chosen(value: object) -> object:
        if isinstance(value, list):
            return [chosen(each) for each in value]
        if not isinstance(value, dict):
            return value
        found = {key: chosen(each) for key, each in value.items()}
        for key in ("key", "trust_root", "exceptions"):
            name = found.get(f"{key}_file")
            if name is not None and key in found:
                is_there = isinstance(name, str) and (folder / name).is_file()
                del found[key if is_there else f"{key}_file"]
        return found

    made = chosen(content)
    return made if isinstance(made, dict) else {}


def beside_new(site: Site, name: str) -> Neighbours:
    """Return what a new policy would stand beside.

    Args:
        site: Where policies are from.
        name: The name that it is to have, valid or not.
    """
    written = site.shelf.written()
    taken = {other: f"the file {each.file}" for other, each in written.items()}
    for file in _files_named(site.shelf.folder, name):
        taken.setdefault(name, f"the file {file}")
    if name not in taken and name in site.airflow.dags([name]):
        taken[name] = "a Dag that Airflow has"
    stem = name if _FILE_STEM.fullmatch(name) else _UNNAMED
    return Neighbours(
        file=site.shelf.folder / f"{stem}.yaml",
        others={other: each.policy for other, each in written.items()},
        taken=taken,
    )


def _files_named(folder: Path, name: str) -> Iterator[str]:
    """Yield the files that have a name already, by what they are called."""
    if _FILE_STEM.fullmatch(name):
        for suffix in SUFFIXES:
            if (folder / f"{name}{suffix}").is_symlink() or (folder / f"{name}{suffix}").exists():
                yield f"{name}{suffix}"


def name_in_broken_files(site: Site, name: str) -> str | None:
    """Find a file that gives its policy a name, and of which no policy could be made.

    Args:
        site: Where policies are from.
        name: The name.

    Returns:
        What the file is called; None when there is none.
    """
    good = {each.file for each in site.shelf.written().values()}
    for path in sorted(site.shelf.folder.glob("*")):
        if path.suffix not in SUFFIXES or path.name.startswith(".") or path.name in good:
            continue
        with suppress(PolicyError):
            if read_document(path).content.get("name") == name:
                return path.name
    return None


def beside_existing(site: Site, policy: OpenedPolicy) -> Neighbours:
    """Return what a policy stands beside that is to be changed.

    Args:
        site: Where policies are from.
        policy: The policy.
    """
    written = site.shelf.written()
    return Neighbours(
        file=site.shelf.folder / (policy.file or f"{policy.name}.yaml"),
        others={other: each.policy for other, each in written.items() if other != policy.name},
        taken={},
        own_name=policy.name,
    )
