"""The command `recheck`: what is promoted is judged again, on evidence that is gathered anew."""

from __future__ import annotations

import argparse
import os
import uuid
from datetime import timedelta

from rich.table import Table

from image_promotion.cli import output
from image_promotion.cli.connections import find_endpoint
from image_promotion.cli.event_loop import run_to_end
from image_promotion.cli.listing import clean
from image_promotion.cli.output import JsonValue
from image_promotion.cli.policies import find_policy
from image_promotion.cli.progress import ProgressBars
from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.location import ledger_url
from image_promotion.ledger.rechecks import Recheck
from image_promotion.ledger.records import Outcome
from image_promotion.promotion.clock import system_clock
from image_promotion.promotion.decision import in_one_line
from image_promotion.promotion.rechecking import Rechecking, connections_due, lasting_part
from image_promotion.promotion.rechecking import recheck as look_again
from image_promotion.promotion.scanning import version_of
from image_promotion.promotion.setting_back import Act, Result, SetBack, set_back_failed
from image_promotion.promotion.stores import Stores
from image_promotion.registry.endpoint import RegistryEndpoint

KIND = "recheck"

_WORDS = {
    Outcome.PROMOTE: "passes",
    Outcome.REJECT: "fails",
    Outcome.WAIT: "unknown",
    Outcome.CONFLICT: "tag moved",
}


def recheck(options: argparse.Namespace) -> bool:
    """Judge promoted images again.

    Args:
        options: ``policy``, ``policies``, ``all``, ``json``.

    Returns:
        Whether none of those that the policy has promoted, and that are there, is known to fail.

    Raises:
        PromotionError: A registry cannot be asked, the ledger cannot be written, or a rollback did
            not get through.
    """
    policy = find_policy(options.policy, options.policies)
    # Who asks by hand for a policy that does not do so by itself wants all of it.
    every = timedelta() if options.all or policy.recheck is None else None
    with Ledger.open(ledger_url(os.environ)) as ledger, ProgressBars(policy.name) as bars:
        now = system_clock()
        run = ledger.begin_run(
            version_of(policy), key=f"command-line/{uuid.uuid4()}", kind=KIND, at=now
        )
        needed, perhaps = connections_due(policy, ledger, now=now, every=every)
        found = _with_stores(
            Stores(_endpoint, needed, perhaps=perhaps),
            lambda stores: look_again(
                policy, stores=stores, ledger=ledger, run=run, now=now, every=every
            ),
        )
        set_back = set_back_failed(
            policy,
            ledger=ledger,
            run=run,
            clock=system_clock,
            find_endpoint=_endpoint,
            with_stores=_with_stores,
            progress_of=bars.of,
        )
        failing = ledger.rechecks.failing(policy.name)
    if options.json:
        output.print_json(_json(found, failing, set_back))
    else:
        shown = {each.id: each for each in (*found.looks, *failing)}
        if shown:
            output.console().print(_table(list(shown.values())))
        if lasting_part(policy) is None:
            print("The policy's triggers look at tags and times alone: nothing can have changed.")
        print(f"{found}.")
        for rollback in set_back.done:
            name = f"{rollback.target_repository}:{rollback.target_tag}"
            print(f"{name} was set back to {rollback.target_digest}.")
        for refusal in set_back.refused:
            print(f"not set back: {refusal}")
    return not failing and not found.failed


def _endpoint(connection_id: str) -> RegistryEndpoint:
    return find_endpoint(connection_id, os.environ)


def _with_stores(stores: Stores, act: Act[Result], /) -> Result:
    return run_to_end(lambda: stores.lend(act))


def _table(looks: list[Recheck]) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in ("TARGET", "DIGEST", "NOW", "SINCE", "WHY"):
        table.add_column(title, overflow="fold")
    for look in looks:
        promotion = look.promotion
        why = "" if look.outcome is Outcome.PROMOTE else in_one_line(look.reasons)
        table.add_row(
            clean(f"{promotion.target_repository}:{promotion.target_tag}"),
            clean(promotion.target_digest[:19]),
            _WORDS[look.outcome],
            output.for_people(look.first_at),
            clean(why),
        )
    return table


def _json(found: Rechecking, failing: tuple[Recheck, ...], set_back: SetBack) -> JsonValue:
    return {
        "looked_at": [_look_json(look) for look in found.looks],
        "more": found.more,
        "failing": [_look_json(look) for look in failing],
        "rolled_back": [output.promotion_json(each) for each in set_back.done],
        "not_rolled_back": [str(each) for each in set_back.refused],
    }


def _look_json(look: Recheck) -> JsonValue:
    return {
        "promotion": output.promotion_json(look.promotion),
        "outcome": str(look.outcome),
        "reasons": [output.reason_json(each) for each in look.reasons],
        "first_at": look.first_at.isoformat(),
        "last_at": look.last_at.isoformat(),
    }
