"""Repositories, and patterns of them: `*` in the source is `{name}` in the target."""

from __future__ import annotations

import re

from image_promotion.policy.refusal import RefusalError

STAR = "*"
NAME_PLACEHOLDER = "{name}"
MAX_REPOSITORY_CHARACTERS = 255

_PATH_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PATH_COMPONENT}(?:/{_PATH_COMPONENT})*")


def is_repository(text: str) -> bool:
    """Return whether a text is a repository's name.

    Source: OCI Distribution Specification 1.1, "Pulling manifests", `<name>`.
    """
    return len(text) <= MAX_REPOSITORY_CHARACTERS and _REPOSITORY.fullmatch(text) is not None


def require_repository(value: str, placeholder: str) -> str:
    """Refuse what is no repository, with or without a placeholder in it.

    Args:
        value: A repository or a pattern.
        placeholder: What stands for a name in a pattern.

    Returns:
        The value.

    Raises:
        RefusalError: It is neither.
    """
    if not is_repository(value.replace(placeholder, "x")):
        raise RefusalError(
            f"{value!r} is no repository",
            "lower-case letters and digits with . _ __ - within and / between, without the "
            f"registry's address and without a tag, at most {MAX_REPOSITORY_CHARACTERS} characters",
        )
    return value


def require_matching(source: str, target: str) -> None:
    """Refuse `*` without `{name}`, and the other way round, and what could not fit together.

    Args:
        source: A repository, or a pattern with `*`.
        target: A repository, or a pattern with `{name}`.

    Raises:
        RefusalError: They do not go together.
    """
    before, star, after = source.partition(STAR)
    target_before, placeholder, target_after = target.partition(NAME_PLACEHOLDER)
    if bool(star) != bool(placeholder):
        raise RefusalError(
            f"{target!r} does not go with source.repository {source!r}",
            f"{NAME_PLACEHOLDER} where the source has {STAR}, and only there",
        )
    # In dev/web* the * may stand for -api, and qa/-api would be no repository.
    opens = before[-1:].isalnum() and not target_before[-1:].isalnum()
    closes = after[:1].isalnum() and not target_after[:1].isalnum()
    if opens or closes:
        raise RefusalError(
            f"the {STAR} of {source!r} may stand for {'-x' if opens else 'x-'}, "
            f"with which {target!r} would be no repository",
            f"{NAME_PLACEHOLDER} beside a letter or digit as {STAR} is, or {STAR} beside / - . _",
        )


def name_in(pattern: str, repository: str) -> str | None:
    """Return what `*` stands for.

    Args:
        pattern: A repository, or a pattern with `*`, which stands for any characters but `/`.
        repository: A repository.

    Returns:
        The name; empty where the pattern has no `*`; None for a repository that does not match.
    """
    before, star, after = pattern.partition(STAR)
    if not star:
        return "" if repository == before else None
    name = repository[len(before) : len(repository) - len(after)]
    if not name or "/" in name or repository != before + name + after:
        return None
    return name


def with_name(pattern: str, name: str) -> str:
    """Return a target repository with what the source's `*` stands for in the place of `{name}`."""
    return pattern.replace(NAME_PLACEHOLDER, name)
