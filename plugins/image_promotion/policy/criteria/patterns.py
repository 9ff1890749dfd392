"""Triggers on tags beyond DTR: regular expressions and semantic versions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from image_promotion.policy.criteria.verdict import Finding, Need, verdict_of
from image_promotion.policy.facts import ImageFacts

# The name of a group, after stepping over what is quoted and what is in brackets.
_NAMED_GROUP = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?P?<(\w+)>")


@dataclass(frozen=True, slots=True)
class TagMatches:
    """Asks for a tag that a regular expression describes from its first to its last character.

    The expressions are RE2's, which take time in proportion to the text whatever they are, so that
    no policy can make a scan hang.

    Args:
        pattern: The expression; `^` and `$` are implied.

    Source: RE2, "Syntax".
    """

    pattern: str
    _compiled: Any = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        import re2  # noqa: PLC0415 - 10 ms that only policies with `matches` pay

        options = re2.Options()
        options.log_errors = False
        try:
            compiled = re2.compile(self.pattern, options)
        except re2.error as error:
            reason = error.args[0] if error.args else error
            text = reason.decode() if isinstance(reason, bytes) else str(reason)
            raise ValueError(f"is no RE2 expression: {text}") from None
        names = [name for name in _NAMED_GROUP.findall(self.pattern) if name]
        for name in names:
            # RE2 would take the first of two, and a number would hide the group of that number.
            if names.count(name) > 1 or name.isdigit():
                raise ValueError(f"is no RE2 expression: a second group, or a number, named {name}")
        object.__setattr__(self, "_compiled", compiled)

    @property
    def needs(self) -> frozenset[Need]:
        """The tag."""
        return frozenset({Need.TAG})

    @property
    def group_count(self) -> int:
        """How many groups the expression has."""
        return int(self._compiled.groups)

    @property
    def group_names(self) -> frozenset[str]:
        """The names of its named groups."""
        return frozenset(self._compiled.groupindex)

    def capture(self, tag: str) -> Mapping[str, str]:
        """Return what the groups matched.

        Args:
            tag: A tag.

        Returns:
            The text of each group by its number ("1", "2", ..) and by its name; an empty text for
            one that took no part, and nothing at all when the tag does not match.
        """
        match = self._compiled.fullmatch(tag)
        if match is None:
            return {}
        numbered = {str(n): match.group(n) or "" for n in range(1, self.group_count + 1)}
        return numbered | {name: match.group(name) or "" for name in self.group_names}

    def describe(self) -> str:
        """Say what it asks for."""
        return f"tag matches /{self.pattern}/"

    def judge(self, facts: ImageFacts, now: datetime) -> Finding:  # noqa: ARG002 - the protocol's
        """Match the tag."""
        return Finding(
            trigger=self.describe(),
            verdict=verdict_of(self._compiled.fullmatch(facts.tag) is not None),
            expected=f"matches /{self.pattern}/ from end to end",
            found=f'"{facts.tag}"',
            source="tag name",
        )


@dataclass(frozen=True, slots=True)
class TagSemver:
    """Asks for a tag that is a semantic version within a range.

    One "v" before the version is overlooked. A tag that is no semantic version is in no range; nor
    is a pre-release, unless the range names one of the same version.

    Args:
        expression: A range as npm writes it, such as ``^1.4`` or ``>=1.2.0 <2``.

    Source: Semantic Versioning 2.0.0; npm, "node-semver", "Ranges".
    """

    expression: str
    _range: Any = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        from semantic_version import NpmSpec  # noqa: PLC0415 - only policies with `semver` pay

        try:
            object.__setattr__(self, "_range", NpmSpec(self.expression))
        except ValueError:
            raise ValueError(
                f"{self.expression!r} is no range of versions; write it as npm does, "
                "such as ^1.4, ~1.4.2, >=1.2.0 <2 or 1.x || 3.x"
            ) from None

    @property
    def needs(self) -> frozenset[Need]:
        """The tag."""
        return frozenset({Need.TAG})

    def describe(self) -> str:
        """Say what it asks for."""
        return f"tag is a semantic version in {self.expression}"

    def judge(self, facts: ImageFacts, now: datetime) -> Finding:  # noqa: ARG002 - the protocol's
        """Compare the tag's version with the range."""
        from semantic_version import Version  # noqa: PLC0415 - as above

        try:
            version = Version(facts.tag.removeprefix("v"))
        except ValueError:
            version = None
        return Finding(
            trigger=self.describe(),
            verdict=verdict_of(version is not None and version in self._range),
            expected=f"a version in {self.expression}",
            found=f'"{facts.tag}"' + ("" if version else ", no semantic version"),
            source="tag name",
        )
