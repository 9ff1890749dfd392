"""What a registry says about how to log in: WWW-Authenticate read, and token scopes put together.

Source: RFC 9110, "WWW-Authenticate" and "Authentication Parameters"; CNCF distribution, "Token
Authentication Specification" and "Token Scope Documentation".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

CATALOG_SCOPE = "registry:catalog:*"

_SEPARATORS = re.compile(r"[\s,]*")
_SCHEME = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?=[\s,]|\Z)[ \t]*")
_PARAMETER = re.compile(
    r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*=[ \t]*"
    r'(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))[ \t]*(?=,|\Z)'
)
_TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]+=*[ \t]*(?=,|\Z)")
_QUOTED_PAIR = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to log in that a server offers.

    Args:
        scheme: ``basic``, ``bearer`` or another, in lower case.
        parameters: Such as realm, service and scope; their names in lower case.
    """

    scheme: str
    parameters: Mapping[str, str]


def parse_challenges(values: Iterable[str]) -> tuple[Challenge, ...]:
    """Read the WWW-Authenticate fields of an answer.

    Commas separate challenges as well as their parameters, and stand in quoted values too; a word
    that no equals sign follows begins the next challenge.

    Args:
        values: The fields' values; there may be several fields, and several challenges in each.

    Returns:
        The challenges in their order. What follows something illegible is left out.

    Source: RFC 9110, "WWW-Authenticate".
    """
    return tuple(challenge for value in values for challenge in _challenges(value))


def _challenges(value: str) -> Iterable[Challenge]:
    position = _skip_separators(value, 0)
    while scheme := _SCHEME.match(value, position):
        position = scheme.end()
        parameters: dict[str, str] = {}
        if token68 := _TOKEN68.match(value, position):
            position = token68.end()
        while parameter := _PARAMETER.match(value, _skip_separators(value, position)):
            name, quoted, plain = parameter.groups()
            parameters.setdefault(
                name.lower(), plain if quoted is None else _QUOTED_PAIR.sub(r"\1", quoted)
            )
            position = parameter.end()
        yield Challenge(scheme[1].lower(), parameters)
        position = _skip_separators(value, position)


def _skip_separators(value: str, position: int) -> int:
    match = _SEPARATORS.match(value, position)
    return position if match is None else match.end()


def pull_scope(repository: str) -> str:
    """Return the scope that a token needs for reading a repository, named as the registry does."""
    return f"repository:{repository}:pull"


def push_scope(repository: str) -> str:
    """Return the scope for reading and writing a repository, named as the registry does."""
    return f"repository:{repository}:pull,push"


def delete_scope(repository: str) -> str:
    """Return the scope for giving an upload up, which not everybody has who may write.

    Source: CNCF distribution, "Token Scope Documentation", actions; its server asks for it.
    """
    return f"repository:{repository}:delete"


def united(scopes: Iterable[str]) -> tuple[str, ...]:
    """Put scopes together, each resource once with all of its actions, in a fixed order.

    Args:
        scopes: Such as ``repository:team/site:pull``; an action may come more than once.
    """
    actions: dict[str, set[str]] = {}
    for scope in scopes:
        # A repository's name may hold a host with a port, so that the actions begin at the last.
        resource, _, wanted = scope.rpartition(":")
        actions.setdefault(resource, set()).update(wanted.split(","))
    return tuple(
        f"{resource}:{','.join(sorted(actions[resource]))}" for resource in sorted(actions)
    )
