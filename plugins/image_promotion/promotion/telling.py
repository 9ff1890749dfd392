"""What people are told after a run: what happened to which image, why, and what they can do.

Each thing is told once to each notifier, whatever is retried or cleared: what was told is noted in
the ledger, after it was told.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.records import HistoryEntry, Kind, Outcome, Promotion, Run, State
from image_promotion.policy.governance import Notification, NotifyOn
from image_promotion.policy.model import Policy
from image_promotion.promotion.decision import in_one_line
from image_promotion.promotion.scanning import EXISTING_IMAGE_IGNORED

SHOWN = 20
"""So many images a message names; the others it counts."""

LOOKED_BACK = timedelta(days=7)
"""How old a rollback may be to be told: it may have been done by hand, between two runs."""

DIGEST_CHARACTERS = len("sha256:") + 12


@dataclass(frozen=True, slots=True)
class ToldImage:
    """One image in a message.

    Attributes:
        source: Where it comes from, as ``repository:tag``.
        digest: Its digest there.
        target: Where it went or was to go, as ``repository:tag``; empty where that is open.
        why: What happened, or why it did not, in one line.
        subject: What tells this from everything else that is told of such an event.
    """

    source: str
    digest: str
    target: str
    why: str
    subject: str

    def __str__(self) -> str:
        arrow = f" -> {self.target}" if self.target else ""
        name = f"{self.source}@{self.digest[:DIGEST_CHARACTERS]}" if self.digest else self.source
        return f"{name}{arrow}: {self.why}" if self.why else f"{name}{arrow}"


@dataclass(frozen=True, slots=True)
class Notice:
    """A message about one kind of event.

    Attributes:
        policy: The policy.
        event: The kind of event.
        title: The message in one line.
        text: All of it: what, which images, why, what to do, where to look.
        images: The images it is about, all of them.
        run_url: Where the run can be looked at; empty where that is not known.
        subjects: What is noted once it is told.
    """

    policy: str
    event: NotifyOn
    title: str
    text: str
    images: tuple[ToldImage, ...]
    run_url: str
    subjects: tuple[str, ...]


_TITLES = {
    NotifyOn.PROMOTED: "promoted",
    NotifyOn.FAILED: "failed",
    NotifyOn.REJECTED: "rejected",
    NotifyOn.WAITING: "waiting",
    NotifyOn.RECHECK_FAILED: "no longer passing",
    NotifyOn.ROLLED_BACK: "rolled back",
}
_WHAT_TO_DO = {
    NotifyOn.PROMOTED: "",
    NotifyOn.FAILED: "What succeeded stays promoted. The next run tries the others again; the "
    "task's log says what the registry answered.",
    NotifyOn.REJECTED: "Push an image that fulfils the policy. `promotion explain {policy} TAG` "
    "shows the evidence.",
    NotifyOn.WAITING: "Provide what is missing; each run asks again. `promotion explain {policy} "
    "TAG` says what that is.",
    NotifyOn.RECHECK_FAILED: "Promote a repaired image, state why it is not affected (VEX or "
    "evidence.exceptions), or set the tag back: `promotion rollback {policy} --tag TAG`.",
    NotifyOn.ROLLED_BACK: "The image that was taken away is not promoted there again.",
}


def notices(
    policy: Policy,
    notification: Notification,
    *,
    ledger: Ledger,
    run: Run | None,
    now: datetime,
    run_url: str = "",
    failed_tasks: Sequence[str] = (),
) -> list[Notice]:
    """Return what is to be told to one notifier after a run, and was not told before.

    Args:
        policy: The policy, as its file says it now.
        notification: Whom to tell, and of what.
        ledger: The ledger; it is only read.
        run: The run; None when the ledger does not know it, since it could not even begin.
        now: The present moment.
        run_url: Where the run can be looked at.
        failed_tasks: The tasks that did not get through, those of single images left out.

    Returns:
        One message for each kind of event of which there is something to tell.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    whom = _identity(notification)
    happened = _Happenings(policy, notification, ledger, run, now, failed_tasks)
    found = []
    for event in map(NotifyOn, dict.fromkeys(notification.on)):
        images = {f"{whom}/{each.subject}": each for each in happened.of(event)}
        told = ledger.notices.told(policy.name, event, images)
        new = {subject: image for subject, image in images.items() if subject not in told}
        if new:
            found.append(_notice(policy, event, tuple(new.values()), tuple(new), run_url))
    return found


def _notice(
    policy: Policy,
    event: NotifyOn,
    images: tuple[ToldImage, ...],
    subjects: tuple[str, ...],
    run_url: str,
) -> Notice:
    count = "1 image" if len(images) == 1 else f"{len(images)} images"
    title = f"{policy.name}: {count} {_TITLES[event]}"
    lines = [title, *(f"- {each}" for each in images[:SHOWN])]
    if len(images) > SHOWN:
        lines.append(f"- and {len(images) - SHOWN} more")
    if advice := _WHAT_TO_DO[event].format(policy=policy.name):
        lines.append(advice)
    if run_url:
        lines.append(f"Run: {run_url}")
    return Notice(policy.name, event, title, "\n".join(lines), images, run_url, subjects)


@dataclass(frozen=True, slots=True)
class _Happenings:
    """What happened in a run and around it; the fields are the arguments of `notices`."""

    policy: Policy
    notification: Notification
    ledger: Ledger
    run: Run | None
    now: datetime
    failed_tasks: Sequence[str]

    def of(self, event: NotifyOn) -> Iterator[ToldImage]:
        """Yield what happened of a kind, told or not."""
        match event:
            case NotifyOn.PROMOTED:
                return self._promoted()
            case NotifyOn.FAILED:
                return self._failed()
            case NotifyOn.REJECTED:
                return self._rejected()
            case NotifyOn.WAITING:
                return self._waiting()
            case NotifyOn.RECHECK_FAILED:
                return self._recheck_failed()
            case NotifyOn.ROLLED_BACK:
                return self._rolled_back()

    def _promoted(self) -> Iterator[ToldImage]:
        for each in self._promotions():
            if each.state is State.VERIFIED and each.kind is Kind.PROMOTION:
                why = f"verified in {each.target_registry}"
                yield _of_promotion(each, why, f"promotion/{each.id}")

    def _failed(self) -> Iterator[ToldImage]:
        for each in self._promotions():
            if each.state is State.FAILED:
                subject = f"promotion/{each.id}/{each.failed_in}/{_gist(each.error)}"
                yield _of_promotion(each, f"{each.failed_in} and no further: {each.error}", subject)
        for entry in self._entries(Outcome.CONFLICT):
            yield _of_entry(entry, f"decision/{entry.decision.id}")
        if self.failed_tasks:
            names = ", ".join(self.failed_tasks)
            # What lasts is told again each day, not each run.
            subject = f"tasks/{names}/{self.now:%Y-%m-%d}"
            why = f"tasks did not get through: {names}"
            yield ToldImage(self.policy.source.repository, "", "", why, subject)

    def _rejected(self) -> Iterator[ToldImage]:
        for entry in self._entries(Outcome.REJECT):
            if EXISTING_IMAGE_IGNORED not in entry.decision.reasons:
                yield _of_entry(entry, f"decision/{entry.decision.id}")

    def _waiting(self) -> Iterator[ToldImage]:
        for entry in self._entries(Outcome.WAIT):
            seen = entry.observation
            if self.now - seen.first_seen_at > self.notification.waiting_longer_than:
                since = f"since {seen.first_seen_at:%Y-%m-%d %H:%M}Z: "
                yield _of_entry(entry, f"observation/{seen.id}", since)

    def _recheck_failed(self) -> Iterator[ToldImage]:
        looks = {each.promotion.id: each for each in self.ledger.rechecks.failing(self.policy.name)}
        # What was rolled back at once is in its place no longer.
        looks |= {
            each.promotion.id: each
            for each in (self.ledger.rechecks.of_run(self.run.key) if self.run else ())
            if each.outcome is Outcome.REJECT
        }
        names = self.ledger.rechecks.episodes(looks.values())
        for promotion_id, look in looks.items():
            yield _of_promotion(look.promotion, in_one_line(look.reasons), names[promotion_id])

    def _rolled_back(self) -> Iterator[ToldImage]:
        since = self.now - LOOKED_BACK
        for each in self.ledger.notices.rollbacks(self.policy.name, since=since):
            why = f"set back from {_short(each.former_digest)}: {each.reason}"
            yield _of_promotion(each.promotion, why, f"promotion/{each.promotion.id}")

    def _promotions(self) -> Sequence[Promotion]:
        return self.ledger.run_promotions(self.run) if self.run else ()

    def _entries(self, outcome: Outcome) -> Iterator[HistoryEntry]:
        """Yield what the run decided so about images that are still there."""
        if self.run is None:
            return
        decided = {each.id for each in self.ledger.run_decisions(self.run)}
        for entry in self.ledger.standings(self.policy.name):
            if entry.decision.id in decided and entry.decision.outcome is outcome:
                yield entry


def _of_promotion(promotion: Promotion, why: str, subject: str) -> ToldImage:
    return ToldImage(
        source=f"{promotion.source_repository}:{promotion.source_tag}",
        digest=promotion.digest,
        target=f"{promotion.target_repository}:{promotion.target_tag}",
        why=why,
        subject=subject,
    )


def _of_entry(entry: HistoryEntry, subject: str, since: str = "") -> ToldImage:
    seen = entry.observation
    why = in_one_line(entry.decision.reasons)
    return ToldImage(
        source=f"{seen.repository}:{seen.tag}",
        digest=seen.digest,
        target="",
        why=f"{since}{why}",
        subject=subject,
    )


def _short(digest: str | None) -> str:
    return digest[:DIGEST_CHARACTERS] if digest else "nothing"


def _gist(error: str) -> str:
    """Return what an error says but for its numbers, which differ from try to try."""
    return re.sub(r"[0-9a-f-]{8,}|[0-9]+", "#", error)


def _identity(notification: Notification) -> str:
    """Return what tells one notifier of a policy from the others."""
    content = notification.model_dump(mode="json", include={"notifier", "arguments"})
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
