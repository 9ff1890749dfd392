from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_promotion.registry.digest import Digest
from image_promotion.registry.referrer_tags import cosign_tags, fallback_tag, is_attachment_tag

HEX = hashlib.sha256(b"image").hexdigest()


@given(st.binary(), st.sampled_from(["sha256", "sha512"]))
def test_whatever_tag_lists_attachments_is_known_by_its_shape(
    content: bytes, algorithm: str
) -> None:
    digest = Digest.of(content, algorithm)

    assert is_attachment_tag(fallback_tag(digest))
    assert all(is_attachment_tag(tag) for tag in cosign_tags(digest))


@pytest.mark.parametrize(
    "tag",
    [
        "latest",
        "1.4-stable",
        "sha256",
        HEX,
        f"sha256-{HEX[:40]}",
        f"sha256-{HEX}0",
        f"sha256-{HEX.upper()}",
        f"sha256-{HEX}.sig.old",
        f"sha256-{HEX}-stable",
        f"git-{HEX}",
        f"v1-sha256-{HEX}",
    ],
)
def test_a_tag_that_people_give_to_images_is_none_of_them(tag: str) -> None:
    assert not is_attachment_tag(tag)
