"""What all notifications come to: something happened to an image of a repository."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from image_promotion.errors import InvalidReferenceError, NotificationError
from image_promotion.registry.digest import Digest
from image_promotion.registry.reference import is_repository, is_tag

_SHOWN_CHARACTERS = 60


class Happening(StrEnum):
    """What a registry tells that can change what a policy decides."""

    PUSHED = "pushed"
    SCANNED = "scanned"


@dataclass(frozen=True, slots=True)
class ImageEvent:
    """Something happened to an image.

    Args:
        happened: What.
        repository: The registry's own name of the repository, without its host.
        tag: The tag; None where the notification names none.
        digest: The digest; None likewise.
    """

    happened: Happening
    repository: str
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def of(
        cls, happened: Happening, repository: str, *, tag: str | None, digest: str | None
    ) -> ImageEvent:
        """Make an event of what a notification says.

        Tag and digest are for people to read, since the scan looks for itself. So where one is not
        well-formed it is left out: Harbor writes a digest in the place of a tag that is missing.

        Args:
            happened: What.
            repository: The registry's own name of the repository.
            tag: What stands where the tag is expected.
            digest: What stands where the digest is expected.

        Returns:
            The event.

        Raises:
            NotificationError: It names no repository.
        """
        if not is_repository(repository):
            shown = repository[:_SHOWN_CHARACTERS]
            raise unreadable(f"cannot read the notification: {shown!a} is no repository")
        return cls(
            happened,
            repository,
            tag if tag is not None and is_tag(tag) else None,
            digest if digest is not None and _is_digest(digest) else None,
        )

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.repository}{tag}{digest}"


def unreadable(attempted: str) -> NotificationError:
    """Make the error of a notification that cannot be read.

    Args:
        attempted: What is wrong with it.

    Returns:
        The error.
    """
    return NotificationError(
        attempted,
        advice="Nothing was started. docs/how-to/webhooks.md has what each product sends.",
    )


def _is_digest(text: str) -> bool:
    try:
        Digest.parse(text)
    except InvalidReferenceError:
        return False
    return True
