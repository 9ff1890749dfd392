from __future__ import annotations

import hashlib
import itertools
import socket
import threading
from collections.abc import Callable, Iterator

import httpx
import pytest

from sandbox.fault_proxy import FaultProxy
from sandbox.faults import (
    Answer,
    Corrupt,
    CutAnswer,
    CutRequest,
    Disconnect,
    Hold,
    LoseAnswer,
    Meanwhile,
    Misreport,
    ReplaceHeaders,
    Shorten,
    Slow,
)
from sandbox.image_layers import noise_layer, sha256
from sandbox.image_pusher import OCI_MANIFEST
from sandbox.registry_process import RegistryProcess
from sandbox.sample_images import push_image

BLOB = hashlib.shake_256(b"blob").digest(300_000)
DIGEST = sha256(BLOB)
BLOB_PATH = f"/v2/some/blobs/{DIGEST}"
UPLOADS = "/v2/some/blobs/uploads/"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    with RegistryProcess.start(tmp_path_factory.mktemp("registry")) as process:
        yield process


@pytest.fixture
def proxy(registry: RegistryProcess) -> Iterator[FaultProxy]:
    with FaultProxy(registry.url) as started:
        yield started


@pytest.fixture
def direct(registry: RegistryProcess) -> Iterator[httpx.Client]:
    """The way to the registry past the proxy."""
    with httpx.Client(base_url=registry.url, trust_env=False, timeout=60) as client:
        yield client


@pytest.fixture
def client(proxy: FaultProxy) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=proxy.url, trust_env=False, timeout=60) as client:
        yield client


def begin_upload(client: httpx.Client) -> str:
    location: str = client.post(UPLOADS).headers["Location"]
    return location


def upload(client: httpx.Client, content: bytes = BLOB) -> httpx.Response:
    location = httpx.URL(begin_upload(client))
    return client.put(
        location.copy_merge_params({"digest": sha256(content)}),
        content=content,
        headers={"Content-Type": "application/octet-stream"},
    )


def fresh_blob(name: str) -> bytes:
    """Bytes that the registry does not have yet."""
    return hashlib.shake_256(name.encode()).digest(300_000)


def has(client: httpx.Client, content: bytes) -> bool:
    return client.head(f"/v2/some/blobs/{sha256(content)}").status_code == 200


def in_background(act: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=act)
    thread.start()
    return thread


def test_without_a_rule_everything_passes_as_it_is(
    proxy: FaultProxy, direct: httpx.Client, client: httpx.Client
) -> None:
    image = push_image(proxy.url, "passing", "1", layers=[noise_layer(200_000)])

    path, accept = "/v2/passing/manifests/1", {"Accept": OCI_MANIFEST}
    through, past = (each.get(path, headers=accept) for each in (client, direct))
    assert through.content == past.content == image.manifest
    ignored = {"date"}
    assert {k: v for k, v in through.headers.items() if k not in ignored} == {
        k: v for k, v in past.headers.items() if k not in ignored
    }


def test_uploads_stay_in_the_proxy(proxy: FaultProxy, client: httpx.Client) -> None:
    assert begin_upload(client).startswith(f"{proxy.url}/v2/some/blobs/uploads/")


def test_it_remembers_each_request_in_order_with_what_became_of_it(
    proxy: FaultProxy, client: httpx.Client
) -> None:
    upload(client)
    client.get(BLOB_PATH)
    client.get("/v2/some/manifests/none")

    first, second, third, fourth = proxy.exchanges
    assert (first.line, first.status) == (f"POST {UPLOADS}", 202)
    assert (second.method, second.status, second.request_bytes) == ("PUT", 201, len(BLOB))
    assert (third.line, third.status, third.answer_bytes) == (f"GET {BLOB_PATH}", 200, len(BLOB))
    assert fourth.status == 404


def test_a_body_in_chunks_passes_too(client: httpx.Client, direct: httpx.Client) -> None:
    content = fresh_blob("chunks")
    pieces = (content[start : start + 70_000] for start in range(0, len(content), 70_000))
    location = client.patch(begin_upload(client), content=pieces).headers["Location"]
    client.put(httpx.URL(location).copy_merge_params({"digest": sha256(content)}))

    assert has(direct, content)


def test_it_answers_in_the_registrys_place(
    proxy: FaultProxy, client: httpx.Client, direct: httpx.Client
) -> None:
    content = fresh_blob("answered")
    proxy.on("PUT", "uploads", Answer(429, b"slowly", {"Retry-After": "3"}))

    answer = upload(client, content)

    assert (answer.status_code, answer.content) == (429, b"slowly")
    assert answer.headers["Retry-After"] == "3"
    assert not has(direct, content)


def test_a_fault_happens_to_as_many_requests_as_planned_and_after_as_many(
    proxy: FaultProxy, client: httpx.Client
) -> None:
    proxy.on("GET", "^/v2/$", Answer(503), skip=1, times=2)

    assert [client.get("/v2/").status_code for _ in range(4)] == [200, 503, 503, 200]


def test_a_rule_is_for_its_method_and_target_only(proxy: FaultProxy, client: httpx.Client) -> None:
    proxy.on("HEAD", "/manifests/1$", Answer(503), times=None)

    assert client.get("/v2/x/manifests/1").status_code == 404
    assert client.head("/v2/x/manifests/11").status_code == 404
    assert client.head("/v2/x/manifests/1").status_code == 503


def test_of_two_rules_the_first_happens_and_then_the_second(
    proxy: FaultProxy, client: httpx.Client
) -> None:
    proxy.on("GET", "/v2/", Answer(500)).on("GET", "/v2/", Answer(502), times=None)

    assert [client.get("/v2/").status_code for _ in range(3)] == [500, 502, 502]


def test_it_disconnects_before_the_registry_hears_of_it(
    proxy: FaultProxy, client: httpx.Client, direct: httpx.Client
) -> None:
    content = fresh_blob("disconnected")
    proxy.on("PUT", "uploads", Disconnect())

    with pytest.raises(httpx.TransportError):
        upload(client, content)
    assert proxy.exchanges[-1].status is None
    assert not has(direct, content)


def test_it_cuts_a_request_within_its_body(
    proxy: FaultProxy, client: httpx.Client, direct: httpx.Client
) -> None:
    content = fresh_blob("cut")
    proxy.on("PUT", "uploads", CutRequest(100_000))

    with pytest.raises(httpx.TransportError):
        upload(client, content)
    assert proxy.exchanges[-1].request_bytes == 100_000
    assert not has(direct, content)


def test_it_loses_the_answer_to_what_the_registry_has_done(
    proxy: FaultProxy, client: httpx.Client, direct: httpx.Client
) -> None:
    content = fresh_blob("lost")
    proxy.on("PUT", "uploads", LoseAnswer())

    with pytest.raises(httpx.TransportError):
        upload(client, content)
    assert has(direct, content)


def test_it_cuts_an_answer_within_its_body(proxy: FaultProxy, client: httpx.Client) -> None:
    upload(client)
    proxy.on("GET", "/blobs/", CutAnswer(100_000))

    received = bytearray()
    with client.stream("GET", BLOB_PATH) as answer:
        assert answer.headers["Content-Length"] == str(len(BLOB))
        with pytest.raises(httpx.RemoteProtocolError):
            received.extend(itertools.chain.from_iterable(answer.iter_raw()))
    assert proxy.exchanges[-1].answer_bytes == 100_000
    assert BLOB.startswith(received)


def test_it_shortens_an_answer_and_says_that_it_is_whole(
    proxy: FaultProxy, client: httpx.Client
) -> None:
    upload(client)
    proxy.on("GET", "/blobs/", Shorten(100_000))

    assert client.get(BLOB_PATH).content == BLOB[:100_000]
    assert client.get(BLOB_PATH).content == BLOB


def test_it_changes_one_byte(proxy: FaultProxy, client: httpx.Client) -> None:
    upload(client)
    proxy.on("GET", "/blobs/", Corrupt(at_byte=250_000))

    content = client.get(BLOB_PATH).content
    different = [position for position in range(len(BLOB)) if content[position] != BLOB[position]]
    assert (len(content), different) == (len(BLOB), [250_000])


def test_it_lies_in_a_header(proxy: FaultProxy, client: httpx.Client) -> None:
    upload(client)
    lie = sha256(b"another")
    proxy.on("HEAD", "/blobs/", ReplaceHeaders({"docker-content-digest": lie, "etag": None}))

    headers = client.head(BLOB_PATH).headers
    assert headers.get_list("Docker-Content-Digest") == [lie]
    assert "ETag" not in headers


def test_it_answers_another_status_to_what_the_registry_has_done(
    proxy: FaultProxy, direct: httpx.Client, client: httpx.Client
) -> None:
    blob = fresh_blob("misreported")
    proxy.on("PUT", "/uploads/", Misreport(502))

    assert upload(client, blob).status_code == 502
    assert has(direct, blob)


def test_a_slow_answer_is_whole(proxy: FaultProxy, client: httpx.Client) -> None:
    upload(client)
    proxy.on("GET", "/blobs/", Slow(0.001, piece_bytes=50_000))

    assert client.get(BLOB_PATH).content == BLOB


@pytest.mark.parametrize("at_answer", [False, True])
def test_something_happens_before_the_registry_hears_of_a_request_or_when_it_is_done(
    proxy: FaultProxy, direct: httpx.Client, client: httpx.Client, at_answer: bool
) -> None:
    blob = fresh_blob(f"meanwhile {at_answer}")
    was_there: list[bool] = []
    act = Meanwhile(lambda: was_there.append(has(direct, blob)), at_answer)
    proxy.on("PUT", "/uploads/", act)

    assert upload(client, blob).status_code == 201
    assert was_there == [at_answer]


def test_an_observer_hears_of_each_request_and_of_what_the_registry_itself_answered(
    proxy: FaultProxy, client: httpx.Client
) -> None:
    heard: list[tuple[str, int | None]] = []
    proxy.observer = lambda exchange, head: heard.append(
        (exchange.line, head.status if head else None)
    )
    proxy.on("GET", "/v2/$", Misreport(500))
    proxy.on("GET", "/v2/$", Answer(429))

    statuses = [client.get("/v2/").status_code for _ in range(2)]

    assert statuses == [500, 429]
    assert heard == [("GET /v2/", None), ("GET /v2/", 200), ("GET /v2/", None)]


def test_it_holds_a_request_until_it_is_released(
    proxy: FaultProxy, client: httpx.Client, direct: httpx.Client
) -> None:
    content = fresh_blob("held")
    hold = Hold()
    proxy.on("PUT", "uploads", hold)

    uploading = in_background(lambda: upload(client, content))
    hold.wait()
    assert not has(direct, content)
    hold.release()
    uploading.join()

    assert has(direct, content)


def test_it_holds_a_request_within_its_body(
    proxy: FaultProxy, client: httpx.Client, direct: httpx.Client
) -> None:
    content = fresh_blob("held within")
    hold = Hold(after_bytes=100_000)
    proxy.on("PUT", "uploads", hold)

    uploading = in_background(lambda: upload(client, content))
    hold.wait()
    assert proxy.exchanges[-1].request_bytes == 100_000
    assert not has(direct, content)
    hold.release()
    uploading.join()

    assert has(direct, content)


def test_it_holds_an_answer_when_the_registry_has_done_what_it_was_asked(
    proxy: FaultProxy, client: httpx.Client, direct: httpx.Client
) -> None:
    content = fresh_blob("held answer")
    hold = Hold(at_answer=True)
    proxy.on("PUT", "uploads", hold)

    uploading = in_background(lambda: upload(client, content))
    hold.wait()
    assert has(direct, content)
    assert proxy.exchanges[-1].status is None
    proxy.heal()  # releases too
    uploading.join()

    assert proxy.exchanges[-1].status == 201


def test_a_held_request_that_is_dropped_never_reaches_the_registry(
    proxy: FaultProxy, client: httpx.Client, direct: httpx.Client
) -> None:
    content = fresh_blob("dropped")
    hold = Hold()
    proxy.on("PUT", "uploads", hold)
    errors: list[Exception] = []

    def try_to_upload() -> None:
        try:
            upload(client, content)
        except httpx.TransportError as error:
            errors.append(error)

    uploading = in_background(try_to_upload)
    hold.wait()
    hold.drop()
    uploading.join()

    assert len(errors) == 1
    assert not has(direct, content)


def test_healing_forgets_the_rules(proxy: FaultProxy, client: httpx.Client) -> None:
    proxy.on("GET", "/v2/", Answer(500), times=None)
    proxy.heal()

    assert client.get("/v2/").status_code == 200


def test_a_hold_that_nobody_meets_is_an_error() -> None:
    with pytest.raises(TimeoutError):
        Hold().wait(timeout_s=0)


def test_a_registry_that_is_gone_closes_the_connection() -> None:
    with FaultProxy("http://127.0.0.1:1") as proxy, pytest.raises(httpx.TransportError):
        httpx.get(f"{proxy.url}/v2/", trust_env=False)


def test_its_end_hangs_up(registry: RegistryProcess) -> None:
    with FaultProxy(registry.url) as proxy, httpx.Client(trust_env=False) as client:
        url = f"{proxy.url}/v2/"
        assert client.get(url).status_code == 200
    with pytest.raises(httpx.ConnectError):
        httpx.get(url, trust_env=False)


def test_it_refuses_a_registry_it_could_not_read() -> None:
    with pytest.raises(ValueError, match="plain HTTP"):
        FaultProxy("https://registry.example")


def test_connections_are_refused_until_they_are_taken_again(
    proxy: FaultProxy, client: httpx.Client
) -> None:
    assert client.get("/v2/").status_code == 200
    proxy.refuse_connections()

    with pytest.raises(httpx.ConnectError) as refused:
        httpx.get(f"{proxy.url}/v2/", trust_env=False)
    assert isinstance(_root(refused.value), ConnectionRefusedError)
    assert client.get("/v2/").status_code == 200  # on the connection that is there

    proxy.take_connections()
    assert httpx.get(f"{proxy.url}/v2/", trust_env=False).status_code == 200


def test_nobody_else_gets_the_port_of_a_proxy_that_refuses(proxy: FaultProxy) -> None:
    host, _, port = proxy.host.partition(":")
    proxy.refuse_connections()

    with socket.socket() as other, pytest.raises(OSError, match="Address already in use"):
        other.bind((host, int(port)))


def test_a_proxy_that_refuses_ends_all_the_same(registry: RegistryProcess) -> None:
    with FaultProxy(registry.url) as proxy:
        proxy.refuse_connections()


def test_the_connection_that_was_planned_is_reset_and_no_other(proxy: FaultProxy) -> None:
    proxy.reset_connection(skip=1)

    assert httpx.get(f"{proxy.url}/v2/", trust_env=False).status_code == 200
    with pytest.raises(httpx.TransportError) as reset:
        httpx.get(f"{proxy.url}/v2/", trust_env=False)
    assert isinstance(_root(reset.value), ConnectionResetError)
    assert httpx.get(f"{proxy.url}/v2/", trust_env=False).status_code == 200
    assert proxy.lines() == ["GET /v2/", "GET /v2/"]


def test_a_proxy_may_take_a_connection_for_each_request(registry: RegistryProcess) -> None:
    with (
        FaultProxy(registry.url, keeps_connections=False) as proxy,
        httpx.Client(base_url=proxy.url, trust_env=False) as client,
    ):
        proxy.reset_connection(skip=1)

        assert client.get("/v2/").headers["Connection"] == "close"
        with pytest.raises(httpx.TransportError):
            client.get("/v2/")
        assert upload(client).status_code == 201


def _root(error: BaseException) -> BaseException:
    """What an error was raised from, in the end."""
    while below := error.__cause__ or error.__context__:
        error = below
    return error
