"""What the API says about the form."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

from image_promotion.web.api.models import Answer, Example
from image_promotion.web.form.fields import PolicyFields
from image_promotion.web.form.view import Meaning

MAX_NAME = 128


class FormQuestion(BaseModel):
    """A form, and the policy that it is to change."""

    form: PolicyFields
    policy: str = Field("", max_length=MAX_NAME, description="Empty for a new policy.")


class FormFault(Answer):
    """Something that is wrong in a form."""

    field: str = Field(
        description="The field, such as `triggers.0.conditions.1.values`; empty for the whole form."
    )
    key: str = Field(description="The key of the policy.")
    reason: str
    allowed: str


class FormPreview(Answer):
    """What a form means."""

    yaml: str = Field(description="The policy's file; empty while there cannot be one.")
    valid: bool
    faults: tuple[FormFault, ...]
    words: str = Field(description="What the policy does, as Markdown; empty unless it is valid.")
    examples: tuple[Example, ...] = Field(description="Each tag template with the example tag.")
    next_runs: tuple[datetime, ...] = Field(description="None where people start it.")
    timezone: str = Field(description="Of the schedule.")


class OpenedForm(Answer):
    """A policy as the form has it."""

    form: PolicyFields
    file: str = Field(description="Its file; empty where the server has none.")


def preview_of(meaning: Meaning) -> FormPreview:
    """Say what a form means.

    Args:
        meaning: What it means.

    Returns:
        The answer.
    """
    made = meaning.drafted
    return FormPreview(
        yaml=made.text,
        valid=made.policy is not None,
        faults=tuple(
            FormFault(field=each.field, key=each.key, reason=each.said, allowed=each.allowed)
            for each in made.faults
        ),
        words=meaning.words,
        examples=meaning.examples,
        next_runs=meaning.runs.times,
        timezone=meaning.runs.zone,
    )
