"""The rollback: a target tag is set back to what it was, as a promotion of its own.

It is planned here, after everything that speaks against it, and carried out by the same stages as
any promotion. The image that is taken from the tag is withdrawn: no policy promotes its digest to
that repository again, until a person sets a tag back to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime

from image_promotion.errors import (
    PromotionError,
    RollbackError,
    Subject,
)
from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.records import Kind, Promotion, Reason, Run
from image_promotion.ledger.rollbacks import KnownPlace, NewRollback
from image_promotion.policy.criteria.verdict import Verdict
from image_promotion.policy.model import Policy
from image_promotion.promotion.attestation import FindSigningKey, attestor_of
from image_promotion.promotion.batches import Stage
from image_promotion.promotion.clock import Clock
from image_promotion.promotion.journal import Journal
from image_promotion.promotion.pipeline import ProgressOf, Stages
from image_promotion.promotion.presence import whats_missing
from image_promotion.promotion.reporting import RunReport, report
from image_promotion.promotion.scanning import version_of
from image_promotion.promotion.stores import FindEndpoint, Stores
from image_promotion.promotion.tag_past import Holding, TagPast, past_of
from image_promotion.registry.digest import Digest
from image_promotion.registry.store import Store

RUN_KIND = str(Kind.ROLLBACK)
ABSENT = "absent"
"""What is written in place of a digest for a target tag that is not there."""

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class RollbackRequest:
    """What a person, or a recheck, wants.

    Attributes:
        tag: The target tag.
        reason: Why, in words.
        who: Who wants it.
        to: The digest it is set back to; None for what it held before.
        expected: What it must hold now; None for what the ledger thinks, ``ABSENT`` for nothing.
        repository: The target repository; needed where the policy sets the tag in several.
        connection: The target connection; needed where the policy sets the tag in several.
    """

    tag: str
    reason: str
    who: str
    to: str | None = None
    expected: str | None = None
    repository: str | None = None
    connection: str | None = None


@dataclass(frozen=True, slots=True)
class PlannedRollback:
    """What a rollback would do.

    Attributes:
        new: The rollback, as it is planned.
        found_in: Where the image is whole, in words.
    """

    new: NewRollback
    found_in: str

    def __str__(self) -> str:
        new = self.new
        return (
            f"{new.target_repository}:{new.target_tag} would be set back from "
            f"{new.former_digest or 'nothing'} to {new.target_digest}, which is {self.found_in}"
        )


def stores_for(
    policy: Policy, request: RollbackRequest, *, ledger: Ledger, find_endpoint: FindEndpoint
) -> Stores:
    """Return the stores that a rollback asks; those it only looks for the image in may be missing.

    Args:
        policy: The policy.
        request: What is wanted.
        ledger: The ledger.
        find_endpoint: Says where a connection leads.

    Returns:
        The stores.

    Raises:
        RollbackError: The policy never set the tag.
        ConnectionSettingsError: The target's connection is not there.
    """
    target = _target_of(policy, request, ledger)
    digests = {
        digest
        for each in ledger.rollbacks.tag_history(target.registry, target.repository, request.tag)
        for digest in (each.former_digest, each.target_digest, each.digest)
        if digest
    }
    others = {
        place.connection_id for digest in digests for place in ledger.rollbacks.known_places(digest)
    }
    needed = {target.connection_id}
    return Stores(find_endpoint, needed, perhaps=others - needed)


async def find_rollback(
    policy: Policy, request: RollbackRequest, *, stores: Stores, ledger: Ledger
) -> PlannedRollback:
    """Find out what a rollback would do, writing nothing.

    Args:
        policy: The policy whose target tag it is.
        request: What is wanted.
        stores: As ``stores_for`` gives them.
        ledger: The ledger.

    Returns:
        What it would do.

    Raises:
        RollbackError: The policy never set the tag; it holds something else than the ledger thinks;
            there is nothing earlier; it never held what it is to be set back to; or the image is
            gone, and then it says where it still is.
        RegistryError: The target cannot be asked.
    """
    place = _target_of(policy, request, ledger)
    target = stores.of(place.connection_id)
    subject = Subject(target.name, place.repository, request.tag)
    past = past_of(ledger.rollbacks.tag_history(place.registry, place.repository, request.tag))
    descriptor = await target.resolve(place.repository, request.tag)
    held = None if descriptor is None else str(descriptor.digest)
    _require_expected(request, past, held, subject)
    holding = _goal(request, past, held, subject)
    new = _new_rollback(policy, request, place, holding, held)
    missing = await whats_missing(target, place.repository, Digest.parse(holding.digest))
    if not missing:
        return PlannedRollback(new, "whole in the target")
    if await _is_whole(stores, new.source_connection, new.source_repository, new.digest):
        return PlannedRollback(new, f"whole in {new.source_registry}/{new.source_repository}")
    raise RollbackError(
        f"{holding.digest} is gone: {'; '.join(missing[:_SHOWN])}",
        subject=subject,
        advice=await _where_it_is(holding.digest, place, stores, ledger),
    )


async def plan_rollback(
    policy: Policy,
    request: RollbackRequest,
    *,
    stores: Stores,
    ledger: Ledger,
    run_key: str,
    now: datetime,
) -> Promotion:
    """Plan a rollback in a run of its own; the stages copy, retag and verify carry it out.

    Args:
        policy: The policy whose target tag it is.
        request: What is wanted.
        stores: As ``stores_for`` gives them.
        ledger: The ledger.
        run_key: What names the run. Planning again under the same key finds what was planned; under
            another one, a rollback of the tag that did not get through is taken up.
        now: Now.

    Returns:
        The promotion, of kind rollback.

    Raises:
        RollbackError: As ``find_rollback``.
        RegistryError: The target cannot be asked.
        LedgerError: The ledger cannot be written.
    """
    begun = ledger.run(run_key)
    if begun is not None and (planned := planned_by(ledger, begun)):
        return planned[0]
    unfinished = await _unfinished(policy, request, stores=stores, ledger=ledger)
    if unfinished is not None:
        run = ledger.begin_run(
            version_of(policy), key=run_key, kind=RUN_KIND, at=now, started_by=request.who
        )
        return ledger.rollbacks.take_up(run, unfinished)
    found = await find_rollback(policy, request, stores=stores, ledger=ledger)
    run = ledger.begin_run(
        version_of(policy), key=run_key, kind=RUN_KIND, at=now, started_by=request.who
    )
    return ledger.rollbacks.plan(run, found.new, now)


async def roll_back(
    policy: Policy,
    request: RollbackRequest,
    *,
    stores: Stores,
    ledger: Ledger,
    clock: Clock,
    run_key: str,
    progress_of: ProgressOf,
    find_signing_key: FindSigningKey | None = None,
) -> RunReport:
    """Plan a rollback and carry it out, without a scheduler.

    Args:
        policy: The policy whose target tag it is.
        request: What is wanted.
        stores: As ``stores_for`` gives them.
        ledger: The ledger.
        clock: The clock.
        run_key: What names the run; the same key continues the same run.
        progress_of: Gives the progress of the image's copy, by its label.
        find_signing_key: Gives the key that a policy's `attestation` names; without it nothing is
            attested here.

    Returns:
        What the run came to; a rollback that failed is in it and does not raise.

    Raises:
        RollbackError: As ``find_rollback``.
        RegistryError: The target cannot be asked.
        LedgerError: The ledger cannot be written.
    """
    promotion = await plan_rollback(
        policy, request, stores=stores, ledger=ledger, run_key=run_key, now=clock()
    )
    journal = Journal(ledger, run_key, clock)
    problems: list[str] = []
    for stage in Stage:
        # What failed is noted under the promotion and stands in the report.
        with suppress(PromotionError) if stage is not Stage.ATTEST else _noting_in(problems):
            attestor = (
                attestor_of(ledger, run_key, find_signing_key)
                if stage is Stage.ATTEST and find_signing_key
                else None
            )
            stages = Stages(stores, journal, progress_of, attestor=attestor)
            await stages.carry_out(stage, [promotion.id])
    run = ledger.run(run_key)
    assert run is not None  # noqa: S101 - it was begun by the plan
    return report(ledger, run, unreadable=problems)


@contextmanager
def _noting_in(problems: list[str]) -> Iterator[None]:
    try:
        yield
    except PromotionError as error:
        problems.append(str(error))


async def _unfinished(
    policy: Policy, request: RollbackRequest, *, stores: Stores, ledger: Ledger
) -> Promotion | None:
    """Return what was begun for the same request and is not through, such as by a killed process.

    Between the tag and its note, the tag holds what the ledger does not expect yet.
    """
    place = _target_of(policy, request, ledger)
    begun = ledger.rollbacks.unfinished(policy.name, place, request.tag)
    if begun is None or request.expected is not None:
        return None
    if request.to not in (None, begun.target_digest):
        return None
    descriptor = await stores.of(place.connection_id).resolve(place.repository, request.tag)
    held = None if descriptor is None else str(descriptor.digest)
    return begun if held in (begun.former_digest, begun.target_digest) else None


def planned_by(ledger: Ledger, run: Run) -> tuple[Promotion, ...]:
    """Return the rollbacks that a run planned."""
    return tuple(each for each in ledger.run_promotions(run) if each.kind is Kind.ROLLBACK)


def _target_of(policy: Policy, request: RollbackRequest, ledger: Ledger) -> KnownPlace:
    """Find the one target in which the policy set the tag."""
    every = ledger.rollbacks.tags_set(policy.name, request.tag)
    places = [
        each
        for each in every
        if request.repository in (None, each.repository)
        and request.connection in (None, each.connection_id)
    ]
    if len(places) == 1:
        return places[0]
    if places:
        listed = ", ".join(str(each) for each in places[:_SHOWN])
        raise RollbackError(
            f"the policy {policy.name} has set a tag {request.tag} in {len(places)} places: "
            f"{listed}",
            advice="Say which one is meant by its repository, its connection, or both.",
        )
    listed = ", ".join(str(each) for each in every[:_SHOWN])
    raise RollbackError(
        f"the policy {policy.name} has never set a target tag {request.tag}"
        + (" there" if every else ""),
        advice=f"It has set it in {listed}."
        if every
        else "Name the tag as it is in the target; `promotion history` shows them.",
    )


def _require_expected(
    request: RollbackRequest, past: TagPast, held: str | None, subject: Subject
) -> None:
    """Refuse when somebody else has moved the tag, unless that is what was said."""
    known = None if past.present is None else past.present.digest
    expected = known if request.expected is None else _digest_or_none(request.expected)
    if held == expected:
        return
    says = "the ledger has it at" if request.expected is None else "it was to hold"
    raise RollbackError(
        f"the tag holds {held or 'nothing'}, and {says} {expected or 'nothing'}",
        subject=subject,
        advice="Somebody else moved it. If it is to be set back all the same, say that it is taken "
        f"from {held or ABSENT} (--from).",
    )


def _goal(request: RollbackRequest, past: TagPast, held: str | None, subject: Subject) -> Holding:
    """Return what the tag is set back to."""
    if request.to is None:
        before = past.before(held)
        if before is None:
            raise RollbackError(
                "the tag has held nothing before that it could be set back to",
                subject=subject,
                advice="To take the image away, delete the tag in the registry.",
            )
        return before
    to = str(Digest.parse(request.to))
    if to == held:
        raise RollbackError(f"the tag holds {to} already", subject=subject)
    holding = past.find(to)
    if holding is None:
        known = list(dict.fromkeys(each.digest for each in past.holdings if each.digest != held))
        raise RollbackError(
            f"the tag has never held {to}",
            subject=subject,
            advice=f"It has held {', '.join(known[-_SHOWN:])}." if known else "",
        )
    return holding


def _digest_or_none(text: str) -> str | None:
    return None if text == ABSENT else str(Digest.parse(text))


def _new_rollback(
    policy: Policy,
    request: RollbackRequest,
    place: KnownPlace,
    holding: Holding,
    held: str | None,
) -> NewRollback:
    first = holding.promotion
    return NewRollback(
        # What somebody else set is known in the target alone.
        source_repository=first.source_repository if first else place.repository,
        source_tag=first.source_tag if first else request.tag,
        digest=first.digest if first else holding.digest,
        source_connection=first.source_connection if first else place.connection_id,
        source_registry=first.source_registry if first else place.registry,
        target_connection=place.connection_id,
        target_registry=place.registry,
        target_repository=place.repository,
        target_tag=request.tag,
        target_digest=holding.digest,
        former_digest=held,
        reason=Reason(
            trigger=f"rollback of {place.repository}:{request.tag}",
            verdict=str(Verdict.HELD),
            expected=f"{holding.digest} in place of {held or 'nothing'}",
            found=request.reason,
            source=f"{request.who}, policy {policy.name}",
        ),
    )


async def _is_whole(stores: Stores, connection_id: str, repository: str, digest: str) -> bool:
    """Say whether a place holds an image; one that cannot be asked does not count."""
    try:
        store: Store | None = stores.find(connection_id)
        if store is None:
            return False
        return not await whats_missing(store, repository, Digest.parse(digest))
    except PromotionError:
        return False


async def _where_it_is(digest: str, target: KnownPlace, stores: Stores, ledger: Ledger) -> str:
    """Say where else an image is that the target and its first source have lost."""
    places = [each for each in ledger.rollbacks.known_places(digest) if each != target]
    there = [
        each
        for each in places
        if await _is_whole(stores, each.connection_id, each.repository, digest)
    ]
    if there:
        listed = ", ".join(str(each) for each in there[:_SHOWN])
        first = there[0]
        return (
            f"It is still in {listed}. Bring it back, then roll back again: promotion copy "
            f"conn://{first.connection_id}/{first.repository}@{digest} "
            f"conn://{target.connection_id}/{target.repository}:restored"
        )
    asked = f" Asked: {', '.join(str(each) for each in places[:_SHOWN])}." if places else ""
    return f"No place that the ledger knows of has it any more.{asked} Build it again."
