from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_promotion.errors import ConnectionSettingsError, InvalidReferenceError
from image_promotion.registry.endpoint import DOCKER_HUB_URL, RegistryEndpoint, RegistryType
from image_promotion.registry.pace import Pace
from image_promotion.registry.reference import is_repository

SECRET = "canary-secret-7f3a"

# A certificate authority made for this test: its key was thrown away, and nothing checks its dates.
CERTIFICATE = """-----BEGIN CERTIFICATE-----
MIIBezCCASGgAwIBAgIUax7wJSAs/VAlBDbepG5Niqp8DKAwCgYIKoZIzj0EAwIw
EjEQMA4GA1UEAwwHVGVzdCBDQTAgFw0yNjExMjQwMjQ5NDJaGA8yMTI2MTAzMTAy
NDk0MlowEjEQMA4GA1UEAwwHVGVzdCBDQTBZMBMGByqGSM49AgEGCCqGSM49AwEH
A0IABL3caqWbvpIjGU9CJXESUbNgDdI/xzclti4f3QBlq8978VEJVs+qA/pd1KUA
uUgqzIMum6DC5P0uLImh1vT+stajUzBRMB0GA1UdDgQWBBTTOJ13HtboIhXjHlf0
86D3Sx7OuTAfBgNVHSMEGDAWgBTTOJ13HtboIhXjHlf086D3Sx7OuTAPBgNVHRMB
Af8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIQDcm6UHEQbTkinLjipERIRFZkbL
0938joWHjdTTOpGr0gIgAcRNvD5rGTMwbGWZm5CdCHeRmjqJMUJEoTEFYbNjO0E=
-----END CERTIFICATE-----"""


def endpoint(
    host: str | None = "registry.example.com",
    *,
    port: int | None = None,
    login: str | None = None,
    password: str | None = None,
    **extra: object,
) -> RegistryEndpoint:
    return RegistryEndpoint.from_fields(
        "qa", host=host, port=port, login=login, password=password, extra=extra
    )


@pytest.mark.parametrize(
    ("host", "port", "url"),
    [
        ("registry.example.com", None, "https://registry.example.com"),
        ("registry.example.com:5000", None, "https://registry.example.com:5000"),
        ("registry.example.com", 5000, "https://registry.example.com:5000"),
        ("registry.example.com:5000", 5000, "https://registry.example.com:5000"),
        (" Registry.Example.COM ", None, "https://registry.example.com"),
        ("https://dtr.example.com/", None, "https://dtr.example.com"),
        ("https://dtr.example.com:443/v2/", None, "https://dtr.example.com"),
        ("http://localhost:5000", None, "http://localhost:5000"),
        ("http://127.0.0.1", 5000, "http://127.0.0.1:5000"),
        ("http://localhost:80", None, "http://localhost"),
        ("HTTP://localhost:443", None, "http://localhost:443"),
        ("localhost:5000", None, "https://localhost:5000"),
        ("[::1]:5000", None, "https://[::1]:5000"),
        ("http://[::1]", 5000, "http://[::1]:5000"),
    ],
)
def test_a_host_becomes_a_url_and_http_must_be_asked_for(
    host: str, port: int | None, url: str
) -> None:
    made = endpoint(host, port=port)

    assert made.url == url
    assert made.host == url.partition("://")[2]


@pytest.mark.parametrize(
    "host", [None, "", "docker.io", "index.docker.io", "https://index.docker.io/v1/"]
)
def test_docker_hub_is_where_its_api_is(host: str | None) -> None:
    made = endpoint(host, registry_type="docker_hub")

    assert (made.url, made.registry_type) == (DOCKER_HUB_URL, RegistryType.DOCKER_HUB)


@pytest.mark.parametrize(
    ("host", "folder"),
    [
        ("/mnt/transfer", "/mnt/transfer"),
        (" /mnt/transfer/ ", "/mnt/transfer"),
        ("file:///mnt/transfer", "/mnt/transfer"),
        ("file://localhost/mnt/transfer", "/mnt/transfer"),
        ("file:///mnt/two%20words", "/mnt/two words"),
        ("/mnt/two words, 100%20", "/mnt/two words, 100%20"),
        ("/Mnt/Transfer#1?x", "/Mnt/Transfer#1?x"),
    ],
)
def test_a_folder_of_layouts_is_told_by_its_path(host: str, folder: str) -> None:
    made = endpoint(host, registry_type="oci_layout", port=443, namespace="team")

    assert made.folder == Path(folder)
    assert made.host == folder
    assert made.full_repository("site") == "team/site"


def test_harbor_may_be_told_to_create_projects() -> None:
    assert endpoint(registry_type="harbor", creates_projects="true").creates_projects
    assert not endpoint(registry_type="harbor").creates_projects


@pytest.mark.parametrize(
    ("typed", "limit"),
    [(None, None), ("", None), (" ", None), (20, 20.0), ("2.5", 2.5), (1e6, 1e6)],
)
def test_a_registry_may_be_asked_at_a_pace(typed: object, limit: float | None) -> None:
    made = endpoint(requests_per_second=typed, bytes_per_second=typed)

    assert made.pace == Pace(limit, limit)


def test_a_registry_is_no_folder() -> None:
    assert endpoint().folder is None


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("host", {"host": None}),
        ("host", {"host": "transfer"}),
        ("host", {"host": "~/transfer"}),
        ("host", {"host": "https://registry.example.com"}),
        ("host", {"host": "file://elsewhere/mnt/transfer"}),
        ("host", {"host": "file://[/mnt"}),
        ("host", {"host": "file:///mnt/transfer?a=b"}),
        ("host", {"host": "/mnt/trans\x00fer"}),
        ("host", {"host": "file:///mnt/trans%00fer"}),
        ("login", {"login": "user", "password": SECRET}),
        ("password", {"password": SECRET}),
        ("ca_certificate", {"ca_certificate": CERTIFICATE}),
        ("skip_tls_verification", {"skip_tls_verification": True}),
        ("namespace", {"namespace": "../etc"}),
        ("test_repository", {"test_repository": "Site:latest"}),
    ],
)
def test_what_means_nothing_for_a_folder_is_refused(field: str, fields: dict[str, object]) -> None:
    with pytest.raises(ConnectionSettingsError) as refused:
        endpoint(**{"host": "/mnt/transfer", "registry_type": "oci_layout", **fields})  # type: ignore[arg-type] # as below

    assert refused.value.field == field
    assert SECRET not in str(refused.value)


def test_the_fields_left_empty_mean_nothing_special() -> None:
    made = endpoint(
        login="",
        password="",
        registry_type="",
        namespace=None,
        ca_certificate="",
        skip_tls_verification="",
        test_repository="",
    )

    assert made == RegistryEndpoint("qa", "https://registry.example.com")
    assert made.registry_type is RegistryType.OCI


def test_a_password_without_user_name_is_a_token() -> None:
    made = endpoint(password=SECRET + "\n")

    assert (made.username, made.password) == (None, SECRET)


@pytest.mark.parametrize(
    ("word", "meant"),
    [(True, True), ("true", True), ("True", True), ("1", True), (False, False), ("false", False)],
)
def test_a_switch_may_come_as_text(word: object, meant: bool) -> None:
    assert endpoint(skip_tls_verification=word).skip_tls_verification is meant


def test_a_certificate_may_come_with_escaped_line_ends() -> None:
    certificate = endpoint(ca_certificate=CERTIFICATE).ca_certificate

    assert certificate == CERTIFICATE + "\n"
    assert endpoint(ca_certificate=CERTIFICATE.replace("\n", "\\n")).ca_certificate == certificate


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("host", {"host": None}),
        ("host", {"host": "  "}),
        ("host", {"host": "ftp://registry.example.com"}),
        ("host", {"host": "registry.example.com/team"}),
        ("host", {"host": "https://registry.example.com/?a=b"}),
        ("host", {"host": "https://registry.example.com/#a"}),
        ("host", {"host": f"https://user:{SECRET}@registry.example.com"}),
        ("host", {"host": f"user:{SECRET}@registry.example.com"}),
        ("host", {"host": "registry.example.com:http"}),
        ("host", {"host": "registry.example.com:65536"}),
        ("host", {"host": "under_score.example.com"}),
        ("host", {"host": "[::1"}),
        ("host", {"host": "https://"}),
        ("host", {"host": "a b"}),
        ("port", {"host": "registry.example.com:5000", "port": 5001}),
        ("port", {"port": 65536}),
        ("port", {"port": -1}),
        ("password", {"login": "user"}),
        ("password", {"login": "user", "password": SECRET + "\x00"}),
        ("login", {"login": "us:er", "password": SECRET}),
        ("login", {"login": "us\ner", "password": SECRET}),
        ("registry_type", {"registry_type": "quay"}),
        ("registry_type", {"registry_type": 1}),
        ("namespace", {"namespace": "Team"}),
        ("namespace", {"namespace": "../team"}),
        ("ca_certificate", {"ca_certificate": "not a certificate"}),
        ("ca_certificate", {"ca_certificate": "caf\u00e9"}),
        ("ca_certificate", {"ca_certificate": CERTIFICATE[:200]}),
        ("skip_tls_verification", {"skip_tls_verification": "perhaps"}),
        ("skip_tls_verification", {"skip_tls_verification": [1]}),
        ("test_repository", {"test_repository": "Site:latest"}),
        ("skip_tls", {"skip_tls": True}),
        ("creates_projects", {"creates_projects": True}),
        ("requests_per_second", {"requests_per_second": 0}),
        ("requests_per_second", {"requests_per_second": "fast"}),
        ("requests_per_second", {"requests_per_second": True}),
        ("bytes_per_second", {"bytes_per_second": "inf"}),
        ("bytes_per_second", {"bytes_per_second": -1}),
        ("bytes_per_second", {"bytes_per_second": [1]}),
        ("creates_projects", {"creates_projects": "true", "registry_type": "dtr"}),
        ("webhook_secret", {"webhook_secret": SECRET[:15]}),
        ("webhook_secret", {"webhook_secret": f"{SECRET} {SECRET}"}),
        ("webhook_secret", {"webhook_secret": SECRET + "\n" + SECRET}),
        ("webhook_secret", {"webhook_secret": SECRET + "\u00e9"}),
        ("webhook_secret", {"webhook_secret": 7}),
    ],
)
def test_a_field_that_cannot_be_used_is_named_and_no_secret_told(
    field: str, fields: dict[str, object]
) -> None:
    with pytest.raises(ConnectionSettingsError) as refused:
        endpoint(**fields)  # type: ignore[arg-type] # wrong types are what some cases are about

    assert refused.value.field == field
    assert refused.value.connection_id == "qa"
    assert SECRET not in str(refused.value) + repr(refused.value)


def test_an_endpoint_does_not_show_its_secrets() -> None:
    assert SECRET not in repr(endpoint(login="user", password=SECRET))
    assert SECRET not in repr(endpoint(webhook_secret=SECRET))


@pytest.mark.parametrize(
    ("typed", "secret"), [(None, None), ("", None), (" ", None), (f" {SECRET}\n", SECRET)]
)
def test_a_registry_may_notify_with_a_secret(typed: str | None, secret: str | None) -> None:
    assert endpoint(webhook_secret=typed).webhook_secret == secret


def test_the_namespace_goes_before_each_repository_and_comes_off_again() -> None:
    made = endpoint(namespace="/team/qa/")

    assert made.namespace == "team/qa"
    assert made.full_repository("site") == "team/qa/site"
    assert made.own_repository("team/qa/site") == "site"
    assert made.own_repository("team/qa") is None
    assert made.own_repository("team/qaz/site") is None
    assert made.own_repository("other/team/qa/site") is None
    assert endpoint().own_repository("team/site") == "team/site"


def test_docker_hubs_own_images_are_in_library() -> None:
    assert endpoint(None, registry_type="docker_hub").full_repository("debian") == "library/debian"
    assert (
        endpoint(None, registry_type="docker_hub", namespace="team").full_repository("site")
        == "team/site"
    )
    assert endpoint().full_repository("debian") == "debian"


@given(st.text())
def test_a_full_repository_is_one_or_a_refusal(repository: str) -> None:
    try:
        full = endpoint(namespace="team").full_repository(repository)
    except InvalidReferenceError:
        return
    assert is_repository(full)
