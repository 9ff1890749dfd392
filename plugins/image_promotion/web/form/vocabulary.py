"""What the form offers: kinds of triggers with their operators, choices, presets, and their help.

Keys and help are the policy model's own, so that the form knows what the file knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from image_promotion.policy.comparison import Comparison
from image_promotion.policy.evidence_triggers import SEVERITY_WORDS, UnknownLicense
from image_promotion.policy.foreign_layers import ForeignLayers
from image_promotion.policy.governance import Mode, Overrides
from image_promotion.policy.model import ExistingImages, Policy
from image_promotion.policy.places import ExistingTag
from image_promotion.policy.schema import EXAMPLES_OF_CODES, meaning_at
from image_promotion.policy.tag_template import CODES

YAML_KIND = "yaml"
CRON = "cron"
SEVERITY = "severity:"
"""What the operator begins with that counts by a scanner's own word."""


class Takes(StrEnum):
    """What an operator is asked with."""

    TEXT = "text"
    TEXTS = "texts"
    TIME = "time"
    BOUND = "bound"


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words.

    Args:
        value: The word in the policy; empty for what holds without the key.
        label: What it means.
    """

    value: str
    label: str


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator of a kind of triggers.

    Args:
        key: Its key in the policy.
        label: What it is called.
        takes: What it is asked with.
        help: What it means.
    """

    key: str
    label: str
    takes: Takes
    help: str


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of triggers that looks at something itself.

    Args:
        key: Its key in the policy.
        label: What it is called.
        help: What it means.
        operators: Its operators.
        choice_key: A further key with few words; empty where there is none.
        choice_label: What that is called.
        choices: The words.
    """

    key: str
    label: str
    help: str
    operators: tuple[Operator, ...]
    choice_key: str = ""
    choice_label: str = ""
    choices: tuple[Choice, ...] = ()

    def operator(self, key: str) -> Operator | None:
        """Return an operator by its key; None when there is none."""
        return next((each for each in self.operators if each.key == key), None)


def _help(kind: str, operator: str = "") -> str:
    at = ("triggers", 0, kind, operator) if operator else ("triggers", 0, kind)
    return _plain(meaning_at(at).split("\n")[0])


def _plain(text: str) -> str:
    """Return a sentence of the reference without its Markdown."""
    text = text.replace("`", "")
    return f"{text[:1].upper()}{text[1:].removesuffix('.')}." if text else ""


def _operators(kind: str, takes: Takes, **labels: str) -> tuple[Operator, ...]:
    return tuple(Operator(key, label, takes, _help(kind, key)) for key, label in labels.items())


_NAMES = {
    "starts_with": "starts with",
    "ends_with": "ends with",
    "contains": "contains",
    "equals": "equals",
    "is_one_of": "is one of",
    "is_not_one_of": "is not one of",
}

_SEVERITIES = tuple(
    Operator(f"{SEVERITY}{word.upper()}", f"{word.upper()}, as the scanner says", Takes.BOUND, "")
    for word in sorted(
        SEVERITY_WORDS,
        key=lambda word: (word not in {"critical", "high", "medium", "low"}, word),
    )
)

KINDS: Mapping[str, Kind] = {
    each.key: each
    for each in (
        Kind(
            "tag",
            "Tag",
            _help("tag"),
            _operators("tag", Takes.TEXTS, **_NAMES)
            + _operators(
                "tag", Takes.TEXT, matches="matches the expression", semver="is a version in"
            ),
        ),
        Kind(
            "component",
            "Component",
            _help("component"),
            _operators("component", Takes.TEXTS, **_NAMES)
            + _operators("component", Takes.TEXT, version="has a version in", type="has the type"),
        ),
        Kind(
            "vulnerabilities",
            "Vulnerabilities",
            _help("vulnerabilities"),
            _operators(
                "vulnerabilities",
                Takes.BOUND,
                critical="critical",
                major="major",
                minor="minor",
                all="all",
            )
            + _SEVERITIES,
            "only_fixable",
            "Which count",
            (
                Choice("", "all"),
                Choice("true", "those that some version mends"),
                Choice("false", "all, and the file says so"),
            ),
        ),
        Kind(
            "license",
            "License",
            _help("license"),
            _operators(
                "license",
                Takes.TEXTS,
                is_not_one_of=_NAMES["is_not_one_of"],
                is_one_of=_NAMES["is_one_of"],
            ),
            "unknown",
            "Components without a license",
            (
                Choice("", "are allowed"),
                Choice(UnknownLicense.REJECT.value, "are not allowed"),
                Choice(UnknownLicense.ALLOW.value, "are allowed, and the file says so"),
            ),
        ),
        Kind(
            "signature",
            "Signature",
            _help("signature"),
            _operators("signature", Takes.TEXTS, signed_by="is by one of"),
        ),
        Kind(
            "updated",
            "Updated",
            _help("updated"),
            _operators(
                "updated",
                Takes.TIME,
                older_than="is older than",
                newer_than="is newer than",
                before="was before",
                after="was after",
            ),
        ),
    )
}

GROUPS: Mapping[str, str] = {"any": "Any of these", "all": "All of these", "not": "Not this"}
"""Kinds of triggers that hold other triggers; `not` holds one."""

COMPARISONS = tuple(each.value for each in Comparison)

PRESETS = (
    Choice("", "only when somebody triggers it"),
    Choice("*/5 * * * *", "every five minutes"),
    Choice("*/15 * * * *", "every quarter of an hour"),
    Choice("0 * * * *", "every hour"),
    Choice("0 3 * * *", "every night at three"),
    Choice("0 6 * * mon-fri", "on workdays at six"),
    Choice("0 3 * * sun", "every Sunday at three"),
    Choice(CRON, "by a cron expression of your own"),
)

EXISTING_TAGS = (
    Choice("", "fail: the run fails, so that somebody looks"),
    Choice(ExistingTag.SKIP.value, "skip: the image is not promoted"),
    Choice(ExistingTag.OVERWRITE.value, "overwrite: the tag moves to the image"),
)


@dataclass(frozen=True, slots=True)
class ChoiceKey:
    """A key of the policy with a few words.

    Args:
        key: The key.
        label: What it is called.
        choices: The words, that which holds without the key first.
        default: What holds without the key.
    """

    key: str
    label: str
    choices: tuple[Choice, ...]
    default: str

    @property
    def help(self) -> str:
        """What it means."""
        return _plain(meaning_at((self.key,)))


CHOICE_KEYS = (
    ChoiceKey(
        "existing_images",
        "Images that are there already",
        (
            Choice("", "count"),
            Choice(ExistingImages.IGNORE.value, "are left alone"),
        ),
        ExistingImages.CONSIDER.value,
    ),
    ChoiceKey(
        "mode",
        "Mode",
        (
            Choice("", "promote"),
            Choice(Mode.AUDIT.value, "audit: decide and record, copy nothing"),
        ),
        Mode.PROMOTE.value,
    ),
    ChoiceKey(
        "overrides",
        "Overrides",
        (
            Choice("", "nobody overrides the triggers"),
            Choice(Overrides.ALLOW.value, "a person may, with a reason"),
        ),
        Overrides.FORBID.value,
    ),
    ChoiceKey(
        "foreign_layers",
        "Layers that are fetched from elsewhere",
        (
            Choice("", "stay where they are"),
            Choice(ForeignLayers.COPY.value, "are copied from the source"),
            Choice(ForeignLayers.REFUSE.value, "let the image be rejected"),
        ),
        ForeignLayers.SKIP.value,
    ),
)

KEYS = tuple(field.alias or name for name, field in Policy.model_fields.items())
"""The keys of a policy in the order of the reference."""

_IN_FIELDS = frozenset(
    {"name", "description", "source", "target", "targets", "triggers", "schedule"}
    | {each.key for each in CHOICE_KEYS}
)

BOX_KEYS = tuple(each for each in KEYS if each not in _IN_FIELDS)
"""The keys that the form has as YAML."""

_EXAMPLES = {
    "evidence": "sources: [referrers, syft]\nmax_age: 30d",
    "platforms": "[linux/amd64, linux/arm64]",
    "referrers": "carry: none",
    "requires": "[website-to-qa]",
    "soak": "24h",
    "approval": "approvals: 2\nusers: [alice, bob, carol]",
    "attestation": "connection: promotion_key",
    "recheck": "daily",
    "retention": "keep_newest: 20",
    "notify": "on: [failed, waiting]\narguments: {connection: chat}",
    "limits": "images_per_run: 200",
}


@dataclass(frozen=True, slots=True)
class Box:
    """A key that the form has as YAML.

    Args:
        key: The key.
        help: What it means.
        example: What may stand there.
    """

    key: str
    help: str
    example: str


BOXES = tuple(Box(key, _plain(meaning_at((key,))), _EXAMPLES.get(key, "")) for key in BOX_KEYS)

CODES_SHOWN = (
    ("%n", "the source tag"),
    *((f"%{code}", EXAMPLES_OF_CODES[code]) for code in CODES),
    ("%{1}, %{name}", "what a group of a trigger's expression matched"),
)
"""What may stand in a tag template, and what it gives."""
