"""Tests of statements, and of opening what wraps them without believing it."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_promotion.errors import UnreadableEvidenceError
from image_promotion.evidence.trust.statement import open_statement
from image_promotion.registry.digest import Digest
from tests.support.keyless_authority import KeylessAuthority
from tests.support.signatures import (
    SPDX_PREDICATE,
    STATEMENT_V1,
    base64,
    bundle,
    compact,
    ecdsa_key,
    envelope,
    message_bundle,
    statement,
)

IMAGE = Digest.of(b"image")
KEY = ecdsa_key()
PLAIN = statement(IMAGE, predicate={"spdxVersion": "SPDX-2.3"})


@pytest.mark.parametrize(
    "content",
    [
        PLAIN,
        b"\n  " + PLAIN,
        statement(IMAGE, predicate={"spdxVersion": "SPDX-2.3"}, version=STATEMENT_V1),
        envelope(KEY, payload=PLAIN),
        envelope(payload=PLAIN),
        bundle(KEY, PLAIN),
        KeylessAuthority().bundle(PLAIN),
    ],
    ids=["bare", "indented", "v1", "envelope", "unsigned", "bundle", "keyless"],
)
def test_a_statement_is_found_in_whatever_wraps_it(content: bytes) -> None:
    found = open_statement(content)

    assert found is not None
    assert found.is_about(IMAGE)
    assert found.subject_digests == {IMAGE}
    assert found.predicate_type == SPDX_PREDICATE
    assert found.predicate.text("spdxVersion") == "SPDX-2.3"
    assert json.loads(found.predicate_content()) == {"spdxVersion": "SPDX-2.3"}


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"[]", b"<bom/>", b'{"bomFormat": "CycloneDX"}', b'{"_type": "other"}', b"{"],
)
def test_other_documents_are_none_of_these(content: bytes) -> None:
    assert open_statement(content) is None


def _changed(**members: object) -> bytes:
    return compact({**json.loads(PLAIN), **members})


@pytest.mark.parametrize(
    "content",
    [
        _changed(_type="https://in-toto.io/Statement/v9"),
        _changed(subject=None)[:-1],
        _changed(subject="image"),
        _changed(subject=[{"digest": {"sha256": "beef"}}]),
        _changed(subject=[{"digest": {"sha256": IMAGE.encoded.upper()}}]),
        _changed(predicateType=None),
        _changed(predicate="text"),
        _changed(Subject=[]),
        PLAIN.replace(b'"predicate":', b'"subject":[],"predicate":'),
        envelope(KEY, payload=b"hello"),
        envelope(KEY, payload=PLAIN, payload_type="text/plain"),
        envelope(KEY, payload=PLAIN).replace(b'"sig"', b'"Sig"'),
        compact({"payload": "*", "payloadType": "x", "signatures": []}),
        message_bundle(KEY, b"bytes"),
        bundle(KEY, PLAIN).replace(b"v0.3", b"v0.9"),
        compact({"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", "_type": 1}),
    ],
)
def test_what_breaks_its_own_rules_is_unreadable(content: bytes) -> None:
    with pytest.raises(UnreadableEvidenceError):
        open_statement(content)


def test_a_statement_without_a_predicate_has_an_empty_one() -> None:
    found = open_statement(_changed(predicate=None))

    assert found is not None
    assert "spdxVersion" not in found.predicate
    assert found.predicate_content() == b"{}"


def test_digests_that_name_no_image_are_left_out() -> None:
    subjects = [
        {"digest": {"gitCommit": "beef", "sha256": IMAGE.encoded}},
        {"digest": {"sha512": Digest.of(b"other", "sha512").encoded}},
        {"name": "no digest"},
    ]
    found = open_statement(_changed(subject=subjects))

    assert found is not None
    assert found.subject_digests == {IMAGE, Digest.of(b"other", "sha512")}


def test_a_document_that_is_too_deep_is_unreadable() -> None:
    deep = PLAIN.replace(b'"SPDX-2.3"', b"[" * 200 + b"]" * 200)

    with pytest.raises(UnreadableEvidenceError, match="deep"):
        open_statement(envelope(KEY, payload=deep))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
WHOLE = [PLAIN, envelope(KEY, payload=PLAIN), bundle(KEY, PLAIN), message_bundle(KEY, b"x")]


@given(st.sampled_from(WHOLE), st.data())
def test_any_member_changed_to_anything_gives_a_statement_or_the_error(
    content: bytes, data: st.DataObject
) -> None:
    document = json.loads(content)
    target = document
    while True:
        name = data.draw(st.sampled_from(sorted(target)))
        if not (isinstance(target[name], dict) and target[name] and data.draw(st.booleans())):
            break
        target = cast(dict[str, object], target[name])
    target[name] = data.draw(JSON)
    changed = json.dumps(document).encode()

    with suppress(UnreadableEvidenceError):
        open_statement(changed)


@given(st.binary(max_size=200))
def test_any_payload_gives_a_statement_or_the_error(payload: bytes) -> None:
    wrapped = compact({"payload": base64(payload), "payloadType": "application/vnd.in-toto+json"})

    with pytest.raises(UnreadableEvidenceError):
        open_statement(wrapped)
