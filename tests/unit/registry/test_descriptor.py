from __future__ import annotations

import pytest

from image_promotion.registry.descriptor import Descriptor, Platform
from image_promotion.registry.digest import Digest

OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_FOREIGN_LAYER = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
DOCKER_FOREIGN_LAYER = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"


@pytest.mark.parametrize(
    ("platform", "text"),
    [
        (Platform("linux", "amd64"), "linux/amd64"),
        (Platform("linux", "arm64", "v8"), "linux/arm64/v8"),
        (Platform("windows", "amd64", os_version="10.0.20348"), "windows/amd64"),
    ],
)
def test_a_platform_reads_as_container_tools_write_it(platform: Platform, text: str) -> None:
    assert str(platform) == text


@pytest.mark.parametrize(
    ("media_type", "urls", "foreign"),
    [
        (OCI_FOREIGN_LAYER, ("https://example.com/layer",), True),
        (DOCKER_FOREIGN_LAYER, ("https://example.com/layer",), True),
        (DOCKER_FOREIGN_LAYER, (), False),
        (OCI_LAYER, ("https://example.com/layer",), False),
        (OCI_LAYER, (), False),
    ],
)
def test_a_layer_is_foreign_when_its_type_forbids_pushing_and_it_can_be_fetched_elsewhere(
    media_type: str, urls: tuple[str, ...], foreign: bool
) -> None:
    assert Descriptor(media_type, Digest.of(b""), 0, urls=urls).is_foreign is foreign


def test_descriptors_can_be_members_of_sets() -> None:
    one = Descriptor(OCI_LAYER, Digest.of(b""), 0, annotations={"a": "b"})
    same = Descriptor(OCI_LAYER, Digest.of(b""), 0, annotations={"a": "b"})

    assert {one} == {same}
