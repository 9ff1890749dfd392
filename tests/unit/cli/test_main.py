from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from image_promotion.cli.main import main

PROMOTION = Path(sys.executable).with_name("promotion")


@pytest.mark.parametrize(
    "arguments",
    [
        ["promote"],
        ["plan"],
        ["run"],
        ["validate", "a", "b"],
        ["history", "--limit", "0"],
        ["history", "--limit", "many"],
        ["render-tag", "%n", "--tag", "1"],
        ["render-tag", "%n", "--tag", "1", "--at", "yesterday"],
        ["reference"],
        ["evidence"],
        ["evidence", "a", "b"],
        ["copy", "a:1"],
        ["copy", "a:1", "B:1"],
        ["copy", "a", "b:1"],
        ["copy", "a:1", f"b@sha256:{64 * '0'}"],
        ["copy", f"a@sha256:{64 * '0'}", "b"],
        ["copy", "a:1", "conn://b"],
        ["copy", "a:1", "b:1", "--platform", "linux"],
        ["--unknown"],
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_with_2_and_says_so_on_standard_error(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    output = capsys.readouterr()
    assert "usage: promotion" in output.err
    assert not output.out


def test_no_command_at_all_shows_the_help_and_is_wrong_usage(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([]) == 2
    output = capsys.readouterr()
    assert "render-tag" in output.err
    assert not output.out


@pytest.mark.parametrize("arguments", [["--help"], ["plan", "--help"], ["render-tag", "--help"]])
def test_help_is_no_failure(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0
    assert "usage: promotion" in capsys.readouterr().out


def test_the_version_is_that_of_the_installed_project(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"promotion {version('image-promotion')}\n"


def test_an_ill_written_time_is_told_how_to_write_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["render-tag", "%n", "--tag", "1", "--at", "yesterday"])
    assert "ISO 8601, such as" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "never"),
    [
        (["reference", "a"], {"sqlalchemy", "httpx", "pydantic", "rich", "yaml", "asyncio"}),
        (
            ["render-tag", "%n", "--tag", "1", "--at", "2026-01-01"],
            {"sqlalchemy", "httpx", "pydantic", "rich", "yaml", "asyncio"},
        ),
        (["validate", "{folder}"], {"sqlalchemy", "httpx", "rich"}),
        (["history", "--json"], {"httpx", "pydantic"}),
        (["evidence", "{folder}/nowhere"], {"sqlalchemy", "httpx", "pydantic", "asyncio"}),
        (
            ["copy", "layout://{folder}/nowhere//a:1", "layout://{folder}//b"],
            {"sqlalchemy", "pydantic", "yaml", "cryptography"},
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_command_loads_only_what_it_needs(
    tmp_path: Path, command: list[str], never: set[str]
) -> None:
    code = (
        "import sys\n"
        "from image_promotion.cli.main import main\n"
        f"main({[each.format(folder=tmp_path) for each in command]!r})\n"
        "print(*sys.modules)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={"IMAGE_PROMOTION_LEDGER": f"sqlite:///{tmp_path}/ledger.db"},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(ran.stdout.splitlines()[-1].split())
    assert "image_promotion.cli.main" in loaded
    assert not (never | {"airflow"}) & loaded


def test_the_installed_command_does_the_same(tmp_path: Path) -> None:
    ran = subprocess.run(
        [PROMOTION, "reference", "[::1]:5000/site:1", "--json"],
        cwd=tmp_path,
        env={"LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert json.loads(ran.stdout)["registry"] == "[::1]:5000"
