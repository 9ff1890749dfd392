from __future__ import annotations

from pathlib import Path

import pytest

from image_promotion.errors import ConnectionSettingsError
from image_promotion.registry.client import RegistryClient
from image_promotion.registry.endpoint import RegistryEndpoint, RegistryType
from image_promotion.registry.layout import LayoutStore
from image_promotion.registry.opening import open_store
from image_promotion.registry.products.catalogue import Catalogue, HasCatalogue
from image_promotion.registry.products.docker_hub import DockerHubCatalogue
from image_promotion.registry.products.dtr import DtrCatalogue
from image_promotion.registry.products.harbor import HarborCatalogue


def layouts_in(folder: Path) -> RegistryEndpoint:
    return RegistryEndpoint("disk", folder.as_uri(), RegistryType.OCI_LAYOUT, namespace="team")


async def test_a_registry_is_reached_over_http() -> None:
    store = open_store(RegistryEndpoint("dev", "https://registry.example.com"))
    await store.aclose()

    assert isinstance(store, RegistryClient)
    assert store.name == "registry.example.com"


@pytest.mark.parametrize(
    ("registry_type", "catalogue"),
    [
        (RegistryType.DTR, DtrCatalogue),
        (RegistryType.HARBOR, HarborCatalogue),
        (RegistryType.DOCKER_HUB, DockerHubCatalogue),
    ],
)
async def test_a_registry_of_a_known_type_has_its_own_interface(
    registry_type: RegistryType, catalogue: type[Catalogue]
) -> None:
    store = open_store(RegistryEndpoint("dev", "https://registry.example.com", registry_type))
    await store.aclose()

    assert isinstance(store, HasCatalogue)
    assert isinstance(store.catalogue, catalogue)


async def test_a_plain_registry_has_none() -> None:
    store = open_store(RegistryEndpoint("dev", "https://registry.example.com"))
    await store.aclose()

    assert not isinstance(store, HasCatalogue)


def test_a_folder_is_opened_with_the_namespace_of_its_connection(tmp_path: Path) -> None:
    folder = tmp_path / "Two Words"
    folder.mkdir()
    store = open_store(layouts_in(folder))

    assert isinstance(store, LayoutStore)
    assert store.name == str(folder)
    assert store.full_repository("site") == "team/site"


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    missing = tmp_path / "not-mounted"

    with pytest.raises(ConnectionSettingsError, match="there is no folder") as refused:
        open_store(layouts_in(missing))

    assert (refused.value.connection_id, refused.value.field) == ("disk", "host")
    assert str(missing) in str(refused.value)
    assert not missing.exists()
