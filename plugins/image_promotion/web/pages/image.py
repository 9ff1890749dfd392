"""One image: where it is along the pipeline, and why it is there and no further."""

from __future__ import annotations

from collections.abc import Mapping

from image_promotion.ledger import images, records
from image_promotion.ledger.chronicle import Told
from image_promotion.ledger.lives import KnownRun
from image_promotion.promotion.run_links import named_run, run_path
from image_promotion.web.api import models
from image_promotion.web.pages.addresses import task_path
from image_promotion.web.pages.airflow_state import TaskKey
from image_promotion.web.pages.history import shown
from image_promotion.web.pages.kept_evidence import evidence_of
from image_promotion.web.pages.page_sources import Site


def image(site: Site, readable: frozenset[str], digest: str) -> models.Image | None:
    """Gather what there is to one image.

    Args:
        site: Where it is from.
        readable: The DAGs that whoever asks may see.
        digest: The image's digest, whole.

    Returns:
        The image; None when no policy that they may see ever saw it.
    """
    ledger = site.ledger()
    found = ledger.images.whereabouts(digest, readable)
    if found is None:
        return None
    named = {named_run(key) for key in found.runs}
    map_indexes = site.airflow.map_indexes({each for each in named if each is not None})
    names = {each.observation.policy for each in found.sights}
    policies = {
        name: each.policy for name, each in site.shelf.policies(ledger, names & readable).items()
    }
    return models.Image(
        digest=digest,
        digests=found.digests,
        sights=tuple(_sight(each, found.runs, map_indexes) for each in found.sights),
        evidence=evidence_of(ledger, found.digests, policies, site.now()),
    )


def _sight(
    sight: images.Sight, runs: Mapping[str, KnownRun], map_indexes: Mapping[TaskKey, int]
) -> models.Sight:
    seen, decision = sight.observation, sight.decision
    run = runs.get(sight.decided_by)
    return models.Sight(
        policy=seen.policy,
        repository=seen.repository,
        tag=seen.tag,
        digest=seen.digest,
        first_seen_at=seen.first_seen_at,
        last_seen_at=seen.last_seen_at,
        is_present=sight.is_present,
        outcome=decision.outcome if decision else None,
        decided_at=decision.decided_at if decision else None,
        asked_at=decision.asked_at if decision else None,
        times_asked=decision.times_asked if decision else 0,
        wait_until=decision.wait_until if decision else None,
        asked_until=sight.asked_until,
        overridden_by=decision.overridden_by if decision else None,
        override_reason=decision.override_reason if decision else None,
        reasons=tuple(_reason(each) for each in decision.reasons) if decision else (),
        run=sight.decided_by,
        run_path=run_path(run.key, run.kind) if run else None,
        passages=tuple(_passage(each, runs, map_indexes) for each in sight.passages),
    )


def _passage(
    passage: images.Passage, runs: Mapping[str, KnownRun], map_indexes: Mapping[TaskKey, int]
) -> models.Passage:
    done = passage.promotion
    planned_by = runs.get(done.run_key)
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
                task_path=task_path(each, done, runs.get(each.run_key), map_indexes),
            )
            for each in passage.steps
        ),
    )


def _reason(reason: records.Reason) -> models.Reason:
    return models.Reason(
        trigger=reason.trigger,
        verdict=reason.verdict,
        expected=reason.expected,
        found=reason.found,
        source=reason.source,
        count=reason.count,
        items=reason.items,
        parts=tuple(_reason(each) for each in reason.parts),
    )
