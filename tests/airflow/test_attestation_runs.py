"""The stage `attest` in a policy's DAG, and the connection type of the key it signs with."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime

from image_promotion.dag_builder import build_dags
from image_promotion.errors import ConnectionSettingsError
from image_promotion.evidence.trust.signing import PrivateSigningKey
from image_promotion.hooks.signing_key import SigningKeyHook, find_signing_key
from image_promotion.registry.client import RegistryClient
from image_promotion.registry.digest import Digest
from image_promotion.registry.endpoint import RegistryEndpoint
from sandbox.image_pusher import PushedImage
from tests.support.attestations import new_pem, statements_of
from tests.support.policy_runs import PolicyRuns

CANARY = "canary-no-key"
BASE_URL = "https://airflow.example.com/"


def connect(policy: PolicyRuns, password: str) -> None:
    document = {"conn_type": "signing_key", "password": password}
    policy.monkeypatch.setenv("AIRFLOW_CONN_SIGNING", json.dumps(document))


def statements(
    policy: PolicyRuns, image: PushedImage, key: PrivateSigningKey
) -> list[dict[str, Any]]:
    async def read() -> list[dict[str, Any]]:
        client = RegistryClient(RegistryEndpoint("qa", policy.qa_url))
        try:
            digest = Digest.parse(image.digest)
            return await statements_of(client, policy.target, digest, key.public_key_pem)
        finally:
            await client.aclose()

    return asyncio.run(read())


def test_without_its_key_a_run_promotes_and_fails_and_the_next_one_with_it_makes_up_for_it(
    policy: PolicyRuns, capfd: pytest.CaptureFixture[str]
) -> None:
    policy.monkeypatch.setenv("AIRFLOW__API__BASE_URL", BASE_URL)
    policy.write(attestation={"connection": "signing"})
    connect(policy, CANARY)
    first_image = policy.push("1.0-stable")
    failed = policy.run()
    said = "".join(capfd.readouterr())

    assert failed.state == "failed"
    assert failed.states()["attest_earlier"] == "skipped"
    assert failed.images("verify") == {f"{policy.source}:1.0-stable": "success"}
    assert failed.images("attest") == {f"{policy.source}:1.0-stable": "failed"}
    assert policy.promoted() == {"1.0-stable": first_image.digest}
    assert "connection signing, field password" in said
    assert "is verified, and not attested" in said
    assert CANARY not in said

    pem = new_pem()
    connect(policy, pem)
    dry = policy.run(dry_run=True)
    assert dry.states()["attest_earlier"] == "skipped"
    assert policy.promoted() == {"1.0-stable": first_image.digest}

    second_image = policy.push("2.0-stable")
    healed = policy.run()

    key = find_signing_key("signing")
    assert healed.state == "success"
    assert healed.states()["attest_earlier"] == "success"
    assert healed.images("attest") == {f"{policy.source}:2.0-stable": "success"}
    (first,) = statements(policy, first_image, key)
    (second,) = statements(policy, second_image, key)
    urls = [each["predicate"]["run"]["url"] for each in (first, second)]
    assert urls == [
        f"https://airflow.example.com/dags/{policy.name}/runs/"
        + each.run_id.replace(":", "%3A").replace("+", "%2B")
        for each in (failed, healed)
    ]
    assert pem.splitlines()[1] not in "".join(capfd.readouterr())


def test_only_the_dag_of_a_policy_with_the_key_has_the_stage(policy: PolicyRuns) -> None:
    without = build_dags(policy.folder)[policy.name]
    policy.write(attestation={"connection": "signing"})
    with_it = build_dags(policy.folder)[policy.name]

    added = set(with_it.task_ids) - set(without.task_ids)
    assert added == {"promote.attest", "attest_earlier"}
    assert with_it.get_task("promote.attest").upstream_task_ids >= {"promote.verify"}
    assert "signed by the key of the connection `signing`" in str(with_it.doc_md)


def test_airflow_knows_the_connection_type_and_hides_its_secrets() -> None:
    # Untyped in Airflow.
    manager = ProvidersManagerTaskRuntime()  # type: ignore[no-untyped-call]
    hook = manager.hooks["signing_key"]

    assert hook is not None
    module, _, name = hook.hook_class_name.rpartition(".")
    assert (module, name) == (SigningKeyHook.__module__, SigningKeyHook.__name__)
    assert hook.connection_id_attribute_name == "signing_key_conn_id"


def test_the_test_button_says_which_key_it_is_or_what_is_wrong_with_it(
    policy: PolicyRuns,
) -> None:
    pem = new_pem()
    connect(policy, pem.replace("\n", ""))
    ok, said = SigningKeyHook("signing").test_connection()
    key_id = find_signing_key("signing").key_id
    connect(policy, CANARY)
    wrong, why = SigningKeyHook("signing").test_connection()

    assert (ok, wrong) == (True, False)
    assert said == f"The key {key_id} (ECDSA P-256) can sign."
    assert "connection signing, field password" in why
    assert CANARY not in why


def test_a_connection_that_is_missing_or_of_another_type_is_told_as_such(
    policy: PolicyRuns,
) -> None:
    del policy
    for connection_id, said in (("nowhere", "no such connection"), ("qa_registry", "signing_key")):
        with pytest.raises(ConnectionSettingsError, match=said) as caught:
            find_signing_key(connection_id)
        assert caught.value.connection_id == connection_id
