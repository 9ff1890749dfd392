"""Webhooks and Airflow's own database of assets, DAGs and queued runs."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from airflow.models.asset import (
    AssetActive,
    AssetDagRunQueue,
    AssetEvent,
    AssetModel,
    DagScheduleAssetNameReference,
    DagScheduleAssetReference,
    DagScheduleAssetUriReference,
)
from airflow.models.dag import DagModel
from airflow.models.dagbundle import DagBundleModel
from airflow.utils.session import create_session
from sqlalchemy import delete, select

from image_promotion.policy.asset_names import asset_name, asset_uri
from image_promotion.web.asset_events import MAX_IMAGES_TOLD, AirflowAssets
from image_promotion.web.connections import usable_endpoint
from image_promotion.web.notifications.event import Happening, ImageEvent
from image_promotion.web.watching import Outcome, WatchedRepository

BUNDLE = "bundle-of-asset-events"

_numbers = itertools.count(1)

EVENT = ImageEvent(Happening.PUSHED, "dev/website", "1.0")


@dataclass(frozen=True)
class StoredAsset:
    """An asset in Airflow's database, which no other test has, and the DAGs that wait for it."""

    watched: WatchedRepository

    def announce(self, *events: ImageEvent) -> Outcome:
        """Tell Airflow of events."""
        return AirflowAssets().announce(self.watched, events or (EVENT,), "dev_registry")

    def queued(self) -> set[str]:
        """Return the DAGs that will run."""
        with create_session() as session:
            statement = select(AssetDagRunQueue.target_dag_id)
            of_this = AssetDagRunQueue.asset_id == self.watched.asset_id
            return set(session.scalars(statement.where(of_this)))

    def take_off_the_queue(self, dag_id: str) -> None:
        """Do what the scheduler does when it makes a run."""
        with create_session() as session:
            session.execute(
                delete(AssetDagRunQueue).where(
                    AssetDagRunQueue.asset_id == self.watched.asset_id,
                    AssetDagRunQueue.target_dag_id == dag_id,
                )
            )

    def events(self) -> Sequence[object]:
        """Return what the events that were written say."""
        with create_session() as session:
            of_this = AssetEvent.asset_id == self.watched.asset_id
            return list(session.scalars(select(AssetEvent.extra).where(of_this)))


@pytest.fixture
def dag_ids() -> Sequence[str]:
    """Two DAGs, switched on, that nobody else has."""
    ids = [f"waits-for-asset-{next(_numbers)}" for _ in range(2)]
    with create_session() as session:
        if session.get(DagBundleModel, BUNDLE) is None:
            session.add(DagBundleModel(name=BUNDLE))
            session.flush()
        for dag_id in ids:
            # Untyped in Airflow.
            dag = DagModel(dag_id=dag_id, bundle_name=BUNDLE, is_paused=False)  # type: ignore[no-untyped-call]
            session.add(dag)
    return ids


def _store(repository: str, *dag_ids: str, active: bool = True, uri: str = "") -> StoredAsset:
    name = asset_name("dev_registry", f"{repository}{next(_numbers)}")
    uri = uri or asset_uri(*name.split("/", 1))
    with create_session() as session:
        asset = AssetModel(name=name, uri=uri)
        session.add(asset)
        session.flush()
        if active:
            session.add(AssetActive(name=name, uri=uri))
        for dag_id in dag_ids:
            session.add(DagScheduleAssetReference(asset_id=asset.id, dag_id=dag_id))
        asset_id = asset.id
    return StoredAsset(WatchedRepository(asset_id, *name.split("/", 1)))


def _pause(dag_id: str) -> None:
    with create_session() as session:
        dag = session.get(DagModel, dag_id)
        assert dag is not None
        dag.is_paused = True


def test_an_event_puts_each_waiting_dag_on_the_queue_and_says_which_images(
    dag_ids: Sequence[str],
) -> None:
    asset = _store("dev/website", *dag_ids)

    assert asset.announce() is Outcome.STARTED

    assert asset.queued() == set(dag_ids)
    assert asset.events() == [
        {"webhook": "dev_registry", "images": ["dev/website:1.0"], "more_images": 0}
    ]


def test_while_all_waiting_dags_are_on_the_queue_no_further_event_is_written(
    dag_ids: Sequence[str],
) -> None:
    asset = _store("dev/website", *dag_ids)

    outcomes = [asset.announce() for _ in range(20)]

    assert outcomes == [Outcome.STARTED] + [Outcome.COVERED] * 19
    assert len(asset.events()) == 1


def test_an_event_is_written_again_once_any_waiting_dag_has_got_its_run(
    dag_ids: Sequence[str],
) -> None:
    """Its run may have looked at the registry before the push."""
    asset = _store("dev/website", *dag_ids)
    asset.announce()
    asset.take_off_the_queue(dag_ids[0])

    assert asset.announce() is Outcome.STARTED

    assert asset.queued() == set(dag_ids)
    assert len(asset.events()) == 2


def test_a_paused_dag_is_not_waited_for(dag_ids: Sequence[str]) -> None:
    asset = _store("dev/website", *dag_ids)
    _pause(dag_ids[0])

    assert asset.announce() is Outcome.STARTED
    assert asset.announce() is Outcome.COVERED
    assert asset.queued() == {dag_ids[1]}

    _pause(dag_ids[1])
    assert asset.announce() is Outcome.IDLE


def test_an_asset_for_which_no_dag_waits_gets_no_events() -> None:
    """Such as a target from which nothing goes on, or the source of manual policies alone."""
    asset = _store("qa/website")
    assert asset.announce() is Outcome.IDLE
    assert asset.events() == []


def test_dags_that_name_the_asset_by_name_or_uri_alone_wait_too(dag_ids: Sequence[str]) -> None:
    asset = _store("dev/website")
    name = asset_name(asset.watched.connection_id, asset.watched.repository)
    uri = asset_uri(asset.watched.connection_id, asset.watched.repository)
    with create_session() as session:
        session.add(DagScheduleAssetNameReference(name=name, dag_id=dag_ids[0]))
        session.add(DagScheduleAssetUriReference(uri=uri, dag_id=dag_ids[1]))

    assert asset.announce() is Outcome.STARTED

    assert asset.queued() == set(dag_ids)


def test_an_asset_that_went_meanwhile_is_idle(dag_ids: Sequence[str]) -> None:
    asset = _store("dev/website", *dag_ids)
    gone = StoredAsset(WatchedRepository(10**9, "dev_registry", asset.watched.repository))
    assert gone.announce() is Outcome.IDLE


def test_an_event_names_some_images_and_counts_the_rest(dag_ids: Sequence[str]) -> None:
    asset = _store("dev/website", *dag_ids)
    many = [ImageEvent(Happening.PUSHED, "dev/website", str(number)) for number in range(1000)]

    asset.announce(*many)

    (extra,) = asset.events()
    assert isinstance(extra, dict)
    assert len(extra["images"]) == MAX_IMAGES_TOLD
    assert extra["more_images"] == 1000 - MAX_IMAGES_TOLD
    assert len(json.dumps(extra)) < 2000


def test_watched_are_the_active_assets_that_are_ours(dag_ids: Sequence[str]) -> None:
    ours = _store("dev/*", *dag_ids)
    inactive = _store("dev/website", active=False)
    others = _store("dev/website", uri="s3://bucket/website")
    near = _store("dev/website", uri="oci://somebody/elses")

    watched = AirflowAssets().watched()

    assert ours.watched in watched
    assert not {inactive.watched, others.watched, near.watched} & set(watched)


def test_a_connection_that_is_in_no_database_is_found_where_airflow_looks_for_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "canary-5ecret-of-the-webhook"
    fields = {"conn_type": "container_registry", "host": "https://registry.example.com"}
    extra = {"webhook_secret": secret}
    monkeypatch.setenv("AIRFLOW_CONN_KEPT_ELSEWHERE", json.dumps({**fields, "extra": extra}))
    monkeypatch.setenv(
        "AIRFLOW_CONN_SHORT", json.dumps({**fields, "extra": {"webhook_secret": "s"}})
    )

    found = usable_endpoint("kept_elsewhere")

    assert found is not None
    assert found.webhook_secret == secret
    assert secret not in repr(found)
    assert usable_endpoint("no_such_registry") is None
    assert usable_endpoint("short") is None
    assert "webhook_secret" in caplog.text
    assert secret not in caplog.text
