"""The command `retention`: which target tags of a policy stay, and the others taken away."""

from __future__ import annotations

import argparse
import os
import sys
import uuid

from image_promotion.cli import output
from image_promotion.cli.connections import find_endpoint
from image_promotion.cli.event_loop import run_to_end
from image_promotion.cli.policies import find_policy
from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.location import ledger_url
from image_promotion.policy.governance import RetentionMode
from image_promotion.promotion.clock import system_clock
from image_promotion.promotion.retention import (
    RetentionReport,
    retain,
    retention_of,
    stores_for,
)
from image_promotion.promotion.stores import Stores


def retention(options: argparse.Namespace) -> bool:
    """Remove the tags that do not stay, or say which they are.

    Args:
        options: ``policy``, ``policies``, ``mode``, ``json``.

    Returns:
        Whether all that was to be removed is.

    Raises:
        PromotionError: The policy says nothing of retention; or it, or the ledger, cannot be read.
    """
    policy = find_policy(options.policy, options.policies)
    retention_of(policy)
    with Ledger.open(ledger_url(os.environ)) as ledger:
        stores = stores_for(
            policy, ledger=ledger, find_endpoint=lambda each: find_endpoint(each, os.environ)
        )

        async def act(stores: Stores) -> RetentionReport:
            return await retain(
                policy,
                stores=stores,
                ledger=ledger,
                clock=system_clock,
                run_key=f"command-line/{uuid.uuid4()}",
                mode=RetentionMode(options.mode) if options.mode else None,
            )

        report = run_to_end(lambda: stores.lend(act))
    if options.json:
        output.print_json(_json(report))
    else:
        _print(report)
    return not report.problems


def _print(report: RetentionReport) -> None:
    removed = {each.id for each in report.removed}
    for each in report.superfluous:
        if report.mode is RetentionMode.DRY_RUN:
            word = "would be removed"
        else:
            word = "removed" if each.id in removed else "not removed"
        tag = f"{each.target_repository}:{each.target_tag}"
        print(f"{word}: {tag}, verified {output.for_people(each.verified_at)}")
    for spared in report.spared:
        print(f"spared: {spared}")
    print(f"{report}.")
    if report.mode is RetentionMode.DRY_RUN and report.superfluous:
        print("Nothing was removed: --remove removes them, as does `mode: remove` in the policy.")
    # What went wrong must not come before what is said about it.
    sys.stdout.flush()
    for problem in report.problems:
        print(f"needs attention: {problem}", file=sys.stderr)


def _json(report: RetentionReport) -> output.JsonValue:
    return {
        "mode": str(report.mode),
        "kept": report.kept,
        "superfluous": [output.promotion_json(each) for each in report.superfluous],
        "removed": [each.id for each in report.removed],
        "spared": list(report.spared),
        "problems": list(report.problems),
    }
