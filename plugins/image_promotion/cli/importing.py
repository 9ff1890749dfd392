"""The command `import`: policies of DTR, rules of Harbor and syncs of regsync become policies."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from image_promotion.cli.connections import find_endpoint
from image_promotion.cli.event_loop import run_to_end
from image_promotion.errors import ConnectionSettingsError, PolicyError
from image_promotion.moving.connections import Connection
from image_promotion.moving.dtr import read_dtr
from image_promotion.moving.export import read_export
from image_promotion.moving.findings import Findings
from image_promotion.moving.harbor import read_harbor
from image_promotion.moving.policy_file import PolicyFile, make_files
from image_promotion.moving.regsync import read_regsync
from image_promotion.policy.loading import load_policies
from image_promotion.policy.yaml_document import read_document
from image_promotion.registry.endpoint import RegistryEndpoint, RegistryType

DTR, HARBOR, REGSYNC = "dtr", "harbor", "regsync"

ADDRESS = "https://ADDRESS"
"""Stands where only the reader knows what must stand."""


def import_policies(options: argparse.Namespace) -> bool:
    """Turn an export, or what a registry says of itself, into policy files.

    Args:
        options: ``product``, ``files``, ``connection``, ``local``, ``output``, ``policies``,
            ``force``, ``dry_run``.

    Returns:
        Whether every entry became a policy.

    Raises:
        PolicyError: The export cannot be read, or files would be overwritten.
        PromotionError: The registry cannot be read.
    """
    folder: Path = options.output or options.policies
    findings = _findings(options)
    files, invalid = make_files(findings.drafts, _taken(folder))
    left_out = [*findings.left_out, *invalid]
    if options.dry_run:
        for each in files:
            print(f"--- # {folder / each.file_name}\n{each.text}")
    else:
        _write(files, folder, force=options.force)
        for each in files:
            print(f"written: {folder / each.file_name} ({each.draft.origin})")
            for note in each.draft.notes:
                print(f"  note: {note}")
    _print_connections(findings, files, options)
    sys.stdout.flush()
    for reason in left_out:
        print(f"left out: {reason}", file=sys.stderr)
    if not files and not left_out:
        print("there is nothing to import", file=sys.stderr)
    return bool(files) and not left_out


def _findings(options: argparse.Namespace) -> Findings:
    local = options.connection or options.local or options.product
    if options.product == REGSYNC:
        return _read_regsync(options.files)
    read = read_dtr if options.product == DTR else read_harbor
    if options.connection is None:
        return read([read_export(path) for path in options.files], local=local)
    return read(_ask(options.product, options.connection), local=local)


def _read_regsync(paths: Iterable[Path]) -> Findings:
    (path,) = paths
    document = read_document(path, "a configuration of regsync")
    if document.faults:
        raise document.faults[0]
    try:
        return read_regsync(document.content)
    except PolicyError as error:
        raise PolicyError(
            error.attempted, file=path, allowed=error.allowed, advice=error.advice
        ) from None


def _ask(product: str, connection_id: str) -> list[object]:
    """Read what a registry says of its own policies."""
    endpoint = find_endpoint(connection_id, os.environ)
    if endpoint.registry_type is not RegistryType(product):
        raise ConnectionSettingsError(
            f"the connection is not to {product}, but of the type {endpoint.registry_type}",
            connection_id=connection_id,
            field="registry_type",
        )
    if endpoint.namespace:
        raise ConnectionSettingsError(
            "its namespace stands before each repository, and what is imported has whole names",
            connection_id=connection_id,
            field="namespace",
            advice="Import by a connection without a namespace.",
        )
    return run_to_end(lambda: _documents(endpoint))


async def _documents(endpoint: RegistryEndpoint) -> list[object]:
    # What reads the products' interfaces is not needed for files.
    from image_promotion.registry.products.client import ProductClient  # noqa: PLC0415 - see above
    from image_promotion.registry.products.dtr_policies import DtrPolicies  # noqa: PLC0415
    from image_promotion.registry.products.harbor_replication import (  # noqa: PLC0415
        HarborReplication,
    )

    client = ProductClient(endpoint)
    try:
        if endpoint.registry_type is RegistryType.HARBOR:
            return [await HarborReplication(client.session, endpoint).document()]
        return [each async for each in DtrPolicies(client.session, endpoint).documents()]
    finally:
        await client.aclose()


def _taken(folder: Path) -> set[str]:
    """Return the names of policies that stand in files of another name, which stay."""
    if not folder.is_dir():
        return set()
    loaded = load_policies(folder)
    return {
        each.policy.name for each in loaded.good if each.path.name != f"{each.policy.name}.yaml"
    }


def _write(files: Iterable[PolicyFile], folder: Path, *, force: bool) -> None:
    """Write all files, or none when one of them is there."""
    there = [each.file_name for each in files if (folder / each.file_name).exists()]
    if there and not force:
        raise PolicyError(
            f"has {', '.join(there)} already, so that nothing was written",
            file=folder,
            advice="Use --force to overwrite, or --output for another folder.",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for each in files:
            with (folder / each.file_name).open("w" if force else "x", encoding="utf-8") as file:
                file.write(each.text)
    except OSError as error:
        raise PolicyError(f"cannot be written: {error.strerror}", file=folder) from None


def _print_connections(
    findings: Findings, files: Iterable[PolicyFile], options: argparse.Namespace
) -> None:
    """Say how the connections are made that the files name."""
    used = {side.connection for each in files for side in (each.draft.source, each.draft.target)}
    made = [each for each in findings.connections if each.connection_id in used]
    for connection_id in sorted(used - {each.connection_id for each in made}):
        if options.connection is None:
            # The export does not say where it is from.
            made.insert(0, Connection(connection_id, ADDRESS, RegistryType(options.product)))
    for connection in made:
        print(connection.command)
        for note in connection.notes:
            print(f"  note: {note}")
