"""Policies for tests: one that is valid, to be changed, as text and as a model."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import strategies as st

from image_promotion.policy.facts import (
    Component,
    ImageFacts,
    Known,
    Moment,
    Signature,
    Statement,
    Vulnerability,
    VulnerabilityCounts,
    VulnerabilityException,
)
from image_promotion.policy.model import Policy

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)

# Of nobody: it only has to be one.
PUBLIC_KEY = """\
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt
6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q==
-----END PUBLIC KEY-----
"""

TEXT = """\
name: website-stable-to-qa
source:
  connection: dev_registry
  repository: dev/website
target:
  connection: qa_registry
  repository: qa/website
  tag: "%n-%Y%m%d"
  timezone: Europe/Berlin
  existing_tag: fail
triggers:
  - tag: {ends_with: -stable}
schedule: "*/5 * * * *"
"""


def text_with(old: str, new: str) -> str:
    """Return the valid policy with one thing changed."""
    assert TEXT.count(old) == 1, old
    return TEXT.replace(old, new)


def document_of(*triggers: object, **changes: object) -> dict[str, object]:
    """Return a valid policy's content with other triggers, or other values in source or target."""
    document: dict[str, object] = {
        "name": "website-stable-to-qa",
        "source": {"connection": "dev_registry", "repository": "dev/website"},
        "target": {"connection": "qa_registry", "repository": "qa/website"},
        "triggers": list(triggers) or [{"tag": {"ends_with": "-stable"}}],
    }
    if "signature" in repr(triggers):
        document["evidence"] = {"signers": {name: {"key": PUBLIC_KEY} for name in ("ci", "qa")}}
    for key, value in changes.items():
        inner = document.get(key)
        document[key] = (
            {**inner, **value} if isinstance(inner, dict) and isinstance(value, dict) else value
        )
    return document


def policy_with(*triggers: object, **changes: object) -> Policy:
    """Return a valid policy with other triggers, or other values in source or target."""
    return Policy.model_validate(document_of(*triggers, **changes))


def facts(
    tag: str = "1.4-stable",
    *,
    updated: datetime | None = None,
    components: tuple[Component, ...] | None = None,
    vulnerabilities: tuple[Vulnerability, ...] | None = None,
    signatures: tuple[Signature, ...] | None = None,
    statements: tuple[Statement, ...] = (),
    exceptions: tuple[VulnerabilityException, ...] = (),
    counts: VulnerabilityCounts | None = None,
    repository: str | None = "dev/website",
    digests: tuple[str, ...] = (),
    why_no_components: str = "",
    why_no_vulnerabilities: str = "",
    why_no_signatures: str = "",
) -> ImageFacts:
    """Return the facts of an image; what is left out is not known."""
    return ImageFacts(
        tag=tag,
        updated=None if updated is None else Moment(updated, "image config"),
        components=None if components is None else Known(components, "an SBOM"),
        vulnerabilities=None if vulnerabilities is None else Known(vulnerabilities, "a report"),
        vulnerability_counts=counts,
        signatures=None if signatures is None else Known(signatures, "the image's signatures"),
        statements=statements,
        exceptions=exceptions,
        repository=repository,
        digests=digests,
        why_no_components=why_no_components,
        why_no_vulnerabilities=why_no_vulnerabilities,
        why_no_signatures=why_no_signatures,
    )


_words = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1)
_texts = st.lists(_words, min_size=1, max_size=3)
_names = st.dictionaries(
    st.sampled_from(["equals", "starts_with", "ends_with", "contains"]),
    _words | _texts,
    min_size=1,
) | st.dictionaries(st.sampled_from(["is_one_of", "is_not_one_of"]), _texts, min_size=1)
_components = st.builds(
    lambda names, more: {**names, **more},
    _names,
    st.fixed_dictionaries(
        {},
        optional={
            "version": st.sampled_from([">= 1.2, < 2.0", "= 1.0", "< 1 || >= 2"]),
            "type": st.sampled_from(["deb", "npm", "library"]),
        },
    ),
)
_tags = (
    _names
    | st.sampled_from([{"matches": "v?([0-9]+).*"}, {"matches": "(x)|(y)"}])
    | st.sampled_from([{"semver": "^1.4"}, {"semver": ">=1.2.0 <2", "contains": "."}])
)
_severities = st.sampled_from(["CRITICAL", "High", "unknown", "Negligible"])
_bounds = st.builds(
    "{}{}{}".format,
    st.sampled_from([">=", ">", "=", "!=", "<=", "<"]),
    st.sampled_from(["", " "]),
    st.integers(0, 999_999_999),
)
_vulnerabilities = st.dictionaries(
    st.sampled_from(["critical", "major", "minor", "all"]), _bounds, min_size=1
) | st.fixed_dictionaries(
    {"severity": st.dictionaries(_severities, _bounds, min_size=1, max_size=3)}
)
_licenses = st.dictionaries(st.sampled_from(["is_one_of", "is_not_one_of"]), _texts, min_size=1)
_durations = st.builds("{}{}".format, st.integers(1, 5000), st.sampled_from("mhdw"))
_updated = st.dictionaries(
    st.sampled_from(["older_than", "newer_than"]), _durations, min_size=1
) | st.dictionaries(
    st.sampled_from(["before", "after"]),
    st.dates(datetime(1970, 1, 1).date(), datetime(2999, 12, 31).date()).map(str)  # noqa: DTZ001
    | st.sampled_from(["2026-01-31T10:00:00Z", "2026-01-31T10:00:00.5+02:00"]),
    min_size=1,
)
_leaves = (
    st.fixed_dictionaries({"tag": _tags})
    | st.fixed_dictionaries({"component": _components})
    | st.fixed_dictionaries({"vulnerabilities": _vulnerabilities})
    | st.fixed_dictionaries({"license": _licenses})
    | st.fixed_dictionaries({"signature": st.sampled_from([{"signed_by": ["ci", "qa"]}])})
    | st.fixed_dictionaries({"updated": _updated})
)

trigger_documents = st.recursive(
    _leaves,
    lambda inner: (
        st.fixed_dictionaries({"any": st.lists(inner, min_size=1, max_size=3)})
        | st.fixed_dictionaries({"all": st.lists(inner, min_size=1, max_size=3)})
        | st.fixed_dictionaries({"not": inner})
    ),
    max_leaves=4,
)

policy_documents = st.builds(
    document_of,
    trigger_documents,
    target=st.fixed_dictionaries(
        {},
        optional={
            "tag": st.sampled_from(["%n", "%n-%Y%m%d", "x%H%M%S"]),
            "timezone": st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu"]),
            "existing_tag": st.sampled_from(["fail", "skip", "overwrite"]),
        },
    ),
    description=_words | st.just(""),
    schedule=st.sampled_from(["manual", "*/5 * * * *", "0 3 * * mon", "@daily"]),
    existing_images=st.sampled_from(["consider", "ignore"]),
    referrers=st.sampled_from(
        [{}, {"carry": "all"}, {"carry": "none"}, {"artifact_types": ["application/*", "a/b"]}]
    ),
    limits=st.fixed_dictionaries({}, optional={"images_per_run": st.integers(1, 100_000)}),
    foreign_layers=st.sampled_from(["skip", "copy", "refuse"]),
) | st.builds(
    document_of,
    trigger_documents,
    platforms=st.lists(
        st.sampled_from(["linux/amd64", "linux/arm64/v8", "windows/amd64"]), min_size=1
    ),
)
