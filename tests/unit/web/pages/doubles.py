"""What stands in for Airflow where somebody acts on a policy."""

from __future__ import annotations

from dataclasses import dataclass, field

from image_promotion.errors import ConnectionSettingsError, DagRefusedError
from image_promotion.registry.endpoint import RegistryEndpoint
from image_promotion.registry.probe_result import ProbeResult, Side
from image_promotion.web.dag_control import Parameters, Standing


@dataclass(frozen=True)
class StartedDag:
    """A run that was started, or a pause: what Airflow was told."""

    dag_id: str
    user_name: str
    parameters: Parameters = field(default_factory=dict)
    is_paused: bool | None = None


@dataclass
class ScriptedDags:
    """DAGs that stand as the test says, and remember what they were told."""

    standings: dict[str, Standing] = field(default_factory=dict)
    told: list[StartedDag] = field(default_factory=list)
    refusal: DagRefusedError | None = None

    def standing(self, dag_id: str) -> Standing:
        return self.standings.get(dag_id, Standing.ENABLED)

    def has_run(self, dag_id: str, run_id: str) -> bool:
        runs = sum(1 for each in self.told if each.dag_id == dag_id and each.is_paused is None)
        return run_id in {f"manual__{n}" for n in range(1, runs + 1)}

    def trigger(self, dag_id: str, parameters: Parameters, *, user_name: str) -> str:
        if self.refusal:
            raise self.refusal
        self.told.append(StartedDag(dag_id, user_name, parameters))
        return f"manual__{sum(1 for each in self.told if each.is_paused is None)}"

    def pause(self, dag_id: str, *, is_paused: bool, user_name: str) -> None:
        if self.refusal:
            raise self.refusal
        self.told.append(StartedDag(dag_id, user_name, is_paused=is_paused))
        self.standings[dag_id] = Standing.PAUSED if is_paused else Standing.ENABLED


PASSWORD = "canary-swordfish"


@dataclass
class ScriptedRegistries:
    """Connections that are all there, but for those that the test takes away."""

    missing: set[str] = field(default_factory=set)
    results: dict[str, ProbeResult] = field(default_factory=dict)
    probed: list[tuple[str, Side]] = field(default_factory=list)

    def endpoint(self, connection_id: str) -> RegistryEndpoint:
        if connection_id in self.missing:
            raise ConnectionSettingsError(
                "there is no such connection",
                connection_id=connection_id,
                advice="Make it in Admin, Connections.",
            )
        host = connection_id.replace("_", "-")
        return RegistryEndpoint(
            connection_id, f"https://{host}.example", username="robot", password=PASSWORD
        )

    def connection_ids(self) -> list[str]:
        return sorted({"dev_registry", "qa_registry"} - self.missing)

    async def probe(self, endpoint: RegistryEndpoint, side: Side) -> ProbeResult:
        self.probed.append((endpoint.connection_id, side))
        works = ProbeResult(ok=True, message=f"The connection may {side.use} {side.repository}.")
        return self.results.get(endpoint.connection_id, works)


@dataclass(frozen=True)
class ScriptedRights:
    """Somebody who may edit all connections, or none."""

    may: bool

    def may_edit(self, *_connection_ids: str) -> bool:
        return self.may
