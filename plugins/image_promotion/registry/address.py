"""URLs that registries tell us, read with the suspicion that they deserve."""

from __future__ import annotations

from ipaddress import ip_address

import httpx


def read_url(text: str, base: httpx.URL | None = None) -> httpx.URL:
    """Read a URL that a stranger wrote.

    Args:
        text: The URL, as it stands in a header field.
        base: What it is relative to; None when it must be absolute.

    Returns:
        An absolute http or https URL with a host.

    Raises:
        ValueError: The text is no such URL.

    Source: RFC 3986, "Host" and "Relative Resolution".
    """
    try:
        url = httpx.URL(text) if base is None else base.join(text)
    except (httpx.InvalidURL, UnicodeError) as error:
        raise ValueError("it is no URL") from error
    if not text or url.scheme not in ("http", "https") or not url.host:
        raise ValueError("it is no http or https URL")
    # httpx escapes what cannot stand in a host, such as half an IPv6 address, and goes on.
    if b"%" in url.raw_host:
        raise ValueError("its host is none")
    return url


def same_origin(one: httpx.URL, other: httpx.URL) -> bool:
    """Tell whether two URLs lead to one server, so that what one may know the other may too."""
    # httpx has taken the scheme's own port off both.
    return (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port)


def is_loopback(url: httpx.URL) -> bool:
    """Tell whether a URL's host is this machine itself."""
    if url.host == "localhost" or url.host.endswith(".localhost"):
        return True
    try:
        return ip_address(url.host).is_loopback
    except ValueError:
        return False
