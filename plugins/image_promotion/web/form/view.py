"""What the form's page shows: the fields, and beside them what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from image_promotion.web.api.models import Example
from image_promotion.web.form import vocabulary
from image_promotion.web.form.drafting import DraftedPolicy, Neighbours, drafted
from image_promotion.web.form.fields import PolicyFields
from image_promotion.web.form.findings import Fault
from image_promotion.web.form.previews import EXAMPLE_TAG, Runs, examples, next_runs

if TYPE_CHECKING:
    from image_promotion.web.api.action_models import ConnectReport
    from image_promotion.web.api.trial_models import Outlook


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two versions of a file, of which the page writes none over the other.

    Args:
        theirs: What the file holds now; empty where it is gone.
        ours: What it would hold.
    """

    theirs: str
    ours: str


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a form means.

    Args:
        form: The form.
        drafted: The policy, or what is wrong.
        examples: The tags that its templates make.
        runs: When it would run.
        words: What it does, as Markdown; empty while something is wrong.
    """

    form: PolicyFields
    drafted: DraftedPolicy
    examples: tuple[Example, ...]
    runs: Runs
    words: str


@dataclass(frozen=True, slots=True)
class FormView:
    """The form's page.

    Args:
        meaning: The form and what it means.
        name: The policy that is changed; empty for a new one.
        file: Its file; empty where the server has none.
        may_save: Whether the page may write the file.
        connections: Airflow's connections to choose from.
        shows_faults: Whether what is wrong is said at the fields; not before anybody asked.
        focus: The field that whoever pressed a button goes on with.
        said: What the button did.
        problem: Why what was asked could not be done.
        advice: What to do about that.
        outlook: What the policy would do now, if that was asked.
        report: What Connect found, if that was asked.
        conflict: Both versions, where the file has changed meanwhile.
    """

    meaning: Meaning
    name: str = ""
    file: str = ""
    may_save: bool = False
    connections: tuple[str, ...] = ()
    shows_faults: bool = False
    focus: str = ""
    said: str = ""
    problem: str = ""
    advice: str = ""
    outlook: Outlook | None = None
    report: ConnectReport | None = None
    conflict: Conflict | None = None

    @property
    def faults(self) -> Mapping[str, tuple[Fault, ...]]:
        """What is said to be wrong, by field."""
        found: dict[str, tuple[Fault, ...]] = {}
        for each in self.meaning.drafted.faults if self.shows_faults else ():
            found[each.field] = (*found.get(each.field, ()), each)
        return found


WORDS: Mapping[str, object] = {
    "kinds": vocabulary.KINDS,
    "groups": vocabulary.GROUPS,
    "yaml_kind": vocabulary.YAML_KIND,
    "cron": vocabulary.CRON,
    "comparisons": vocabulary.COMPARISONS,
    "presets": vocabulary.PRESETS,
    "existing_tags": vocabulary.EXISTING_TAGS,
    "choice_keys": vocabulary.CHOICE_KEYS,
    "boxes": vocabulary.BOXES,
    "codes": vocabulary.CODES_SHOWN,
    "example_tag": EXAMPLE_TAG,
}
"""What the page offers, by the names that its template has for it."""


def meaning_of(form: PolicyFields, beside: Neighbours, now: datetime) -> Meaning:
    """Say what a form means.

    Args:
        form: The form.
        beside: What the policy stands beside.
        now: The present moment, aware.

    Returns:
        What it means.
    """
    made = drafted(form, beside)
    return Meaning(
        form=form,
        drafted=made,
        examples=examples(form, made.policy, now),
        runs=next_runs(form, made, now),
        words=made.policy.describe() if made.policy else "",
    )
