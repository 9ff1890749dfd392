"""The program that made a report, where its version is written behind its name."""

from __future__ import annotations

import re

_VERSIONED = re.compile(r"(?P<name>.+?)-(?P<version>v?[0-9]\S*)")
_LONGEST_CHARACTERS = 200


def named_tool(text: str) -> tuple[str, str]:
    """Part the name of a tool from its version.

    Args:
        text: Such as ``syft-1.18.1``.

    Returns:
        The name and the version, which is empty when there is none.

    Source: SPDX Specification 2.3, clause 6.8: ``Tool: toolidentifier-version``.
    """
    text = text.strip()[:_LONGEST_CHARACTERS]
    versioned = _VERSIONED.fullmatch(text)
    return (versioned["name"], versioned["version"]) if versioned else (text, "")
