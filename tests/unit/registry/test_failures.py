"""How failures over HTTP become the project's errors."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_promotion.errors import (
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
from image_promotion.registry.failures import (
    HTTPX_ERRORS,
    RETRYABLE_STATUSES,
    Attempt,
    Cause,
    cause_of,
    from_exception,
    from_response,
    redacted,
)

SECRET = "canary-signature"
URL = httpx.URL(f"https://me:{SECRET}@registry.example:5000/v2/a/blobs/?sig={SECRET}&n=5")
ATTEMPT = Attempt("reading the blob", "GET", URL, Subject("registry.example:5000", "a"))


def kinds_below(kind: type[BaseException]) -> Iterator[type[BaseException]]:
    yield kind
    for below in kind.__subclasses__():
        yield from kinds_below(below)


def made(kind: type[BaseException]) -> BaseException:
    request = httpx.Request("GET", URL)
    if issubclass(kind, httpx.HTTPStatusError):
        return kind(SECRET, request=request, response=httpx.Response(500, request=request))
    try:
        return kind(SECRET)
    except TypeError:
        return kind()


HTTPX_KINDS = sorted(
    {kind for root in HTTPX_ERRORS for kind in kinds_below(root)}, key=lambda kind: kind.__name__
)


def test_the_four_roots_hold_everything_that_httpx_exports_as_an_error() -> None:
    exported = {
        value
        for value in vars(httpx).values()
        if isinstance(value, type) and issubclass(value, BaseException)
    }
    assert exported <= set(HTTPX_KINDS)
    assert len(exported) > 20


@pytest.mark.parametrize("kind", HTTPX_KINDS)
def test_every_error_of_httpx_becomes_one_of_ours(kind: type[BaseException]) -> None:
    error = from_exception(made(kind), ATTEMPT)
    assert type(error) in (RegistryError, UnreachableError, ProtocolViolationError)
    assert error.subject == ATTEMPT.subject
    assert error.method == "GET"
    assert SECRET not in f"{error!r} {error} {vars(error)}"


@pytest.mark.parametrize(
    "kind",
    [
        httpx.ConnectTimeout,
        httpx.ReadTimeout,
        httpx.WriteTimeout,
        httpx.ConnectError,
        httpx.ReadError,
        httpx.WriteError,
        httpx.RemoteProtocolError,
        httpx.ProxyError,
    ],
)
def test_a_connection_that_breaks_may_be_tried_again(kind: type[Exception]) -> None:
    error = from_exception(kind("broken"), ATTEMPT)
    assert isinstance(error, UnreachableError)
    assert error.retryable


@pytest.mark.parametrize("kind", [httpx.LocalProtocolError, httpx.StreamConsumed, httpx.InvalidURL])
def test_a_request_that_we_made_wrongly_is_not_tried_again(kind: type[Exception]) -> None:
    assert not from_exception(made(kind), ATTEMPT).retryable


def caused_by(reason: BaseException) -> httpx.ConnectError:
    """Wrap a reason as deep as httpx, httpcore and anyio do."""
    error = httpx.ConnectError("All connection attempts failed")
    error.__cause__ = OSError("All connection attempts failed")
    error.__cause__.__cause__ = ExceptionGroup("multiple", [reason, TimeoutError()])  # type: ignore[type-var]
    return error


def certificate_error(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code = code
    error.verify_message = "OpenSSL's own words"
    return error


def not_tls() -> ssl.SSLError:
    error = ssl.SSLError(1, "wrong version number")
    error.reason = "WRONG_VERSION_NUMBER"
    return error


@pytest.mark.parametrize(
    ("reason", "cause", "words", "retryable"),
    [
        (
            socket.gaierror(-2, "unknown"),
            Cause.NAME_NOT_FOUND,
            "registry.example cannot be resolved",
            True,
        ),
        (
            ConnectionRefusedError(111, "refused"),
            Cause.REFUSED,
            "registry.example:5000 refuses",
            True,
        ),
        (certificate_error(10), Cause.CERTIFICATE, "it has expired", False),
        (certificate_error(18), Cause.CERTIFICATE, "signed by itself", False),
        (certificate_error(20), Cause.CERTIFICATE, "authority is not trusted", False),
        (certificate_error(62), Cause.CERTIFICATE, "another host name", False),
        (certificate_error(999), Cause.CERTIFICATE, "OpenSSL's own words", False),
        (not_tls(), Cause.NOT_TLS, "does not speak TLS", False),
        (ssl.SSLError(1, "alert"), Cause.BROKEN, "the connection to", True),
        (ConnectionResetError(), Cause.BROKEN, "the connection to", True),
    ],
)
def test_the_reason_below_is_found_and_told(
    reason: BaseException, cause: Cause, words: str, retryable: bool
) -> None:
    wrapped = caused_by(reason)
    error = from_exception(wrapped, ATTEMPT)
    assert cause_of(wrapped) is cause
    assert isinstance(error, UnreachableError)
    assert words in error.attempted
    assert error.retryable is retryable


def test_the_cause_is_found_from_our_own_error_too() -> None:
    error = from_exception(httpx.ReadTimeout("slow"), ATTEMPT)
    error.__cause__ = httpx.ReadTimeout("slow")
    assert cause_of(error) is Cause.TIMED_OUT


def refused(
    status: int, body: bytes = b"", understood_as: int | None = None, **headers: str
) -> RegistryError:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return from_response(ATTEMPT, status, httpx.Headers(named), body, understood_as=understood_as)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, AuthenticationError),
        (403, DeniedError),
        (404, NotFoundError),
        (429, RateLimitedError),
        (400, RegistryError),
        (405, RegistryError),
        (416, RegistryError),
        (501, RegistryError),
        (200, ProtocolViolationError),
        (204, ProtocolViolationError),
        (307, ProtocolViolationError),
        (999, ProtocolViolationError),
    ],
)
def test_a_status_has_its_error(status: int, kind: type[RegistryError]) -> None:
    error = refused(status)
    assert type(error) is kind
    assert error.status == status


@pytest.mark.parametrize("status", range(400, 600))
def test_exactly_the_statuses_that_pass_by_themselves_are_retried(status: int) -> None:
    assert refused(status).retryable is (status in RETRYABLE_STATUSES)


@pytest.mark.parametrize("status", [400, 404])
@pytest.mark.parametrize(("code", "retryable"), [("MANIFEST_BLOB_UNKNOWN", True), ("X", False)])
def test_a_manifest_whose_blob_the_registry_has_lost_sight_of_may_be_put_again(
    status: int, code: str, retryable: bool
) -> None:
    body = json.dumps({"errors": [{"code": code}]}).encode()
    assert refused(status, body).retryable is retryable


def test_too_many_requests_keeps_the_pause_that_was_asked_for() -> None:
    error = refused(429, retry_after="12")
    assert isinstance(error, RateLimitedError)
    assert error.retry_after_s == 12


def test_unavailable_with_retry_after_is_a_request_to_wait_too() -> None:
    error = refused(503, retry_after="3")
    assert isinstance(error, RateLimitedError)
    assert (error.retry_after_s, error.status) == (3, 503)
    assert type(refused(503)) is RegistryError


def test_the_registrys_own_codes_are_kept() -> None:
    body = {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "unknown", "detail": {"Tag": "x"}}]}
    error = refused(404, json.dumps(body).encode())
    assert error.codes == (RegistryCode("MANIFEST_UNKNOWN", "unknown"),)
    assert "MANIFEST_UNKNOWN (unknown)" in str(error)


def test_a_message_of_a_stranger_is_one_line_and_not_endless() -> None:
    body = {"errors": [{"code": "A\nB", "message": "x\x1b[31m" * 1000}] * 100}
    error = refused(400, json.dumps(body).encode())
    assert str(error).isprintable()
    assert len(str(error)) < 3000


@given(st.binary(max_size=200), st.integers(100, 999))
def test_no_body_breaks_the_reader(body: bytes, status: int) -> None:
    assert isinstance(refused(status, body), RegistryError)


@pytest.mark.parametrize("status", [200, 404, 400, 410])
def test_a_web_page_is_not_a_registry(status: int) -> None:
    error = refused(status, b"<!doctype html><p>Hello", content_type="text/html; charset=utf-8")
    assert isinstance(error, ProtocolViolationError)
    assert "web page" in error.attempted


@pytest.mark.parametrize(("status", "retryable"), [(401, False), (403, False), (502, True)])
def test_a_gateways_page_means_what_its_status_says(status: int, retryable: bool) -> None:
    error = refused(status, b"<html>Bad Gateway", content_type="text/html")
    assert not isinstance(error, ProtocolViolationError)
    assert error.retryable is retryable


def test_a_404_to_head_is_no_web_page_whatever_its_type_says() -> None:
    assert isinstance(refused(404, content_type="text/html"), NotFoundError)


def test_an_answer_can_have_the_meaning_of_another_status() -> None:
    error = refused(401, understood_as=403)
    assert isinstance(error, DeniedError)
    assert error.status == 401


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://u:p@h:5000/v2/x?a=1&b=2", "https://h:5000/v2/x?a=***&b=***"),
        ("http://[::1]:5000/v2/", "http://[::1]:5000/v2/"),
        ("https://h/a%0Ab?x%0Ay=1", "https://h/a%0Ab?x%0Ay=***"),
        ("https://h/?novalue", "https://h/?novalue=***"),
    ],
)
def test_a_url_is_shown_without_what_it_hides(url: str, shown: str) -> None:
    assert redacted(httpx.URL(url)) == shown
