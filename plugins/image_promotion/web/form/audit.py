"""What Airflow's audit log learns of policies that the page has written."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from airflow.models.log import Log
from airflow.utils.session import create_session

EVENT = "image_promotion.save_policy"


@dataclass(frozen=True, slots=True)
class SavedPolicy:
    """A policy file that was written.

    Args:
        policy: The policy's name.
        file: What the file is called.
        who: Who wrote it.
        is_new: Whether there was none before.
        version: The policy's hash, by which the ledger knows this version of it.
    """

    policy: str
    file: str
    who: str
    is_new: bool
    version: str


Audit = Callable[[SavedPolicy], None]
"""Notes that a policy file was written."""


def airflow_audit(saved: SavedPolicy) -> None:
    """Note in Airflow's audit log that a policy file was written."""
    extra = {"file": saved.file, "new": saved.is_new, "version": saved.version}
    with create_session() as session:
        session.add(Log(event=EVENT, dag_id=saved.policy, owner=saved.who, extra=json.dumps(extra)))
