"""Parsers of texts with a grammar: names of images, templates, versions, header fields."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache

import httpx

from image_promotion.errors import InvalidReferenceError, PolicyError, RegistryError
from image_promotion.policy.refusal import RefusalError
from image_promotion.policy.tag_template import TagTemplate
from image_promotion.policy.version_ranges import VersionRange, compare
from image_promotion.registry.answers import Answer, next_link_of
from image_promotion.registry.auth import Authorizer
from image_promotion.registry.challenge import parse_challenges, pull_scope, united
from image_promotion.registry.destinations import Destinations
from image_promotion.registry.digest import Digest
from image_promotion.registry.endpoint import RegistryEndpoint
from image_promotion.registry.failures import Attempt, from_response
from image_promotion.registry.products.docker_hub import pull_allowance
from image_promotion.registry.reference import Reference
from image_promotion.registry.retry import NO_RETRY, parse_retry_after
from image_promotion.registry.session import Request, Session
from image_promotion.registry.uploads import Upload
from tests.fuzz.harness import Target
from tests.support.policies import NOW

_DIGEST = b"sha256:" + b"5b" * 32
_ECOSYSTEMS = ("alpm", "apk", "conan", "deb", "ebuild", "gem", "maven", "npm", "nuget", "pypi")
_ENDPOINT = RegistryEndpoint("fuzz", "https://registry.example.com", password="canary")
_DESTINATIONS = Destinations(httpx.URL(_ENDPOINT.url))
_ATTEMPT = Attempt("asking", "GET", httpx.URL("https://registry.example.com/v2/a/tags/list"))


def _reference(text: str) -> None:
    reference = Reference.parse(text)
    assert Reference.parse(str(reference)) == reference


def _digest(text: str) -> None:
    assert str(Digest.parse(text)) == text


def _template(text: str) -> None:
    tag = TagTemplate.parse(text, groups=("version",), zone=UTC).render(
        "1.4-stable", NOW, {"version": "1.4"}
    )
    assert Reference.parse(f"registry.example.com/a:{tag}").tag == tag


def _range(text: str) -> None:
    wanted = VersionRange(text)
    for ecosystem in ("deb", "npm", None):
        wanted.contains("1.2.3-4", ecosystem)


def _versions(text: str) -> None:
    version, _, other = text.partition(" ")
    for ecosystem in (*_ECOSYSTEMS, "rpm", "golang", None):
        compared = compare(version, other, ecosystem)
        assert compared is None or compare(other, version, ecosystem) == -compared


def _challenges(text: str) -> None:
    challenges = parse_challenges([text])
    united(scope for each in challenges for scope in each.parameters.get("scope", "").split())
    asyncio.run(_log_in(text))


async def _log_in(text: str) -> None:
    async def token_service(*_: object) -> bytes:
        return b'{"token": "t"}'

    authorizer = Authorizer(_ENDPOINT, token_service, check=_DESTINATIONS.check)
    await authorizer.answer(_ATTEMPT, [text], (pull_scope("a"),), None)


def _token(content: bytes) -> None:
    asyncio.run(_take_token(content))


async def _take_token(content: bytes) -> None:
    async def token_service(*_: object) -> bytes:
        return content

    endpoint = replace(_ENDPOINT, username="ci")
    authorizer = Authorizer(endpoint, token_service, check=_DESTINATIONS.check)
    challenge = 'Bearer realm="https://auth.example.com/token",service="registry"'
    header = await authorizer.answer(_ATTEMPT, [challenge], (pull_scope("a"),), None)
    assert header is not None
    httpx.Headers({"Authorization": header})


@cache
def _session() -> Session:
    return Session(_ENDPOINT, connections=1, rules=NO_RETRY)


def _links(text: str) -> None:
    link = next_link_of(httpx.Headers([(b"Link", text.encode("latin-1"))]))
    if link is not None:
        url = _session().located(_ATTEMPT, link, 200)
        assert url.host == "registry.example.com"


def _upload(text: str) -> None:
    location, chunk, _ = (*text.split("\n"), "", "")[:3]
    fields = [(b"Location", location.encode()), (b"OCI-Chunk-Min-Length", chunk.encode())]
    answer = Answer(202, httpx.Headers(fields), b"", None)
    upload = Upload.begun(_session(), "a", Request(_ATTEMPT), answer)
    assert upload.attempt.url.host == "registry.example.com"


def _retry_after(text: str) -> None:
    pause_s = parse_retry_after(text, datetime.now(UTC))
    assert pause_s is None or pause_s >= 0


def _pull_limit(text: str) -> None:
    limit, _, remaining = text.partition("\n")
    str(pull_allowance({"ratelimit-limit": limit, "ratelimit-remaining": remaining}))


def _error_body(content: bytes) -> None:
    for status in (401, 404, 429, 500):
        str(from_response(_ATTEMPT, status, {"retry-after": "1"}, content))


def _text(read: Callable[[str], None]) -> Callable[[bytes], None]:
    return lambda content: read(content.decode("utf-8", "replace"))


def _field(read: Callable[[str], None]) -> Callable[[bytes], None]:
    """Give an input as a header field, which holds neither line ends nor a zero byte."""

    def read_field(content: bytes) -> None:
        read(content.translate(None, b"\r\n\x00").decode("latin-1"))

    return read_field


TARGETS = (
    Target(
        "references",
        (
            b"debian",
            b"registry.example.com:5000/team/site:1.4",
            b"[::1]:5000/a@" + _DIGEST,
            b"docker.io/library/debian:13@" + _DIGEST,
        ),
        _text(_reference),
        (InvalidReferenceError,),
        (b"localhost", b"https://", b"user:pw@", b"__", b"library/", _DIGEST),
    ),
    Target(
        "digests",
        (_DIGEST, b"sha512:" + b"0f" * 64),
        _text(_digest),
        (InvalidReferenceError,),
        (b"sha256", b"sha512:", b"SHA256", b"+"),
    ),
    Target(
        "tag templates",
        (b"%n-%Y%m%d%H%M%S", b"%{version}-%Y.%m", b"v%n_%j-%Z.%W.%p"),
        _text(_template),
        (RefusalError, PolicyError),
        (b"%%", b"%{version}", b"%{", b"}", b"%Z", b"%f", b"%A", b"%"),
    ),
    Target(
        "version ranges",
        (b">= 1.2, < 2.0", b"= 1:2.3-4 || != 5", b">=1.0.0-rc.1,<=1.0.0+build"),
        _text(_range),
        (ValueError,),
        (b"||", b">=", b"<", b"!=", b"^", b"~", b"x", b"v", b"go1"),
    ),
    Target(
        "versions",
        (
            b"1.2.3 1.2.3-rc1",
            b"1:2.3~beta-4+deb13u1 2.3",
            b"v1.2.3-alpha.1+7 1.2.3",
            b"1.0.post1 1",
        ),
        _text(_versions),
        (),
        (b"~", b"^", b"+", b"rc", b"-r1", b"_p2", b"alpha", b".dev", b"!", b":", b"0" * 150),
    ),
    Target(
        "login challenges",
        (
            b'Bearer realm="https://auth.example.com/token",service="r",scope="repository:a:pull"',
            b'Basic realm="registry", Bearer realm="https://auth.example.com/t?a=b"',
            b'Negotiate abc==, Digest qop="a,b", Basic realm="r"',
        ),
        _field(_challenges),
        (RegistryError,),
        (b"Bearer ", b'realm="', b"scope=", b'"', b"\\", b"http://", b"https://[::1]/", b"=="),
    ),
    Target(
        "token services' answers",
        (
            b'{"token": "abc", "expires_in": 300, "issued_at": "2026-11-24T12:00:00Z"}',
            b'{"access_token": "abc", "refresh_token": "def", "scope": "a"}',
        ),
        _token,
        (RegistryError,),
        (b'"token"', b'"expires_in"', b"1e999", b"\\u0000", b"\\n"),
    ),
    Target(
        "links to next pages",
        (
            b'</v2/a/tags/list?n=100&last=b>; rel="next"',
            b'<https://registry.example.com/v2/_catalog?n=1>; rel=next, <x>; rel="prev"',
        ),
        _field(_links),
        (RegistryError,),
        (b"<", b">; rel=next", b"//elsewhere.example.com/", b"http:", b"@", b"\\", b";", b","),
    ),
    Target(
        "places of uploads",
        (
            b"/v2/a/blobs/uploads/1?_state=abc\n1048576\n0-9",
            b"https://registry.example.com/u/1\n\n",
        ),
        _text(_upload),
        (RegistryError,),
        (b"//elsewhere.example.com", b"?", b"#", b"%2e%2e/", b"bytes=0-"),
    ),
    Target(
        "pauses asked for",
        (b"120", b"Tue, 24 Nov 2026 12:00:00 GMT", b"24 Nov 26 12:00 +0100"),
        _text(_retry_after),
        (),
        (b"GMT", b"+9999", b"-9" * 20, b"Nov", b":", b"0000"),
    ),
    Target(
        "limits of pulls",
        (b"100;w=21600\n76;w=21600", b"200\n0"),
        _text(_pull_limit),
        (),
        (b";w=", b";", b"=", b"\n"),
    ),
    Target(
        "registries' errors",
        (
            b'{"errors": [{"code": "DENIED", "message": "no", "detail": {"a": [1]}}]}',
            b'{"errors": [{"code": "MANIFEST_BLOB_UNKNOWN"}, {"code": "UNKNOWN"}]}',
        ),
        _error_body,
        (),
        (b'"errors"', b"<html>", b'"code"'),
    ),
)
"""Every parser of a text with a grammar."""
