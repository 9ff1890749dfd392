"""The one place where failed exchanges over HTTP become the project's own errors.

Two functions: ``from_exception`` for requests that got no (whole) answer, total over everything
that httpx can raise, and ``from_response`` for answers that say no. Both take the ``Attempt`` they
are about. Decisions are taken on types, status codes and OpenSSL's numbers, never on the text of a
message.

Source: OCI Distribution Specification 1.1, "Error Codes"; RFC 9110, "Status Codes".
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from http import HTTPStatus
from urllib.parse import quote

import httpx

from image_promotion.errors import (
    NOTHING_IN_PARTICULAR,
    AuthenticationError,
    DeniedError,
    NotFoundError,
    ProtocolViolationError,
    RateLimitedError,
    RegistryCode,
    RegistryError,
    Subject,
    UnreachableError,
)
from image_promotion.registry.destinations import DestinationError
from image_promotion.registry.document import read_fields
from image_promotion.registry.retry import parse_retry_after

MAX_ERROR_BODY_BYTES = 64 * 1024

RETRYABLE_STATUSES = frozenset({408, 429, 500, 502, 503, 504})

# Everything that httpx documents as raised by itself: its tree has four roots.
HTTPX_ERRORS = (httpx.HTTPError, httpx.InvalidURL, httpx.CookieConflict, httpx.StreamError)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request, as far as an error needs to know it.

    Args:
        action: What it was for, as in "reading the manifest".
        method: Its HTTP method.
        url: Its URL as it was sent; only its redacted form reaches an error.
        subject: The registry, repository, tag and digest it was about.
    """

    action: str
    method: str
    url: httpx.URL
    subject: Subject = NOTHING_IN_PARTICULAR


class Cause(StrEnum):
    """Why no answer came, where more is known than that none came."""

    NAME_NOT_FOUND = "name_not_found"
    REFUSED = "refused"
    TIMED_OUT = "timed_out"
    CERTIFICATE = "certificate"
    NOT_TLS = "not_tls"
    PROXY = "proxy"
    BROKEN = "broken"


def from_exception(error: BaseException, attempt: Attempt) -> RegistryError:
    """Say in the project's words what httpx raised.

    Args:
        error: What was raised; every kind of HTTPX_ERRORS, and anything below it.
        attempt: The request that it ended.

    Returns:
        The error to raise from it.
    """
    if isinstance(error, (httpx.DecodingError, httpx.TooManyRedirects)):
        return violation(attempt, "the answer cannot be decoded, or redirects for ever")
    for reason in _reasons(error):
        if isinstance(reason, DestinationError):
            return violation(attempt, f"nothing was asked: {reason}")
    if isinstance(error, (httpx.InvalidURL, httpx.UnsupportedProtocol)):
        return violation(attempt, "the address is not an http or https URL")
    ours = isinstance(error, httpx.LocalProtocolError)
    if isinstance(error, (httpx.TransportError, ssl.SSLError)) and not ours:
        cause = cause_of(error)
        return UnreachableError(
            f"{attempt.action} failed: {_why_no_answer(cause, error, attempt.url)}",
            method=attempt.method,
            url=redacted(attempt.url),
            subject=attempt.subject,
            advice=_ADVICE.get(cause, ""),
            retryable=cause not in (Cause.CERTIFICATE, Cause.NOT_TLS),
        )
    # What is left are requests that we ourselves made wrongly (an illegal header, a stream read
    # twice), which no retry helps. Such an error may quote a header, so its kind alone is told.
    return RegistryError(
        f"{attempt.action} failed: the request could not be made ({type(error).__name__})",
        method=attempt.method,
        url=redacted(attempt.url),
        subject=attempt.subject,
    )


def cause_of(error: BaseException) -> Cause:
    """Find the reason below an error: one of httpx, or one of ours raised from it."""
    reasons = tuple(_reasons(error))
    for kind, cause in _CAUSES_BY_KIND:
        if any(isinstance(reason, kind) for reason in reasons):
            return cause
    # An SSLError that Python makes by itself, not from OpenSSL's, lacks the attribute.
    if any(getattr(r, "reason", None) in _NOT_TLS_REASONS for r in reasons):
        return Cause.NOT_TLS
    return Cause.BROKEN


def from_response(
    attempt: Attempt,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    understood_as: int | None = None,
) -> RegistryError:
    """Say in the project's words what an answer that is no success means.

    Args:
        attempt: The request.
        status: The answer's HTTP status.
        headers: The answer's header fields; their names are looked up in lower case.
        body: The answer's body, of which MAX_ERROR_BODY_BYTES at most were read.
        understood_as: The status whose meaning the answer has, where that is not its own.

    Returns:
        The error to raise.

    Source: OCI Distribution Specification 1.1, "Error Codes"; RFC 9110, "Status Codes".
    """
    meaning = status if understood_as is None else understood_as
    reason = f"{attempt.action} failed: {_in_words(meaning)}"
    retry_after_s = parse_retry_after(headers.get("retry-after"), datetime.now(UTC))
    # A 503 with Retry-After asks the same of us as a 429: to come back later.
    asked_to_wait = meaning == HTTPStatus.SERVICE_UNAVAILABLE and retry_after_s is not None
    if meaning == HTTPStatus.TOO_MANY_REQUESTS or asked_to_wait:
        return RateLimitedError(
            reason,
            retry_after_s=retry_after_s,
            method=attempt.method,
            url=redacted(attempt.url),
            status=status,
            codes=_codes(body),
            subject=attempt.subject,
        )
    if meaning not in _STATUSES_OF_GATEWAYS and is_web_page(headers, body):
        return violation(attempt, NOT_A_REGISTRY, status=status, advice=CHECK_ADDRESS)
    if not HTTPStatus.BAD_REQUEST <= meaning < _END_OF_STATUSES:
        return violation(attempt, _in_words(meaning), status=status)
    kind, advice = _KINDS.get(meaning, (RegistryError, ""))
    codes = _codes(body)
    may_pass = any(each.code in _CODES_THAT_MAY_PASS for each in codes)
    return kind(
        reason,
        method=attempt.method,
        url=redacted(attempt.url),
        status=status,
        codes=codes,
        subject=attempt.subject,
        advice=advice,
        retryable=may_pass or meaning in RETRYABLE_STATUSES,
    )


def violation(
    attempt: Attempt,
    why: str,
    *,
    status: int | None = None,
    codes: tuple[RegistryCode, ...] = (),
    advice: str = "",
) -> ProtocolViolationError:
    """Return the error for an answer that the specification does not allow.

    Args:
        attempt: The request.
        why: What is wrong with the answer, as a clause.
        status: The answer's HTTP status.
        codes: What the registry said besides.
        advice: What the reader can do about it.
    """
    return ProtocolViolationError(
        f"{attempt.action} failed: {why}",
        method=attempt.method,
        url=redacted(attempt.url),
        status=status,
        codes=codes,
        subject=attempt.subject,
        advice=advice,
    )


def is_web_page(headers: Mapping[str, str], body: bytes) -> bool:
    """Tell whether an answer is an HTML page, which a registry never sends."""
    if not body:
        return False  # answers to HEAD often carry the framework's default content type
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    return media_type in _WEB_PAGE_TYPES or body.lstrip()[:1] == b"<"


def redacted(url: httpx.URL) -> str:
    """Return a URL without user info and without the values of its query.

    Redirects and uploads carry signatures in their queries, with which anybody could read or write.
    """
    path = url.raw_path.partition(b"?")[0]  # still percent-encoded: no line ends from strangers
    names = "&".join(f"{quote(name)}=***" for name in url.params)
    return f"{url.scheme}://{(url.netloc + path).decode('ascii')}{'?' if names else ''}{names}"


def _reasons(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and everything below it: its cause or context, and the members of groups."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        reason = waiting.pop()
        if reason is None or id(reason) in seen:
            continue
        seen.add(id(reason))
        yield reason
        waiting.append(reason.__cause__ or reason.__context__)
        if isinstance(reason, BaseExceptionGroup):
            waiting += reason.exceptions


def _why_no_answer(cause: Cause, error: BaseException, url: httpx.URL) -> str:
    return _CAUSES_IN_WORDS[cause].format(
        name=url.host,
        host=url.netloc.decode("ascii"),
        fault=_certificate_fault(error) if cause is Cause.CERTIFICATE else "",
    )


def _certificate_fault(error: BaseException) -> str:
    for reason in _reasons(error):
        if isinstance(reason, ssl.SSLCertVerificationError):
            code: int = getattr(reason, "verify_code", 0)  # see cause_of
            message: str = getattr(reason, "verify_message", "it cannot be verified")
            return _CERTIFICATE_FAULTS.get(code, message)
    return "it cannot be verified"


def _in_words(status: int) -> str:
    return _STATUSES_IN_WORDS.get(status, f"the answer was the HTTP status {status}")


def _codes(body: bytes) -> tuple[RegistryCode, ...]:
    """Read the entries of an error body; none when it is not one, which is no second error."""
    try:
        entries = read_fields(body, "the error").each_fields("errors")
        return tuple(
            RegistryCode(
                _on_one_line(entry.text("code")),
                _on_one_line(entry.optional_text("message") or ""),
            )
            for entry in entries[:_MOST_CODES]
        )
    except ProtocolViolationError:
        return ()


def _on_one_line(text: str) -> str:
    """Return a stranger's text fit for a log: no line ends, no control characters, not endless."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return printable if len(printable) <= _LONGEST_TEXT else printable[:_LONGEST_TEXT] + "..."


NOT_A_REGISTRY = "it answered with a web page where a registry answers with JSON"
CHECK_ADDRESS = "Check host and port: this does not look like a registry."

_MOST_CODES = 5
_LONGEST_TEXT = 300
_END_OF_STATUSES = 600
_WEB_PAGE_TYPES = ("text/html", "application/xhtml+xml")

# What a manifest names was there a moment ago. CNCF distribution loses sight of a blob while a
# second push writes it; and where a clean-up took it, the task's next attempt copies it again.
_CODES_THAT_MAY_PASS = frozenset({"MANIFEST_BLOB_UNKNOWN"})

# Proxies in front of registries send web pages with these statuses, and mean what they say.
_STATUSES_OF_GATEWAYS = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN} | RETRYABLE_STATUSES

_KINDS: Mapping[int, tuple[type[RegistryError], str]] = {
    HTTPStatus.UNAUTHORIZED: (
        AuthenticationError,
        "Check the user name and the password or access token of the connection.",
    ),
    HTTPStatus.FORBIDDEN: (
        DeniedError,
        "Ask for the right to do this, or use another account in the connection.",
    ),
    HTTPStatus.NOT_FOUND: (
        NotFoundError,
        (
            "Check the name in the policy and the namespace of the connection. Some registries "
            "want a repository to be made first, and some hide what the account may not see."
        ),
    ),
}

_STATUSES_IN_WORDS: Mapping[int, str] = {
    HTTPStatus.UNAUTHORIZED: "it does not accept who we say we are",
    HTTPStatus.FORBIDDEN: "it does not allow this",
    HTTPStatus.NOT_FOUND: "it has no such thing",
    HTTPStatus.REQUEST_TIMEOUT: "it waited too long for our request",
    HTTPStatus.TOO_MANY_REQUESTS: "it asks us to slow down",
    HTTPStatus.INTERNAL_SERVER_ERROR: "it has an internal error",
    HTTPStatus.BAD_GATEWAY: "the gateway in front of it got no answer from it",
    HTTPStatus.SERVICE_UNAVAILABLE: "it is not available now",
    HTTPStatus.GATEWAY_TIMEOUT: "the gateway in front of it waited too long for it",
}

# In this order: a proxy may be what refuses, a refused certificate is also an OSError, and a
# timeout may wrap anything.
_CAUSES_BY_KIND: tuple[tuple[type[BaseException], Cause], ...] = (
    (httpx.ProxyError, Cause.PROXY),
    (ssl.SSLCertVerificationError, Cause.CERTIFICATE),
    (socket.gaierror, Cause.NAME_NOT_FOUND),
    (ConnectionRefusedError, Cause.REFUSED),
    (httpx.TimeoutException, Cause.TIMED_OUT),
)

# What OpenSSL calls it when the other side's first bytes are no TLS record: the first name up to
# version 3.1, the other two from 3.2 on.
_NOT_TLS_REASONS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")

# X509_V_ERR_* of OpenSSL's x509_vfy.h.
_CERTIFICATE_FAULTS: Mapping[int, str] = {
    9: "it is not valid yet",
    10: "it has expired",
    18: "it is signed by itself, and not trusted here",
    19: "its chain ends in a certificate authority that is not trusted here",
    20: "its certificate authority is not trusted here",
    21: "its certificate authority is not trusted here",
    23: "it has been revoked",
    62: "it was issued for another host name",
    64: "it was issued for another IP address",
}

_CAUSES_IN_WORDS: Mapping[Cause, str] = {
    Cause.NAME_NOT_FOUND: "the name {name} cannot be resolved (DNS)",
    Cause.REFUSED: "{host} refuses the connection: nothing listens there",
    Cause.TIMED_OUT: "{host} did not answer in time",
    Cause.CERTIFICATE: "the TLS certificate of {host} is not accepted: {fault}",
    Cause.NOT_TLS: "{host} does not speak TLS",
    Cause.PROXY: "the proxy on the way to {host} does not let us through",
    Cause.BROKEN: "the connection to {host} broke",
}

_ADVICE: Mapping[Cause, str] = {
    Cause.NAME_NOT_FOUND: "Check the host, and the DNS of the machine that asks.",
    Cause.REFUSED: "Check host and port, and whether the registry runs.",
    Cause.CERTIFICATE: (
        "If the registry uses a certificate authority of its own, put that authority's "
        "certificate (PEM) into the connection."
    ),
    Cause.NOT_TLS: "If it really serves plain HTTP, write http:// before the host.",
}
