"""The command `rollback`: a target tag is set back to what it was."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
import uuid

from image_promotion.cli import output
from image_promotion.cli.connections import find_endpoint, find_signing_key
from image_promotion.cli.event_loop import run_to_end
from image_promotion.cli.ledgers import ledger_to_read
from image_promotion.cli.policies import find_policy
from image_promotion.cli.progress import ProgressBars
from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.location import ledger_url
from image_promotion.policy.model import Policy
from image_promotion.promotion.clock import system_clock
from image_promotion.promotion.reporting import RunReport
from image_promotion.promotion.rollback import (
    PlannedRollback,
    RollbackRequest,
    find_rollback,
    roll_back,
    stores_for,
)
from image_promotion.promotion.stores import Stores
from image_promotion.registry.endpoint import RegistryEndpoint


def rollback(options: argparse.Namespace) -> bool:
    """Set a target tag back, or say what that would do.

    Args:
        options: ``policy``, ``policies``, ``tag``, ``reason``, ``to``, ``taken_from``,
            ``repository``, ``target``, ``dry_run``, ``json``.

    Returns:
        Whether the tag is set back, or could be.

    Raises:
        RollbackError: It cannot be set back as it was asked.
        PromotionError: The policy, the target or the ledger cannot be read.
    """
    policy = find_policy(options.policy, options.policies)
    request = RollbackRequest(
        tag=options.tag,
        reason=options.reason,
        who=user_name(),
        to=options.to,
        expected=options.taken_from,
        repository=options.repository,
        connection=options.target,
    )
    if options.dry_run:
        return _look(policy, request, as_json=options.json)
    with Ledger.open(ledger_url(os.environ)) as ledger, ProgressBars(policy.name) as bars:
        stores = stores_for(policy, request, ledger=ledger, find_endpoint=_endpoint)

        async def act(stores: Stores) -> RunReport:
            return await roll_back(
                policy,
                request,
                stores=stores,
                ledger=ledger,
                clock=system_clock,
                run_key=f"command-line/{uuid.uuid4()}",
                progress_of=bars.of,
                find_signing_key=lambda each: find_signing_key(each, os.environ),
            )

        report = run_to_end(lambda: stores.lend(act))
    if options.json:
        output.print_json(output.run_json(report))
    else:
        for each in report.promotions:
            print(
                f"{each.state}: {each.target_repository}:{each.target_tag} is set back from "
                f"{each.former_digest or 'nothing'} to {each.target_digest}"
            )
        sys.stdout.flush()
        for problem in report.problems:
            print(f"needs attention: {problem}", file=sys.stderr)
    return not report.problems


def user_name() -> str:
    """Return who runs this command, as far as this machine knows."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container may run under a number that has no name.
        return f"user {os.getuid()}"


def _look(policy: Policy, request: RollbackRequest, *, as_json: bool) -> bool:
    with ledger_to_read(os.environ) as ledger:
        stores = stores_for(policy, request, ledger=ledger, find_endpoint=_endpoint)

        async def look(stores: Stores) -> PlannedRollback:
            return await find_rollback(policy, request, stores=stores, ledger=ledger)

        found = run_to_end(lambda: stores.lend(look))
    if as_json:
        new = found.new
        output.print_json(
            {
                "target": f"{new.target_repository}:{new.target_tag}",
                "target_registry": new.target_registry,
                "from": new.former_digest,
                "to": new.target_digest,
                "image_is": found.found_in,
            }
        )
    else:
        print(f"{found}.")
    return True


def _endpoint(connection_id: str) -> RegistryEndpoint:
    return find_endpoint(connection_id, os.environ)
