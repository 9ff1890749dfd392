"""Airflow's assets, read and told of events in its own database, as its API does it."""

from __future__ import annotations

from collections.abc import Sequence

from airflow.assets.manager import asset_manager
from airflow.models.asset import (
    AssetActive,
    AssetDagRunQueue,
    AssetModel,
    DagScheduleAssetNameReference,
    DagScheduleAssetReference,
    DagScheduleAssetUriReference,
)
from airflow.models.dag import DagModel
from airflow.utils.retries import run_with_db_retries
from airflow.utils.session import create_session
from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from image_promotion.policy.asset_names import ASSET_SCHEME, named_repository
from image_promotion.web.notifications.event import ImageEvent
from image_promotion.web.watching import Outcome, WatchedRepository

MAX_IMAGES_TOLD = 20
"""How many images the event names for people; the scan looks for itself."""


class AirflowAssets:
    """The assets of the Airflow whose server this is."""

    def watched(self) -> Sequence[WatchedRepository]:
        """Return the active assets that stand for repositories.

        Returns:
            One for each, whether a policy's source or its target.
        """
        statement = (
            select(AssetModel.id, AssetModel.name, AssetModel.uri)
            .join(
                AssetActive,
                and_(AssetActive.name == AssetModel.name, AssetActive.uri == AssetModel.uri),
            )
            .where(AssetModel.uri.like(f"{ASSET_SCHEME}://%"))
        )
        with create_session(scoped=False) as session:
            rows = session.execute(statement).all()
        return [
            WatchedRepository(asset_id, *named)
            for asset_id, name, uri in rows
            if (named := named_repository(name, uri)) is not None
        ]

    def announce(
        self, watched: WatchedRepository, events: Sequence[ImageEvent], source: str
    ) -> Outcome:
        """Write an asset event, unless every policy that waits has a run to come anyway.

        Airflow keeps one row in its queue for each pair of asset and DAG, and removes it in the
        transaction that makes the run. So while the row can be seen, the run to come has not been
        made, and will look at the registry after this moment, which is after the push: another
        event would change nothing. It is the database that is asked, so that it holds with several
        servers, and nothing is lost with a process.

        Args:
            watched: The asset.
            events: What happened there.
            source: The connection whose webhook was called.

        Returns:
            What became of it.

        Source: Airflow 3.3.2, `AssetManager.register_asset_change` and
        `SchedulerJobRunner._create_dag_runs_asset_triggered`.
        """
        # SQLite lets one writer in at a time; the scheduler is often the one.
        for attempt in run_with_db_retries():
            with attempt, create_session(scoped=False) as session:
                return _announce(session, watched, events, source)
        raise AssertionError  # the last attempt has returned or raised


def _announce(
    session: Session, watched: WatchedRepository, events: Sequence[ImageEvent], source: str
) -> Outcome:
    asset = session.get(AssetModel, watched.asset_id)
    if asset is None:  # its DAGs went a moment ago
        return Outcome.IDLE
    waiting = _waiting_dags(session, asset)
    if not waiting:
        return Outcome.IDLE
    queued = set(
        session.scalars(
            select(AssetDagRunQueue.target_dag_id).where(AssetDagRunQueue.asset_id == asset.id)
        )
    )
    if waiting <= queued:
        return Outcome.COVERED
    # Not called an event of the API: with several teams in one Airflow, those are limited to the
    # teams of the user who posts them, and a registry is of no team and no user.
    asset_manager.register_asset_change(
        asset=asset,
        extra={
            "webhook": source,
            "images": [str(event) for event in events[:MAX_IMAGES_TOLD]],
            "more_images": max(0, len(events) - MAX_IMAGES_TOLD),
        },
        session=session,
    )
    return Outcome.STARTED


def _waiting_dags(session: Session, asset: AssetModel) -> set[str]:
    """Return the DAGs that Airflow will queue for an event of an asset."""
    return set(
        session.scalars(
            select(DagModel.dag_id).where(
                DagModel.is_paused.is_(False),
                or_(
                    DagModel.dag_id.in_(
                        select(DagScheduleAssetReference.dag_id).where(
                            DagScheduleAssetReference.asset_id == asset.id
                        )
                    ),
                    DagModel.dag_id.in_(
                        select(DagScheduleAssetNameReference.dag_id).where(
                            DagScheduleAssetNameReference.name == asset.name
                        )
                    ),
                    DagModel.dag_id.in_(
                        select(DagScheduleAssetUriReference.dag_id).where(
                            DagScheduleAssetUriReference.uri == asset.uri
                        )
                    ),
                ),
            )
        )
    )
