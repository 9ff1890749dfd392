"""The digest of the image that a report says it is about, where it says so."""

from __future__ import annotations

import re
from urllib.parse import unquote

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_IMAGE_PURL_TYPES = ("pkg:oci/", "pkg:docker/")


def is_image_purl(purl: str | None) -> bool:
    """Say whether a package URL is that of a container image.

    Source: Package URL types, "oci" and "docker".
    """
    return purl is not None and purl.lower().startswith(_IMAGE_PURL_TYPES)


def digest_in_purl(purl: str | None) -> str | None:
    """Read the digest from the package URL of an image, where it is the version.

    The URL is not parsed as a whole: scanners write host and path of the image into it as they are,
    which the grammar does not allow.

    Args:
        purl: Such as ``pkg:oci/website@sha256%3A68c9..?arch=amd64``; None is allowed.

    Returns:
        The digest; None when the URL is not that of an image or has none.

    Source: Package URL specification, "oci": the version is the digest of the artifact.
    """
    if purl is None or not is_image_purl(purl):
        return None
    _, _, version = re.split(r"[?#]", purl, maxsplit=1)[0].rpartition("@")
    return digest_in(unquote(version))


def digest_in(text: str) -> str | None:
    """Return a text if it is a digest, or the digest at the end of a reference to an image.

    Args:
        text: Such as ``sha256:68c9..``, or ``dev/website@sha256:68c9..``.

    Returns:
        The digest; None when there is none.
    """
    digest = text.rpartition("@")[2]
    return digest if _DIGEST.fullmatch(digest) else None
