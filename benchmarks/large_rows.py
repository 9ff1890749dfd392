"""The rows of a large ledger, as statements by which the database makes them itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

_STATE = """CASE WHEN i % 1009 = 0 THEN 'failed' WHEN i % 97 = 0 THEN 'superseded'
    WHEN i > :n - 5 THEN 'planned' ELSE 'verified' END"""
_OUTCOME = "CASE WHEN i % 499 = 1 THEN 'wait' ELSE 'promote' END"
_RUNS = {
    "id": "i",
    "policy_version_id": "i % :policies + 1",
    "key": "'service-' || (i % :policies) || '/scheduled__' || i",
    "kind": "'scheduled'",
    "started_at": "{began}",
    "first_of_version": "NOT {true}",
    "tags_seen": "100",
    "tags_rejected_by_name": "50",
    "scanned_at": "{began}",
    "evaluated_at": "{began}",
}
_OBSERVATIONS = {
    "id": "i",
    "policy": "{policy}",
    "repository": "({source}) || {repository}",
    "tag": "{tag}",
    "digest": "{digest}",
    "ordinal": "1",
    "first_seen_at": "{at0}",
    "last_seen_at": "{at0}",
    "last_run_id": "{run}",
    "is_current": "{true}",
    # A tenth of the tags are there still.
    "gone_at": "CASE WHEN i > :n * 9 / 10 THEN NULL ELSE {at0} END",
}
_DECISIONS = {
    "id": "i",
    "observation_id": "i",
    "policy_version_id": "{version}",
    "outcome": "{outcome}",
    "reasons": ":reasons",
    "target_tag": "{tag}",
    "target_key": "'key'",
    "decided_at": "{at0}",
    "asked_at": "{at0}",
    "times_asked": "1",
    "decided_run_id": "{run}",
    "asked_run_id": "{run}",
    "is_latest": "{true}",
}
_PROMOTIONS = {
    "id": "i",
    "observation_id": "i",
    "decision_id": "i",
    "run_id": "{run}",
    "source_connection": "({source}) || '_registry'",
    "source_registry": "({source}) || '.example'",
    "target_connection": "({target}) || '_registry'",
    "target_registry": "({target}) || '.example'",
    "target_repository": "({target}) || {repository}",
    "target_tag": "{tag}",
    "target_key": "'key'",
    "existing_tag": "'fail'",
    "target_digest": "{digest}",
    "state": "{state}",
    "failed_in": "CASE WHEN ({state}) = 'failed' THEN 'planned' END",
    "error": "CASE WHEN ({state}) = 'failed' THEN 'the registry answered 503' ELSE '' END",
    "planned_at": "{at0}",
    "copied_at": "{at1}",
    "tagged_at": "{at2}",
    "verified_at": "CASE WHEN ({state}) = 'verified' THEN {at3} END",
    "ended_at": "{at3}",
    "bytes_copied": "80000000",
    "bytes_skipped": "1000000",
    "bytes_mounted": "0",
    "seconds": "4.5",
    "kind": "'promotion'",
    "policy": "{policy}",
    "source_repository": "({source}) || {repository}",
    "source_tag": "{tag}",
}
STEPS = ("planned", "copied", "tagged", "verified")
_RECHECKS = {
    "promotion_id": "i",
    "run_key": "{key}",
    "policy_version_id": "{version}",
    "outcome": "'promote'",
    "reasons": ":reasons",
    "first_at": "{at3}",
    "last_at": "{at3}",
    "is_latest": "{true}",
}
_ATTESTATIONS = {
    "promotion_id": "i",
    "digest": "{digest}",
    "key_id": "'sha256:key'",
    "at": "{at3}",
    "run_key": "{key}",
}
_APPROVALS = {
    "promotion_id": "i",
    "run_id": "{run}",
    "verdict": "'approved'",
    "who": "'ann'",
    "comment": "''",
    "at": "{at1}",
}
_REQUESTS = {
    "promotion_id": "i",
    "run_id": "{run}",
    "asked_at": "{at0}",
    "expires_at": "{at3}",
    "closed_at": "{at1}",
}
_REMOVALS = {
    "promotion_id": "i",
    "run_key": "{key}",
    "at": "{at3}",
    "detail": "'older than 30 days'",
    "removed_at": "{at3}",
}


@dataclass(frozen=True, slots=True)
class Dialect:
    """What the databases say differently.

    Args:
        time: A moment, from seconds since 1970.
        digest: A digest, from a number.
        true: The word for it.
        series: The numbers from 1 to a bound, as ``i``.
    """

    time: str
    digest: str
    true: str
    series: str


SQLITE = Dialect(
    time="strftime('%Y-%m-%d %H:%M:%f', {0}, 'unixepoch') || '000'",
    digest="printf('sha256:%064x', {0})",
    true="1",
    series="WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < {0})",
)
POSTGRESQL = Dialect(
    time="to_timestamp({0})",
    digest="'sha256:' || lpad(to_hex({0}), 64, '0')",
    true="true",
    series="WITH s AS (SELECT generate_series(1, CAST({0} AS integer)) AS i)",
)


def statements(dialect: Dialect) -> Iterator[str]:
    """Yield what makes the rows: promotion i is of run i % runs + 1 and of observation i.

    Args:
        dialect: For which database.

    Yields:
        The statements; they want ``n``, ``runs``, ``policies``, ``now``, ``step`` and ``reasons``.
    """
    run = "(i % :runs + 1)"
    number = f"({run} % :policies)"
    words = {
        "run": run,
        "policy": f"'service-' || {number}",
        "version": f"{number} + 1",
        "source": f"CASE WHEN {number} % 2 = 0 THEN 'dev' ELSE 'qa' END",
        "target": f"CASE WHEN {number} % 2 = 0 THEN 'qa' ELSE 'prod' END",
        "repository": f"'/service-' || ({number} - {number} % 2)",
        "digest": dialect.digest.format("i"),
        "tag": "'1.' || i || '-stable'",
        "state": _STATE,
        "outcome": _OUTCOME,
        "true": dialect.true,
        "began": dialect.time.format("(:now - (:runs - i) * :step * :n / :runs)"),
        "key": f"'service-' || {number} || '/scheduled__' || {run}",
    }
    words |= {
        f"at{seconds}": dialect.time.format(f"(:now - (:n - i) * :step + {seconds})")
        for seconds in range(len(STEPS))
    }
    yield _insert("runs", dialect.series.format(":runs"), _RUNS, words)
    every = dialect.series.format(":n")
    for table, columns in (
        ("observations", _OBSERVATIONS),
        ("decisions", _DECISIONS),
        ("promotions", _PROMOTIONS),
        ("run_promotions", {"run_id": "{run}", "promotion_id": "i"}),
        ("decision_promotions", {"decision_id": "i", "promotion_id": "i"}),
        ("attestations", _ATTESTATIONS),
        ("rechecks", _RECHECKS),
        ("approvals", _APPROVALS),
        ("approval_requests", _REQUESTS),
        ("removals", _REMOVALS),
    ):
        yield _insert(table, every, columns, words)
    for seconds, (before, after) in enumerate(pairwise(("", *STEPS))):
        step = {
            "promotion_id": "i",
            "from_state": f"'{before}'" if before else "NULL",
            "to_state": f"'{after}'",
            "at": f"{{at{seconds}}}",
            "run_key": "{key}",
            "detail": "''",
        }
        yield _insert("transitions", every, step, words)


def _insert(table: str, series: str, columns: Mapping[str, str], words: Mapping[str, str]) -> str:
    """Write the statement that makes the rows of one table from the numbers of a series."""
    values = ", ".join(each.format(**words) for each in columns.values())
    return f"INSERT INTO ledger_{table} ({', '.join(columns)}) {series} SELECT {values} FROM s"  # noqa: S608 - texts of ours
