"""Registries that speak TLS, and whose certificate is believed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from image_promotion.errors import UnreachableError
from image_promotion.registry.failures import Cause, cause_of
from image_promotion.registry.transfer import copy_image
from sandbox.certificates import CertificateAuthority
from sandbox.image_layers import noise_layer
from sandbox.registry_process import RegistryProcess
from sandbox.sample_images import push_image
from tests.integration.registry.raw_http import RawRegistry, client_of, digest_of


@pytest.fixture
def authority(tmp_path: Path) -> CertificateAuthority:
    return CertificateAuthority.create(tmp_path / "ca", name="Example Company CA")


@pytest.fixture
def secured(authority: CertificateAuthority, tmp_path: Path) -> Iterator[RegistryProcess]:
    with RegistryProcess.start(tmp_path / "secured", tls=authority.server()) as registry:
        yield registry


async def test_a_registry_is_believed_by_the_ca_of_the_connection(
    authority: CertificateAuthority, secured: RegistryProcess, dev: RegistryProcess
) -> None:
    pushed = push_image(dev.url, "dev/website", "1.0", layers=[noise_layer(200_000)])

    async with client_of(dev) as source, client_of(secured, ca_certificate=authority.pem) as target:
        report = await copy_image(source, "dev/website", digest_of(pushed), target, "qa/website")
        again = await copy_image(target, "qa/website", digest_of(pushed), source, "back/website")

    assert report.blobs_copied == again.blobs_copied == 2
    RawRegistry(secured, verify=False).assert_holds("qa/website", pushed)
    RawRegistry(dev).assert_holds("back/website", pushed)


async def test_without_its_ca_a_registry_is_not_talked_to(secured: RegistryProcess) -> None:
    async with client_of(secured) as client:
        with pytest.raises(UnreachableError) as caught:
            await client.resolve("dev/website", "1.0")
    assert cause_of(caught.value) is Cause.CERTIFICATE
    assert not caught.value.retryable
    assert "certificate" in caught.value.advice


async def test_another_ca_does_not_help(secured: RegistryProcess, tmp_path: Path) -> None:
    stranger = CertificateAuthority.create(tmp_path / "stranger", name="Somebody Else")
    async with client_of(secured, ca_certificate=stranger.pem) as client:
        with pytest.raises(UnreachableError) as caught:
            await client.ping()
    assert cause_of(caught.value) is Cause.CERTIFICATE


async def test_whoever_skips_verification_talks_to_anybody(secured: RegistryProcess) -> None:
    async with client_of(secured, skip_tls_verification=True) as client:
        await client.ping()
        assert await client.resolve("dev/website", "1.0") is None


@pytest.mark.parametrize("fault", ["expired", "wrong_host"])
async def test_a_certificate_that_is_from_the_ca_and_wrong_is_refused(
    authority: CertificateAuthority, tmp_path: Path, fault: str
) -> None:
    files = authority.expired() if fault == "expired" else authority.wrong_host()
    with RegistryProcess.start(tmp_path / "bad", tls=files) as registry:
        async with client_of(registry, ca_certificate=authority.pem) as client:
            with pytest.raises(UnreachableError) as caught:
                await client.ping()
    assert cause_of(caught.value) is Cause.CERTIFICATE
    words = {"expired": "expired", "wrong_host": "another IP address"}
    assert words[fault] in str(caught.value)
