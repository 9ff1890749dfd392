"""Harbor's replication rules and registries, as its API has them: read once, by whoever leaves it.

Source: Harbor API 2.0, listReplicationPolicies and listRegistries.
"""

from __future__ import annotations

from pydantic import TypeAdapter

from image_promotion.errors import Subject
from image_promotion.registry.endpoint import RegistryEndpoint
from image_promotion.registry.products.api import ProductApi, basic_authorization, read
from image_promotion.registry.products.harbor import MAX_PAGES, PAGE_LENGTH
from image_promotion.registry.session import Session

_OBJECTS = TypeAdapter(list[dict[str, object]] | None)


class HarborReplication:
    """The replication rules of a Harbor; only its administrators may read them.

    Args:
        session: The registry.
        endpoint: The connection.
    """

    def __init__(self, session: Session, endpoint: RegistryEndpoint) -> None:
        self._endpoint = endpoint
        self._api = ProductApi(session, authorization=basic_authorization(endpoint))

    async def document(self) -> dict[str, object]:
        """Return the rules under ``policies`` and the registries under ``registries``.

        Raises:
            RegistryError: Harbor answers with an error, or not at all.
        """
        return {
            "policies": await self._all("replication/policies", "listing the replication rules"),
            "registries": await self._all("registries", "listing the registries"),
        }

    async def _all(self, path: str, action: str) -> list[dict[str, object]]:
        found: list[dict[str, object]] = []
        for page in range(1, MAX_PAGES + 1):
            attempt, answer = await self._api.ask(
                "GET",
                f"/api/v2.0/{path}",
                action,
                Subject(self._endpoint.host),
                query={"page": str(page), "page_size": str(PAGE_LENGTH)},
            )
            objects = read(attempt, answer, _OBJECTS) or []
            found += objects
            if len(objects) < PAGE_LENGTH:
                break
        return found
