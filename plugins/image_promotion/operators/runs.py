"""What every stage's operator knows of the Airflow run it is part of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from image_promotion.errors import LedgerError

if TYPE_CHECKING:
    from airflow.sdk import Context

    from image_promotion.ledger.ledger import Ledger
    from image_promotion.ledger.records import Run

_ON = ("true", "1", "yes", "on")
_OFF = ("false", "0", "no", "off", "none", "")


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What a person asked for in the form of a manual run; the defaults for all other runs.

    Attributes:
        tags: The source tags to consider; empty for all.
        dry_run: Whether only to say what would be done.
        decide_again: Whether to decide again what was rejected before.
        override: Why the tags are promoted although a trigger does not hold; empty where they are
            not.
    """

    tags: tuple[str, ...] = ()
    dry_run: bool = False
    decide_again: bool = False
    override: str = ""

    @classmethod
    def read(
        cls,
        only_tags: Sequence[str] | str = (),
        *,
        dry_run: bool | str = False,
        decide_again: bool | str = False,
        override: str = "",
    ) -> RunRequest:
        """Read the arguments of an operator, which are texts where they came from a template.

        Args:
            only_tags: The tags; in a text they are separated by blanks or commas, which no tag has.
            dry_run: The switch, or a word for it such as ``True``, ``yes`` or ``off``.
            decide_again: The switch, likewise.
            override: The reason of an override.

        Returns:
            The request.

        Raises:
            ValueError: A switch is a text that says neither yes nor no.
        """
        listed = only_tags.replace(",", " ").split() if isinstance(only_tags, str) else only_tags
        tags = dict.fromkeys(tag.strip() for tag in listed)
        return cls(
            tags=tuple(tag for tag in tags if tag),
            dry_run=_is_on(dry_run),
            decide_again=_is_on(decide_again),
            override=override.strip(),
        )


def _is_on(switch: bool | str) -> bool:
    if not isinstance(switch, str):
        return switch
    word = switch.strip().lower()
    if word not in (*_ON, *_OFF):
        raise ValueError(f"{switch!r} is neither yes nor no")
    return word in _ON


def run_key(context: Context) -> str:
    """Return what the ledger calls this run: the DAG's id and the run's."""
    dag_run = context["dag_run"]
    return f"{dag_run.dag_id}/{dag_run.run_id}"


def started_by(context: Context) -> str | None:
    """Return who started this run by hand, as Airflow's auth manager names them; None if nobody."""
    return context["dag_run"].triggering_user_name or None


def require_run(ledger: Ledger, key: str) -> Run:
    """Return a run as its scan recorded it.

    Args:
        ledger: The ledger.
        key: What the ledger calls the run.

    Returns:
        The run.

    Raises:
        LedgerError: The scan of this run has recorded nothing.
    """
    run = ledger.run(key)
    if run is None:
        raise LedgerError(
            f"the ledger does not know the run {key}",
            advice="Its scan did not succeed. Clear the scan task to run it again.",
        )
    return run


def run_url(run: Run) -> str | None:
    """Return where Airflow's page shows a run.

    Args:
        run: The run, as the ledger knows it.

    Returns:
        The URL; None for a run of the command line, and where Airflow is not told its own address
        (``[api] base_url``).
    """
    from airflow.sdk.configuration import conf  # noqa: PLC0415 - the DAG file needs none of it

    from image_promotion.promotion.run_links import RunLinks  # noqa: PLC0415 - nor of this

    return RunLinks(str(conf.get("api", "base_url", fallback="") or "")).run(run)
