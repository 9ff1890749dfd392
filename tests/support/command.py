"""`promotion run` and its like as a process of its own, which can be killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import yaml

from image_promotion.policy.model import Policy
from sandbox.faults import Hold
from tests.support.passage import Passage

TIMEOUT_S = 300.0
"""Only a command that hangs takes so long."""

_POLL_S = 0.5


class PromotionCommand:
    """A running `promotion run POLICY --json`, or another verb; leaving its context ends it.

    Args:
        passage: Where the policy's connections lead.
        ledger_url: The ledger.
        folder: Takes the policy file and what the command says.
        verb: What it does.
        more: Further arguments.
        policy: The policy; None for that of the passage.
    """

    def __init__(
        self,
        passage: Passage,
        ledger_url: str,
        folder: Path,
        *,
        verb: str = "run",
        more: Sequence[str] = (),
        policy: Policy | None = None,
    ) -> None:
        self._folder = folder
        path = folder / "policy.yaml"
        document = json.loads((policy or passage.policy()).document())
        path.write_text(yaml.safe_dump(document))
        connections = {
            f"AIRFLOW_CONN_{connection_id.upper()}": json.dumps(
                {"conn_type": "container_registry", "host": url}
            )
            for connection_id, url in passage.urls.items()
        }
        if passage.signing_pem:
            connections["AIRFLOW_CONN_SIGNING"] = json.dumps(
                {"conn_type": "signing_key", "password": passage.signing_pem}
            )
        inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        with (folder / "output").open("wb") as output, (folder / "errors").open("wb") as errors:
            self._process = subprocess.Popen(
                [Path(sys.executable).with_name("promotion"), verb, path, "--json", *more],
                env={**inherited, **connections, "IMAGE_PROMOTION_LEDGER": ledger_url},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()

    def reach(self, hold: Hold) -> None:
        """Wait until one of its requests is held; fail when it ends before."""
        while True:
            try:
                hold.wait(_POLL_S)
            except TimeoutError:
                assert self._process.poll() is None, self.output
            else:
                return

    def kill(self) -> None:
        """End it by SIGKILL, and wait until it is gone."""
        self._process.send_signal(signal.SIGKILL)
        assert self._process.wait(TIMEOUT_S) == -signal.SIGKILL

    def wait(self) -> int:
        """Wait until it has ended; return its exit status."""
        return self._process.wait(TIMEOUT_S)

    @property
    def output(self) -> str:
        """What it wrote to standard error and output: the errors, and the report as JSON."""
        return (self._folder / "errors").read_text() + (self._folder / "output").read_text()
