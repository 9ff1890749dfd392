"""The keys `recheck` and `notify`: what they take, and what they refuse."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import ValidationError

from image_promotion.policy.governance import Recheck
from tests.support.policies import policy_with


@pytest.mark.parametrize(
    ("value", "every"),
    [
        ("daily", timedelta(days=1)),
        ("weekly", timedelta(weeks=1)),
        ({"every": "6h"}, timedelta(hours=6)),
        ({}, timedelta(days=1)),
    ],
)
def test_a_recheck_is_a_word_or_in_full(value: object, every: timedelta) -> None:
    policy = policy_with(recheck=value)

    assert policy.recheck == Recheck(every=every)
    # Looking again decides nothing about new images.
    assert policy.hash == policy_with().hash
    assert type(policy).from_document(policy.document()).recheck == policy.recheck


@pytest.mark.parametrize("value", ["hourly", "", {"every": "now"}, {"on_failure": "delete"}, [1]])
def test_anything_else_is_no_recheck(value: object) -> None:
    with pytest.raises(ValidationError):
        policy_with(recheck=value)


def test_one_notification_or_several_of_one_event_or_several() -> None:
    one = {"on": "failed", "arguments": {"connection": "chat"}}
    other = {"on": ["promoted", "waiting"], "notifier": "a.b.Notifier", "arguments": {"x": [1]}}

    alone, both = policy_with(notify=one), policy_with(notify=[one, other])

    assert [each.on for each in alone.notify] == [("failed",)]
    assert [each.on for each in both.notify] == [("failed",), ("promoted", "waiting")]
    assert both.hash == policy_with().hash
    assert type(both).from_document(both.document()).notify == both.notify


@pytest.mark.parametrize(
    "value",
    [
        {"on": "exploded", "arguments": {"connection": "chat"}},
        {"on": [], "arguments": {"connection": "chat"}},
        {"on": "failed"},
        {"on": "failed", "arguments": {}},
        {"on": "failed", "arguments": {"connection": 5}},
        {"on": "failed", "arguments": {"connection": "chat", "channel": "#x"}},
        {"on": "failed", "notifier": "Slack"},
        {"on": "failed", "notifier": "os system", "arguments": {}},
        {"arguments": {"connection": "chat"}},
    ],
)
def test_what_tells_nobody_of_nothing_is_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        policy_with(notify=value)
