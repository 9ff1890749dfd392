"""Two real registries, a proxy in front of each, and ways past them: what schedules share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from image_promotion.registry.endpoint import RegistryEndpoint
from sandbox.fault_proxy import FaultProxy
from sandbox.registry_process import RegistryProcess
from sandbox.token_service import EVERYTHING, TokenService, User
from tests.support.onlooker import Onlooker

SOURCE, TARGET = "dev_registry", "qa_registry"
"""What policies call the connections."""

_USER, _PASSWORD = "promoter", "canary-5ecret-Pa55phrase"


@dataclass(frozen=True)
class Rig:
    """Two registries and what stands before them.

    Attributes:
        source: The proxy that the product finds at the source connection.
        target: The proxy at the target connection.
        tokens: Where the registries send their clients for tokens; None where anybody may in.
    """

    source: FaultProxy
    target: FaultProxy
    tokens: TokenService | None = None

    @classmethod
    @contextmanager
    def start(cls, folder: Path, *, wants_tokens: bool = False) -> Iterator[Rig]:
        """Start it.

        Args:
            folder: Where the registries keep their content.
            wants_tokens: Whether they let in who has a token.

        Yields:
            The rig.
        """
        with ExitStack() as stack:
            tokens = None
            if wants_tokens:
                users = {_USER: User(_PASSWORD, {"*": EVERYTHING})}
                tokens = stack.enter_context(TokenService.start(folder / "tokens", users=users))
            dev, qa = (
                stack.enter_context(
                    RegistryProcess.start(folder / name, name=name, token_auth=tokens)
                )
                for name in ("dev", "qa")
            )
            source = stack.enter_context(FaultProxy(dev.url))
            target = stack.enter_context(FaultProxy(qa.url))
            yield cls(source, target, tokens)

    @property
    def endpoints(self) -> Mapping[str, RegistryEndpoint]:
        """Where the product's connections lead."""
        user, password = (_USER, _PASSWORD) if self.tokens else (None, None)
        return {
            name: RegistryEndpoint(name, proxy.url, username=user, password=password)
            for name, proxy in ((SOURCE, self.source), (TARGET, self.target))
        }

    @property
    def environment(self) -> Mapping[str, str]:
        """The connections as environment variables, as Airflow and the command read them."""
        return {
            f"AIRFLOW_CONN_{name.upper()}": (
                f'{{"conn_type": "container_registry", "host": "{endpoint.url}"}}'
            )
            for name, endpoint in self.endpoints.items()
        }

    def auth(self, *repositories: str) -> httpx.Auth | None:
        """Return what lets others than the product do anything in some repositories."""
        return self.tokens.pusher_auth(*repositories) if self.tokens else None

    @contextmanager
    def onlooker(self, proxy: FaultProxy, repository: str) -> Iterator[Onlooker]:
        """Read a repository past its proxy."""
        with Onlooker(proxy.registry_url, auth=self.auth(repository)) as onlooker:
            yield onlooker
