"""Policy files: YAML in, policies or errors with file, line, column and key out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from image_promotion.errors import PolicyError
from image_promotion.policy.model import Policy
from image_promotion.policy.requirements import WrittenPolicy, faults_of, requirement_faults
from image_promotion.policy.signers import FOLDER
from image_promotion.policy.yaml_document import YamlDocument, parse_document, read_document

SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class LoadedPolicy:
    """A valid policy and its file."""

    path: Path
    policy: Policy


@dataclass(frozen=True, slots=True)
class LoadedPolicies:
    """What a folder of policies holds.

    Attributes:
        good: The valid ones, by file name.
        broken: Every fault of the others.
    """

    good: tuple[LoadedPolicy, ...]
    broken: tuple[PolicyError, ...]


def load_policy(path: Path) -> Policy:
    """Read a policy file.

    Args:
        path: The file.

    Returns:
        The policy.

    Raises:
        PolicyError: The first of its faults.
    """
    policy, faults = check_policy_file(path)
    if policy is None:
        raise faults[0]
    return policy


def load_policies(folder: Path) -> LoadedPolicies:
    """Read all policies of a folder; a broken one does not break the others.

    Args:
        folder: The folder; its files ending in .yaml and .yml are read. Those in folders within it
            are not, nor are hidden ones, which editors leave about.

    Returns:
        The valid policies and the faults of the others. Of two policies of one name the second by
        file name is a fault, and so is what a policy requires of others and cannot have.
    """
    good: list[WrittenPolicy] = []
    named: set[str] = set()
    broken: list[PolicyError] = []
    names: dict[str, Path] = {}
    for path in sorted(folder.glob("*")):
        if path.suffix not in SUFFIXES or path.name.startswith("."):
            continue
        policy, faults, document = _check(path)
        broken += faults
        named |= _names_in(document)
        if policy is None or document is None:
            continue
        if policy.name in names:
            line, column = document.places["name",]
            broken.append(
                PolicyError(
                    f"{names[policy.name].name} has a policy of the name {policy.name} already",
                    file=path,
                    line=line,
                    column=column,
                    key="name",
                    allowed="a name of its own for each policy",
                )
            )
            continue
        names[policy.name] = path
        good.append(WrittenPolicy(path, policy, document))
    if any(each.policy.requires for each in good):
        unmet = requirement_faults(good, named)
        broken += unmet
        without = {fault.file for fault in unmet}
        good = [each for each in good if each.path not in without]
    return LoadedPolicies(
        tuple(LoadedPolicy(each.path, each.policy) for each in good), tuple(broken)
    )


def _names_in(document: YamlDocument | None) -> set[str]:
    """Return the name that a file gives its policy, whatever else is wrong with it."""
    content = document.content if document else None
    name = content.get("name") if isinstance(content, Mapping) else None
    return {name} if isinstance(name, str) else set()


def check_policy_file(path: Path) -> tuple[Policy | None, tuple[PolicyError, ...]]:
    """Read a policy file and find all its faults.

    Args:
        path: The file.

    Returns:
        The policy and no fault, or None and at least one, by line.
    """
    policy, faults, _ = _check(path)
    return policy, faults


def check_policy_text(
    text: str, path: Path, others: Mapping[str, Policy] | None = None
) -> tuple[Policy | None, tuple[PolicyError, ...]]:
    """Check the text of a policy file that need not be written yet.

    Args:
        text: The text.
        path: The file that it is, or would be; what it names beside it is read from there.
        others: The other policies of the folder by name; None where they are not known, so that
            nothing is said of what it requires of them.

    Returns:
        The policy and no fault, or None and at least one, by line.
    """
    try:
        document = parse_document(text, path)
    except PolicyError as fault:
        return None, (fault,)
    policy, faults, _ = _check_document(document)
    if policy is None or others is None:
        return policy, faults
    unmet = tuple(faults_of(WrittenPolicy(path, policy, document), others, {*others, policy.name}))
    return (None, unmet) if unmet else (policy, ())


def _check(path: Path) -> tuple[Policy | None, tuple[PolicyError, ...], YamlDocument | None]:
    try:
        document = read_document(path)
    except PolicyError as fault:
        return None, (fault,), None
    return _check_document(document)


def _check_document(
    document: YamlDocument,
) -> tuple[Policy | None, tuple[PolicyError, ...], YamlDocument]:
    faults = list(document.faults)
    policy = None
    try:
        # What stands in files beside the policy becomes part of it, and of what is recorded of it.
        policy = Policy.model_validate(document.content, context={FOLDER: document.path.parent})
    except ValidationError as error:
        from image_promotion.policy.faults import fault_of  # noqa: PLC0415 - only faults need it

        faults += [fault_of(each, document) for each in error.errors()]
    if faults:
        return (
            None,
            tuple(sorted(faults, key=lambda each: (each.line or 0, each.column or 0))),
            document,
        )
    return policy, (), document
