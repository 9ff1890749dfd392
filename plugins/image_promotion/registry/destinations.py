"""Where a registry may send us: to other hosts, and never to what only this machine can see.

Registries name other hosts by right: a token service, the storage that holds their blobs. Whoever
controls one could name the address under which a cloud tells each machine its own credentials, or
what listens on this machine alone; and what answers there would be read as if it were a registry.
So link-local and other special addresses are no destination, however they are written, and neither
is this machine, unless the registry itself is on it. What people wrote themselves, the registry's
own host and their proxy, is theirs to choose.

Names are looked at when they are resolved, by the addresses that are connected to, so that a name
cannot mean one thing when it is checked and another when it is used.

Source: RFC 6890 (special-purpose addresses), RFC 4291 and 6052 (IPv4 within IPv6).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import httpx

from image_promotion.registry.address import is_loopback

Address = IPv4Address | IPv6Address

_METADATA = frozenset(
    map(
        ip_address,
        (
            "100.100.100.200",  # Alibaba Cloud
            "168.63.129.16",  # Azure's wire server
            "192.0.0.192",  # Oracle Cloud
            "fd00:ec2::254",  # AWS
            "fd20:ce::254",  # Google Cloud
        ),
    )
)
"""Where clouds tell a machine its credentials, as far as these are no link-local addresses."""

_NAT64 = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
_COMPATIBLE = IPv6Network("::/96")

_LOWEST_32_BITS = 0xFFFF_FFFF

# What the C library reads as an IPv4 address: one to four numbers, also octal and hexadecimal.
_NUMERIC = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)(?:\.(?:0x[0-9a-f]*|[0-9]+)){0,3}\.?", re.IGNORECASE)


class DestinationError(ValueError):
    """A host that nothing is asked of on a registry's word; says why, as a clause."""


class Destinations:
    """Tells which hosts may be asked on one registry's word.

    Args:
        own: The registry's own address, which people wrote.
        chosen: Other hosts that people chose, such as their proxy's.
    """

    def __init__(self, own: httpx.URL, *, chosen: Iterable[str] = ()) -> None:
        self._own_host = own.host
        self._chosen = frozenset(chosen)
        self._is_here = is_loopback(own)

    def check(self, url: httpx.URL) -> None:
        """Look at where a registry points, as far as the address itself tells.

        Args:
            url: The address, absolute.

        Raises:
            DestinationError: Nothing is asked there.
        """
        if url.host == self._own_host:
            return
        try:
            address = ip_address(url.host)
        except ValueError:
            if _NUMERIC.fullmatch(url.host):
                raise DestinationError(f"{url.host} is an IP address in disguise") from None
            if is_loopback(url):
                self._refuse(url.host, IPv4Address("127.0.0.1"))
        else:
            self._refuse(url.host, address)

    def admitted(self, host: str, addresses: Iterable[str]) -> frozenset[str]:
        """Look at what a name is resolved to.

        Args:
            host: The name that is connected to.
            addresses: What it is resolved to; an IPv6 address may have a zone.

        Returns:
            The addresses that may be connected to.

        Raises:
            DestinationError: It may be none of them.
        """
        texts = tuple(addresses)
        by_text = {text: ip_address(text.partition("%")[0]) for text in texts}
        if host == self._own_host:
            self._is_here = self._is_here or any(map(_is_here, by_text.values()))
            return frozenset(texts)
        if host in self._chosen:
            return frozenset(texts)
        refused: DestinationError | None = None
        admitted = set()
        for text, address in by_text.items():
            try:
                self._refuse(host, address)
            except DestinationError as error:
                refused = error
            else:
                admitted.add(text)
        if refused is not None and not admitted:
            raise refused
        return frozenset(admitted)

    def _refuse(self, host: str, address: Address) -> None:
        for meant in (address, *_within(address)):
            kind = _kind_of(meant)
            if kind and not (_is_here(meant) and self._is_here):
                raise DestinationError(f"{host} is {kind}")


def _is_here(address: Address) -> bool:
    return address.is_loopback


def _kind_of(address: Address) -> str:
    """Return what is special about an address; an empty text where nothing is."""
    if address in _METADATA:
        return "where a cloud keeps the credentials of this machine"
    if address.is_link_local:
        return "a link-local address"
    if address.is_unspecified or (address.version == 4 and int(address) >> 24 == 0):  # noqa: PLR2004
        return "no host's address"
    if address.is_multicast or address == IPv4Address("255.255.255.255"):
        return "the address of many hosts"
    return "an address of this machine itself" if _is_here(address) else ""


def _within(address: Address) -> Iterable[IPv4Address]:
    """Yield the IPv4 addresses that an IPv6 address may lead to."""
    if isinstance(address, IPv4Address):
        return
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    # ::1 and :: are of IPv6's own.
    is_compatible = address in _COMPATIBLE and int(address) > 1
    if is_compatible or any(address in network for network in _NAT64):
        yield IPv4Address(int(address) & _LOWEST_32_BITS)
