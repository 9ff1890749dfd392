"""The arguments of the commands that change tags of a target: `rollback` and `retention`.

What they do is loaded when it is their turn, and not for reading arguments.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

Add = Callable[[argparse.ArgumentParser], None]


def add_rollback(parser: argparse.ArgumentParser, add_common: Add) -> None:
    """Add the arguments of `rollback`.

    Args:
        parser: The command's parser.
        add_common: Adds what all commands on a policy have.
    """
    parser.description = (
        "Sets a target tag back to what it was, as a promotion of its own. The image that it is "
        "taken from is not promoted to that repository again, until a rollback brings it back."
    )
    parser.add_argument("policy", help="a policy file, or the name of a policy")
    parser.add_argument("--tag", required=True, metavar="TAG", help="the target tag")
    parser.add_argument("--reason", required=True, help="why; it is kept in the ledger")
    parser.add_argument(
        "--to", metavar="DIGEST", help="what it is set back to (what it held before)"
    )
    parser.add_argument(
        "--from",
        dest="taken_from",
        metavar="DIGEST",
        help="what it must hold now (what the ledger thinks); absent for a tag that is not there",
    )
    parser.add_argument(
        "--repository", help="the target repository, where the policy set the tag in several"
    )
    parser.add_argument(
        "--target", metavar="CONNECTION", help="the target connection, likewise for registries"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be done")
    add_common(parser)


def add_retention(parser: argparse.ArgumentParser, add_common: Add) -> None:
    """Add the arguments of `retention`.

    Args:
        parser: The command's parser.
        add_common: Adds what all commands on a policy have.
    """
    parser.description = (
        "Says which target tags of a policy are not to stay (its key retention), or removes them. "
        "Only tags that the policy set and that still hold what it set are touched."
    )
    parser.add_argument("policy", help="a policy file, or the name of a policy")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument(
        "--dry-run",
        action="store_const",
        dest="mode",
        const="dry_run",
        help="only say which would be removed, whatever the policy says",
    )
    mode.add_argument(
        "--remove",
        action="store_const",
        dest="mode",
        const="remove",
        help="remove them, whatever the policy says",
    )
    add_common(parser)
