from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.architecture.house import PLUGINS, ROOT, modules_of

VAGUE = frozenset({"util", "utils", "helper", "helpers", "common", "misc", "base", "manager"})


def _named() -> dict[str, list[Path]]:
    """Return every module and folder of Python that is ours, by its bare name."""
    named: dict[str, list[Path]] = {}
    for room in ("plugins", "dags", "sandbox", "tests"):
        for path in modules_of(ROOT / room):
            own = path.parent if path.stem == "__init__" else path
            named.setdefault(own.stem, []).append(own.relative_to(ROOT))
    return named


def test_no_module_or_folder_is_named_like_the_standard_library() -> None:
    """Airflow imports plugins by their bare names: a copy.py would become everybody's `copy`."""
    offending = [path for name in sys.stdlib_module_names for path in _named().get(name, [])]
    assert not offending, offending


def test_names_say_what_is_in_a_module() -> None:
    offending = [path for name in VAGUE for path in _named().get(name, [])]
    assert not offending, offending


# Airflow's own loader, in a process of its own: it leaves what it imports in sys.modules.
_LOAD = """
import json, sys
from airflow.plugins_manager import get_import_errors
errors = get_import_errors()
files = {name: getattr(module, "__file__", None) for name, module in sys.modules.items()}
here = sys.argv[1]
print(json.dumps([errors, [name for name, file in files.items() if file and here in file]]))
"""


def _modules_that_airflow_loads(plugins: Path, home: Path) -> list[str]:
    environment = os.environ | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(plugins),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }
    done = subprocess.run(
        [sys.executable, "-c", _LOAD, str(plugins)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    errors, loaded = json.loads(done.stdout.splitlines()[-1])
    assert errors == {}
    return sorted(name for name in loaded if "." not in name and name != "image_promotion")


def test_airflow_imports_one_plugin_file_only(tmp_path: Path) -> None:
    assert _modules_that_airflow_loads(PLUGINS, tmp_path) == ["promotion_plugin"]


def test_it_is_the_ignore_file_that_hides_the_package(tmp_path: Path) -> None:
    plugins = tmp_path / "plugins"
    for path in modules_of(PLUGINS):
        copy = plugins / path.relative_to(PLUGINS)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.touch()
    loaded = _modules_that_airflow_loads(plugins, tmp_path)
    assert {"promotion_plugin", "errors", "client"} <= set(loaded)
