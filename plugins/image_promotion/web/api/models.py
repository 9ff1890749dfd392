"""What the API answers, and what the pages are rendered from: the same values."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from image_promotion.ledger.records import Kind, State


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


class ConnectionState(Answer):
    """How a connection stands, as far as Airflow alone can say; its registry was not asked."""

    connection: str
    usable: bool | None = Field(description="Null where Airflow has not said so yet.")
    registry_type: str | None
    address: str | None = Field(description="Host and port, or a folder.")
    problem: str


class GitState(StrEnum):
    """What Git knows of a policy's file."""

    NONE = "none"
    UNCOMMITTED = "uncommitted"
    UNREADABLE = "unreadable"
    COMMITTED = "committed"
    CHANGED = "changed"


class Revision(Answer):
    """The last commit that changed a policy's file, where it lies in a Git repository."""

    state: GitState = Field(
        description="none: in no repository; uncommitted: not yet part of it; unreadable: Git does "
        "not read the repository; changed: the file is not as it was committed."
    )
    commit: str | None = None
    at: datetime | None = None
    author: str | None = None


class PolicyDetail(PolicySummary):
    """A policy, all of it."""

    words: str = Field(description="What it does, as Markdown.")
    triggers: tuple[str, ...]
    examples: tuple[Example, ...]
    file: str = Field(description="Its file; empty where the server has none and the ledger does.")
    text: str = Field(description="The policy as YAML.")
    revision: Revision
    connections: tuple[ConnectionState, ...]


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


class RunningCopy(Answer):
    """A copy that runs now, as it was noted last."""

    promotion_id: int
    policy: str
    source: Place
    target: Place
    digest: str
    run: str = Field(description="The run that copies: the DAG's id, a slash, the run's id.")
    task_path: str | None = Field(description="Where Airflow's page shows the task and its log.")
    began_at: datetime
    at: datetime = Field(description="When this was noted.")
    blobs: int = Field(description="How many there are to send.")
    blobs_done: int
    size_bytes: int = Field(description="How large they are together.")
    bytes_done: int
    bytes_per_second: float | None
    seconds_left: float | None = Field(description="At this rate; null where nobody knows.")


class Running(Answer):
    """The copies that run now, those that began first first."""

    copies: tuple[RunningCopy, ...]


class Problem(Answer):
    """Why there is no other answer."""

    detail: str
