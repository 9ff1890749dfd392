"""What can go wrong with each kind of request that the product makes of a registry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from http import HTTPStatus

from sandbox.faults import (
    Answer,
    Corrupt,
    CutAnswer,
    CutRequest,
    Disconnect,
    Fault,
    LoseAnswer,
    Misreport,
    ReplaceHeaders,
    Shorten,
    Slow,
)

_LIE = "sha256:" + "0" * 64


class Side(StrEnum):
    """Which registry is asked."""

    SOURCE = "source"
    TARGET = "target"


class Ask(Enum):
    """A kind of request: the registry, the method, and a pattern of what is asked for.

    In the pattern, ``TAG`` stands for the image's tag, ``DIGEST`` for that of one of its manifests
    and ``BLOB`` for that of one of its blobs.
    """

    LIST = (Side.SOURCE, "GET", r"/tags/list")
    SOURCE_TAG = (Side.SOURCE, "HEAD", r"/manifests/TAG$")
    SOURCE_MANIFEST = (Side.SOURCE, "GET", r"/manifests/DIGEST$")
    SOURCE_BLOB = (Side.SOURCE, "GET", r"/blobs/BLOB$")
    SOURCE_ATTACHMENTS = (Side.SOURCE, "GET", r"/referrers/")
    TARGET_BLOB = (Side.TARGET, "HEAD", r"/blobs/BLOB$")
    UPLOAD = (Side.TARGET, "POST", r"/blobs/uploads/")
    BLOB = (Side.TARGET, "PUT", r"/blobs/uploads/.*BLOB")
    MANIFEST = (Side.TARGET, "PUT", r"/manifests/DIGEST$")
    TARGET_TAG = (Side.TARGET, "HEAD", r"/manifests/v?TAG")
    TARGET_MANIFEST = (Side.TARGET, "GET", r"/manifests/DIGEST$")
    SET_TAG = (Side.TARGET, "PUT", r"/manifests/v?TAG")
    READ_TAG = (Side.TARGET, "GET", r"/manifests/v?TAG")

    @property
    def side(self) -> Side:
        """The registry that is asked."""
        return self.value[0]

    @property
    def method(self) -> str:
        """The method of the request."""
        return self.value[1]

    @property
    def pattern(self) -> str:
        """The pattern of what is asked for."""
        return self.value[2]


@dataclass(frozen=True, slots=True)
class Misfortune:
    """Something that goes wrong.

    Attributes:
        name: What people call it.
        fault: What the proxy does; given the challenge by which the registry asks for a token.
        needs_tokens: Whether it can only happen where the registry wants tokens.
    """

    name: str
    fault: Callable[[str], Fault]
    needs_tokens: bool = False


def _of(name: str, fault: Fault) -> Misfortune:
    return Misfortune(name, lambda _challenge: fault)


def _answer(status: HTTPStatus, code: str = "", **headers: str) -> Fault:
    body = b'{"errors": [{"code": "%b"}]}' % code.encode() if code else b""
    return Answer(status, body, {each.replace("_", "-"): text for each, text in headers.items()})


def _expired(challenge: str) -> Fault:
    told = f'{challenge},error="invalid_token"'
    return Answer(HTTPStatus.UNAUTHORIZED, b"{}", {"WWW-Authenticate": told})


_BUSY, _DOWN = HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE

ANY = (
    _of("429", _answer(_BUSY, "TOOMANYREQUESTS")),
    _of("429 that asks for 2 s", _answer(_BUSY, "TOOMANYREQUESTS", Retry_After="2")),
    _of("429 that asks for an hour", _answer(_BUSY, "TOOMANYREQUESTS", Retry_After="3600")),
    _of("500", _answer(HTTPStatus.INTERNAL_SERVER_ERROR, "UNKNOWN")),
    _of("502", _answer(HTTPStatus.BAD_GATEWAY)),
    _of("503 that asks for 1 s", _answer(_DOWN, Retry_After="1")),
    _of("504", _answer(HTTPStatus.GATEWAY_TIMEOUT)),
    _of("a reset before the answer", Disconnect()),
    _of("a reset when it is done", LoseAnswer()),
    _of("a slow answer", Slow(0.01)),
    Misfortune("an expired token", _expired, needs_tokens=True),
)
"""What can happen to every request."""

_IN_BODY = (
    _of("a reset at the answer's body", CutAnswer(0)),
    _of("a reset within the answer's body", CutAnswer(90)),
    _of("an answer cut short that says it is whole", Shorten(40)),
    _of("a wrong byte at the beginning", Corrupt(0)),
    _of("a wrong byte further on", Corrupt(150)),
)

_IN_HEAD = (
    _of("a wrong digest in the head", ReplaceHeaders({"Docker-Content-Digest": _LIE})),
    _of("no digest in the head", ReplaceHeaders({"Docker-Content-Digest": None})),
)

_WRITING = (
    _of("502 although it is done", Misreport(HTTPStatus.BAD_GATEWAY)),
    _of("500 although it is done", Misreport(HTTPStatus.INTERNAL_SERVER_ERROR)),
)

_UPLOADING = (
    _of("a reset before the request's body", CutRequest(0)),
    _of("a reset within the request's body", CutRequest(700)),
    _of("a lost upload session", _answer(HTTPStatus.NOT_FOUND, "BLOB_UPLOAD_UNKNOWN")),
    _of("an upload session that is broken", _answer(HTTPStatus.BAD_REQUEST, "BLOB_UPLOAD_INVALID")),
)

FAULTS: Mapping[Ask, tuple[Misfortune, ...]] = {
    Ask.LIST: (*ANY, *_IN_BODY),
    Ask.SOURCE_TAG: (*ANY, *_IN_HEAD),
    Ask.SOURCE_MANIFEST: (*ANY, *_IN_BODY, *_IN_HEAD),
    Ask.SOURCE_BLOB: (*ANY, *_IN_BODY, *_IN_BODY),
    Ask.SOURCE_ATTACHMENTS: ANY,
    Ask.TARGET_BLOB: ANY,
    Ask.UPLOAD: (*ANY, *_WRITING),
    Ask.BLOB: (*ANY, *_WRITING, *_UPLOADING, *_UPLOADING),
    Ask.MANIFEST: (*ANY, *_WRITING, *_IN_HEAD),
    Ask.TARGET_TAG: (*ANY, *_IN_HEAD),
    Ask.TARGET_MANIFEST: (*ANY, *_IN_BODY),
    Ask.SET_TAG: (*ANY, *_WRITING, *_WRITING, *_IN_HEAD),
    Ask.READ_TAG: (*ANY, *_IN_BODY, *_IN_HEAD),
}
