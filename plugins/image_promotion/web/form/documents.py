"""Between a policy as its file has it and the form: two ways of writing down the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from image_promotion.policy.model import MANUAL
from image_promotion.policy.places import ExistingTag
from image_promotion.web.form.fields import PolicyFields, SourceFields, TargetFields
from image_promotion.web.form.findings import Draft, Location
from image_promotion.web.form.trigger_rows import rows_of, triggers_of
from image_promotion.web.form.vocabulary import BOX_KEYS, CHOICE_KEYS, CRON, KEYS, PRESETS
from image_promotion.web.form.yaml_parts import (
    NotYamlError,
    Plain,
    entry,
    entry_of_text,
    value_of,
    written,
)

_KEEP_TAG = "%n"
_UTC = "UTC"
_YES = "yes"


@dataclass(frozen=True, slots=True)
class Entry:
    """A key of a policy file, and what stands there.

    Args:
        value: The value.
        text: Its YAML, where people have written that themselves; None where it is ours to write.
    """

    value: Plain
    text: str | None = None

    def lines(self, key: str) -> str:
        """Write it down, without a line break at the end."""
        return entry(key, self.value) if self.text is None else entry_of_text(key, self.text)


Document = Mapping[str, Entry]
"""A policy file key by key, in the order of the reference."""


def form_of(content: Mapping[str, object], texts: Mapping[str, str] | None = None) -> PolicyFields:
    """Open a policy in the form.

    Args:
        content: What its file has.
        texts: The YAML of keys as it stands in the file, with its comments; the value is written
            anew for a key that is not there.

    Returns:
        The form; `document_of` makes what means the same of it.
    """
    texts = texts or {}
    source = content.get("source")
    schedule = _text(content.get("schedule"))
    is_preset = schedule in {each.value for each in PRESETS} and schedule != CRON
    form = PolicyFields(
        name=_text(content.get("name")),
        description=_text(content.get("description")),
        source=SourceFields.model_validate(_texts(source)),
        targets=_targets(content),
        targets_listed=_YES if "targets" in content else "",
        triggers=rows_of(content.get("triggers")),
        schedule="" if schedule in {"", MANUAL} else schedule if is_preset else CRON,
        cron="" if is_preset or schedule == MANUAL else schedule,
        choices={
            each.key: value
            for each in CHOICE_KEYS
            if (value := _text(content.get(each.key))) != each.default
        },
        further={
            key: texts.get(key, written(content[key], (key,))) for key in BOX_KEYS if key in content
        },
    )
    if "\r" in form.description:
        # A page would post it with other line ends; as YAML it stays what it is.
        form.further["description"] = written(form.description, ("description",))
        form.description = ""
    return form


def _targets(content: Mapping[str, object]) -> list[TargetFields]:
    several = content.get("targets")
    listed = several if isinstance(several, Sequence) else ()
    found = []
    for each in listed if "targets" in content else (content.get("target"),):
        fields = _texts(each)
        tag = each.get("tag") if isinstance(each, Mapping) else None
        fields["tag"] = _text(tag) or _KEEP_TAG
        if isinstance(tag, Sequence) and not isinstance(tag, str):
            fields["tag"], fields["tag_listed"] = "\n".join(map(str, tag)), _YES
        fields["timezone"] = fields.get("timezone") or _UTC
        if fields.get("existing_tag") == ExistingTag.FAIL:
            del fields["existing_tag"]
        found.append(TargetFields.model_validate(fields))
    return found


def _texts(value: object) -> dict[str, str]:
    return {str(k): _text(each) for k, each in value.items()} if isinstance(value, Mapping) else {}


def _text(value: object) -> str:
    return "" if value is None else str(value)


def document_of(form: PolicyFields, draft: Draft) -> Document:
    """Write the form down as a policy file has it.

    Args:
        form: The form.
        draft: Is told which field stands where, and what is wrong that no file could have.

    Returns:
        The keys that say something else than is so without them.
    """
    found: dict[str, Entry] = {"name": _field(draft, "name", form.name.strip())}
    if form.description:
        found["description"] = _field(draft, "description", form.description)
    found["source"] = Entry(_source(form, draft))
    found |= _targets_of(form, draft)
    draft.place(("triggers",), "triggers")
    found["triggers"] = Entry(triggers_of(form.triggers, draft, ("triggers",), "triggers"))
    schedule = form.cron if form.schedule == CRON else form.schedule
    if form.schedule and schedule != MANUAL:
        draft.place(("schedule",), "cron" if form.schedule == CRON else "schedule")
        found["schedule"] = Entry(schedule)
    for choice in CHOICE_KEYS:
        value = form.choices.get(choice.key, "")
        if value not in {"", choice.default}:
            found[choice.key] = _field(draft, f"choices.{choice.key}", value, at=(choice.key,))
    for key, text in form.further.items():
        if key in KEYS and text.strip():
            _add_box(found, draft, key, text.strip("\n"))
    return {key: found[key] for key in KEYS if key in found}


def _field(draft: Draft, name: str, value: Plain, at: Location = ()) -> Entry:
    draft.place(at or (name,), name)
    return Entry(value)


def _source(form: PolicyFields, draft: Draft) -> dict[str, Plain]:
    for key in ("connection", "repository"):
        draft.place(("source", key), f"source.{key}")
    return {
        "connection": form.source.connection.strip(),
        "repository": form.source.repository.strip(),
    }


def _targets_of(form: PolicyFields, draft: Draft) -> dict[str, Entry]:
    several = len(form.targets) != 1 or form.targets_listed == _YES
    draft.place(("targets",) if several else ("target",), "targets")
    found = [
        _target(each, draft, ("targets", n) if several else ("target",), f"targets.{n}")
        for n, each in enumerate(form.targets)
    ]
    return {"targets": Entry(found)} if several else {"target": Entry(found[0])}


def _target(fields: TargetFields, draft: Draft, at: Location, name: str) -> dict[str, Plain]:
    for key in ("connection", "repository", "tag", "timezone", "existing_tag"):
        draft.place((*at, key), f"{name}.{key}")
    found: dict[str, Plain] = {
        "connection": fields.connection.strip(),
        "repository": fields.repository.strip(),
    }
    tags = [line.strip() for line in fields.tag.splitlines() if line.strip()]
    if len(tags) > 1 or (tags and fields.tag_listed == _YES):
        found["tag"] = tags
    elif tags and tags[0] != _KEEP_TAG:
        found["tag"] = tags[0]
    if fields.timezone.strip() not in {"", _UTC}:
        found["timezone"] = fields.timezone.strip()
    if fields.existing_tag not in {"", ExistingTag.FAIL}:
        found["existing_tag"] = fields.existing_tag
    return found


def _add_box(found: dict[str, Entry], draft: Draft, key: str, text: str) -> None:
    name = f"further.{key}"
    if key in found:
        draft.fault(name, (key,), "has a field of its own that is filled in as well", "one of them")
        return
    draft.place((key,), name)
    try:
        found[key] = Entry(value_of(text), text)
    except NotYamlError as error:
        draft.fault(name, (key,), error.said, error.allowed)


def rendered(document: Document) -> str:
    """Write a whole policy file.

    Args:
        document: Its keys.

    Returns:
        The text.
    """
    return "\n".join([*(each.lines(key) for key, each in document.items()), ""])
