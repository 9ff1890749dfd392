"""What the API answers about one image, from which its page is rendered too."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from image_promotion.ledger.records import Outcome, State, Verdict
from image_promotion.web.api.models import Answer, Promotion, Reason


class ByRun(Answer):
    """Something that a run did."""

    run: str = Field(description="The run: the DAG's id, a slash, the run's id.")
    run_path: str | None = Field(description="Where Airflow's page shows the run.")


class Step(Answer):
    """A step of a promotion."""

    from_state: State | None
    to_state: State
    at: datetime
    detail: str
    run: str
    task_path: str | None = Field(description="Where Airflow's page shows the task and its log.")


class Approval(ByRun):
    """What one person said when a run asked about a promotion."""

    verdict: Verdict
    who: str = Field(description="Empty where nobody decided in time.")
    comment: str
    at: datetime


class ApprovalRequest(ByRun):
    """That a run waits for people's answer about a promotion."""

    asked_at: datetime
    until: datetime
    task_path: str | None = Field(description="Where Airflow's page takes the answer.")


class Attestation(ByRun):
    """The signed statement that a promotion left in the target."""

    digest: str = Field(description="Of the manifest that holds it, in the target repository.")
    key_id: str = Field(description="The key it is signed by.")
    at: datetime
    previous_digest: str | None = Field(
        description="What the target tag held before, as the statement says; null where it was "
        "free, or held the same."
    )


class Recheck(ByRun):
    """What was found when a promoted image was judged again."""

    outcome: Outcome = Field(description="`promote` when it would be promoted today.")
    reasons: tuple[Reason, ...]
    first_at: datetime
    last_at: datetime


class SetBack(ByRun):
    """The rollback that set the target tag to another image."""

    promotion_id: int
    state: State
    to_digest: str
    at: datetime
    reason: str


class Removal(ByRun):
    """That retention took the target tag away."""

    at: datetime
    detail: str


class Passage(Answer):
    """A promotion: step by step, who let it pass, and what became of it since."""

    promotion: Promotion
    steps: tuple[Step, ...]
    approvals: tuple[Approval, ...]
    requests: tuple[ApprovalRequest, ...]
    attestation: Attestation | None
    rechecks: tuple[Recheck, ...]
    set_back: SetBack | None = Field(description="The rollback that undid it.")
    removal: Removal | None


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


class Signature(Answer):
    """A signature of the image that was found, and whether the policy goes by it."""

    signers: tuple[str, ...] = Field(
        description="The policy's signers who made it, with key or identity; none for a stranger."
    )
    location: str = Field(description="Where it was found.")
    digest: str = Field(description="Of the signature's own content.")
    obtained_at: datetime
    is_verified: bool = Field(description="Whether the policy takes it for a signature.")
    problem: str = Field(description="Why it does not; empty when it does.")


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
    signatures: tuple[Signature, ...]
    set_aside: tuple[str, ...] = Field(
        description="What was found and does not count, strangers' signatures among it, and why."
    )
    notes: tuple[str, ...] = Field(description="Why something is not known.")


class StopTag(Answer):
    """A tag by which the image is, or would be, in a repository of the pipeline."""

    tag: str
    state: str = Field(
        description="`present` or `gone` in a source; in a target the promotion's state, "
        "`rolled back` or `removed`, or why there is none: `waiting`, `rejected`, `conflict` or "
        "`not decided`."
    )
    policy: str = Field(description="The policy that brings it; empty in a source.")


class Stop(Answer):
    """A repository along the pipeline, as far as this image has to do with it."""

    stage: int = Field(description="How many promotions it takes to come here.")
    connection: str
    repository: str
    tags: tuple[StopTag, ...]


class Wait(Answer):
    """Something that the image waits for."""

    policy: str
    tag: str
    what: tuple[str, ...]
    until: datetime | None = Field(description="Null where nobody knows.")


class Image(Answer):
    """One image: where it is, and why."""

    digest: str
    digests: tuple[str, ...]
    journey: tuple[Stop, ...] = Field(description="Where it is along the pipeline, by stage.")
    waits: tuple[Wait, ...]
    sights: tuple[Sight, ...]
    evidence: tuple[EvidenceSummary, ...]
