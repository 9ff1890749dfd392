"""The commands that act on registries: `plan` and `run`.

Each returns True when it is done, False when something failed or is in conflict.
"""

from __future__ import annotations

import argparse
import getpass
import os
import sys
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from image_promotion.cli import output
from image_promotion.cli.connections import find_endpoint, find_signing_key
from image_promotion.cli.event_loop import run_to_end
from image_promotion.cli.ledgers import ledger_to_read
from image_promotion.cli.plans import plan_json, plan_table
from image_promotion.cli.policies import find_policy
from image_promotion.cli.progress import ProgressBars
from image_promotion.cli.wording import CUT, in_brief
from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.location import ledger_url
from image_promotion.policy.model import Policy
from image_promotion.promotion import planning
from image_promotion.promotion.clock import system_clock
from image_promotion.promotion.overriding import require_override
from image_promotion.promotion.pipeline import run_policy
from image_promotion.promotion.plan_document import result, summary
from image_promotion.promotion.previewing import Preview, preview
from image_promotion.promotion.reporting import RunReport
from image_promotion.promotion.stores import Stores

Result = TypeVar("Result")


def plan(options: argparse.Namespace) -> bool:
    """Say what a run would do now.

    Args:
        options: ``policy``, ``policies``, ``tags``, ``decide_again``, ``override``, ``sizes``,
            ``json``.

    Returns:
        Whether every tag could be looked at and none is in conflict.

    Raises:
        PromotionError: The policy, a registry or the ledger cannot be read.
    """
    policy = find_policy(options.policy, options.policies)
    override = require_override(policy, options.tags, options.override or "", _user())
    with ledger_to_read(os.environ) as ledger:

        async def look(stores: Stores) -> Preview:
            source = stores.of(policy.source.connection)
            rows = await planning.plan(
                policy,
                source=source,
                target_of=stores.of,
                ledger=ledger,
                now=system_clock(),
                only_tags=options.tags,
                decide_again=options.decide_again,
                overrules=override is not None,
            )
            return await preview(
                policy,
                rows,
                source=source,
                target_of=stores.of,
                with_sizes=options.sizes,
            )

        found = with_stores(policy, look)
    rows = found.planned
    if options.json:
        output.print_json([plan_json(each) for each in found.images])
    else:
        if rows:
            output.console().print(plan_table(found.images))
        print(f"\n{result(found)}.")
        for sentence in summary(found):
            print(f"{sentence[0].upper()}{sentence[1:]}.")
        if any(CUT in in_brief(row.reasons) for row in rows):
            print(f"`promotion explain {options.policy} TAG` says the whole of a reason.")
    return not any(row.problem or row.outcome == "conflict" for row in rows)


def run(options: argparse.Namespace) -> bool:
    """Run a policy from scan to report.

    Args:
        options: ``policy``, ``policies``, ``tags``, ``decide_again``, ``override``, ``json``.

    Returns:
        Whether no image needs attention.

    Raises:
        PromotionError: The run could not scan or evaluate.
    """
    policy = find_policy(options.policy, options.policies)
    with Ledger.open(ledger_url(os.environ)) as ledger, ProgressBars(policy.name) as bars:

        async def go(stores: Stores) -> RunReport:
            return await run_policy(
                policy,
                stores=stores,
                ledger=ledger,
                clock=system_clock,
                run_key=f"command-line/{uuid.uuid4()}",
                progress_of=bars.of,
                only_tags=options.tags,
                decide_again=options.decide_again,
                override=options.override or "",
                started_by=_user(),
                find_signing_key=lambda connection_id: find_signing_key(connection_id, os.environ),
            )

        report = with_stores(policy, go)
    if options.json:
        output.print_json(output.run_json(report))
    else:
        if report.promotions:
            output.console().print(output.promotion_table(report.promotions))
            print()
        print(report)
        # The table must not come after what is said about it.
        sys.stdout.flush()
        for problem in report.problems:
            print(f"needs attention: {problem}", file=sys.stderr)
    return not report.problems


def _user() -> str | None:
    """Return who runs the command; a container may have a user that has no name."""
    with suppress(OSError, KeyError, ImportError):
        return getpass.getuser()
    return None


def with_stores(policy: Policy, act: Callable[[Stores], Awaitable[Result]]) -> Result:
    """Open the stores of a policy, act, and close them; SIGTERM ends it as Ctrl-C does.

    Args:
        policy: The policy.
        act: What to do with them.

    Returns:
        What it returned.

    Raises:
        ConnectionSettingsError: A connection is not there, or cannot be used.
    """
    stores = Stores(
        lambda connection_id: find_endpoint(connection_id, os.environ),
        {policy.source.connection, *policy.target_connections},
    )
    return run_to_end(lambda: stores.lend(act))
