"""What has to be so before any test module is imported.

Airflow reads its settings once, when it is first imported, whichever test does it. It gets a home
of its own, which no test shares with a person's Airflow, and which goes when the tests end.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]

_home = tempfile.mkdtemp(prefix="airflow-home-")
atexit.register(shutil.rmtree, _home, ignore_errors=True)

for _name in [name for name in os.environ if name.startswith(("AIRFLOW", "IMAGE_PROMOTION"))]:
    del os.environ[_name]
os.environ |= {
    "AIRFLOW_HOME": _home,
    "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
    "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
    "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    # Registries, which are Go, spend half of their time on collecting garbage from a few megabytes.
    "GOGC": "1000",
}

pytest_plugins = ["tests.support.distribution", "tests.support.airflow_server"]
