"""The copies that run now, and how far they have come."""

from __future__ import annotations

from image_promotion.ledger.lives import KnownRun
from image_promotion.ledger.progress import Progress, RunningCopy
from image_promotion.promotion.run_links import named_run
from image_promotion.web.api import models
from image_promotion.web.pages.addresses import stage_path
from image_promotion.web.pages.page_sources import Site


def running(
    site: Site, readable: frozenset[str], *, policy: str = "", digest: str = ""
) -> models.Running:
    """List the copies that run now.

    Args:
        site: Where they are from.
        readable: The DAGs that whoever asks may see.
        policy: Only those of this policy; empty for all.
        digest: Only those of this image; empty for all.

    Returns:
        The copies.
    """
    found = site.ledger().progress.running(
        readable & {policy} if policy else readable,
        site.now(),
        digests=[digest] if digest else None,
    )
    named = {named_run(each.progress.run_key) for each in found}
    lines = site.airflow.lines({each for each in named if each is not None}) if found else {}

    def shown(copy: RunningCopy) -> models.RunningCopy:
        done, progress = copy.promotion, copy.progress
        run = KnownRun(progress.run_key, copy.run_kind, None)
        rate = _bytes_per_second(progress)
        return models.RunningCopy(
            promotion_id=done.id,
            policy=done.policy,
            source=models.Place(
                connection=done.source_connection,
                registry=done.source_registry,
                repository=done.source_repository,
                tag=done.source_tag,
            ),
            target=models.Place(
                connection=done.target_connection,
                registry=done.target_registry,
                repository=done.target_repository,
                tag=done.target_tag,
            ),
            digest=done.digest,
            run=run.key,
            task_path=stage_path("copy", done, run, lines),
            began_at=progress.began_at,
            at=progress.at,
            blobs=progress.blobs,
            blobs_done=progress.blobs_done,
            size_bytes=progress.size_bytes,
            bytes_done=progress.bytes_done,
            bytes_per_second=rate,
            seconds_left=max(progress.size_bytes - progress.bytes_done, 0) / rate if rate else None,
        )

    return models.Running(copies=tuple(shown(each) for each in found))


def _bytes_per_second(progress: Progress) -> float | None:
    seconds = (progress.at - progress.began_at).total_seconds()
    return progress.bytes_done / seconds if seconds > 0 and progress.bytes_done else None
