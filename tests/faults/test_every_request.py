"""A copy in which one request fails: each request in turn, in each way in which requests fail."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from sandbox.fault_proxy import FaultProxy
from sandbox.faults import (
    Answer,
    Corrupt,
    CutAnswer,
    CutRequest,
    Disconnect,
    Fault,
    LoseAnswer,
    Shorten,
)
from sandbox.registry_process import RegistryProcess
from tests.support.crossing import Crossing, Planned, push_to_copy

WEB_PAGE = b"<html><h1>Bad gateway</h1></html>"
HTML = {"Content-Type": "text/html"}
TOO_MANY = b'{"errors": [{"code": "TOOMANYREQUESTS"}]}'


@pytest.fixture(scope="module")
def crossing(dev: RegistryProcess, qa: RegistryProcess) -> Iterator[Crossing]:
    image = push_to_copy(dev.url)
    with (
        FaultProxy(dev.url) as source,
        FaultProxy(qa.url) as target,
        httpx.Client(base_url=qa.url, trust_env=False, verify=False) as raw,  # noqa: S501 - plain http
    ):
        yield Crossing(image, {"source": source, "target": target}, raw)


@pytest.fixture(autouse=True)
def no_pause_is_waited_for(crossing: Crossing, monkeypatch: pytest.MonkeyPatch) -> None:
    crossing.give_away_pauses(monkeypatch)


@pytest.fixture(scope="module")
def requests(crossing: Crossing) -> list[Planned]:
    """Every request that a copy makes when nothing fails."""
    planned = crossing.watch()
    methods = {(each.side, each.exchange.method) for each in planned}
    assert methods >= {("source", "HEAD"), ("source", "GET"), ("target", "POST"), ("target", "PUT")}
    return planned


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Answer(429, TOO_MANY), id="429"),
        pytest.param(Answer(429, TOO_MANY, {"Retry-After": "7"}), id="429 with Retry-After"),
        pytest.param(Answer(500, b"{}"), id="500"),
        pytest.param(Answer(502, WEB_PAGE, HTML), id="502 with a web page"),
        pytest.param(Answer(503), id="503"),
        pytest.param(Disconnect(), id="broken before the request"),
        pytest.param(CutRequest(1), id="broken within the request"),
        pytest.param(LoseAnswer(), id="broken after the request"),
        pytest.param(CutAnswer(1), id="broken within the answer"),
        pytest.param(CutAnswer(100_000), id="broken late within the answer"),
    ],
)
async def test_a_failure_that_passes_ends_in_a_right_copy(
    crossing: Crossing, requests: list[Planned], fault: Fault
) -> None:
    found = await crossing.outcomes(requests, fault)
    assert {request: str(error) for request, error in found.items() if error is not None} == {}
    if isinstance(fault, Answer) and "Retry-After" in fault.headers:
        assert crossing.slept_s[0] >= 7


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Shorten(1), id="shorter"),
        pytest.param(Corrupt(), id="other bytes"),
        pytest.param(Corrupt(100_000), id="other bytes late"),
        pytest.param(Answer(200, WEB_PAGE, HTML), id="a web page"),
        pytest.param(Answer(404, b'{"errors": [{"code": "UNKNOWN"}]}'), id="404"),
    ],
)
async def test_a_lie_ends_in_a_right_copy_or_in_an_error_that_names_what_it_is_about(
    crossing: Crossing, requests: list[Planned], fault: Fault
) -> None:
    found = await crossing.outcomes(requests, fault)
    errors = {request: error for request, error in found.items() if error is not None}
    assert errors
    for request, error in errors.items():
        side = request.partition(":")[0]
        assert error.subject.registry == crossing.proxies[side].host, request
        assert error.subject.repository, request
        assert error.subject.digest or error.subject.tag, request
