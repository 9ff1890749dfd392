"""Tests of simple-signing payloads."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_promotion.errors import UnreadableEvidenceError
from image_promotion.evidence.trust.simple_signing import (
    MAX_PAYLOAD_BYTES,
    SimpleSigning,
    read_simple_signing,
)
from image_promotion.registry.digest import Digest
from tests.support.signatures import compact, simple_signing_payload

IMAGE = Digest.of(b"image")
PAYLOAD = simple_signing_payload(IMAGE, reference="registry.example.com/dev/website")


def test_a_payload_says_which_image_is_signed_and_under_which_name() -> None:
    assert read_simple_signing(PAYLOAD) == SimpleSigning(
        IMAGE, "cosign container image signature", "registry.example.com/dev/website"
    )


def test_a_payload_need_not_say_a_name() -> None:
    members = json.loads(PAYLOAD)
    del members["critical"]["identity"]

    assert not read_simple_signing(compact(members)).docker_reference


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"{}",
        PAYLOAD[:-1],
        PAYLOAD.replace(b"critical", b"Critical"),
        PAYLOAD.replace(b'"type"', b'"Type":"x","type"'),
        PAYLOAD.replace(b'"docker-manifest', b'"Docker-Manifest-Digest":"x","docker-manifest'),
        PAYLOAD.replace(b"sha256:", b"sha1:"),
        PAYLOAD.replace(b'"type":"cosign', b'"type":"x","type":"cosign'),
        PAYLOAD + b" " * MAX_PAYLOAD_BYTES,
    ],
)
def test_a_broken_payload_is_unreadable(payload: bytes) -> None:
    with pytest.raises(UnreadableEvidenceError):
        read_simple_signing(payload)


@given(st.binary(max_size=200))
def test_any_bytes_give_a_payload_or_the_error(payload: bytes) -> None:
    with pytest.raises(UnreadableEvidenceError):
        read_simple_signing(payload)
