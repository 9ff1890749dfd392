"""The gates: what an image must have behind it, elsewhere and in time, before it may go on.

`requires` asks that named policies have verified the same digest in this policy's source, `soak`
that it has been there for some time. And what a policy that brought an image there would not bring
today, as its second look says, goes no further. A gate that is closed makes an image wait; it opens
by itself, or by what another policy does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.rechecks import Recheck
from image_promotion.ledger.records import Reason
from image_promotion.ledger.upstream import Arrival, Image
from image_promotion.policy.criteria.verdict import Verdict
from image_promotion.policy.model import Policy
from image_promotion.policy.values import written_duration
from image_promotion.promotion.decision import ImageName, deciding
from image_promotion.registry.store import Store

_LEDGER = "ledger"


@dataclass(frozen=True, slots=True)
class Gates:
    """What the gates of a policy say about one image.

    Attributes:
        reasons: One for each gate.
        is_open: Whether all of them let it through.
        opens_at: When they will, if time alone is missing; None where that is not known, or where
            they are open.
    """

    reasons: tuple[Reason, ...] = ()
    is_open: bool = True
    opens_at: datetime | None = None


NO_GATES = Gates()


def ask_gates(
    policy: Policy,
    images: Sequence[ImageName],
    *,
    source: Store,
    ledger: Ledger,
    now: datetime,
) -> Mapping[ImageName, Gates]:
    """Ask the gates of a policy about images of its source.

    Args:
        policy: The policy.
        images: The images.
        source: The store of its source connection.
        ledger: The ledger.
        now: The moment of the question.

    Returns:
        What the gates say of each image.

    Raises:
        LedgerError: The ledger cannot be asked.
    """
    named = {(image.repository, image.digest) for image in images}
    required = policy.requires or ()
    arrivals = (
        ledger.upstream.arrivals(
            required, named, connection_id=policy.source.connection, registry=source.name
        )
        if required
        else {}
    )
    needs_sight = policy.soak is not None and not required
    sights = ledger.upstream.first_sights(policy.name, named) if needs_sight else {}
    doubts = _doubts(named, source, ledger)
    return {
        image: judge_gates(
            policy,
            image,
            arrivals={name: arrivals.get((name, _named(image))) for name in required},
            first_sight=sights.get(_named(image)),
            doubt=doubts.get(_named(image)),
            now=now,
        )
        for image in images
    }


def judge_gates(
    policy: Policy,
    image: ImageName,
    *,
    arrivals: Mapping[str, Arrival | None],
    first_sight: datetime | None,
    doubt: Recheck | None,
    now: datetime,
) -> Gates:
    """Say whether an image may go on.

    Args:
        policy: The policy; its keys `requires` and `soak` are asked.
        image: The image.
        arrivals: What each policy of `requires` has brought to the source; None for nothing.
        first_sight: When the policy's scans saw the digest first; None when they have not yet.
        doubt: The look that says that the image would not be brought to the source today.
        now: The moment of the question.

    Returns:
        What the gates say.
    """
    reasons = [_requirement(name, image, arrival) for name, arrival in arrivals.items()]
    if doubt is not None:
        reasons.append(_doubted(image, doubt))
    is_open = all(reason.verdict == Verdict.HELD for reason in reasons)
    opens_at = None
    if policy.soak is not None:
        since = _since(arrivals, first_sight, now)
        opens_at = None if since is None else since + policy.soak
        reasons.append(_soaked(policy.soak, image, since, opens_at, now))
    may_pass_by_time = is_open and opens_at is not None and now < opens_at
    if policy.soak is not None:
        is_open = is_open and opens_at is not None and now >= opens_at
    return Gates(tuple(reasons), is_open, opens_at if may_pass_by_time else None)


def _named(image: ImageName) -> Image:
    return image.repository, image.digest


def _doubts(images: set[Image], source: Store, ledger: Ledger) -> Mapping[Image, Recheck]:
    found: dict[Image, Recheck] = {}
    for repository in {each for each, _ in images}:
        digests = {digest for each, digest in images if each == repository}
        failed = ledger.rechecks.failed_digests(source.name, repository, digests)
        found |= {(repository, digest): look for digest, look in failed.items()}
    return found


def _requirement(name: str, image: ImageName, arrival: Arrival | None) -> Reason:
    if arrival is None:
        found = f"{name} has not verified this digest there yet"
        verdict, source = Verdict.NOT_HELD, _LEDGER
    else:
        done = arrival.promotion
        found = f"verified there as {done.target_tag} at {_moment(arrival.since)}"
        source = f"promotion {done.id} in the ledger"
        verdict = Verdict.NOT_HELD if arrival.is_undone else Verdict.HELD
        if arrival.is_undone:
            found += ", and rolled back since"
    return Reason(
        trigger=f"requires {name}",
        verdict=str(verdict),
        expected=f"this digest verified in {image.repository} by the policy {name}",
        found=found,
        source=source,
    )


def _doubted(image: ImageName, doubt: Recheck) -> Reason:
    why = "; ".join(f"{each.trigger}: {each.found}" for each in deciding(doubt.reasons))
    return Reason(
        trigger=f"recheck in {image.repository}",
        verdict=str(Verdict.NOT_HELD),
        expected="an image that would still be promoted there",
        found=f"{doubt.promotion.policy} would not promote it since {_moment(doubt.first_at)}: "
        f"{why}",
        source=f"promotion {doubt.promotion.id} in the ledger",
    )


def _since(
    arrivals: Mapping[str, Arrival | None], first_sight: datetime | None, now: datetime
) -> datetime | None:
    """Say since when an image soaks; None when it does not yet."""
    if not arrivals:
        return first_sight or now
    standing = [each.since for each in arrivals.values() if each and not each.is_undone]
    return max(standing) if len(standing) == len(arrivals) else None


def _soaked(
    soak: timedelta,
    image: ImageName,
    since: datetime | None,
    until: datetime | None,
    now: datetime,
) -> Reason:
    if since is None or until is None:
        found, verdict = "not there yet, so the time has not begun", Verdict.NOT_HELD
    else:
        found = f"there since {_moment(since)}, so until {_moment(until)}"
        verdict = Verdict.HELD if now >= until else Verdict.NOT_HELD
    return Reason(
        trigger=f"soak {written_duration(soak)}",
        verdict=str(verdict),
        expected=f"{written_duration(soak)} in {image.repository}",
        found=found,
        source=_LEDGER,
    )


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}Z"
