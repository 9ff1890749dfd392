"""One image: where it is along the pipeline, and why it is there and no further."""

from __future__ import annotations

from image_promotion.ledger import images
from image_promotion.promotion.run_links import named_run
from image_promotion.web.api import image_models as models
from image_promotion.web.pages.journey import journey_of, waits_of
from image_promotion.web.pages.kept_evidence import evidence_of
from image_promotion.web.pages.page_sources import Site
from image_promotion.web.pages.passages import Background, passage_of
from image_promotion.web.pages.reasons import shown_reason


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
    lines = site.airflow.lines({each for each in named if each is not None})
    around = Background(found.runs, lines, site.now())
    names = {each.observation.policy for each in found.sights}
    policies = {
        name: each.policy for name, each in site.shelf.policies(ledger, names & readable).items()
    }
    return models.Image(
        digest=digest,
        digests=found.digests,
        journey=journey_of(found.sights, policies),
        waits=tuple(waits_of(found.sights, around)),
        sights=tuple(_sight(each, around) for each in found.sights),
        evidence=evidence_of(ledger, found.digests, policies, around.now),
    )


def _sight(sight: images.Sight, around: Background) -> models.Sight:
    seen, decision = sight.observation, sight.decision
    passages = tuple(passage_of(each, around) for each in sight.passages)
    asked_until = [request.until for each in passages for request in each.requests]
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
        asked_until=max(asked_until, default=None),
        overridden_by=decision.overridden_by if decision else None,
        override_reason=decision.override_reason if decision else None,
        reasons=tuple(shown_reason(each) for each in decision.reasons) if decision else (),
        run=sight.decided_by,
        run_path=around.run_path(sight.decided_by),
        passages=passages,
    )
