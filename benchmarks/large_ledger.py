"""A ledger with as much history as a large site has, made by the database itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, insert, text

from benchmarks.large_rows import POSTGRESQL, SQLITE, statements
from image_promotion.evidence.dossier import Dossier, Entry, pack
from image_promotion.evidence.report import Provenance, Report, ScanState
from image_promotion.ledger import tables as t
from image_promotion.ledger.database import Database
from image_promotion.policy.facts import Component, Vulnerability
from image_promotion.policy.loading import load_policy
from image_promotion.policy.model import Policy
from image_promotion.promotion.evidence import configuration_of

IMAGES_PER_RUN = 20
CACHE_KB = 1_000_000
YEAR_S = 365 * 24 * 3600
COMPONENTS, VULNERABILITIES = 500, 100
EVIDENCE_OF = 3
"""Of one image in so many there is evidence: of that in the middle too."""

_POLICY = """\
name: {name}
description: Stable builds of the service {number} go to the next stage.
source:
  connection: {source}_registry
  repository: {source}/service-{number}
target:
  connection: {target}_registry
  repository: {target}/service-{number}
  tag: "%n"
triggers:
  - tag: {{ends_with: -stable}}
  - vulnerabilities: {{critical: "= 0", major: "<= 3"}}
  - license: {{is_not_one_of: [GPL-3.0-only, AGPL-3.0-only]}}
schedule: "*/5 * * * *"
"""

_REASONS = (
    '[{"trigger":"tag ends with -stable","verdict":"held","expected":"-stable",'
    '"found":"1.4-stable","source":"","parts":[],"count":null,"items":[]}]'
)


@dataclass(frozen=True, slots=True)
class Size:
    """How much there is.

    Args:
        policies: How many policies.
        promotions: How many promotions.
        now: When the last of them was planned; the first a year before.
    """

    policies: int
    promotions: int
    now: datetime

    @property
    def runs(self) -> int:
        """How many runs planned them."""
        return max(self.promotions // IMAGES_PER_RUN, self.policies)

    @property
    def middle(self) -> int:
        """The promotion that is looked at: one of the middle, of which there is evidence."""
        half = self.promotions // 2
        return half - half % EVIDENCE_OF + 1

    def policy_of(self, promotion: int) -> str:
        """Return the name of the policy of a promotion."""
        return f"service-{self.run_of(promotion) % self.policies}"

    def run_of(self, promotion: int) -> int:
        """Return which run planned a promotion."""
        return promotion % self.runs + 1

    def run_key(self, run: int) -> str:
        """Return what the ledger calls a run."""
        return f"service-{run % self.policies}/{run_id(run)}"


def run_id(run: int) -> str:
    """Return what Airflow calls a run."""
    return f"scheduled__{run}"


def digest_of(promotion: int) -> str:
    """Return the digest of a promotion's image."""
    return f"sha256:{promotion:064x}"


def tag_of(promotion: int) -> str:
    """Return the tag of a promotion's image."""
    return f"1.{promotion}-stable"


def write_policies(folder: Path, size: Size) -> Mapping[str, Policy]:
    """Write the policies' files.

    Args:
        folder: Where they go.
        size: How many there are.

    Returns:
        The policies by name: half of them from dev to QA, half of these on to production.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for number in range(size.policies):
        source, target = ("dev", "qa") if number % 2 == 0 else ("qa", "prod")
        name = f"service-{number}"
        path = folder / f"{name}.yaml"
        pair = number - number % 2
        path.write_text(_POLICY.format(name=name, number=pair, source=source, target=target))
        found[name] = load_policy(path)
    return found


def fill(database: Database, size: Size, policies: Mapping[str, Policy]) -> None:
    """Fill an empty ledger.

    Args:
        database: The ledger's database.
        size: How much.
        policies: The policies.
    """
    values = {
        "n": size.promotions,
        "runs": size.runs,
        "policies": size.policies,
        "now": size.now.timestamp(),
        "step": YEAR_S / size.promotions,
        "reasons": _REASONS,
    }
    with database.writing() as connection:
        is_sqlite = connection.dialect.name == "sqlite"
        for name in sorted(policies, key=lambda each: int(each.removeprefix("service-"))):
            _add_policy(connection, policies[name], size.now)
        _keep_evidence(connection, size, policies)
    for statement in statements(SQLITE if is_sqlite else POSTGRESQL):
        with database.writing() as connection:
            if is_sqlite:
                connection.exec_driver_sql(f"PRAGMA cache_size = -{CACHE_KB}")
            connection.execute(text(statement), values)
    with database.writing() as connection:
        if not is_sqlite:
            for table in ("observations", "decisions", "promotions", "runs", "policy_versions"):
                last = f"(SELECT max(id) FROM ledger_{table})"  # noqa: S608 - a name of ours
                connection.execute(text(f"SELECT setval('ledger_{table}_id_seq', {last})"))
        # Either database does this by itself, sooner or later.
        connection.execute(text("ANALYZE"))


def _add_policy(connection: Connection, policy: Policy, now: datetime) -> None:
    first_seen_at = now - timedelta(seconds=YEAR_S)
    connection.execute(insert(t.policies).values(name=policy.name, first_seen_at=first_seen_at))
    connection.execute(
        insert(t.policy_versions).values(
            id=int(policy.name.removeprefix("service-")) + 1,
            policy=policy.name,
            hash=policy.hash,
            document=policy.document(),
            first_seen_at=first_seen_at,
        )
    )


def _keep_evidence(connection: Connection, size: Size, policies: Mapping[str, Policy]) -> None:
    """Keep an SBOM and a scan of the image that is looked at."""
    number = size.middle
    digest = digest_of(number)
    report = Report(
        format="benchmark",
        provenance=Provenance(tool="scanner", created_at=size.now),
        state=ScanState.COMPLETE,
        components=tuple(
            Component(f"package-{each}", "1.0", licenses=("MIT", f"License-{each % 40}"))
            for each in range(COMPONENTS)
        ),
        vulnerabilities=tuple(
            Vulnerability(f"CVE-2026-{each}", f"package-{each}", "1.0", "HIGH", each % 10 + 0.5)
            for each in range(VULNERABILITIES)
        ),
    )
    entry = Entry("registry", "scan", digest, digest, size.now, report)
    policy = policies[size.policy_of(number)]
    content = pack(Dossier(digest, (), (entry,), (), size.now))
    connection.execute(
        insert(t.evidence),
        [
            {
                "registry": "dev.example",
                "repository": policy.source.repository,
                "digest": digest_of(each),
                "configuration": configuration_of(policy),
                "content": content if each == number else b"of no interest here",
                "gathered_at": size.now,
            }
            for each in range(1, size.promotions + 1, EVIDENCE_OF)
        ],
    )
