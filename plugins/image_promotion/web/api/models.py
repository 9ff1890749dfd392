"""What the API answers, and what the pages are rendered from: the same values."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from image_promotion.ledger.records import Kind, Outcome, State


class Answer(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(frozen=True)


class Place(Answer):
    """A tag of a repository, behind a connection."""

    connection: str = Field(description="The Airflow connection's id.")
    registry: str = Field(description="The registry, as messages name it.")
    repository: str
    tag: str


class Promotion(Answer):
    """One image's passage from its source to its target."""

    id: int
    policy: str
    kind: Kind
    state: State
    failed_in: State | None = Field(description="The state it failed in.")
    error: str = Field(description="What failed; empty unless it failed.")
    source: Place
    target: Place
    digest: str = Field(description="What the source tag pointed at.")
    target_digest: str = Field(description="What the target tag gets.")
    planned_at: datetime
    verified_at: datetime | None
    ended_at: datetime | None
    seconds: float | None = Field(description="How long the copy took.")
    bytes_copied: int | None
    bytes_mounted: int | None
    bytes_skipped: int | None
    run: str = Field(description="The run that planned it: the DAG's id, a slash, the run's id.")
    run_kind: str = Field(description="How that run came about.")
    started_by: str | None = Field(description="Who started that run by hand.")
    run_path: str | None = Field(description="Where Airflow's page shows the run.")


class PromotionPage(Answer):
    """Some promotions, the one planned last first."""

    promotions: tuple[Promotion, ...]
    next: str | None = Field(description="Ask for `after` this to get the next page.")


class Repository(Answer):
    """A repository, or a pattern of repositories, behind a connection."""

    connection: str
    repository: str


class Target(Repository):
    """Where a policy's images go."""

    tag: str = Field(description="The tag template.")
    timezone: str
    existing_tag: str = Field(description="What happens when the tag holds another image.")


class LastRun(Answer):
    """The last run of a policy's DAG."""

    run_id: str
    state: str
    at: datetime | None
    path: str = Field(description="Where Airflow's page shows it.")


class PolicySummary(Answer):
    """A policy, and how it stands."""

    name: str
    description: str
    source: Repository
    targets: tuple[Target, ...]
    enabled: bool | None = Field(description="Null where Airflow does not know the DAG.")
    schedule: str
    next_run_at: datetime | None
    last_run: LastRun | None
    promoted: tuple[int, ...] = Field(description="Of the last seven days, the last one last.")
    waiting: int
    failing: int
    conflicts: int
    last_result: State | None = Field(description="How the promotion planned last stands.")
    audit: bool = Field(description="Whether it only decides, and copies nothing.")


class Node(Answer):
    """A repository in the picture of the pipeline."""

    id: str
    connection: str
    repository: str
    stage: int = Field(description="How many promotions it takes at most to come here.")


class Arrow(Answer):
    """A policy in the picture of the pipeline."""

    policy: str
    source: str
    targets: tuple[str, ...]


class Overview(Answer):
    """All policies that whoever asks may see, and the pipeline they make."""

    policies: tuple[PolicySummary, ...]
    nodes: tuple[Node, ...]
    arrows: tuple[Arrow, ...]


class Example(Answer):
    """A tag template, and what it makes of a tag now."""

    template: str
    source_tag: str
    tag: str | None = Field(description="Null where the template gives no tag for this one.")
    problem: str = ""


class PolicyDetail(PolicySummary):
    """A policy, all of it."""

    words: str = Field(description="What it does, as Markdown.")
    triggers: tuple[str, ...]
    examples: tuple[Example, ...]
    file: str = Field(description="Its file; empty where the server has none and the ledger does.")
    text: str = Field(description="The policy as YAML.")


class Reason(Answer):
    """Why a trigger held, did not hold, or is not known to hold."""

    trigger: str
    verdict: str
    expected: str
    found: str
    source: str
    count: int | None
    items: tuple[str, ...]
    parts: tuple[Reason, ...]


class Step(Answer):
    """A step of a promotion."""

    from_state: State | None
    to_state: State
    at: datetime
    detail: str
    run: str
    task_path: str | None = Field(description="Where Airflow's page shows the task and its log.")


class Passage(Answer):
    """A promotion, step by step."""

    promotion: Promotion
    steps: tuple[Step, ...]


class Sight(Answer):
    """What one policy decided about the image under one tag, and what came of it."""

    policy: str
    repository: str
    tag: str
    digest: str
    first_seen_at: datetime
    last_seen_at: datetime
    is_present: bool
    outcome: Outcome | None
    decided_at: datetime | None
    asked_at: datetime | None
    times_asked: int
    wait_until: datetime | None
    asked_until: datetime | None = Field(description="Until when people are asked to approve.")
    overridden_by: str | None
    override_reason: str | None
    reasons: tuple[Reason, ...]
    run: str
    run_path: str | None
    passages: tuple[Passage, ...]


class EvidenceSummary(Answer):
    """What the kept evidence says about the image, or about that of one of its platforms."""

    policies: tuple[str, ...] = Field(description="The policies that go by it.")
    repository: str
    platform: str
    gathered_at: datetime
    components: int | None
    components_source: str
    vulnerabilities: dict[str, int] | None = Field(
        description="By critical, major, minor and other; null where nothing is known."
    )
    vulnerabilities_source: str
    licenses: dict[str, int]
    signed_by: tuple[str, ...]
    notes: tuple[str, ...] = Field(description="Why something is not known.")


class Image(Answer):
    """One image: where it is, and why."""

    digest: str
    digests: tuple[str, ...]
    sights: tuple[Sight, ...]
    evidence: tuple[EvidenceSummary, ...]


class Problem(Answer):
    """Why there is no other answer."""

    detail: str
