from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_promotion.evidence.document import Document, Kind, kind_of
from image_promotion.policy.evidence_sources import SourceName


def test_a_document_knows_the_digest_of_its_content() -> None:
    document = Document(
        content=b"{}",
        kind=Kind.REPORT,
        media_type="application/json",
        source=SourceName.FILES,
        location="file x.json in reports",
        subject="sha256:" + "a" * 64,
    )

    assert document.digest == "sha256:" + hashlib.sha256(b"{}").hexdigest()


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        ({"mediaType": "x", "verificationMaterial": {}, "dsseEnvelope": {}}, Kind.BUNDLE),
        ({"payloadType": "x", "payload": "", "signatures": []}, Kind.ENVELOPE),
        ({"_type": "x", "predicateType": "y", "predicate": {}}, Kind.STATEMENT),
        ({"spdxVersion": "SPDX-2.3"}, Kind.REPORT),
        # The words of another kind deep in a report, or in a text, do not change what it is.
        ({"spdxVersion": "SPDX-2.3", "comment": 'a "payloadType" is'}, Kind.REPORT),
        ({"spdxVersion": "SPDX-2.3", "files": [{"payloadType": 1}]}, Kind.REPORT),
    ],
)
def test_the_kind_is_what_the_outermost_members_show(document: object, kind: Kind) -> None:
    assert kind_of(json.dumps(document).encode()) is kind


@given(st.binary(max_size=200))
def test_whatever_cannot_be_read_is_left_to_whoever_reads_reports(content: bytes) -> None:
    assert kind_of(b'"payloadType"' + content) is Kind.REPORT
