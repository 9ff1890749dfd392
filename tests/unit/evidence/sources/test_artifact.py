from __future__ import annotations

from datetime import UTC, datetime

import pytest

from image_promotion.errors import (
    AuthenticationError,
    ContentMismatchError,
    DeniedError,
    NotFoundError,
    PromotionError,
    UnreachableError,
)
from image_promotion.evidence.document import Kind
from image_promotion.evidence.sources.artifact import is_for_good, kind_by_type, moment_of

TAR = "application/vnd.oci.image.layer.v1.tar"
EMPTY = "application/vnd.oci.empty.v1+json"


@pytest.mark.parametrize(
    ("layer", "artifact", "kind"),
    [
        ("application/spdx+json", "", Kind.REPORT),
        ("text/spdx+json", "", Kind.REPORT),
        ("application/vnd.cyclonedx+xml", "", Kind.REPORT),
        ("application/vnd.cyclonedx+json; version=1.6", "", Kind.REPORT),
        ("application/sarif+json", "", Kind.REPORT),
        ("application/json", "", Kind.REPORT),
        ("application/vnd.security.vulnerability.report; version=1.1", "", Kind.REPORT),
        ("application/vnd.goharbor.harbor.sbom.v1", "", Kind.REPORT),
        ("application/vnd.in-toto+json", "", Kind.STATEMENT),
        ("application/vnd.dsse.envelope.v1+json", "", Kind.ENVELOPE),
        ("application/vnd.dev.sigstore.bundle.v0.3+json", "", Kind.BUNDLE),
        ("application/vnd.dev.sigstore.bundle+json;version=0.3", "", Kind.BUNDLE),
        ("application/vnd.dev.cosign.simplesigning.v1+json", "", Kind.SIMPLE_SIGNING),
    ],
)
def test_layers_that_may_be_evidence_are_known_by_their_types(
    layer: str, artifact: str, kind: Kind
) -> None:
    assert kind_by_type(layer, artifact) is kind


@pytest.mark.parametrize("layer", [TAR, "application/octet-stream", EMPTY])
def test_where_a_layer_says_nothing_the_artifact_speaks_for_it(layer: str) -> None:
    assert kind_by_type(layer, "application/spdx+json") is Kind.REPORT
    assert kind_by_type(layer, "application/vnd.dev.sigstore.bundle.v0.3+json") is Kind.BUNDLE
    assert kind_by_type(layer, EMPTY) is None


@pytest.mark.parametrize(
    ("layer", "artifact"),
    [
        (TAR + "+gzip", "application/spdx+json"),
        (TAR, "application/vnd.oci.image.config.v1+json"),
        ("application/vnd.cncf.helm.chart.content.v1.tar+gzip", "application/spdx+json"),
        ("application/jose+json", "application/vnd.cncf.notary.signature"),
        ("application/cose", "application/vnd.cncf.notary.signature"),
        ("application/octet-stream", ""),
        ("image/png", "application/spdx+json"),
    ],
)
def test_what_cannot_be_evidence_is_known_by_its_type_too(layer: str, artifact: str) -> None:
    assert kind_by_type(layer, artifact) is None


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (NotFoundError("gone"), True),
        (ContentMismatchError("damaged", expected="a", actual="b", retryable=True), True),
        (UnreachableError("no answer"), False),
        (AuthenticationError("who"), False),
        (DeniedError("no"), False),
    ],
)
def test_one_lost_document_is_not_a_registry_that_cannot_be_asked(
    error: PromotionError, answer: bool
) -> None:
    assert is_for_good(error) is answer


def test_times_are_believed_only_with_a_time_zone() -> None:
    assert moment_of("2026-11-23T21:56:20Z") == datetime(2026, 11, 23, 21, 56, 20, tzinfo=UTC)
    assert moment_of("2026-11-23T21:56:20") is None
    assert moment_of("yesterday") is None
    assert moment_of(None) is None
