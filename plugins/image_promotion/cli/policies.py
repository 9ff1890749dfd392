"""Policies at the command line: which one is meant, and what is wrong with them."""

from __future__ import annotations

import argparse
import difflib
import sys
from pathlib import Path

from image_promotion.errors import PolicyError
from image_promotion.policy.loading import (
    SUFFIXES,
    check_policy_file,
    load_policies,
    load_policy,
)
from image_promotion.policy.model import Policy

_NAMES_SHOWN = 20


def validate(options: argparse.Namespace) -> bool:
    """Check policy files and say what is wrong with each.

    Args:
        options: ``path``, a file or a folder; None for the folder of policies.

    Returns:
        Whether there are any and all are valid.
    """
    path: Path = options.path or options.policies
    if path.is_dir():
        loaded = load_policies(path)
        good, broken = [each.policy for each in loaded.good], loaded.broken
    else:
        policy, broken = check_policy_file(path)
        if policy and policy.requires:
            # What it requires stands in the files beside it.
            broken = tuple(each for each in load_policies(path.parent).broken if each.file == path)
        good = [policy] if policy and not broken else []
    for policy in good:
        print(f"ok: {policy.name}")
    for error in broken:
        print(f"invalid: {error}", file=sys.stderr)
    if not good and not broken:
        print(f"no policies in {path}", file=sys.stderr)
    return bool(good) and not broken


def find_policy(text: str, folder: Path) -> Policy:
    """Return the policy that a file or a name means.

    Args:
        text: The path of a policy file, or the name of a policy.
        folder: Where policies are looked up by name.

    Returns:
        The policy.

    Raises:
        PolicyError: There is none, or it is broken.
    """
    path = Path(text)
    if path.suffix in SUFFIXES or path.is_file():
        return load_policy(path)
    if not folder.is_dir():
        raise PolicyError(
            "there is no such folder to look up policies in",
            file=folder,
            advice="Name it with --policies, or give the policy's file.",
        )
    loaded = load_policies(folder)
    for each in loaded.good:
        if each.policy.name == text:
            return each.policy
    for error in loaded.broken:
        if error.file and error.file.stem == text:
            raise error
    names = [each.policy.name for each in loaded.good]
    near = difflib.get_close_matches(text, names, n=1)
    shown = ", ".join(names[:_NAMES_SHOWN]) or "none"
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    broken = "; some files are broken, see `promotion validate`" if loaded.broken else ""
    raise PolicyError(
        f"there is no valid policy of the name {text!r}",
        file=folder,
        allowed=f"{shown}{more}{broken}",
        advice=f"Did you mean {near[0]}?" if near else "",
    )
