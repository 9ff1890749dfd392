"""Airflow's audit log learns of every policy file that the page writes."""

from __future__ import annotations

import json

import pytest
from airflow.models.log import Log
from sqlalchemy import Table, create_engine, select
from sqlalchemy.orm import Session, sessionmaker

from image_promotion.web.form import audit
from image_promotion.web.form.audit import SavedPolicy, airflow_audit


def test_a_saved_policy_is_a_row_with_who_and_which_version(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = create_engine("sqlite://")
    table = Log.__table__
    assert isinstance(table, Table)
    table.create(engine)
    # Airflow's own database, of which this needs one table.
    monkeypatch.setattr(audit, "create_session", sessionmaker(engine).begin)

    airflow_audit(SavedPolicy("website", "website.yaml", "ada", is_new=True, version="sha256:1"))

    with Session(engine) as session:
        row = session.scalars(select(Log)).one()
    assert (row.event, row.dag_id, row.owner) == (audit.EVENT, "website", "ada")
    assert json.loads(row.extra or "") == {
        "file": "website.yaml",
        "new": True,
        "version": "sha256:1",
    }
    engine.dispose()
