from __future__ import annotations

from dataclasses import replace

import pytest

from image_promotion.errors import LedgerError
from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.records import PolicyVersion
from tests.support.ledger_story import Story


def test_a_run_keeps_the_policy_it_began_with_when_its_task_is_retried(story: Story) -> None:
    begun = story.run("1", key="website/monday")

    retried = story.run("2", key="website/monday")

    assert retried == begun
    assert (retried.policy_hash, retried.document) == ("sha256:1", '{"version": "1"}')


def test_a_run_is_found_by_its_key(story: Story) -> None:
    run = story.run(key="website/monday")

    assert story.ledger.run("website/monday") == run
    assert story.ledger.run("website/tuesday") is None


def test_two_policies_cannot_share_a_runs_key(ledger: Ledger) -> None:
    Story(ledger, "one").run(key="monday")

    with pytest.raises(LedgerError, match="another policy"):
        Story(ledger, "two").run(key="monday")


def test_runs_are_the_first_of_their_version_until_one_was_evaluated(story: Story) -> None:
    given_up = story.run("1")
    evaluated = story.run("1")
    story.ledger.finish_evaluation(evaluated, story.now())

    assert given_up.first_of_version
    assert evaluated.first_of_version
    assert not story.run("1").first_of_version
    assert story.run("2").first_of_version


def test_a_retried_scan_and_evaluation_keep_their_first_times(story: Story) -> None:
    run = story.run(key="monday")
    scanned_at, evaluated_at = story.now(), story.now()
    story.scan(run, scanned_at, stable="sha256:a")
    story.ledger.finish_evaluation(run, evaluated_at)

    story.scan(run, story.now(), stable="sha256:a", edge="sha256:b")
    story.ledger.finish_evaluation(run, story.now())

    noted = story.ledger.run("monday")
    assert noted is not None
    assert (noted.scanned_at, noted.evaluated_at) == (scanned_at, evaluated_at)
    assert noted.tags_seen == 2


def test_a_version_was_evaluated_once_a_run_of_it_was_evaluated_to_its_end(story: Story) -> None:
    version = PolicyVersion(story.policy, "sha256:1", "{}")
    assert not story.ledger.was_evaluated(version)

    run = story.run("1")
    assert not story.ledger.was_evaluated(version)

    story.ledger.finish_evaluation(run, story.now())
    assert story.ledger.was_evaluated(version)
    assert not story.ledger.was_evaluated(replace(version, hash="sha256:2"))
    assert not story.ledger.was_evaluated(replace(version, name="another-policy"))


def test_what_does_not_decide_may_change_within_a_version(story: Story) -> None:
    version = PolicyVersion(story.policy, "sha256:1", '{"limits": 50}')
    changed = replace(version, document='{"limits": 5}')
    first = story.ledger.begin_run(version, key="a", kind="manual", at=story.now())
    second = story.ledger.begin_run(changed, key="b", kind="manual", at=story.now())

    assert (first.policy_hash, first.document) == ("sha256:1", '{"limits": 50}')
    assert (second.policy_hash, second.document) == ("sha256:1", '{"limits": 5}')
