"""What the API takes and answers where somebody acts on a policy."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from image_promotion.registry.probe_result import Trouble, Use
from image_promotion.web.api.models import Answer
from image_promotion.web.dag_control import Standing

MAX_RUN_TAGS = 100
"""So many tags one run may be limited to from here; Airflow's own form takes more."""

Tag = Annotated[str, StringConstraints(pattern="^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$")]
"""A tag, as `registry.reference.is_tag` knows them."""


class Asked(BaseModel):
    """A part of a request's body."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class RunRequest(Asked):
    """A run of a policy's DAG, by its parameters."""

    tags: tuple[Tag, ...] = Field(
        (), max_length=MAX_RUN_TAGS, description="Only these tags of the source; all if empty."
    )
    dry_run: bool = Field(default=False, description="Decide and say; the target is not touched.")
    decide_again: bool = Field(
        default=False, description="Also consider images that the policy rejected before."
    )


class StartedRun(Answer):
    """A run that Airflow has taken."""

    run_id: str
    path: str = Field(description="Where Airflow's page shows it.")
    waits: bool = Field(description="Whether the DAG is paused: the run waits until it is not.")


class Switch(Asked):
    """Whether a policy's DAG is to run by itself."""

    enabled: bool


class CheckRequest(Asked):
    """What is to be tried of a connection."""

    repository: str = Field(
        max_length=255, description="As policies name it: below the connection's namespace."
    )
    use: Use = Field(description="Read it as a source, or write it as a target.")


class ConnectionCheck(Answer):
    """What a trial of one connection found."""

    connection: str
    repository: str
    use: Use
    ok: bool
    message: str = Field(description="What was found, in sentences.")
    trouble: Trouble | None = Field(description="What is wrong, in one word; null if nothing is.")


class ConnectReport(Answer):
    """What trials of both ends of a policy found."""

    ok: bool
    checks: tuple[ConnectionCheck, ...]


class Actions(Answer):
    """What whoever asks can do with a policy now."""

    standing: Standing = Field(description="Whether Airflow can run the policy's DAG.")
    obstacle: str = Field(description="Why it cannot be run, and what to do; empty if it can.")
    may_run: bool
    may_pause: bool
    may_connect: bool
