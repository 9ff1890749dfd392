"""Several targets, of which one is down, and policies that follow one another."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from image_promotion.errors import PromotionError
from image_promotion.ledger.records import Outcome, State
from image_promotion.policy.model import Policy
from sandbox.fault_proxy import FaultProxy
from sandbox.faults import Answer
from sandbox.image_layers import noise_layer
from sandbox.registry_process import RegistryProcess
from sandbox.sample_images import push_image
from tests.integration.promotion.conftest import Workplace, policy_from
from tests.support.onlooker import Onlooker

DEV, QA, PROD = "dev/website", "qa/website", "prod/website"


@pytest.fixture
def prod_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "prod"
    folder.mkdir()
    return folder


@pytest.fixture
def prod(prod_folder: Path) -> Iterator[RegistryProcess]:
    with RegistryProcess.start(prod_folder, name="prod") as process:
        yield process


def push(registry: RegistryProcess, tag: str, repository: str = DEV) -> str:
    layers = [noise_layer(30_000, tag), noise_layer(5_000, "base")]
    return push_image(registry.url, repository, tag, layers=layers).digest


def visible(registry: RegistryProcess, repository: str) -> dict[str, str]:
    with Onlooker(registry.url) as onlooker:
        return onlooker.visible(repository)


def to_both() -> Policy:
    policy = policy_from(("dev_registry", DEV), ("unused", QA))
    document = policy.model_dump(mode="json", by_alias=True, exclude_none=True)
    document.pop("target")
    document["targets"] = [
        {
            "connection": "qa_registry",
            "repository": QA,
            "tag": ["%n", "latest"],
            "existing_tag": "overwrite",
        },
        {"connection": "prod_registry", "repository": PROD},
    ]
    return Policy.model_validate(document)


async def test_a_registry_that_is_down_is_caught_up_with_when_it_is_back(
    place: Workplace, dev: RegistryProcess, qa: RegistryProcess, prod_folder: Path
) -> None:
    for name, registry in (("dev", dev), ("qa", qa)):
        place.connect(f"{name}_registry", registry.url)
    with RegistryProcess.start(prod_folder, name="prod") as prod:
        place.connect("prod_registry", prod.url)
        first = push(dev, "1-stable")
        report = await place.run(to_both())
        assert (len(report.verified), report.problems) == (3, ())
        # The second tag of a repository is set to what the first has brought.
        copied = {each.target_tag: each.bytes_copied for each in report.promotions[:2]}
        assert sorted(copied.values(), key=bool) == [0, max(copied.values(), key=lambda n: n or 0)]
    second = push(dev, "2-stable")

    while_down = await place.run(to_both())

    assert visible(qa, QA) == {"1-stable": first, "2-stable": second, "latest": second}
    assert {(each.target_connection, each.state) for each in while_down.promotions} == {
        ("qa_registry", State.VERIFIED),
        ("prod_registry", State.FAILED),
    }
    (problem,) = while_down.problems
    assert "refuses the connection" in problem
    with RegistryProcess.start(prod_folder, name="prod") as prod:
        place.connect("prod_registry", prod.url)

        back = await place.run(to_both())

        assert back.problems == ()
        assert visible(prod, PROD) == {"1-stable": first, "2-stable": second}
    assert visible(qa, QA) == {"1-stable": first, "2-stable": second, "latest": second}


async def test_an_image_passes_the_stages_one_by_one_and_soaks_between_them(
    place: Workplace, dev: RegistryProcess, qa: RegistryProcess, prod: RegistryProcess
) -> None:
    for name, registry in (("dev", dev), ("qa", qa), ("prod", prod)):
        place.connect(f"{name}_registry", registry.url)
    to_qa = policy_from(("dev_registry", DEV), ("qa_registry", QA))
    to_prod = policy_from(
        ("qa_registry", QA), ("prod_registry", PROD), requires=to_qa.name, soak="24h"
    )
    # Two connections may lead to one registry.
    place.connect("qa_again", qa.url)
    by_registry = policy_from(
        ("qa_again", QA), ("prod_registry", "prod/again"), requires=[to_qa.name]
    )
    digest = push(dev, "1-stable")
    pushed_by_hand = push(qa, "0-stable", QA)

    await place.run(to_qa)
    arrived = place.now
    soaking = await place.run(to_prod)

    assert soaking.decided[Outcome.WAIT] == 2
    rows = await place.plan(to_prod)
    assert rows["1-stable"].wait_until == arrived + timedelta(hours=24)
    assert rows["0-stable"].wait_until is None
    assert visible(prod, PROD) == {}
    await place.run(by_registry)
    assert visible(prod, "prod/again") == {"1-stable": digest}

    place.now = arrived + timedelta(hours=24)
    await place.run(to_prod)

    assert visible(prod, PROD) == {"1-stable": digest}
    assert pushed_by_hand != digest


async def test_a_pattern_finds_repositories_that_appear_later(
    place: Workplace, dev: RegistryProcess, qa: RegistryProcess
) -> None:
    place.connect("dev_registry", dev.url)
    place.connect("qa_registry", qa.url)
    policy = policy_from(("dev_registry", "dev/*"), ("qa_registry", "qa/{name}"))
    first = push(dev, "1-stable", "dev/website")
    await place.run(policy)

    second = push(dev, "1-stable", "dev/shop")
    push(dev, "1-stable", "other/shop")
    push(dev, "1-stable", "dev/team/shop")
    report = await place.run(policy)

    assert report.problems == ()
    assert visible(qa, "qa/website") == {"1-stable": first}
    assert visible(qa, "qa/shop") == {"1-stable": second}
    assert len(report.promotions) == 1


async def test_a_registry_that_does_not_list_its_repositories_is_told_with_what_to_do(
    place: Workplace, qa: RegistryProcess
) -> None:
    with FaultProxy(qa.url) as proxy:
        body = b'{"errors":[{"code":"DENIED","message":"no catalogue for you"}]}'
        proxy.on("GET", "/v2/_catalog", Answer(403, body), times=None)
        place.connect("dev_registry", proxy.url)
        place.connect("qa_registry", qa.url)
        policy = policy_from(("dev_registry", "dev/*"), ("qa_registry", "qa/{name}"))

        with pytest.raises(PromotionError) as caught:
            await place.run(policy)

    assert "no catalogue for you" in str(caught.value)
    assert "without a pattern" in caught.value.advice
