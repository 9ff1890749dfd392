"""What stands in the form's fields: texts, as people type them, whether or not they mean anything.

A field is named by its path, such as ``triggers.0.conditions.1.values``: in the page, in what is
posted, in the JSON of the API and where a fault says what it is about.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from image_promotion.policy.yaml_document import MAX_FILE_BYTES

MAX_ROWS = 2_000
"""Of conditions, of parts of a trigger; a file of the largest size has no more of them."""

_LINE = 1_000


class Fields(BaseModel):
    """Some fields; what was posted besides belongs to the page and not to them."""

    model_config = ConfigDict(extra="ignore")


class ConditionFields(Fields):
    """One condition of a trigger: an operator and what it is asked with."""

    operator: str = Field("", max_length=_LINE, description="Such as `ends_with` or `critical`.")
    values: str = Field("", max_length=MAX_FILE_BYTES, description="Of several, one a line.")
    comparison: str = Field("", max_length=_LINE, description="Of a bound, such as `<=`.")
    number: str = Field("", max_length=_LINE, description="Of a bound.")
    written: str = Field(
        "", max_length=_LINE, description="How the file spells the bound, such as `<=3`."
    )


class TriggerFields(Fields):
    """One trigger."""

    kind: str = Field("", max_length=_LINE, description="Its key in the policy, or `yaml`.")
    conditions: list[ConditionFields] = Field(default_factory=list, max_length=MAX_ROWS)
    choice: str = Field(
        "", max_length=_LINE, description="Its `unknown` or `only_fixable`, where it has that."
    )
    parts: list[TriggerFields] = Field(
        default_factory=list, max_length=MAX_ROWS, description="Of `any`, `all` and `not`."
    )
    text: str = Field("", max_length=MAX_FILE_BYTES, description="Of `yaml`: the whole trigger.")


class SourceFields(Fields):
    """Where images come from."""

    connection: str = Field("", max_length=_LINE)
    repository: str = Field("", max_length=_LINE)


class TargetFields(Fields):
    """Where images go."""

    connection: str = Field("", max_length=_LINE)
    repository: str = Field("", max_length=_LINE)
    tag: str = Field("", max_length=MAX_FILE_BYTES, description="Of several, one a line.")
    tag_listed: str = Field("", max_length=_LINE, description="`yes` for a list, if of one.")
    timezone: str = Field("", max_length=_LINE)
    existing_tag: str = Field("", max_length=_LINE)


class PolicyFields(Fields):
    """The whole form."""

    name: str = Field("", max_length=_LINE)
    description: str = Field("", max_length=MAX_FILE_BYTES)
    source: SourceFields = Field(default_factory=SourceFields)
    targets: list[TargetFields] = Field(default_factory=list, max_length=MAX_ROWS)
    targets_listed: str = Field("", max_length=_LINE, description="`yes` for `targets`, if one.")
    triggers: list[TriggerFields] = Field(default_factory=list, max_length=MAX_ROWS)
    schedule: str = Field("", max_length=_LINE, description="`cron`, or what the file has.")
    cron: str = Field("", max_length=_LINE, description="A cron expression, if so chosen.")
    choices: dict[str, str] = Field(
        default_factory=dict, description="Keys with a few allowed words, such as `mode`."
    )
    further: dict[str, str] = Field(
        default_factory=dict, description="All other keys, each as YAML, such as `approval`."
    )
    example_tag: str = Field("", max_length=_LINE, description="What templates are tried with.")
    base: str = Field(
        "",
        max_length=2 * MAX_FILE_BYTES,
        description="The file as it was when the form was opened, in base64; empty for a new one.",
    )
