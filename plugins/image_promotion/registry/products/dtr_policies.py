"""DTR's own policies, as its API has them: read once, by whoever leaves it.

Source: DTR 2.6 API, ``/api/v0/repositories`` and below.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

from pydantic import BaseModel, TypeAdapter

from image_promotion.errors import DeniedError, NotFoundError, Subject
from image_promotion.registry.endpoint import RegistryEndpoint
from image_promotion.registry.failures import violation
from image_promotion.registry.paging import Paging
from image_promotion.registry.products.api import ProductApi, basic_authorization, read
from image_promotion.registry.products.dtr import PAGE_LENGTH
from image_promotion.registry.reference import is_repository
from image_promotion.registry.session import Session

KINDS = ("promotionPolicies", "pushMirroringPolicies", "pollMirroringPolicies")

_REPOSITORIES = "/api/v0/repositories"


class _Repository(BaseModel):
    namespace: str
    name: str


class _Page(BaseModel):
    repositories: list[_Repository]


_PAGE = TypeAdapter(_Page)
_POLICIES = TypeAdapter(list[dict[str, object]] | None)


class DtrPolicies:
    """The policies of all repositories that a connection may see.

    Args:
        session: The registry.
        endpoint: The connection; its namespace plays no part.
    """

    def __init__(self, session: Session, endpoint: RegistryEndpoint) -> None:
        self._endpoint = endpoint
        self._api = ProductApi(session, authorization=basic_authorization(endpoint))

    async def documents(self) -> AsyncGenerator[dict[str, object], None]:
        """Yield an object for each repository that has policies, or may not be asked.

        Yields:
            ``repository``, and a list under each of the three kinds; under ``refused`` the kinds
            that only an administrator of the repository may read.

        Raises:
            RegistryError: DTR answers with another error, or not at all.
        """
        async for full in self._repositories():
            document: dict[str, object] = {"repository": full}
            refused: list[str] = []
            for kind in KINDS:
                try:
                    if found := await self._policies(full, kind):
                        document[kind] = found
                except (DeniedError, NotFoundError):
                    refused.append(kind)
            if refused:
                document["refused"] = refused
            if len(document) > 1:
                yield document

    async def _policies(self, full: str, kind: str) -> list[dict[str, object]]:
        attempt, answer = await self._api.ask(
            "GET",
            f"{_REPOSITORIES}/{full}/{kind}",
            "reading its policies",
            Subject(self._endpoint.host, full),
        )
        return read(attempt, answer, _POLICIES) or []

    async def _repositories(self) -> AsyncGenerator[str, None]:
        """Yield each repository's full name once; the next page begins where a header says."""
        start = "0"
        paging = Paging(start)
        listed: set[str] = set()
        while start:
            with paging.waiting():
                attempt, answer = await self._api.ask(
                    "GET",
                    _REPOSITORIES,
                    "listing the repositories",
                    Subject(self._endpoint.host),
                    query={"pageSize": str(PAGE_LENGTH), "pageStart": start},
                )
            for each in read(attempt, answer, _PAGE).repositories:
                full = f"{each.namespace}/{each.name}"
                if not is_repository(full):
                    raise violation(
                        attempt, f"it lists {full[:255]!a}, which is no repository", status=200
                    )
                if full not in listed:
                    listed.add(full)
                    yield full
            start = answer.headers.get("x-next-page-start", "")
            if start:
                paging.turn(attempt, start, answer.status)
