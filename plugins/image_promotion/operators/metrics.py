"""Figures through Airflow's own metrics; their names are in docs/operations.md.

Each has the policy as a tag. Plain StatsD drops tags, so that, as with Airflow's own figures, each
is also sent under a name with the policy in it, unless `[metrics] legacy_names_on` is off.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta

from airflow.sdk.configuration import conf
from airflow.sdk.observability import stats

PREFIX = "image_promotion"


def are_on() -> bool:
    """Say whether Airflow sends figures anywhere, so that nobody else pays for finding them."""
    return any(
        conf.getboolean("metrics", name, fallback=False)
        for name in ("statsd_on", "statsd_datadog_enabled", "otel_on")
    )


def count_scan(policy: str, *, tags_seen: int) -> None:
    """Count the tags that a scan saw."""
    _count(policy, "scanned", tags_seen)


def count_decisions(policy: str, decided: Mapping[str, int], longest_wait: timedelta) -> None:
    """Count decisions by their outcome, and say how long the eldest waiting image has waited."""
    for outcome, number in decided.items():
        _count(policy, f"decided.{outcome}", number)
    for name, tags in _names(policy, "waiting_age_seconds"):
        stats.gauge(name, longest_wait.total_seconds(), tags=tags)


def count_stage(
    policy: str, stage: str, *, took: timedelta, bytes_copied: int, verified: int
) -> None:
    """Say how long a stage of a batch took, and count what it copied or verified."""
    for name, tags in _names(policy, f"{stage}.duration"):
        stats.timing(name, took, tags=tags)
    if bytes_copied:
        _count(policy, "bytes_copied", bytes_copied)
    if verified:
        _count(policy, "promoted", verified)


def count_recheck(policy: str, *, looks: int, failed: int) -> None:
    """Count promoted images that were looked at again, and those that failed."""
    _count(policy, "rechecked", looks)
    _count(policy, "recheck_failed", failed)


def _count(policy: str, figure: str, number: int) -> None:
    for name, tags in _names(policy, figure):
        stats.incr(name, number, tags=tags)


def _names(policy: str, figure: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the names that a figure is sent under, with their tags."""
    yield f"{PREFIX}.{figure}", {"policy": policy}
    if conf.getboolean("metrics", "legacy_names_on", fallback=True):
        # A dot would look like a level of the name.
        yield f"{PREFIX}.policy.{policy.replace('.', '__')}.{figure}", {}
