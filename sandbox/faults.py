"""What a fault proxy can do to a request: answer in the registry's place, break off, lie, hold.

A fault sees one exchange in four steps: before the registry hears of it, the request's body, the
head of the answer, the answer's body. Each kind overrides the steps it changes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

_HOLD_TIMEOUT_S = 600.0


class BrokenOffError(ConnectionError):
    """Raised by a fault: both connections are closed at once, without another byte."""


@dataclass(frozen=True, slots=True)
class Head:
    """The status and the header fields of an answer."""

    status: int
    headers: tuple[tuple[str, str], ...]

    def replaced(self, headers: Mapping[str, str | None]) -> Head:
        """Give a head with other values of some fields; None takes a field away."""
        names = {name.lower() for name in headers}
        kept = tuple(pair for pair in self.headers if pair[0].lower() not in names)
        new = tuple((name, value) for name, value in headers.items() if value is not None)
        return Head(self.status, kept + new)


class Fault:
    """What happens to a request; this one lets it pass. Kinds override what they change."""

    def instead(self) -> tuple[Head, bytes] | None:
        """Give the answer that is sent in place of the registry's; None asks the registry."""
        return None

    def request(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Give the request's body as it reaches the registry."""
        return pieces

    def head(self, head: Head) -> Head:
        """Give the head of the registry's answer as it reaches the client."""
        return head

    def answer(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Give the body of the registry's answer as it reaches the client."""
        return pieces

    def release(self) -> None:
        """Let go of whatever is held; the proxy calls it when it ends."""


@dataclass(frozen=True)
class Answer(Fault):
    """The registry is not asked; this is answered.

    Args:
        status: The HTTP status.
        body: The body.
        headers: Header fields; Content-Length is added.
    """

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    def instead(self) -> tuple[Head, bytes]:
        """Give it."""
        head = Head(self.status, tuple(self.headers.items()))
        return head.replaced({"Content-Length": str(len(self.body))}), self.body


class Disconnect(Fault):
    """The connection closes when the request's head has come; the registry hears nothing."""

    def instead(self) -> None:
        """Close it."""
        raise BrokenOffError


@dataclass(frozen=True)
class CutRequest(Fault):
    """The connections close when so many bytes of the request's body have reached the registry."""

    after_bytes: int

    def request(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Give the beginning, then break off."""
        yield from _first_bytes(pieces, self.after_bytes)
        raise BrokenOffError


class LoseAnswer(Fault):
    """The registry does what it is asked, and the connection closes before its answer."""

    def head(self, head: Head) -> Head:
        """Break off."""
        raise BrokenOffError(head.status)


@dataclass(frozen=True)
class CutAnswer(Fault):
    """The connection closes after so many bytes of the answer's body; its length was announced."""

    after_bytes: int

    def answer(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Give the beginning, then break off."""
        yield from _first_bytes(pieces, self.after_bytes)
        raise BrokenOffError


@dataclass(frozen=True)
class Shorten(Fault):
    """The answer's body ends after so many bytes, and Content-Length says that it is whole."""

    to_bytes: int

    def head(self, head: Head) -> Head:
        """Announce the shorter length."""
        return head.replaced({"Content-Length": str(self.to_bytes)})

    def answer(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Give the beginning."""
        yield from _first_bytes(pieces, self.to_bytes)


@dataclass(frozen=True)
class Corrupt(Fault):
    """One byte of the answer's body is another one, at this position from 0."""

    at_byte: int = 0

    def answer(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Give the body with one byte changed."""
        position = 0
        for piece in pieces:
            offset = self.at_byte - position
            position += len(piece)
            if 0 <= offset < len(piece):
                yield piece[:offset] + bytes([piece[offset] ^ 0xFF]) + piece[offset + 1 :]
            else:
                yield piece


@dataclass(frozen=True)
class ReplaceHeaders(Fault):
    """The answer's head says something else: a lie in Docker-Content-Digest, say."""

    headers: Mapping[str, str | None]

    def head(self, head: Head) -> Head:
        """Replace the fields."""
        return head.replaced(self.headers)


@dataclass(frozen=True)
class Misreport(Fault):
    """The registry does what it is asked, and a gateway before it answers with another status."""

    status: int

    def head(self, head: Head) -> Head:
        """Replace the status."""
        return Head(self.status, head.headers)


@dataclass(frozen=True)
class Slow(Fault):
    """The answer takes its time, and its body comes in small pieces.

    Args:
        pause_s: Before the head, and again before each piece of the body, in seconds.
        piece_bytes: The size of a piece.
    """

    pause_s: float
    piece_bytes: int = 4096

    def head(self, head: Head) -> Head:
        """Wait."""
        time.sleep(self.pause_s)
        return head

    def answer(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Give the body in small pieces."""
        for piece in pieces:
            for start in range(0, len(piece), self.piece_bytes):
                time.sleep(self.pause_s)
                yield piece[start : start + self.piece_bytes]


@dataclass(frozen=True)
class Meanwhile(Fault):
    """Something else happens while the request is on its way; the request itself passes.

    Args:
        act: What happens.
        at_answer: When the registry has done what it was asked, and before the client knows; else
            before the registry hears of it.
    """

    act: Callable[[], None]
    at_answer: bool = False

    def instead(self) -> None:
        """Let it happen now, unless later."""
        if not self.at_answer:
            self.act()

    def head(self, head: Head) -> Head:
        """Let it happen now, unless it has."""
        if self.at_answer:
            self.act()
        return head


class Hold(Fault):
    """The request waits until it is released, so that something can happen at that very moment.

    Args:
        after_bytes: Wait when so many bytes of the body have reached the registry; None to wait
            before the registry hears anything.
        at_answer: Wait instead when the registry has done it and answered.
    """

    def __init__(self, *, after_bytes: int | None = None, at_answer: bool = False) -> None:
        self._after_bytes = after_bytes
        self._at_answer = at_answer
        self._arrived = threading.Semaphore(0)
        self._released = threading.Event()
        self._is_dropped = False

    def wait(self, timeout_s: float = 120.0) -> None:
        """Wait until a request is held that no call before was about.

        Args:
            timeout_s: How long at most, in seconds.

        Raises:
            TimeoutError: None came.
        """
        if not self._arrived.acquire(timeout=timeout_s):
            raise TimeoutError(f"no request was held within {timeout_s:.0f} s")

    def release(self) -> None:
        """Let the held request pass, and all that come later."""
        self._released.set()

    def drop(self) -> None:
        """Break the held request off, and all that come later; nothing more of it passes."""
        self._is_dropped = True
        self._released.set()

    def instead(self) -> None:
        """Wait here, unless at another moment."""
        if self._after_bytes is None and not self._at_answer:
            self._hold()

    def request(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Wait within the body, if that is the moment."""
        left = self._after_bytes
        for piece in pieces:
            rest = piece
            if left is not None and len(piece) >= left:
                if left:
                    yield piece[:left]
                # Resumed when the piece is sent: now so many bytes have reached the registry.
                self._hold()
                rest, left = piece[left:], None
            elif left is not None:
                left -= len(piece)
            if rest:
                yield rest

    def head(self, head: Head) -> Head:
        """Wait before the answer, if that is the moment."""
        if self._at_answer:
            self._hold()
        return head

    def _hold(self) -> None:
        self._arrived.release()
        if not self._released.wait(_HOLD_TIMEOUT_S) or self._is_dropped:
            raise BrokenOffError


def _first_bytes(pieces: Iterator[bytes], count: int) -> Iterator[bytes]:
    """Give the first so many bytes; the pieces are of no use afterwards."""
    left = count
    while left and (piece := next(pieces, b"")):
        yield piece[:left]
        left -= len(piece[:left])
