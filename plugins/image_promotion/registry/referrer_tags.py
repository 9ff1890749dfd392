"""The tags under which registries without a referrers API keep what is attached to a digest.

Source: OCI Distribution Specification 1.1, "Referrers Tag Schema"; cosign, "Signature
Specification", "Tag-based object discovery".
"""

from __future__ import annotations

import re

from image_promotion.registry.digest import Digest

COSIGN_SUFFIXES = (".sig", ".att", ".sbom")

_ATTACHMENT_TAG = re.compile(
    rf"(sha256|sha512)-[0-9a-f]{{64}}({'|'.join(map(re.escape, COSIGN_SUFFIXES))})?"
)

_MAX_ALGORITHM_CHARACTERS = 32
_MAX_ENCODED_CHARACTERS = 64


def fallback_tag(digest: Digest) -> str:
    """Return the tag of the index that lists a digest's referrers, such as ``sha256-`` and hex.

    Args:
        digest: What the referrers are about; a value longer than 64 characters is cut.
    """
    algorithm = digest.algorithm[:_MAX_ALGORITHM_CHARACTERS]
    return f"{algorithm}-{digest.encoded[:_MAX_ENCODED_CHARACTERS]}"


def cosign_tags(digest: Digest) -> tuple[str, ...]:
    """Return the tags under which cosign keeps signature, attestations and SBOM of a digest.

    Args:
        digest: What they are about.

    Returns:
        The tags; none where they would be too long for one, as with sha512.
    """
    name = f"{digest.algorithm}-{digest.encoded}"
    if len(digest.encoded) > _MAX_ENCODED_CHARACTERS:
        return ()
    return tuple(f"{name}{suffix}" for suffix in COSIGN_SUFFIXES)


def is_attachment_tag(tag: str) -> bool:
    """Say whether a tag, by its shape, names what is attached to an image, and no image.

    Args:
        tag: The tag.

    Returns:
        True for a fallback tag and for one of cosign's; of sha512 the tag holds half.
    """
    return _ATTACHMENT_TAG.fullmatch(tag) is not None
