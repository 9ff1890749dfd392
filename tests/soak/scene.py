"""One schedule's repositories in the registries: filled, watched, and booby-trapped."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from image_promotion.ledger.ledger import Ledger
from image_promotion.policy.model import Policy
from sandbox.fault_proxy import Exchange, FaultProxy, Observer
from sandbox.faults import Fault, Head, Meanwhile
from sandbox.image_pusher import PushedImage
from tests.soak.misfortunes import Side
from tests.soak.others import Others
from tests.soak.rig import SOURCE, TARGET, Rig
from tests.soak.schedule import Deed, Moment, PlannedDeed, PlannedFault, Schedule
from tests.soak.tag_record import Look, TagChange, TagRecord
from tests.soak.timeline import Timeline

_TAG = re.compile(r"/manifests/(?!sha256[:-])([^/?]+)$")
_CREATED = 201


@dataclass(frozen=True, slots=True)
class RefusedTag:
    """The target itself, with no fault planned, refused a tag that the product wanted to set."""

    tag: str
    status: int
    at: datetime


@dataclass
class Scene:
    """The repositories of one schedule.

    Args:
        schedule: The schedule.
        rig: The registries; they are of nobody else as long as the scene is up.
        name: The policy's name, which is also the repositories'; no other scene has it.
        timeline: Takes all that happens.

    Attributes:
        images: What was pushed at first, in the order of the schedule's images.
        source: What the source's tags held.
        target: What the target's tags held.
        refused: The tags that the target refused to set.
        writes: When the product changed anything in the target.
        observers: Who else is told of each request.
    """

    schedule: Schedule
    rig: Rig
    name: str
    timeline: Timeline
    images: list[PushedImage] = field(default_factory=list, init=False)
    source: TagRecord = field(default_factory=TagRecord, init=False)
    target: TagRecord = field(default_factory=TagRecord, init=False)
    refused: list[RefusedTag] = field(default_factory=list, init=False)
    writes: list[datetime] = field(default_factory=list, init=False)
    observers: list[Observer] = field(default_factory=list, init=False)
    _names: dict[int, str] = field(default_factory=dict, init=False)
    _faults: list[Fault] = field(default_factory=list, init=False)
    _began: dict[int, datetime] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.source_repository = f"dev/{self.name}"
        self.target_repository = f"qa/{self.name}"
        self._developers = self._others(Side.SOURCE)
        self._people = self._others(Side.TARGET)

    @property
    def policy(self) -> Policy:
        """The policy."""
        return Policy.model_validate(
            {
                "name": self.name,
                "source": {"connection": SOURCE, "repository": self.source_repository},
                "target": {
                    "connection": TARGET,
                    "repository": self.target_repository,
                    "tag": self.schedule.template,
                    "timezone": "Europe/Berlin",
                    "existing_tag": str(self.schedule.existing_tag),
                },
                "triggers": [{"tag": {"ends_with": "-stable"}}],
            }
        )

    @contextmanager
    def up(self, ledger: Ledger | None) -> Iterator[None]:
        """Push the images and plant what goes wrong, until the context is left.

        Args:
            ledger: Tells others which target tag an image is about to get; None where its source
                tag alone says so.
        """
        self.fill()
        self.rig.source.observer = partial(self._observe, Side.SOURCE)
        self.rig.target.observer = partial(self._observe, Side.TARGET)
        try:
            for deed in self.schedule.deeds:
                self._plan_deed(deed, ledger)
            for fault in self.schedule.faults:
                self._plan_fault(fault)
            yield
        finally:
            for proxy in (self.rig.source, self.rig.target):
                proxy.observer = None
                proxy.heal()
                proxy.forget()

    def fill(self) -> None:
        """Push the images, and one that the policy does not want; others occupy target tags."""
        for number, image in enumerate(self.schedule.images):
            self.images.append(self._developers.push(image))
            if number in self.schedule.occupied:
                # A template with a time in it comes to a tag that nobody can know before.
                tag = self.schedule.template.replace("%n", image.tag)
                if "%" not in tag:
                    self._people.push(image, tag)
        self._developers.push(self.schedule.images[0], "unwanted-rc1")

    def move_sources(self) -> None:
        """Let developers move the source tags that the schedule says move later."""
        for number in sorted(self.schedule.moved_later):
            self._developers.push(self.schedule.images[number])

    def heal(self) -> None:
        """Let the registries be well, and others stay away, from now on."""
        self.rig.source.heal()
        self.rig.target.heal()
        self.timeline.note("proxies", "all is well from now on")

    def _others(self, side: Side) -> Others:
        is_source = side is Side.SOURCE
        repository = self.source_repository if is_source else self.target_repository
        return Others(
            side,
            self.rig.source if is_source else self.rig.target,
            repository,
            self.source if is_source else self.target,
            self.timeline,
            self.rig.auth(repository),
        )

    def _proxy(self, side: Side) -> FaultProxy:
        return self.rig.source if side is Side.SOURCE else self.rig.target

    def _observe(self, side: Side, exchange: Exchange, head: Head | None) -> None:
        self._note(side, exchange, head)
        for observer in self.observers:
            observer(exchange, head)

    def _note(self, side: Side, exchange: Exchange, head: Head | None) -> None:
        named = _TAG.search(exchange.target)
        if head is None:
            happens = self._names.get(id(exchange.fault), "")
            line = f"{exchange.line}   <- {happens}" if happens else exchange.line
            self._began[id(exchange)] = self.timeline.note(side, line)
            if named and exchange.method in ("GET", "HEAD"):
                record = self.source if side is Side.SOURCE else self.target
                record.note_look(Look(named[1], self._began[id(exchange)]))
            return
        if side is Side.SOURCE or exchange.method in ("GET", "HEAD"):
            return
        ended = self.timeline.now()
        self.writes.append(ended)
        if not named or exchange.method != "PUT":
            return
        if head.status == _CREATED:
            digest = dict(head.headers)["Docker-Content-Digest"]
            began = self._began[id(exchange)]
            self.target.note(TagChange(named[1], digest, began, ended, is_ours=True))
        elif not exchange.fault:
            self.refused.append(RefusedTag(named[1], head.status, ended))

    def _pattern(self, moment: Moment) -> str:
        image = self.images[moment.image]
        manifests = [image, *image.children]
        digests = "|".join(each.digest for each in manifests)
        blobs = "|".join(blob.digest.partition(":")[2] for each in manifests for blob in each.blobs)
        return (
            moment.ask.pattern.replace("TAG", re.escape(self.schedule.images[moment.image].tag))
            .replace("DIGEST", f"({digests})")
            .replace("BLOB", f"[^/]*({blobs})")
        )

    def _plan(self, moment: Moment, fault: Fault, name: str, times: int = 1) -> None:
        self._faults.append(fault)  # as long as it is kept, nothing else gets its id
        self._names[id(fault)] = name
        self._proxy(moment.ask.side).on(
            moment.ask.method, self._pattern(moment), fault, skip=moment.skip, times=times
        )

    def _plan_fault(self, planned: PlannedFault) -> None:
        challenge = self._challenge(planned.moment.ask.side)
        fault = planned.misfortune.fault(challenge)
        self._plan(planned.moment, fault, planned.misfortune.name, planned.times)

    def _challenge(self, side: Side) -> str:
        tokens = self.rig.tokens
        if tokens is None:
            return ""
        repository = self.source_repository if side is Side.SOURCE else self.target_repository
        actions = "pull" if side is Side.SOURCE else "pull,push"
        scope = f"repository:{repository}:{actions}"
        return f'Bearer realm="{tokens.realm}",service="{tokens.service}",scope="{scope}"'

    def _plan_deed(self, planned: PlannedDeed, ledger: Ledger | None) -> None:
        act = partial(self._do, planned.deed, planned.image, ledger)
        when = "when it is done" if planned.at_answer else "before it is done"
        self._plan(planned.moment, Meanwhile(act, planned.at_answer), f"{planned.deed}, {when}")

    def _do(self, deed: Deed, number: int, ledger: Ledger | None) -> None:
        image, first = self.schedule.images[number], self.images[number]
        match deed:
            case Deed.MOVE_SOURCE_TAG:
                self._developers.push(image)
            case Deed.DELETE_SOURCE_TAG:
                self._developers.delete(lambda: self.source.at_end().get(image.tag), deed)
            case Deed.SET_TARGET_TAG:
                if tag := self._target_tag(image.tag, ledger):
                    self._people.push(image, tag)
            case Deed.DELETE_TARGET_TAG:
                tag = self._target_tag(image.tag, ledger) or ""
                self._people.delete(lambda: self.target.at_end().get(tag), deed)
            case Deed.COLLECT_TARGET:
                self._people.delete(lambda: first.digest, deed)

    def _target_tag(self, source_tag: str, ledger: Ledger | None) -> str | None:
        """Return the tag that an image gets, or is about to get; None where nobody knows yet."""
        tag = self.schedule.template.replace("%n", source_tag)
        if "%" not in tag or ledger is None:
            return None if "%" in tag else tag
        history = ledger.history(policy=self.name, tag=source_tag)
        return next((each.promotion.target_tag for each in history if each.promotion), None)
