"""URLs that registries tell us."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_promotion.registry.address import is_loopback, read_url, same_origin

BASE = httpx.URL("https://registry.example/v2/a/tags/list?n=1")


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("/v2/next?last=b", "https://registry.example/v2/next?last=b"),
        ("?last=b", "https://registry.example/v2/a/tags/list?last=b"),
        ("https://other.example:5000/x", "https://other.example:5000/x"),
        ("//other.example/x", "https://other.example/x"),
        ("http://[::1]:5000/x", "http://[::1]:5000/x"),
    ],
)
def test_a_url_is_read_from_where_it_stands(text: str, url: str) -> None:
    assert str(read_url(text, BASE)) == url


@pytest.mark.parametrize(
    "text",
    ["", "ftp://x/", "https://[", "https://[/", "https://a b/", "http://[]/", "data:,"],
)
@pytest.mark.parametrize("base", [None, BASE])
def test_what_leads_nowhere_is_refused(text: str, base: httpx.URL | None) -> None:
    with pytest.raises(ValueError, match=r"it is no|its host is none"):
        read_url(text, base)


def test_a_relative_url_without_a_base_is_refused() -> None:
    with pytest.raises(ValueError, match="http or https"):
        read_url("/token")


@given(st.text(max_size=40))
def test_no_text_of_a_stranger_breaks_the_reader(text: str) -> None:
    try:
        url = read_url(text, BASE)
    except ValueError:
        return
    assert url.scheme in ("http", "https")
    assert url.host


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://a.example/x", "https://a.example:443/y?z", True),
        ("https://a.example", "http://a.example", False),
        ("https://a.example", "https://b.example", False),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5001", False),
        ("http://A.example", "http://a.example", True),
    ],
)
def test_an_origin_is_scheme_host_and_port(one: str, other: str, same: bool) -> None:
    assert same_origin(httpx.URL(one), httpx.URL(other)) is same


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://localhost:5000", True),
        ("http://a.localhost", True),
        ("http://127.8.9.1", True),
        ("http://[::1]:5000", True),
        ("http://10.0.0.1", False),
        ("http://localhost.example", False),
    ],
)
def test_loopback_is_this_machine_alone(url: str, here: bool) -> None:
    assert is_loopback(httpx.URL(url)) is here
