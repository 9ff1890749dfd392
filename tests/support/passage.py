"""A policy between two real registries, each behind a proxy that breaks what a test plans."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from image_promotion.errors import PromotionError
from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.records import Promotion, State, Transition
from image_promotion.policy.model import Policy
from image_promotion.promotion.batches import Stage
from image_promotion.promotion.live_progress import LiveProgress
from image_promotion.promotion.pipeline import Stages, run_policy
from image_promotion.promotion.reporting import RunReport
from image_promotion.promotion.stores import Stores
from image_promotion.registry.client import RegistryClient
from image_promotion.registry.endpoint import RegistryEndpoint
from image_promotion.registry.transfer import NO_PROGRESS
from sandbox.fault_proxy import FaultProxy
from sandbox.image_layers import noise_layer
from sandbox.image_pusher import PushedImage
from sandbox.registry_process import RegistryProcess
from sandbox.sample_images import push_image, push_index
from tests.support.onlooker import Onlooker

START = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
LAYER_BYTES = 200_000

WAY = [State.PLANNED, State.COPIED, State.TAGGED, State.VERIFIED]
"""The states of a promotion that went well, in their order."""

_numbers = itertools.count(1)


@dataclass
class Passage:
    """The registries, the proxies, the ledger, and a policy for two repositories nobody else has.

    Attributes:
        dev: The registry images come from.
        qa: The registry they go to.
        source: The proxy in front of `dev`.
        target: The proxy in front of `qa`.
        ledger: The ledger.
        connections: What the policy calls the connections to its source and its target.
        urls: Where the policy's connections lead: to the proxies.
        slept_s: The pauses that the clients made between attempts, in seconds; none was waited for.
        errors: The errors of single images, as the stages raised them.
        platforms: The platforms that the policy chooses; empty for all.
        signing_pem: The private key of the connection ``signing``, by which promotions are
            attested; empty where they are not.
    """

    dev: RegistryProcess
    qa: RegistryProcess
    source: FaultProxy
    target: FaultProxy
    ledger: Ledger
    connections: tuple[str, str] = ("dev_registry", "qa_registry")
    number: int = field(default_factory=lambda: next(_numbers))
    now: datetime = START
    runs: int = 0
    slept_s: list[float] = field(default_factory=list)
    errors: list[PromotionError] = field(default_factory=list)
    platforms: Sequence[str] = ()
    signing_pem: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        from_dev, to_qa = self.connections
        self.urls = {from_dev: self.source.url, to_qa: self.target.url}

    @property
    def source_repository(self) -> str:
        return f"dev/site{self.number}"

    @property
    def target_repository(self) -> str:
        return f"qa/site{self.number}"

    def policy(
        self, *, triggers: Sequence[dict[str, object]] | None = None, **target: object
    ) -> Policy:
        """Give the policy: what ends with -stable goes over; `target` says more of the target."""
        from_dev, to_qa = self.connections
        return Policy.model_validate(
            {
                "name": f"site{self.number}-to-qa",
                "source": {"connection": from_dev, "repository": self.source_repository},
                "target": {
                    "connection": to_qa,
                    "repository": self.target_repository,
                    **target,
                },
                "triggers": triggers or [{"tag": {"ends_with": "-stable"}}],
                **({"platforms": list(self.platforms)} if self.platforms else {}),
                **({"attestation": {"connection": "signing"}} if self.signing_pem else {}),
            }
        )

    def push(self, tag: str, content: str = "") -> PushedImage:
        """Push an image of two layers to the source under a tag, past the proxy."""
        layers = [noise_layer(LAYER_BYTES, f"{self.number} {tag} {content}"), noise_layer(5_000)]
        return push_image(self.dev.url, self.source_repository, tag, layers=layers)

    def push_index(self, tag: str) -> PushedImage:
        """Push an index of two platforms to the source under a tag, past the proxy."""
        images = {
            platform: [noise_layer(LAYER_BYTES, f"{self.number} {tag} {platform}")]
            for platform in ("linux/amd64", "linux/arm64")
        }
        return push_index(self.dev.url, self.source_repository, tag, images=images)

    def occupy(self, tag: str) -> str:
        """Let somebody else set a tag of the target, past the proxy; return the digest."""
        layers = [noise_layer(1_000, f"{self.number} somebody else's")]
        return push_image(self.qa.url, self.target_repository, tag, layers=layers).digest

    async def run(self, policy: Policy | None = None) -> RunReport:
        """Run the policy from scan to report; `errors` then holds those of this run."""
        self.runs += 1
        self.now += timedelta(minutes=5)
        self.errors.clear()
        async with self.stores() as stores:
            return await run_policy(
                policy or self.policy(),
                stores=stores,
                ledger=self.ledger,
                clock=lambda: self.now,
                run_key=f"run-{self.runs}",
                progress_of=lambda _: NO_PROGRESS,
            )

    def stores(self) -> Stores:
        """Give the stores of the policy, whose clients do not really pause."""

        async def sleep(pause_s: float) -> None:
            self.slept_s.append(pause_s)

        return Stores(
            lambda connection_id: RegistryEndpoint(connection_id, self.urls[connection_id]),
            set(self.urls),
            open_store=lambda endpoint: RegistryClient(endpoint, sleep=sleep),
        )

    async def completes(self, *images: PushedImage, policy: Policy | None = None) -> None:
        """Check that a run without faults brings exactly these images, and has no complaint."""
        self.source.heal()
        self.target.heal()
        report = await self.run(policy)
        assert report.problems == ()
        assert self.visible() == {image.tag: image.digest for image in images}

    def visible(self) -> dict[str, str]:
        """Read the target to its last blob, past the proxy: the digest of each tag."""
        with Onlooker(self.qa.url) as registry:
            return registry.visible(self.target_repository)

    def read_target(self, tag: str) -> bytes:
        """Read a manifest of the target, past the proxy."""
        with Onlooker(self.qa.url) as registry:
            return registry.manifest(self.target_repository, tag)

    def promotions(self) -> list[Promotion]:
        """Give all promotions that the ledger has of the policy."""
        history = self.ledger.history(policy=self.policy().name)
        return [entry.promotion for entry in history if entry.promotion]

    def transitions(self, promotion: Promotion) -> list[Transition]:
        """Give the steps of a promotion."""
        return list(self.ledger.transitions(promotion.id))

    def states(self, promotion: Promotion) -> list[State]:
        """Give the states that a promotion went through, in their order."""
        return [step.to_state for step in self.transitions(promotion)]


def stages_noting_errors(passage: Passage) -> type[Stages]:
    """Give stages that note the error of each image before the ledger makes text of it."""

    class StagesNotingErrors(Stages):
        async def act(self, stage: Stage, promotion: Promotion, live: LiveProgress) -> object:
            try:
                return await super().act(stage, promotion, live)
            except PromotionError as error:
                passage.errors.append(error)
                raise

    return StagesNotingErrors
