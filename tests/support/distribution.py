"""Which tests go together when several processes share them, and which are begun first.

`scripts/test` runs the tests in several processes of pytest-xdist. What a module or a session has
made at great expense is made once in each process that runs one of its tests; so the tests of a
module stay together, and so do the modules that share the running Airflow. What takes longest is
begun first, so that no process is left alone with it at the end. A process that runs all tests
alone, as plain `pytest` does, keeps their order.

(The mark `xdist_group` is not used: pytest-xdist 3.8 writes the group into an attribute that pytest
9.2 no longer reads, so that the mark does nothing, and says nothing.)
"""

from __future__ import annotations

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

WITH_AIRFLOW = (
    "tests/airflow/test_running_airflow.py",
    "tests/airflow/test_approvals.py",
    "tests/airflow/test_webhooks.py",
    "tests/airflow/test_secrets.py",
    "tests/browser/test_airflow_ui.py",
    "tests/browser/test_hostile_names.py",
    "tests/browser/test_policy_actions.py",
    "tests/browser/test_policy_form.py",
    "tests/browser/test_promotions_page.py",
    "tests/faults/test_killed_task.py",
    "tests/integration/sandbox/test_airflow_process.py",
)
"""The modules that share one running Airflow; its fixture checks that none is missing."""

# By what their names begin with; the many others are quick.
_LONGEST_FIRST = (
    *WITH_AIRFLOW,
    "tests/integration/demo/",
    *("tests/integration/cli/", "tests/airflow/", "tests/faults/", "tests/integration/"),
)


class GroupsAndModules(LoadScopeScheduling):  # type: ignore[misc]  # untyped
    """Gives a process all tests of a group of modules at once, or of a module."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return WITH_AIRFLOW[0] if module in WITH_AIRFLOW else module


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> GroupsAndModules:
    """Choose how tests are given out, whatever `--dist` says."""
    config.option.loadscopereorder = False  # by their number, which says nothing of their time
    return GroupsAndModules(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with what takes longest, where tests are given out to several processes."""
    if hasattr(config, "workerinput"):
        items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    for rank, beginning in enumerate(_LONGEST_FIRST):
        if item.nodeid.startswith(beginning):
            return rank
    return len(_LONGEST_FIRST)
