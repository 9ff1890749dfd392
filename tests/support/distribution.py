"""Which tests go together when several processes share them, and which are begun first.

`scripts/test` runs the tests in several processes of pytest-xdist. What a module or a session has
made at great expense is made once in each process that runs one of its tests; so the tests of a
module stay together, and so do the modules that share a running Airflow, which are marked
`xdist_group`. What takes longest is begun first, so that no process is left alone with it at the
end. A process that runs all tests alone, as plain `pytest` does, keeps their order.
"""

from __future__ import annotations

import pytest
from xdist.scheduler import LoadGroupScheduling  # type: ignore[import-untyped]

# By what their names begin with; all other tests take less than a minute together.
_LONGEST_FIRST = (
    *("tests/airflow/test_running_airflow", "tests/browser/", "tests/faults/test_killed_task"),
    *("tests/integration/sandbox/test_airflow_process", "tests/integration/demo/"),
    *("tests/faults/", "tests/integration/cli/", "tests/integration/", "tests/architecture/"),
)


class GroupsAndModules(LoadGroupScheduling):  # type: ignore[misc]  # untyped
    """Gives a process all tests of a group at once, or of a module where there is no group."""

    def _split_scope(self, nodeid: str) -> str:
        scope: str = super()._split_scope(nodeid)
        return nodeid.partition("::")[0] if scope == nodeid else scope


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
