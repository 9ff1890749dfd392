"""What nobody has changed stays in the file as people wrote it."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from image_promotion.policy.loading import check_policy_text
from image_promotion.web.form.documents import form_of
from image_promotion.web.form.drafting import Neighbours, drafted, opened
from image_promotion.web.form.fields import (
    ConditionFields,
    PolicyFields,
    TargetFields,
    TriggerFields,
)
from tests.support.policies import policy_documents

FOLDER = Path(__file__).resolve().parents[4] / "include" / "policies"
FILE = FOLDER / "made.yaml"
ALONE = Neighbours(FILE, {}, {})

TEXT = """\
# Whose policy this is.

name: website # never changes
description: "Stable builds."  # for people
source: {connection: dev, repository: dev/website}

# Where they go.
target:
  connection: qa
  # The day of the promotion.
  repository: qa/website # as ever
  existing_tag: fail # so that somebody looks

triggers:
  # Only what is stable.
  - tag: { ends_with: -stable } # the build says so
  - any:
      - tag: {starts_with: v}

      # Or old.
      - updated: {older_than: 2h}

# People decide.
approval:
  approvals: 2 # four eyes
  # users: [ada, bob]

schedule: manual
"""


def _edited(change: Callable[[PolicyFields], None], text: str = TEXT) -> str:
    form = opened(text.encode(), FILE)
    assert form is not None
    change(form)
    made = drafted(form, ALONE)
    assert made.policy is not None, made.faults
    return made.text


def _changes(new: str, old: str = TEXT) -> list[str]:
    lines = difflib.ndiff(old.splitlines(), new.splitlines())
    return [line for line in lines if line[0] in "+-"]


def _tag(operator: str, values: str) -> TriggerFields:
    return TriggerFields(kind="tag", conditions=[ConditionFields(operator=operator, values=values)])


def _set_description(form: PolicyFields) -> None:
    form.description = "Other builds."


def _set_existing_tag(form: PolicyFields) -> None:
    form.targets[0].existing_tag = "skip"


def _add_trigger(form: PolicyFields) -> None:
    form.triggers.append(_tag("contains", "x"))


def _add_first_trigger(form: PolicyFields) -> None:
    form.triggers.insert(0, _tag("contains", "x"))


def _remove_trigger(form: PolicyFields) -> None:
    del form.triggers[0]


def _change_inner_trigger(form: PolicyFields) -> None:
    form.triggers[1].parts[1].conditions[0].values = "3h"


def _change_kind(form: PolicyFields) -> None:
    form.triggers[1] = TriggerFields(kind="not", parts=[_tag("equals", "latest")])


def _change_box(form: PolicyFields) -> None:
    form.further["approval"] = form.further["approval"].replace("2 #", "3 #")


def _remove_box(form: PolicyFields) -> None:
    form.further["approval"] = ""


def _add_keys(form: PolicyFields) -> None:
    form.choices["mode"] = "audit"
    form.further["soak"] = "24h"


def _set_schedule(form: PolicyFields) -> None:
    form.schedule, form.cron = "cron", "1 2 * * *"


@pytest.mark.parametrize(
    ("change", "changes"),
    [
        (
            _set_description,
            [
                '- description: "Stable builds."  # for people',
                "+ description: Other builds.  # for people",
            ],
        ),
        (
            _set_existing_tag,
            [
                "-   existing_tag: fail # so that somebody looks",
                "+   existing_tag: skip # so that somebody looks",
            ],
        ),
        (_add_trigger, ["+   - tag: {contains: x}"]),
        (_add_first_trigger, ["+   - tag: {contains: x}"]),
        (_remove_trigger, ["-   - tag: { ends_with: -stable } # the build says so"]),
        (
            _change_inner_trigger,
            ["-       - updated: {older_than: 2h}", "+       - updated: {older_than: 3h}"],
        ),
        (
            _change_kind,
            [
                "-   - any:",
                "-       - tag: {starts_with: v}",
                "- ",
                "-       # Or old.",
                "-       - updated: {older_than: 2h}",
                "+   - not:",
                "+       tag: {equals: latest}",
            ],
        ),
        (_change_box, ["-   approvals: 2 # four eyes", "+   approvals: 3 # four eyes"]),
        (
            _remove_box,
            [
                "- approval:",
                "-   approvals: 2 # four eyes",
                "-   # users: [ada, bob]",
            ],
        ),
        (_add_keys, ["+ mode: audit", "+ ", "+ soak: 24h", "+ "]),
        (_set_schedule, ["- schedule: manual", '+ schedule: "1 2 * * *"']),
    ],
)
def test_a_change_touches_no_more_than_it_must(
    change: Callable[[PolicyFields], None], changes: list[str]
) -> None:
    assert sorted(_changes(_edited(change))) == sorted(changes)


def test_one_target_becomes_several_and_the_rest_stays() -> None:
    def add_target(form: PolicyFields) -> None:
        form.targets.append(TargetFields(connection="prod", repository="website"))

    made = _edited(add_target)

    assert "targets:\n  - connection: qa\n    repository: qa/website\n  - connection: prod" in made
    kept = TEXT.replace(TEXT[TEXT.index("target:") : TEXT.index("triggers:")], "")
    assert set(kept.splitlines()) <= set(made.splitlines())


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_line_ends_of_the_file_stay(line_end: str, mark: bytes) -> None:
    form = opened(mark + TEXT.replace("\n", line_end).encode(), FILE)
    assert form is not None
    form.description = "Several\nlines."

    made = drafted(form, ALONE).text

    assert f"description: |-{line_end}  Several{line_end}  lines.{line_end}" in made
    assert made.count("\n") == made.count(line_end)


def test_a_file_without_a_last_line_break_can_grow() -> None:
    made = _edited(_add_keys, TEXT.rstrip("\n"))

    assert check_policy_text(made, FILE)[0] is not None


def test_a_file_with_an_alias_is_written_anew_and_means_the_same() -> None:
    text = yaml.safe_dump(
        {
            "name": "x",
            "source": {"connection": "a", "repository": "b"},
            "targets": [{"connection": "c", "repository": "d", "tag": "%n"}],
            "triggers": [{"tag": {"equals": "x"}}],
        }
    )
    text = text.replace("equals: x", "equals: &tag x\n- tag:\n    contains: *tag")

    made = _edited(_set_description, text)

    assert "*tag" not in made
    assert "contains: x" in made


@st.composite
def _edits(draw: st.DrawFn) -> PolicyFields:
    """Draw the form of a file with comments in it, in which something is changed."""
    document, other = draw(policy_documents), draw(policy_documents)
    flow = draw(st.sampled_from([None, False]))
    text = yaml.safe_dump(document, sort_keys=False, default_flow_style=flow)
    commented = "".join(
        f"{line} # {n}\n" if line.endswith(("}", "]", ":")) else f"{line}\n"
        for n, line in enumerate(text.split("\n"))
    )
    # Within a text in quotes it would be no comment.
    form = opened(commented.encode(), FILE) or opened(text.encode(), FILE)
    assert form is not None
    wanted = form_of(other)
    for key in ("description", "targets", "triggers", "schedule", "cron", "choices", "further"):
        if draw(st.booleans()):
            setattr(form, key, getattr(wanted, key))
    if draw(st.booleans()):
        form.triggers = [*form.triggers, *wanted.triggers]
    return form


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_edits())
def test_whatever_is_changed_the_file_means_what_the_form_says(
    form: PolicyFields,
) -> None:
    anew = form.model_copy(update={"base": ""})

    made, wanted = drafted(form, ALONE), drafted(anew, ALONE)

    assert made.policy == wanted.policy
