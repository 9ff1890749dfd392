"""`promotion run` killed while it attests: one statement in the end, and no tag is touched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from image_promotion.evidence.trust.signing import signing_key_of
from image_promotion.ledger.records import State
from image_promotion.registry.client import RegistryClient
from image_promotion.registry.digest import Digest
from image_promotion.registry.endpoint import RegistryEndpoint
from image_promotion.registry.referrer_tags import fallback_tag
from sandbox.faults import Hold
from sandbox.image_pusher import PushedImage
from tests.support.attestations import new_pem, statements_of
from tests.support.command import PromotionCommand
from tests.support.passage import WAY, Passage

TAG = "1.4-stable"


async def statements(passage: Passage, image: PushedImage) -> list[dict[str, Any]]:
    key = signing_key_of("signing", conn_type="signing_key", password=passage.signing_pem, extra={})
    client = RegistryClient(RegistryEndpoint("qa", passage.qa.url))
    try:
        return await statements_of(
            client, passage.target_repository, Digest.parse(image.digest), key.public_key_pem
        )
    finally:
        await client.aclose()


async def test_killed_while_it_attests_the_next_run_leaves_exactly_one_statement(
    passage: Passage, ledger_url: str, tmp_path: Path
) -> None:
    passage.signing_pem = new_pem()
    image = passage.push(TAG)
    tagging, stated, listed = Hold(), Hold(at_answer=True), Hold(at_answer=True)
    passage.target.on("PUT", f"/manifests/{TAG}", tagging)

    with PromotionCommand(passage, ledger_url, tmp_path) as first:
        first.reach(tagging)
        # The image's own manifest is put in the same way, and is there by now.
        passage.target.on("PUT", "/manifests/sha256:", stated)
        tagging.release()
        first.reach(stated)
        first.kill()
    stated.drop()
    (promotion,) = passage.promotions()
    assert promotion.state is State.VERIFIED, "the statement is there, and nowhere listed"
    passage.target.on("PUT", "/manifests/sha256-", listed)
    with PromotionCommand(passage, ledger_url, tmp_path) as second:
        second.reach(listed)
        second.kill()
    listed.drop()
    assert len(await statements(passage, image)) == 1, "it is listed, and nowhere noted"
    assert passage.ledger.attestations.of_promotions([promotion.id]) == {}
    with PromotionCommand(passage, ledger_url, tmp_path) as third:
        assert third.wait() == 0, third.output

    (statement,) = await statements(passage, image)
    assert statement["predicate"]["target"]["tag"] == TAG
    assert passage.states(promotion) == WAY
    assert promotion.id in passage.ledger.attestations.of_promotions([promotion.id])
    fallback = fallback_tag(Digest.parse(image.digest))
    assert passage.visible().keys() == {TAG, fallback}
    assert passage.visible()[TAG] == image.digest
    index = json.loads(passage.read_target(fallback))
    assert len(index["manifests"]) == 1


async def test_without_its_key_it_promotes_says_which_connection_and_attests_once_there_is_one(
    passage: Passage, ledger_url: str, tmp_path: Path
) -> None:
    passage.signing_pem = "canary-no-key"
    image = passage.push(TAG)

    with PromotionCommand(passage, ledger_url, tmp_path) as first:
        assert first.wait() == 1, first.output
    (promotion,) = passage.promotions()
    assert promotion.state is State.VERIFIED
    assert passage.visible() == {TAG: image.digest}
    assert "connection signing, field password" in first.output
    assert f"{passage.source_repository}:{TAG} is verified, and not attested" in first.output
    assert "canary" not in first.output

    passage.signing_pem = new_pem()
    with PromotionCommand(passage, ledger_url, tmp_path) as second:
        assert second.wait() == 0, second.output

    assert len(await statements(passage, image)) == 1
    assert passage.visible()[TAG] == image.digest
