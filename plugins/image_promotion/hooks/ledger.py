"""The ledger as an Airflow task finds it."""

from __future__ import annotations

import os
from contextlib import suppress

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.location import (
    CONNECTION_ID,
    CONNECTION_VARIABLE,
    URL_VARIABLE,
    ledger_url,
)


def open_ledger() -> Ledger:
    """Open the ledger that the environment, an Airflow connection or the default names.

    Returns:
        The ledger; to be closed.

    Raises:
        ConnectionSettingsError: The connection is none of a database.
        LedgerError: It cannot be opened.
    """
    environ = dict(os.environ)
    if not environ.get(URL_VARIABLE) and not environ.get(CONNECTION_VARIABLE):
        # Airflow knows more places for a connection than the environment: its own database and
        # the secrets backends. As JSON, since in a URI SQLite's path would be taken for a host.
        with suppress(AirflowNotFoundException):
            environ[CONNECTION_VARIABLE] = BaseHook.get_connection(CONNECTION_ID).as_json()
    return Ledger.open(ledger_url(environ))
