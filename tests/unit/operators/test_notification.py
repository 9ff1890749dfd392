"""Messages in the arguments of notifiers, and notifiers that cannot be used."""

from __future__ import annotations

from typing import ClassVar

import pytest
from airflow.sdk import BaseNotifier, Context
from hypothesis import given
from hypothesis import strategies as st

from image_promotion.errors import DeliveryError
from image_promotion.operators.notification import deliver, filled
from image_promotion.policy.governance import Notification, NotifyOn
from image_promotion.promotion.telling import Notice

MESSAGE = "{title} and {{ 7 * 7 }}"
NOTICE = Notice("site-to-qa", NotifyOn.PROMOTED, "site: 1 image", MESSAGE, (), "", ())


class Diary(BaseNotifier):
    """A notifier of somebody else's, which keeps what it is told."""

    template_fields = ("heading",)
    kept: ClassVar[list[tuple[str, list[str]]]] = []

    def __init__(self, *, heading: str, lines: list[str]) -> None:
        super().__init__()
        self.heading = heading
        self.lines = lines

    def notify(self, context: Context) -> None:
        del context
        if self.heading == "fail":
            raise OSError("https://chat.example/services/canary-5ecret")
        self.kept.append((self.heading, self.lines))


def notification(notifier: str, **arguments: object) -> Notification:
    return Notification.model_validate(
        {"on": "promoted", "notifier": notifier, "arguments": arguments}
    )


def test_a_notifier_is_given_the_message_as_it_is_and_not_as_a_template() -> None:
    heading = "[{policy}] {message}"
    deliver(
        notification(f"{__name__}.Diary", heading=heading, lines=["{title}"]), NOTICE, Context()
    )

    assert Diary.kept == [(f"[site-to-qa] {MESSAGE}", ["site: 1 image"])]


@pytest.mark.parametrize(
    ("notifier", "arguments", "said"),
    [
        ("nobody.knows.This", {}, "there is no notifier nobody.knows.This"),
        ("json.Nothing", {}, "there is no notifier json.Nothing"),
        ("json.JSONDecoder", {}, "json.JSONDecoder is no Airflow notifier"),
        (f"{__name__}.Diary", {"a": "b"}, "unexpected keyword argument"),
    ],
)
def test_a_notifier_that_cannot_be_used_is_named_and_not_tried_again(
    notifier: str, arguments: dict[str, object], said: str
) -> None:
    with pytest.raises(DeliveryError, match=said) as refused:
        deliver(notification(notifier, **arguments), NOTICE, Context())

    assert notifier in str(refused.value)
    assert not refused.value.retryable


def test_what_a_failing_notifier_says_is_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    failing = notification(f"{__name__}.Diary", heading="fail", lines=[])

    with pytest.raises(DeliveryError, match="Diary failed with OSError") as refused:
        deliver(failing, NOTICE, Context())

    assert "canary-5ecret" not in str(refused.value)
    assert refused.value.__suppress_context__
    assert "canary-5ecret" not in "".join(capsys.readouterr())


_texts = st.text("{}titlemessagepolicy ", max_size=30)
_arguments = st.recursive(
    _texts | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(_texts, _arguments, max_size=3))
def test_only_the_three_words_are_replaced_and_nothing_else_changes(
    arguments: dict[str, object],
) -> None:
    same = Notice("{policy}", NotifyOn.PROMOTED, "{title}", "{message}", (), "", ())

    assert filled(arguments, same) == arguments


def test_what_is_put_in_is_not_looked_through_again() -> None:
    assert filled({"text": "{message}|{title}"}, NOTICE) == {"text": f"{MESSAGE}|site: 1 image"}
