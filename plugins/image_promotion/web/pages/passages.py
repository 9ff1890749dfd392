"""One promotion of an image: its steps, who let it pass, and what became of it since."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from image_promotion.ledger import images
from image_promotion.ledger.approvals import Request
from image_promotion.ledger.chronicle import Told
from image_promotion.ledger.lives import KnownRun
from image_promotion.promotion.run_links import run_path
from image_promotion.web.api import image_models as models
from image_promotion.web.pages.addresses import task_path
from image_promotion.web.pages.history import shown
from image_promotion.web.pages.reasons import shown_reason
from image_promotion.web.pages.task_lines import APPROVE, Lines, RunName


@dataclass(frozen=True, slots=True)
class Background:
    """What is known around an image.

    Args:
        runs: The runs that had to do with it, by their keys.
        lines: Which promotions the mapped task instances of these runs carry.
        now: The present moment.
    """

    runs: Mapping[str, KnownRun]
    lines: Mapping[RunName, Lines]
    now: datetime

    def run_path(self, key: str) -> str | None:
        """Return where Airflow's page shows a run; None where it does not."""
        run = self.runs.get(key)
        return run_path(run.key, run.kind) if run else None


def passage_of(passage: images.Passage, around: Background) -> models.Passage:
    """Return a promotion as the page and the API have it.

    Args:
        passage: The promotion, with all that the ledger has about it.
        around: What is known around it.

    Returns:
        The same, with addresses of Airflow's page.
    """
    done = passage.promotion
    planned_by = around.runs.get(done.run_key)
    told = Told(
        done,
        planned_by.kind if planned_by else "",
        planned_by.started_by if planned_by else None,
    )
    return models.Passage(
        promotion=shown(told),
        steps=tuple(
            models.Step(
                from_state=each.from_state,
                to_state=each.to_state,
                at=each.at,
                detail=each.detail,
                run=each.run_key,
                task_path=task_path(each, done, around.runs.get(each.run_key), around.lines),
            )
            for each in passage.steps
        ),
        approvals=tuple(
            models.Approval(
                run=each.run_key,
                run_path=around.run_path(each.run_key),
                verdict=each.verdict,
                who=each.who,
                comment=each.comment,
                at=each.at,
            )
            for each in passage.marks.words
        ),
        requests=tuple(
            _request(each, around) for each in passage.requests if each.expires_at > around.now
        ),
        attestation=_attestation(passage, around),
        rechecks=tuple(
            models.Recheck(
                run=each.run_key,
                run_path=around.run_path(each.run_key),
                outcome=each.outcome,
                reasons=tuple(shown_reason(reason) for reason in each.reasons),
                first_at=each.first_at,
                last_at=each.last_at,
            )
            for each in passage.looks
        ),
        set_back=_set_back(passage, around),
        removal=_removal(passage, around),
    )


def _request(request: Request, around: Background) -> models.ApprovalRequest:
    of_run = around.run_path(request.run_key)
    return models.ApprovalRequest(
        run=request.run_key,
        run_path=of_run,
        asked_at=request.asked_at,
        until=request.expires_at,
        # Where several people must approve, Airflow's page leads on from the first one's task.
        task_path=f"{of_run}/tasks/{APPROVE}/required_actions" if of_run else None,
    )


def _attestation(passage: images.Passage, around: Background) -> models.Attestation | None:
    found = passage.marks.attestation
    if found is None:
        return None
    return models.Attestation(
        run=found.run_key,
        run_path=around.run_path(found.run_key),
        digest=found.digest,
        key_id=found.key_id,
        at=found.at,
        previous_digest=passage.promotion.former_digest,
    )


def _set_back(passage: images.Passage, around: Background) -> models.SetBack | None:
    if passage.undone_by is None:
        return None
    rollback = passage.undone_by.promotion
    return models.SetBack(
        run=rollback.run_key,
        run_path=around.run_path(rollback.run_key),
        promotion_id=rollback.id,
        state=rollback.state,
        to_digest=rollback.target_digest,
        at=rollback.planned_at,
        reason="; ".join(
            f"{each.found} ({each.source})" if each.source else each.found
            for each in passage.undone_by.reasons
        ),
    )


def _removal(passage: images.Passage, around: Background) -> models.Removal | None:
    found = passage.marks.removal
    if found is None:
        return None
    return models.Removal(
        run=found.run_key,
        run_path=around.run_path(found.run_key),
        at=found.at,
        detail=found.detail,
    )
