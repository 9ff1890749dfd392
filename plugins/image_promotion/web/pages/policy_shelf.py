"""The policies as they are now: from their files, or as the ledger remembers them.

Airflow's server need not have the folder of policies, which is the DAG processor's: a policy that
has run is in the ledger too.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import yaml
from airflow.sdk.configuration import conf

from image_promotion.errors import PolicyError
from image_promotion.ledger.ledger import Ledger
from image_promotion.policy.loading import LoadedPolicies, load_policies
from image_promotion.policy.model import Policy

POLICIES_VARIABLE = "IMAGE_PROMOTION_POLICIES"

_Signature = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True)
class ShelvedPolicy:
    """A policy, and where it comes from.

    Args:
        policy: The policy.
        file: The name of its file; empty where only the ledger knows it.
        text: The file's text, or YAML that means the same.
    """

    policy: Policy
    file: str
    text: str


class PolicyShelf:
    """Reads the folder of policies again when a file of it has changed.

    Args:
        folder: The folder; None for the one that Airflow's DAG files read.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._lock = Lock()
        self._read: tuple[_Signature, Mapping[str, ShelvedPolicy]] = ((), {})

    def policies(self, ledger: Ledger, names: Collection[str]) -> Mapping[str, ShelvedPolicy]:
        """Return policies by their names.

        Args:
            ledger: Asked for those of which there is no file here.
            names: The policies that are wanted; what is none of a policy is passed over.

        Returns:
            The policies that are there, in the order of their names.
        """
        found = {name: each for name, each in self.written().items() if name in names}
        missing = set(names) - set(found)
        for name, document in ledger.chronicle.documents(missing).items():
            # A version of the product that knew other keys may have written it.
            with suppress(PolicyError, ValueError):
                policy = Policy.from_document(document)
                found[name] = ShelvedPolicy(policy, "", _as_yaml(policy))
        return dict(sorted(found.items()))

    @property
    def folder(self) -> Path:
        """The folder of policies, whether or not this server has it."""
        return self._folder or default_folder()

    def written(self) -> Mapping[str, ShelvedPolicy]:
        """Return the valid policies of the folder, by name."""
        folder = self.folder
        signature = _signature(folder)
        with self._lock:
            if self._read[0] != signature:
                self._read = signature, _shelved(load_policies(folder))
            return self._read[1]


def default_folder() -> Path:
    """Return the folder that Airflow's DAG files read policies from."""
    beside_dags = Path(conf.get_mandatory_value("core", "dags_folder")).parent
    return Path(os.environ.get(POLICIES_VARIABLE) or beside_dags / "include" / "policies")


def _signature(folder: Path) -> _Signature:
    found = []
    with suppress(OSError):
        for path in sorted(folder.iterdir()):
            if path.is_file():
                status = path.stat()
                found.append((str(path), status.st_mtime_ns, status.st_size))
    return tuple(found)


def _shelved(loaded: LoadedPolicies) -> Mapping[str, ShelvedPolicy]:
    found = {}
    for each in loaded.good:
        with suppress(OSError):
            text = each.path.read_text(encoding="utf-8", errors="replace")
            found[each.policy.name] = ShelvedPolicy(each.policy, each.path.name, text)
    return found


def _as_yaml(policy: Policy) -> str:
    content = yaml.safe_load(policy.document())
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)
