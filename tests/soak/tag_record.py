"""What the tags of a repository held, when, and who set them: what ledgers are held to."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class TagChange:
    """A tag was set, or taken away, at some instant between two moments.

    Attributes:
        tag: The tag.
        digest: What it holds since; None when it is gone.
        began: When the registry was asked.
        ended: When it had answered.
        is_ours: Whether the product did it, and not somebody else.
    """

    tag: str
    digest: str | None
    began: datetime
    ended: datetime
    is_ours: bool


@dataclass(frozen=True, slots=True)
class Look:
    """The product asked what a tag holds."""

    tag: str
    at: datetime


@dataclass
class TagRecord:
    """The changes of the tags of a repository, and the product's looks at them, in their order."""

    _changes: list[TagChange] = field(default_factory=list)
    _looks: list[Look] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, change: TagChange) -> None:
        """Note a change."""
        with self._lock:
            self._changes.append(change)

    def note_look(self, look: Look) -> None:
        """Note that the product asked for a tag."""
        with self._lock:
            self._looks.append(look)

    def changes(self, tag: str) -> list[TagChange]:
        """Return the changes of a tag, in their order."""
        with self._lock:
            found = [each for each in self._changes if each.tag == tag]
        return sorted(found, key=lambda each: each.ended)

    def ours(self) -> list[TagChange]:
        """Return what the product set, in its order."""
        with self._lock:
            found = [each for each in self._changes if each.is_ours]
        return sorted(found, key=lambda each: each.ended)

    def last_look(self, tag: str, before: datetime) -> datetime | None:
        """Return when the product last asked for a tag before a moment; None if it never did."""
        with self._lock:
            moments = [each.at for each in self._looks if each.tag == tag and each.at < before]
        return max(moments, default=None)

    def may_have_held(self, tag: str, digest: str | None, since: datetime, until: datetime) -> bool:
        """Say whether there may be an instant between two moments at which a tag held a digest.

        A change under way counts on both sides: who asks then may see either.
        """
        changes = self.changes(tag)
        if digest is None and (not changes or changes[0].ended >= since):
            return True
        for number, change in enumerate(changes):
            if change.digest != digest or change.began > until:
                continue
            if number + 1 == len(changes) or changes[number + 1].ended >= since:
                return True
        return False

    def holder(self, tag: str, before: datetime) -> TagChange | None:
        """Return the last change of a tag that had ended before a moment."""
        return next((c for c in reversed(self.changes(tag)) if c.ended < before), None)

    def at_end(self) -> Mapping[str, str]:
        """Return what each tag holds now."""
        with self._lock:
            changes = sorted(self._changes, key=lambda each: each.ended)
        last = {each.tag: each.digest for each in changes}
        return {tag: digest for tag, digest in last.items() if digest is not None}
