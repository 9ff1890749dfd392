from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_promotion.policy.facts import Statement, Status, Vulnerability
from image_promotion.policy.statements import TAKING_OUT, Statements

DIGEST = f"sha256:{'a' * 64}"
OTHER_DIGEST = f"sha256:{'b' * 64}"
PURL = "pkg:deb/debian/libssl3@3.0.11-1?arch=amd64&distro=debian-12"
FLAW = Vulnerability("CVE-2026-1", "libssl3", "3.0.11-1", "HIGH", aliases=("GHSA-x",), purl=PURL)
AT = datetime(2026, 11, 1, tzinfo=UTC)


def stated(
    *products: str,
    status: Status = Status.NOT_AFFECTED,
    about: str = "CVE-2026-1",
    aliases: tuple[str, ...] = (),
    parts: tuple[str, ...] = (),
    at: datetime | None = None,
) -> Statement:
    return Statement(about, aliases, products, status, at=at, subcomponents=parts)


def counts(*statements: Statement, flaw: Vulnerability = FLAW) -> bool:
    return Statements(statements, (DIGEST,)).taking_out(flaw) is None


@pytest.mark.parametrize("status", list(Status))
def test_only_not_affected_and_fixed_take_a_vulnerability_out(status: Status) -> None:
    assert counts(stated(status=status)) is (status not in {Status.NOT_AFFECTED, Status.FIXED})


@pytest.mark.parametrize(
    ("about", "aliases", "same"),
    [
        ("CVE-2026-1", (), True),
        ("cve-2026-1", (), True),
        ("GHSA-x", (), True),
        ("RHSA-1", ("CVE-2026-1",), True),
        ("RHSA-1", ("ghsa-X",), True),
        ("CVE-2026-11", (), False),
        ("", ("CVE-2026-2",), False),
    ],
)
def test_the_vulnerability_is_told_by_its_identifier_or_an_alias(
    about: str, aliases: tuple[str, ...], same: bool
) -> None:
    assert counts(stated(about=about, aliases=aliases)) is not same


@pytest.mark.parametrize(
    ("product", "same"),
    [
        (DIGEST, True),
        (OTHER_DIGEST, False),
        (f"pkg:oci/website@{DIGEST.replace(':', '%3A')}?repository_url=r.example/dev", True),
        (f"pkg:oci/website@{OTHER_DIGEST.replace(':', '%3A')}", False),
        ("pkg:oci/website", False),
        ("pkg:deb/debian/libssl3", True),
        ("pkg:deb/debian/libssl3@3.0.11-1", True),
        ("pkg:deb/debian/libssl3@3.0.11-2", False),
        ("pkg:deb/debian/libssl3?arch=amd64", True),
        ("pkg:deb/debian/libssl3@3.0.11-1?arch=arm64", False),
        ("pkg:deb/debian/libssl3?arch=amd64&epoch=1", False),
        ("pkg:deb/ubuntu/libssl3", False),
        ("pkg:deb/debian/openssl", False),
        ("pkg:apk/debian/libssl3", False),
        ("libssl3", True),
        ("LIBSSL3", True),
        ("libssl", False),
        ("pkg:", False),
        ("urn:cdx:3e671687/1#libssl3", False),
    ],
)
def test_a_product_is_the_image_by_digest_or_the_package_by_its_url_or_name(
    product: str, same: bool
) -> None:
    assert counts(stated(product)) is not same
    assert counts(stated("pkg:npm/other", product)) is not same


def test_without_a_product_it_is_the_image_that_the_document_is_attached_to() -> None:
    assert not counts(stated())


@pytest.mark.parametrize("product", [None, DIGEST])
@pytest.mark.parametrize(
    ("part", "same"),
    [("pkg:deb/debian/libssl3", True), ("pkg:deb/debian/zlib1g", False), ("libssl3", True)],
)
def test_subcomponents_narrow_what_is_said_of_an_image(
    product: str | None, part: str, same: bool
) -> None:
    products = (product,) if product else ()

    assert counts(stated(*products, parts=(part,))) is not same
    assert counts(stated(OTHER_DIGEST, parts=(part,)))


def test_a_package_url_says_nothing_of_a_package_without_one() -> None:
    flaw = Vulnerability("CVE-2026-1", "libssl3", "3.0.11-1", "HIGH")

    assert counts(stated("pkg:deb/debian/libssl3"), flaw=flaw)
    assert not counts(stated("libssl3"), flaw=flaw)


def test_the_version_may_stand_beside_the_package_url() -> None:
    flaw = Vulnerability("CVE-2026-1", "a", "1.0", "HIGH", purl="pkg:npm/a")

    assert not counts(stated("pkg:npm/a@1.0"), flaw=flaw)
    assert counts(stated("pkg:npm/a@1.1"), flaw=flaw)


@pytest.mark.parametrize("status", [Status.AFFECTED, Status.UNDER_INVESTIGATION])
def test_of_two_that_contradict_each_other_the_later_stands(status: Status) -> None:
    early, late = AT, AT + timedelta(seconds=1)

    assert not counts(stated(status=status, at=early), stated(at=late))
    assert counts(stated(status=status, at=late), stated(at=early))
    assert counts(stated(status=status, at=early), stated(at=early))
    assert counts(stated(status=status, at=None), stated(at=late))
    assert counts(stated(status=status, at=early), stated(at=None))
    assert not counts(stated(OTHER_DIGEST, status=status, at=late), stated(at=early))


def test_a_time_without_a_zone_is_in_utc() -> None:
    late = stated(at=datetime(2026, 11, 2))  # noqa: DTZ001 - as a document may have it

    assert not counts(stated(status=Status.AFFECTED, at=AT), late)


_statements = st.lists(
    st.builds(
        Statement,
        st.sampled_from(["CVE-2026-1", "CVE-2026-2"]),
        st.just(()),
        st.sampled_from([(), (DIGEST,), (OTHER_DIGEST,)]),
        st.sampled_from(list(Status)),
        at=st.none() | st.sampled_from([AT, AT + timedelta(days=1)]),
    ),
    max_size=4,
)


@given(_statements)
def test_a_vulnerability_counts_unless_something_takes_it_out_that_nothing_contradicts_since(
    statements: list[Statement],
) -> None:
    about = [
        each
        for each in statements
        if each.vulnerability == "CVE-2026-1" and OTHER_DIGEST not in each.products
    ]
    taken_out = False
    for statement in about:
        contradicted = any(
            other.status not in TAKING_OUT
            and not (statement.at and other.at and other.at < statement.at)
            for other in about
        )
        taken_out |= statement.status in TAKING_OUT and not contradicted

    assert counts(*statements) is not taken_out
    assert counts(*reversed(statements)) is not taken_out
