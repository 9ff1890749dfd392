"""How connections stand, as Airflow alone says it."""

from __future__ import annotations

import threading

from image_promotion.registry.endpoint import RegistryEndpoint
from image_promotion.web.connection_states import KEPT_S, ConnectionStates
from tests.unit.web.pages.doubles import ScriptedRegistries


class CountedRegistries(ScriptedRegistries):
    """Connections of which each look-up is counted, and waits where the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.may_answer = threading.Event()
        self.may_answer.set()

    def endpoint(self, connection_id: str) -> RegistryEndpoint:
        self.asked.append(connection_id)
        self.may_answer.wait()
        return super().endpoint(connection_id)


def test_connections_are_looked_up_once_in_a_while() -> None:
    registries, now = CountedRegistries(), [0.0]
    states = ConnectionStates(lambda: now[0], waited_s=60)

    states.of(registries, ["dev", "qa"])
    states.of(registries, ["dev"])
    registries.missing.add("dev")
    now[0] = KEPT_S + 1
    (later,) = states.of(registries, ["dev"])

    assert sorted(registries.asked) == ["dev", "dev", "qa"]
    assert later.usable is False
    assert "there is no such connection" in later.problem


def test_a_slow_secrets_backend_keeps_no_page_waiting() -> None:
    registries = CountedRegistries()
    registries.may_answer.clear()

    (early,) = ConnectionStates(waited_s=0).of(registries, ["dev"])
    registries.may_answer.set()

    assert early.usable is None
    assert "not read it yet" in early.problem
