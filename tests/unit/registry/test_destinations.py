"""Where a registry may send us, by address and by name."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_promotion.registry.address import read_url
from image_promotion.registry.destinations import DestinationError, Destinations

FAR = httpx.URL("https://registry.example.com")
HERE = httpx.URL("http://127.0.0.1:5000")

METADATA = (
    "169.254.169.254",
    "169.254.170.2",
    "[fd00:ec2::254]",
    "[fd20:ce::254]",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "[fe80::1]",
    "[fe80::a9fe:a9fe]",
)
WITHIN_IPV6 = (
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[0:0:0:0:0:ffff:a9fe:a9fe]",
    "[::169.254.169.254]",
    "[64:ff9b::169.254.169.254]",
    "[64:ff9b:1::a9fe:a9fe]",
    "[2002:a9fe:a9fe::1]",
)
IN_DISGUISE = (
    "2852039166",
    "0xa9fea9fe",
    "0XA9FEA9FE",
    "025177524776",
    "0251.0376.0251.0376",
    "0xa9.0xfe.0xa9.0xfe",
    "169.254.43518",
    "169.16689662",
    "169.254.169.254.",
    "0251.254.169.254",
)
NO_HOST = ("0.0.0.0", "0.1.2.3", "[::]", "255.255.255.255", "224.0.0.1", "[ff02::1]")  # noqa: S104
THIS_MACHINE = (
    *("127.0.0.1", "127.1.2.3", "[::1]", "localhost", "a.localhost", "[::ffff:127.0.0.1]"),
    *("[64:ff9b::127.0.0.1]", "[2002:7f00:1::]"),
)
ELSEWHERE = (
    *("10.0.0.1", "192.168.1.1", "172.16.0.1", "100.64.0.1", "8.8.8.8", "[2001:4860::8888]"),
    *("[fd12:3456::1]", "storage.example.com", "s3.eu-central-1.amazonaws.com", "minio"),
    *("[::ffff:10.0.0.1]", "[64:ff9b::8.8.8.8]", "1.example.com", "0x.example.com"),
)


def is_refused(host: str, own: httpx.URL = FAR) -> bool:
    """Whether nothing is asked of a host that a registry names in a field of its answer."""
    try:
        Destinations(own).check(read_url(f"https://{host}/a"))
    except ValueError:
        return True
    return False


@pytest.mark.parametrize("host", [*METADATA, *WITHIN_IPV6, *IN_DISGUISE, *NO_HOST])
@pytest.mark.parametrize("own", [FAR, HERE], ids=["far", "here"])
def test_what_only_a_machine_itself_can_see_is_no_destination(host: str, own: httpx.URL) -> None:
    assert is_refused(host, own)


@pytest.mark.parametrize("host", THIS_MACHINE)
def test_this_machine_is_a_destination_only_of_a_registry_that_is_on_it(host: str) -> None:
    assert is_refused(host, FAR)
    assert not is_refused(host, HERE)


@pytest.mark.parametrize("host", ELSEWHERE)
def test_every_other_host_is_one(host: str) -> None:
    assert not is_refused(host)


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "0.0.0.0"])  # noqa: S104
def test_what_people_wrote_themselves_is_theirs_to_choose(host: str) -> None:
    assert not is_refused(host, httpx.URL(f"https://{host}"))


def test_a_refusal_says_which_host_and_why() -> None:
    with pytest.raises(DestinationError, match=r"169\.254\.169\.254 is a link-local address"):
        Destinations(FAR).check(httpx.URL("http://169.254.169.254/latest/meta-data/"))


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "fe80::1", "fe80::1%eth0", "127.0.0.1", "::1", "fd00:ec2::254"]
)
def test_a_name_that_leads_there_is_refused_when_it_is_resolved(address: str) -> None:
    with pytest.raises(DestinationError, match=r"storage\.example is"):
        Destinations(FAR).admitted("storage.example", [address])


def test_of_the_addresses_of_a_name_the_good_ones_are_used() -> None:
    """Names in a local network often have a link-local address besides."""
    addresses = ["fe80::2%eth0", "192.168.1.5", "127.0.0.1"]
    assert Destinations(FAR).admitted("nas.local", addresses) == {"192.168.1.5"}


def test_a_name_without_addresses_leads_nowhere_by_itself() -> None:
    assert Destinations(FAR).admitted("nothing.example", []) == frozenset()


def test_the_registrys_own_name_and_the_proxys_may_lead_anywhere() -> None:
    destinations = Destinations(FAR, chosen=["proxy.example"])
    for host in ("registry.example.com", "proxy.example"):
        addresses = ["169.254.1.1", "127.0.0.1"]
        assert destinations.admitted(host, addresses) == set(addresses)


def test_once_its_own_name_leads_to_this_machine_others_may_lead_there_too() -> None:
    destinations = Destinations(FAR)
    destinations.admitted("registry.example.com", ["127.0.1.1"])
    assert destinations.admitted("auth.example", ["127.0.0.1"]) == {"127.0.0.1"}
    destinations.check(httpx.URL("http://localhost:5001/token"))
    with pytest.raises(DestinationError):
        destinations.admitted("auth.example", ["169.254.169.254"])


@given(st.ip_addresses(network="169.254.0.0/16"), st.sampled_from(["%s", "[::ffff:%s]", "[::%s]"]))
def test_no_link_local_address_is_a_destination(address: object, written: str) -> None:
    assert is_refused(written % address)


@given(st.ip_addresses(network="fe80::/10"))
def test_no_link_local_address_of_ipv6_is_one(address: object) -> None:
    assert is_refused(f"[{address}]")


@given(st.integers(0, 2**32 - 1))
def test_a_single_number_is_never_a_host(number: int) -> None:
    assert is_refused(str(number))
    assert is_refused(hex(number))
