"""Image references: the names that people write, and what they mean in full."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypedDict

from image_promotion.errors import InvalidReferenceError
from image_promotion.registry.digest import Digest

DEFAULT_REGISTRY = "docker.io"
_OTHER_NAME_OF_DEFAULT_REGISTRY = "index.docker.io"
_OFFICIAL_IMAGES = "library"

MAX_NAME_CHARACTERS = 255
"""The longest ``registry/repository``.

Source: OCI Distribution Specification 1.1, "Pulling manifests": many clients limit the two, with
the slash between them, to 255 characters.
"""

MAX_TAG_CHARACTERS = 128

_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_LABEL = r"(?:[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9])"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[A-Fa-f0-9:]+\])(?::[0-9]+)?")
_IMAGE_ID = re.compile(r"[a-f0-9]{64}")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")

_SHOWN_CHARACTERS = 80

# Who pastes a URL may paste a password with it; a tag before a digest is none.
_LOGIN = re.compile(
    r"^(?:(?P<scheme>[a-z+.-]+://)[^/@]*|[^/@:]+:[^/@]*)@(?=[^@:]*[./])", re.IGNORECASE
)
_MAX_PORT = 65535


class ReferenceParts(TypedDict):
    """The parts of a reference, ready to be written as JSON."""

    registry: str
    repository: str
    tag: str | None
    digest: str | None


@dataclass(frozen=True, slots=True)
class Reference:
    """What an image is called; ``str()`` gives the full name, which parses to the same reference.

    Args:
        registry: The host, with its port where one was written: ``localhost:5000``, ``[::1]:5000``.
        repository: The repository in it: ``library/debian``.
        tag: The tag; None when none was written (``latest`` is not implied).
        digest: The digest; None when none was written.

    Source: CNCF distribution, ``reference`` package, grammar; OCI Distribution Specification 1.1,
    "Pulling manifests".
    """

    registry: str
    repository: str
    tag: str | None = None
    digest: Digest | None = None

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag is not None else ""
        digest = f"@{self.digest}" if self.digest is not None else ""
        return f"{self.registry}/{self.repository}{tag}{digest}"

    def parts(self) -> ReferenceParts:
        """Return the parts by name, the digest as text, those that are not there as None."""
        return {
            "registry": self.registry,
            "repository": self.repository,
            "tag": self.tag,
            "digest": None if self.digest is None else str(self.digest),
        }

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read what people write: a full name, or a short one as Docker reads it.

        The first component is a registry only when it could not be part of a repository on
        Docker Hub: it holds a dot or a colon, or an upper-case letter, or is ``localhost``. Without
        one, ``docker.io`` is meant, and there a name of one component is in ``library``.

        Args:
            text: Such as ``debian``, ``team/site:1.4``, ``[::1]:5000/site@sha256:...``.

        Returns:
            The reference.

        Raises:
            InvalidReferenceError: The text is none; the error says which rule it breaks.

        Source: CNCF distribution, ``reference`` package, grammar and normalization of names.
        """
        _refuse_what_is_no_reference(text)
        name, at, digest_text = text.partition("@")
        digest = _digest(text, digest_text) if at else None
        # A colon after the last slash starts a tag; one before it, a port.
        slash = name.rfind("/")
        colon = name.find(":", slash + 1)
        tag = None
        if colon >= 0 and not (slash < 0 and name.startswith("[")):
            tag = _tag(text, name[colon + 1 :])
            name = name[:colon]
        registry, repository = _registry_and_repository(name)
        _check_registry(text, registry)
        _check_repository(text, repository)
        if len(registry) + 1 + len(repository) > MAX_NAME_CHARACTERS:
            raise _broken(
                text,
                f"has {len(registry) + 1 + len(repository)} characters of registry and repository",
                f"Together they may have {MAX_NAME_CHARACTERS}.",
            )
        return cls(registry, repository, tag, digest)


def is_tag(text: str) -> bool:
    """Say whether a text can be a tag.

    Args:
        text: Any text.

    Returns:
        Whether it is 1 to 128 characters of the tag grammar.

    Source: OCI Distribution Specification 1.1, "Pulling manifests".
    """
    return _TAG.fullmatch(text) is not None


def is_repository(text: str) -> bool:
    """Say whether a text can be the name of a repository, without its registry.

    Args:
        text: Any text.

    Returns:
        Whether it is components of the grammar with slashes between them, 255 characters at most.

    Source: OCI Distribution Specification 1.1, "Pulling manifests".
    """
    return len(text) <= MAX_NAME_CHARACTERS and all(
        _COMPONENT.fullmatch(component) for component in text.split("/")
    )


def is_registry(text: str) -> bool:
    """Say whether a text can be a registry: a host name, an IP address, perhaps with a port.

    Args:
        text: Any text.

    Returns:
        Whether it follows the grammar; an IPv6 address stands in brackets.

    Source: CNCF distribution, ``reference`` package, grammar.
    """
    if len(text) > MAX_NAME_CHARACTERS or not _HOST.fullmatch(text):
        return False
    host, port = split_port(text)
    if port is not None and port > _MAX_PORT:
        return False
    return ":" in host if host.startswith("[") else True


def split_port(registry: str) -> tuple[str, int | None]:
    """Take a registry apart.

    Args:
        registry: What ``is_registry`` takes: ``localhost:5000``, ``[::1]``.

    Returns:
        The host, an IPv6 address still in its brackets, and the port; None where none is written.
    """
    host, colon, port = registry.rpartition(":")
    if not colon or registry.endswith("]"):
        return registry, None
    return host, int(port[:6])


def _refuse_what_is_no_reference(text: str) -> None:
    if not text:
        raise _broken(text, "is empty", "Write registry/repository:tag, such as debian:12.")
    if any(character.isspace() for character in text):
        raise _broken(text, "holds white space", "Take it out.")
    if scheme := _SCHEME.match(text):
        raise _broken(text, f"begins with {scheme[0]}", "Leave it out: a reference is no URL.")
    if _IMAGE_ID.fullmatch(text):
        raise _broken(
            text,
            "is 64 hexadecimal characters, which is how Docker writes an image id",
            "Write the repository, then @sha256: and the digest.",
        )


def _digest(text: str, digest: str) -> Digest:
    try:
        return Digest.parse(digest)
    except InvalidReferenceError as error:
        raise _broken(text, f"is refused: {error.attempted}", error.advice) from error


def _tag(text: str, tag: str) -> str:
    if not tag:
        raise _broken(text, "has a colon, and no tag after it", "Write a tag, or drop the colon.")
    if len(tag) > MAX_TAG_CHARACTERS:
        raise _broken(
            text,
            f"has a tag of {len(tag)} characters",
            f"A tag may have {MAX_TAG_CHARACTERS}.",
        )
    if not is_tag(tag):
        raise _broken(
            text,
            f"has the illegal tag {_cut(tag)}",
            "A tag begins with a letter, a digit or _, and goes on with these, dots and dashes.",
        )
    return tag


def _registry_and_repository(name: str) -> tuple[str, str]:
    """Decide whether the first component is a registry, and fill in what is implied."""
    first, slash, rest = name.partition("/")
    is_host = bool(slash) and (
        "." in first or ":" in first or first == "localhost" or first.lower() != first
    )
    registry, repository = (first, rest) if is_host else (DEFAULT_REGISTRY, name)
    if registry == _OTHER_NAME_OF_DEFAULT_REGISTRY:
        registry = DEFAULT_REGISTRY
    if registry == DEFAULT_REGISTRY and repository and "/" not in repository:
        repository = f"{_OFFICIAL_IMAGES}/{repository}"
    return registry, repository


def _check_registry(text: str, registry: str) -> None:
    if is_registry(registry):
        return
    if registry.count(":") > 1 and not registry.startswith("["):
        raise _broken(
            text,
            f"has the illegal registry {_cut(registry)}",
            "An IPv6 address stands in brackets: [::1]:5000.",
        )
    raise _broken(
        text,
        f"has the illegal registry {_cut(registry)}",
        "A registry is a host name or address, perhaps with a port up to 65535; a name is "
        "letters, digits and inner dashes, with dots between.",
    )


def _check_repository(text: str, repository: str) -> None:
    if not repository:
        raise _broken(text, "names no repository", "Write one after the registry and a slash.")
    if repository.startswith(f"{_OFFICIAL_IMAGES}/["):
        raise _broken(text, "names a registry and no repository", "Write one after a slash.")
    for component in repository.split("/"):
        if _COMPONENT.fullmatch(component):
            continue
        if not component:
            raise _broken(
                text,
                "has an empty component in its repository",
                "One slash stands between two components, and none at an end.",
            )
        if component.lower() != component:
            raise _broken(
                text,
                f"has upper-case letters in its repository, in {_cut(component)}",
                "A repository's name is lower case; only registries and tags may have others.",
            )
        raise _broken(
            text,
            f"has the illegal component {_cut(component)} in its repository",
            "A component is lower-case letters and digits; inside it may stand one dot, one or "
            "two underscores, or dashes.",
        )


def _broken(text: str, rule: str, advice: str) -> InvalidReferenceError:
    text = _LOGIN.sub(lambda login: f"{login['scheme'] or ''}***@", text)
    return InvalidReferenceError(f"the reference {_cut(text)} {rule}", text=text, advice=advice)


def _cut(text: str) -> str:
    """Return a stranger's text in quotes, in ASCII, and cut where it grows long."""
    shown = text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "..."
    return ascii(shown)
