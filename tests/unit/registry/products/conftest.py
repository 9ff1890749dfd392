from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from image_promotion.registry.endpoint import RegistryEndpoint, RegistryType
from image_promotion.registry.retry import NO_RETRY
from image_promotion.registry.session import Session
from tests.support.product_doubles import PASSWORD, USER
from tests.support.scripted_server import ScriptedServer

Connect = Callable[..., tuple[Session, RegistryEndpoint]]


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with ScriptedServer() as server:
        yield server


@pytest.fixture
async def connect(server: ScriptedServer) -> AsyncIterator[Connect]:
    """Make a session and an endpoint of a registry type; all are closed after the test."""
    sessions: list[Session] = []

    def make(
        registry_type: RegistryType = RegistryType.OCI,
        *,
        username: str | None = USER,
        password: str | None = PASSWORD,
        namespace: str = "",
    ) -> tuple[Session, RegistryEndpoint]:
        endpoint = RegistryEndpoint("qa", server.url, registry_type, username, password, namespace)
        sessions.append(Session(endpoint, connections=2, rules=NO_RETRY))
        return sessions[-1], endpoint

    yield make
    for session in sessions:
        await session.aclose()
