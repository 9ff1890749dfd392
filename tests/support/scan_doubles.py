"""Doubles of the scan results of Harbor and DTR, and of scanners, built from documented answers.

Neither product and neither scanner runs here, so nothing proves that the real ones answer like
this. Harbor: API 2.0, getArtifact, getVulnerabilitiesAddition. DTR: 2.6 API, ``imagescan``, whose
shape public clients of it agree on. Like the other doubles of products they are strict.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

from image_promotion.registry.digest import Digest
from image_promotion.registry.products.harbor import REPORT_TYPES
from tests.support.product_doubles import BASIC
from tests.support.scripted_server import Reply, ScriptedServer, Seen

HARBOR_REPORT = REPORT_TYPES[0]


def logged_in(reply: Reply, **wanted: str) -> object:
    """Answer only who logs in, and sends the header fields that the interface documents."""

    def answer(seen: Seen) -> Reply:
        if seen.headers.get("authorization") != BASIC:
            return Reply.of_json({"errors": [{"code": "UNAUTHORIZED", "message": ""}]}, 401)
        for name, value in wanted.items():
            assert seen.headers.get(name.replace("_", "-")) == value
        return reply

    return answer


class HarborScanDouble:
    """Harbor 2, one artifact of it.

    Args:
        server: Where it answers.
        digest: The artifact.
        repository: The repository in its project, as Harbor wants it in a path.
    """

    def __init__(
        self, server: ScriptedServer, digest: Digest, repository: str = "qa/repositories/website"
    ) -> None:
        self._server = server
        self._digest = digest
        encoded = str(digest).replace(":", "%3A")
        self._path = f"/api/v2.0/projects/{repository}/artifacts/{encoded}"

    def artifact(
        self,
        status: str | None,
        *,
        sbom: Mapping[str, object] | None = None,
        reply: Reply | None = None,
    ) -> None:
        """Plan the artifact with the state of its scan; None for one that was never scanned."""
        overview = {} if status is None else {HARBOR_REPORT: {"scan_status": status}}
        if status == "Success":
            overview[HARBOR_REPORT]["end_time"] = "2026-05-07T10:11:12Z"
        document = {"digest": str(self._digest), "scan_overview": overview, "sbom_overview": sbom}
        line = f"GET {self._path}?with_scan_overview=true&with_sbom_overview=true"
        self._plan(line, reply or Reply.of_json(document))

    def report(self, document: object, status: int = 200) -> None:
        """Plan the report; Harbor answers 200 and ``{}`` where there is none."""
        self._plan(f"GET {self._path}/additions/vulnerabilities", Reply.of_json(document, status))

    def _plan(self, line: str, reply: Reply) -> None:
        wanted = {"x_accept_vulnerabilities": ", ".join(REPORT_TYPES)}
        self._server.on(line, logged_in(reply, **wanted))  # type: ignore[arg-type]


class DtrScanDouble:
    """DTR 2.6, one repository of it.

    Args:
        server: Where it answers.
        full: The repository, ``namespace/name``.
    """

    def __init__(self, server: ScriptedServer, full: str = "qa/website") -> None:
        self._server = server
        self._full = full

    def points(self, tag: str, *digests: Digest) -> None:
        """Plan what a tag points at, time after time."""
        self._server.on(
            f"HEAD /v2/{self._full}/manifests/{tag}",
            *(
                Reply(
                    200,
                    headers={
                        "Docker-Content-Digest": str(digest),
                        "Content-Type": "application/vnd.oci.image.manifest.v1+json",
                        "Content-Length": "400",
                    },
                )
                for digest in digests
            ),
        )

    def summaries(self, tag: str, summaries: Sequence[Mapping[str, object]] | Reply) -> None:
        """Plan the scan of a tag, by the path that DTR 2.6 recommends."""
        self._scan("scansummary/repositories", tag, summaries)

    def old_summaries(self, tag: str, summaries: Sequence[Mapping[str, object]]) -> None:
        """Plan the scan of a tag as a DTR has it that lacks that path."""
        missing = Reply.of_json({"errors": [{"code": "NO_SUCH_ROUTE", "message": ""}]}, 404)
        self._scan("scansummary/repositories", tag, missing)
        self._scan("repositories", tag, summaries)

    def _scan(self, path: str, tag: str, answer: Sequence[Mapping[str, object]] | Reply) -> None:
        reply = answer if isinstance(answer, Reply) else Reply.of_json(list(answer))
        line = f"GET /api/v0/imagescan/{path}/{self._full}/{tag}?detailed=true"
        self._server.on(line, logged_in(reply))  # type: ignore[arg-type]


def write_program(folder: Path, name: str, body: str) -> Path:
    """Write a double of a scanner: a Python program of this name.

    Args:
        folder: Where it goes; the folder is what PATH would have.
        name: Its name.
        body: What it does; ``sys``, ``os``, ``json`` and ``Path`` are there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(
        f"#!{sys.executable} -SE\nimport json, os, sys, time\nfrom pathlib import Path\n"
        + textwrap.dedent(body)
    )
    path.chmod(0o755)
    return path


READS_A_LAYOUT = """
given = sys.argv[1:]
where = next(each for each in given if "/" in each).removeprefix("oci-dir:")
index = json.loads(Path(where, "index.json").read_text())
(entry,) = index["manifests"]
algorithm, _, encoded = entry["digest"].partition(":")
manifest = json.loads(Path(where, "blobs", algorithm, encoded).read_text())
for blob in [manifest["config"], *manifest["layers"]]:
    algorithm, _, encoded = blob["digest"].partition(":")
    assert Path(where, "blobs", algorithm, encoded).stat().st_size == blob["size"]
seen = {"scanned": entry["digest"], "given": given, "in": os.getcwd(), "sees": dict(os.environ)}
print(json.dumps(seen))
"""
"""What every scanner does first: find the one image of a layout, and its blobs."""
