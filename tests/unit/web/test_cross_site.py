"""Which requests are of our own pages, and which of others'."""

from __future__ import annotations

import pytest

from image_promotion.web.cross_site import is_of_this_site

HERE = "airflow.example:8080"


def _is_of_this_site(scheme: str = "http", host: str = HERE, **headers: str) -> bool:
    named = {name.replace("_", "-"): value for name, value in {"host": host, **headers}.items()}
    return is_of_this_site(
        {
            "type": "http",
            "method": "POST",
            "scheme": scheme,
            "path": "/new",
            "headers": [(name.encode(), value.encode()) for name, value in named.items()],
        }
    )


@pytest.mark.parametrize("word", ["same-origin", "none"])
def test_the_browsers_word_is_believed_for_us(word: str) -> None:
    assert _is_of_this_site(sec_fetch_site=word, cookie="_token=x")


@pytest.mark.parametrize("word", ["cross-site", "same-site", "", "SAME-ORIGIN", "anything"])
def test_the_browsers_word_against_us_counts_whatever_the_origin(word: str) -> None:
    assert not _is_of_this_site(sec_fetch_site=word, origin=f"http://{HERE}")


@pytest.mark.parametrize(
    ("scheme", "host", "origin"),
    [
        ("http", HERE, f"http://{HERE}"),
        ("http", "airflow.example", "http://airflow.example:80"),
        ("https", "airflow.example", "https://airflow.example"),
        ("https", "airflow.example:443", "https://AIRFLOW.example"),
        ("http", "[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_an_older_browsers_origin_is_ours_if_scheme_host_and_port_are(
    scheme: str, host: str, origin: str
) -> None:
    assert _is_of_this_site(scheme, host, origin=origin, cookie="_token=x")


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        f"https://{HERE}",
        "http://airflow.example",
        "http://airflow.example:8081",
        f"http://{HERE}.evil.example",
        f"http://{HERE}@evil.example",
        "http://airflow.example:notaport",
        "null",
        "",
        "file://",
    ],
)
def test_an_origin_that_differs_is_another_site(origin: str) -> None:
    assert not _is_of_this_site(origin=origin)


def test_behind_a_proxy_the_address_that_people_use_counts_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.company.example/airflow/")

    assert _is_of_this_site(host="api-server:8080", origin="https://airflow.company.example")
    assert not _is_of_this_site(host="api-server:8080", origin="http://airflow.company.example")


def test_a_program_sends_neither_origin_nor_cookie() -> None:
    assert _is_of_this_site(authorization="Bearer x")
    assert not _is_of_this_site(cookie="_token=x")
