"""A registry of a known type: the protocol, and the product's own interface beside it."""

from __future__ import annotations

from typing import assert_never

from image_promotion.registry.client import RegistryClient
from image_promotion.registry.digest import Digest
from image_promotion.registry.endpoint import RegistryEndpoint, RegistryType
from image_promotion.registry.products.catalogue import Catalogue
from image_promotion.registry.products.docker_hub import HUB_URL, DockerHubCatalogue, hub_endpoint
from image_promotion.registry.products.dtr import DtrCatalogue
from image_promotion.registry.products.dtr_scans import DtrScans
from image_promotion.registry.products.harbor import HarborCatalogue
from image_promotion.registry.products.harbor_scans import HarborScans
from image_promotion.registry.products.scans import Scans
from image_promotion.registry.retry import DEFAULT_RULES, RetryRules
from image_promotion.registry.session import Session

HUB_CONNECTIONS = 2


class ProductClient(RegistryClient):
    """A registry over HTTP with more than the protocol.

    Implements ``catalogue.HasCatalogue`` and ``scans.HasScans``.

    Args:
        endpoint: The registry; its type has an interface of its own.
        retry: How failed requests are tried again.
        hub_url: Where Docker Hub's interface is; another one in tests.

    Raises:
        ConnectionSettingsError: The endpoint's CA certificate cannot be read.
    """

    def __init__(
        self,
        endpoint: RegistryEndpoint,
        *,
        retry: RetryRules = DEFAULT_RULES,
        hub_url: str = HUB_URL,
    ) -> None:
        super().__init__(endpoint, retry=retry)
        self._hub: Session | None = None
        self._product = endpoint
        self._catalogue = self._catalogue_of(endpoint, retry, hub_url)

    @property
    def catalogue(self) -> Catalogue:
        """The product's own interface."""
        return self._catalogue

    @property
    def scans(self) -> Scans | None:
        """The results of the registry's own scanner; None for a product whose are not public."""
        match self._product.registry_type:
            case RegistryType.DTR:
                return DtrScans(self.session, self._product, self.resolve)
            case RegistryType.HARBOR:
                return HarborScans(self.session, self._product)
            case _:
                return None

    async def remove_tag(self, repository: str, tag: str, digest: Digest) -> bool:
        """Take a tag away by the product's own interface, or else by the protocol."""
        is_gone = await self._catalogue.remove_tag(repository, tag, digest)
        if is_gone is None:
            return await super().remove_tag(repository, tag, digest)
        return is_gone

    async def aclose(self) -> None:
        """Close the connections."""
        if self._hub is not None:
            await self._hub.aclose()
        await super().aclose()

    def _catalogue_of(
        self, endpoint: RegistryEndpoint, retry: RetryRules, hub_url: str
    ) -> Catalogue:
        match endpoint.registry_type:
            case RegistryType.DTR:
                return DtrCatalogue(self.session, endpoint)
            case RegistryType.HARBOR:
                return HarborCatalogue(
                    self.session, endpoint, creates_projects=endpoint.creates_projects
                )
            case RegistryType.DOCKER_HUB:
                self._hub = Session(
                    hub_endpoint(endpoint, hub_url),
                    connections=HUB_CONNECTIONS,
                    rules=retry,
                    pace=endpoint.pace,
                )
                return DockerHubCatalogue(
                    self._hub, endpoint, hub_url=hub_url, registry=self.session, rules=retry
                )
            case RegistryType.OCI | RegistryType.OCI_LAYOUT:
                raise ValueError(f"{endpoint.registry_type} has no interface of its own")
            case _:
                assert_never(endpoint.registry_type)
