"""Policy files: YAML with comments, the same for the same draft, and never an invalid one."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from image_promotion.errors import PolicyError
from image_promotion.moving.findings import Draft, LeftOut
from image_promotion.policy.loading import check_policy_file

WIDTH = 96
MAX_NAME_CHARACTERS = 110

_NOT_IN_NAMES = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """A valid policy file that is not written yet.

    Args:
        name: The policy's name.
        text: The file's text.
        draft: What it was made of.
    """

    name: str
    text: str
    draft: Draft

    @property
    def file_name(self) -> str:
        """The name of the file."""
        return f"{self.name}.yaml"


def make_files(
    drafts: Iterable[Draft], taken: Collection[str] = ()
) -> tuple[list[PolicyFile], list[LeftOut]]:
    """Name drafts, write them down and validate them.

    Args:
        drafts: The drafts.
        taken: Names that other policies have.

    Returns:
        The valid files, and the drafts that no valid file can be made of, with what is wrong.
    """
    files: list[PolicyFile] = []
    left_out: list[LeftOut] = []
    names = set(taken)
    for draft in drafts:
        name = next(each for each in _names(draft) if each not in names)
        text = render(draft, name)
        faults = faults_of(text)
        if faults:
            said = "; ".join(_words(each) for each in faults)
            left_out.append(LeftOut(draft.origin, f"would be no valid policy: {said}"))
            continue
        names.add(name)
        files.append(PolicyFile(name, text, draft))
    return files, left_out


def render(draft: Draft, name: str) -> str:
    """Write a draft down as YAML, with what is to be known about it in comments before.

    Args:
        draft: The draft.
        name: The policy's name.

    Returns:
        The text.
    """
    comments = [f"Imported from {draft.origin}.", *draft.notes]
    lines = [line for each in comments for line in _comment(each)]
    return "\n".join([*lines, "", _yaml(draft, name)])


def faults_of(text: str) -> tuple[PolicyError, ...]:
    """Validate the text of a policy as `promotion validate` does, which reads files.

    Args:
        text: The text.

    Returns:
        Its faults; none for a valid policy.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder) / "policy.yaml"
        path.write_text(text, encoding="utf-8")
        return check_policy_file(path)[1]


def _words(fault: PolicyError) -> str:
    """Say what is wrong without the place in a file that is gone."""
    said = f"{fault.key}: {fault.attempted}" if fault.key else fault.attempted
    return f"{said} (allowed: {fault.allowed})" if fault.allowed else said


def _comment(sentence: str) -> list[str]:
    return textwrap.wrap(
        sentence,
        WIDTH,
        initial_indent="# ",
        subsequent_indent="#   ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _yaml(draft: Draft, name: str) -> str:
    target: dict[str, object] = {
        "connection": draft.target.connection,
        "repository": draft.target.repository,
        "tag": draft.tag,
    }
    if draft.timezone != "UTC":
        target["timezone"] = draft.timezone
    target["existing_tag"] = draft.existing_tag
    document: dict[str, object] = {
        "name": name,
        "description": f"Imported from {draft.origin}.",
        "source": {
            "connection": draft.source.connection,
            "repository": draft.source.repository,
        },
        "target": target,
        "triggers": [dict(each) for each in draft.triggers],
        "schedule": draft.schedule,
        "existing_images": draft.existing_images,
    }
    if draft.platforms:
        document["platforms"] = list(draft.platforms)
    if draft.foreign_layers is not None:
        document["foreign_layers"] = draft.foreign_layers
    if draft.referrers is not None:
        document["referrers"] = dict(draft.referrers)
    return yaml.dump(
        document, Dumper=_Dumper, sort_keys=False, width=WIDTH, default_flow_style=False
    )


class _Dumper(yaml.SafeDumper):
    """A dumper that writes twice what stands twice: anchors are for machines."""

    def ignore_aliases(self, data: object) -> bool:
        """Never write an alias."""
        del data
        return True


def _names(draft: Draft) -> Iterator[str]:
    """Yield names made of source and target, the plainest first."""
    source, target = _slug(draft.source.repository), _slug(draft.target.repository)
    if draft.source.connection != draft.target.connection:
        target = f"{_slug(draft.target.connection)}-{target}"
    stem = f"{source}-to-{target}"[:MAX_NAME_CHARACTERS].strip("-")
    yield stem
    number = 1
    while True:
        number += 1
        yield f"{stem}-{number}"


def _slug(text: str) -> str:
    text = text.lower().replace("{name}", "-all-").replace("*", "-all-")
    return _NOT_IN_NAMES.sub("-", text).strip("-")
