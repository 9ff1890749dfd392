"""Evidence in a policy's DAG: waiting for a signed report, and an SBOM attached on the way."""

from __future__ import annotations

from datetime import UTC, datetime

from image_promotion.ledger.records import Outcome
from sandbox.registry_process import RegistryProcess
from sandbox.sample_evidence import debian_layer
from sandbox.sample_images import push_image
from tests.support.policy_runs import PolicyRuns
from tests.support.scanned_images import (
    attach,
    attached_content,
    descriptor_of,
    scan_attestation,
)
from tests.support.signatures import ecdsa_key


def test_a_run_waits_for_the_signed_report_and_the_next_promotes_by_it_with_an_sbom(
    policy: PolicyRuns, dev: RegistryProcess, qa: RegistryProcess
) -> None:
    key = ecdsa_key()
    policy.write(
        triggers=[{"vulnerabilities": {"critical": "= 0"}}],
        evidence={
            "sources": ["referrers", {"syft": {"attach": True}}],
            "signers": {"scanner": {"key": key.pem.decode()}},
        },
    )
    layers = [debian_layer("busybox=1:1.35.0-4", content=policy.name)]
    image = descriptor_of(push_image(dev.url, policy.source, "1.0", layers=layers))

    first = policy.run()
    attach(dev, policy.source, scan_attestation(image, datetime.now(UTC), key, "LOW"))
    second = policy.run()

    assert (first.state, first.images("copy")) == ("success", {})
    assert (second.state, second.images("verify")) == (
        "success",
        {f"{policy.source}:1.0": "success"},
    )
    # Each decision is another one, and stays in the ledger.
    assert [entry.decision.outcome for entry in policy.history() if entry.decision] == [
        Outcome.PROMOTE,
        Outcome.WAIT,
    ]
    assert policy.promoted()["1.0"] == str(image.digest)
    (sbom,) = attached_content(qa, policy.target, image.digest, "application/spdx+json")
    assert b'"busybox"' in sbom
