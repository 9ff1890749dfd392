"""Programs are run for their output; whatever happens, nothing of them stays."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from image_promotion.errors import EvidenceError
from image_promotion.evidence.sources.program import Call, environment_for, find_program, run
from tests.support.scan_doubles import write_program

DEADLINE_S = 20.0


def call(
    folder: Path,
    body: str,
    *,
    timeout_s: float = DEADLINE_S,
    limit_bytes: int = 1000,
    environment: dict[str, str] | None = None,
) -> Call:
    program = write_program(folder, "scanner", body)
    return Call(program, (str(folder),), environment or {}, folder, timeout_s, limit_bytes)


async def test_a_program_gives_what_it_writes(tmp_path: Path) -> None:
    body = "sys.stderr.write('a warning'); print(sys.argv[1:], os.getcwd())"

    assert (await run(call(tmp_path, body))).decode() == f"['{tmp_path}'] {tmp_path}\n"


async def test_a_program_sees_only_the_environment_it_is_given(tmp_path: Path) -> None:
    body = "print(sorted(name for name in os.environ if name != 'LC_CTYPE'))"

    output = await run(call(tmp_path, body, environment={"TRIVY_CACHE_DIR": "/x"}))

    assert output == b"['TRIVY_CACHE_DIR']\n"


def test_of_our_environment_a_program_needs_little() -> None:
    ours = {
        "PATH": "/bin",
        "HOME": "/home/airflow",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql://canary-secret",
        "AIRFLOW_CONN_DEV": "canary-secret",
        "TRIVY_CACHE_DIR": "/cache",
        "GRYPE_DB_CACHE_DIR": "/cache",
        "HTTPS_PROXY": "http://proxy",
    }

    assert environment_for(ours) == {"PATH": "/bin", "HOME": "/home/airflow"}
    assert environment_for(ours, prefixes=("TRIVY_",), names=frozenset({"HTTPS_PROXY"})) == {
        "PATH": "/bin",
        "HOME": "/home/airflow",
        "TRIVY_CACHE_DIR": "/cache",
        "HTTPS_PROXY": "http://proxy",
    }


async def test_a_failure_is_told_in_the_programs_words_without_secrets(tmp_path: Path) -> None:
    body = """
    print("[]")
    sys.exit("cannot log in\\nwith canary-secret at https://me:canary-other@host/db?sig=canary-sig")
    """
    environment = {"TRIVY_PASSWORD": "canary-secret"}

    with pytest.raises(EvidenceError) as failed:
        await run(call(tmp_path, body, environment=environment))

    assert "exit status 1" in failed.value.attempted
    assert "cannot log in with *** at https://***@host/db?***" in failed.value.attempted
    assert "canary" not in str(failed.value)


async def test_a_long_complaint_is_cut_and_does_not_block_the_program(tmp_path: Path) -> None:
    body = "sys.stderr.write('x' * 1_000_000 + 'the reason'); sys.exit(3)"

    with pytest.raises(EvidenceError) as failed:
        await run(call(tmp_path, body))

    assert "exit status 3" in failed.value.attempted
    assert len(str(failed.value)) < 1000


async def test_too_much_output_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError) as failed:
        await run(call(tmp_path, "os.write(1, b'x' * 1001); time.sleep(600)"))

    assert "more than 1000 bytes" in failed.value.attempted


async def test_a_program_that_cannot_be_started_is_named(tmp_path: Path) -> None:
    broken = call(tmp_path, "")
    broken.program.chmod(0o600)

    with pytest.raises(EvidenceError) as failed:
        await run(broken)

    assert "scanner cannot be started" in failed.value.attempted


SLOW_WITH_A_CHILD = """
child = os.fork()
if child:
    (Path(sys.argv[1]) / "new").write_text(f"{os.getpid()} {child}")
    os.rename(Path(sys.argv[1]) / "new", Path(sys.argv[1]) / "started")
time.sleep(600)
"""


async def test_a_slow_program_is_given_up_and_may_be_tried_again(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError) as failed:
        await run(call(tmp_path, "time.sleep(600)", timeout_s=0.05))

    assert failed.value.retryable


async def test_cancelling_ends_a_program_with_its_children(tmp_path: Path) -> None:
    running = asyncio.create_task(run(call(tmp_path, SLOW_WITH_A_CHILD)))
    await until((tmp_path / "started").exists)
    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running
    await ended(tmp_path)


async def test_a_child_that_outlives_a_program_is_ended_too(tmp_path: Path) -> None:
    body = """
    child = os.fork()
    if not child:
        os.close(1), os.close(2)
        time.sleep(600)
    (Path(sys.argv[1]) / "started").write_text(f"{os.getpid()} {child}")
    """

    await run(call(tmp_path, body))

    await ended(tmp_path)


def test_programs_are_found_on_path_and_beside_our_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = write_program(tmp_path / "venv", "syft", "")
    theirs = write_program(tmp_path / "path", "syft", "")
    monkeypatch.setattr("sys.executable", str(ours.parent / "python"))

    monkeypatch.setenv("PATH", str(theirs.parent))
    assert find_program("syft") == theirs
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_program("syft") == ours
    assert find_program("grype") is None
    assert find_program("syft", path=str(tmp_path)) is None


async def ended(folder: Path) -> None:
    for pid in (folder / "started").read_text().split():
        await until(lambda pid=int(pid): not is_running(pid))


def is_running(pid: int) -> bool:
    """Say whether a process runs; one that was ended and not yet waited for does not."""
    with suppress(FileNotFoundError, ProcessLookupError):
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state != "Z"
    return False


async def until(holds: object) -> None:
    assert callable(holds)
    async with asyncio.timeout(DEADLINE_S):
        while not holds():  # noqa: ASYNC110 - another process has no event to wait for
            await asyncio.sleep(0.01)
