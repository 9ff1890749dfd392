from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_promotion.errors import NotificationError
from image_promotion.registry.manifest import MANIFEST_MEDIA_TYPES, SCHEMA_1_MEDIA_TYPES
from image_promotion.web.notifications.event import Happening, ImageEvent
from image_promotion.web.notifications.reading import (
    MAX_DEPTH,
    MAX_EVENTS,
    Notification,
    read_notification,
)
from tests.unit.web.notifications.deliveries import (
    DIGEST,
    distribution,
    distribution_event,
    docker_hub,
    dtr,
    harbor,
    harbor_cloud_event,
)

PUSHED = ImageEvent(Happening.PUSHED, "dev/website", "1.0", DIGEST)
PUSHED_TAG = ImageEvent(Happening.PUSHED, "dev/website", "1.0", None)
SCANNED = ImageEvent(Happening.SCANNED, "dev/website", "1.0", DIGEST)
SCANNED_TAG = ImageEvent(Happening.SCANNED, "dev/website", "1.0", None)


def _read(document: object) -> Notification:
    return read_notification(json.dumps(document).encode())


@pytest.mark.parametrize(
    ("document", "product", "event"),
    [
        (distribution(), "distribution", PUSHED),
        (distribution(distribution_event(action="mount")), "distribution", PUSHED),
        (docker_hub(), "docker_hub", PUSHED_TAG),
        (harbor(), "harbor", PUSHED),
        (harbor("SCANNING_COMPLETED"), "harbor", SCANNED),
        (harbor_cloud_event(), "harbor", PUSHED),
        (harbor_cloud_event("harbor.scan.completed"), "harbor", SCANNED),
        (dtr(digest=DIGEST), "dtr", PUSHED),
        (dtr("SCAN_COMPLETED", scanSummary={"critical": 0}), "dtr", SCANNED_TAG),
        ({"repository": "dev/website", "tag": "1.0", "digest": DIGEST}, "plain", PUSHED),
        ([{"repository": "dev/website", "tag": "1.0"}], "plain", PUSHED_TAG),
    ],
)
def test_each_products_notification_is_known_by_its_content(
    document: object, product: str, event: ImageEvent
) -> None:
    assert _read(document) == Notification(product, (event,))


@pytest.mark.parametrize(
    "document",
    [
        distribution(distribution_event(action="delete", target={"mediaType": ""})),
        distribution(distribution_event(action="delete")),
        distribution(distribution_event(action="pull")),
        distribution(distribution_event(target={"mediaType": "application/octet-stream"})),
        {"events": []},
        {"events": None} | {"events": [{"action": "push", "target": None}]},
        harbor("DELETE_ARTIFACT"),
        harbor("PULL_ARTIFACT"),
        harbor_cloud_event("harbor.artifact.deleted"),
        {"type": "QUOTA_EXCEED", "event_data": {"repository": {}, "custom_attributes": {}}},
        dtr("TAG_DELETE"),
        dtr("SCAN_FAILED"),
        dtr("PROMOTION"),
        [],
    ],
)
def test_what_changes_no_decision_is_understood_and_gives_no_event(document: object) -> None:
    assert _read(document).events == ()


@pytest.mark.parametrize("media_type", [*MANIFEST_MEDIA_TYPES, *SCHEMA_1_MEDIA_TYPES])
def test_a_manifest_of_any_kind_is_an_arrival(media_type: str) -> None:
    event = distribution_event(target={"mediaType": media_type})
    assert _read(distribution(event)).events == (PUSHED,)


def test_an_envelope_gives_all_of_its_events_once() -> None:
    other = distribution_event(target={"repository": "dev/shop"})
    layer = distribution_event(target={"mediaType": "application/octet-stream"})
    events = _read(distribution(distribution_event(), layer, other, distribution_event())).events
    assert [str(event) for event in events] == [
        f"dev/website:1.0@{DIGEST}",
        f"dev/shop:1.0@{DIGEST}",
    ]


def test_a_manifest_pushed_by_digest_has_no_tag() -> None:
    event = distribution_event()
    del event["target"]["tag"]
    assert [str(each) for each in _read(distribution(event)).events] == [f"dev/website@{DIGEST}"]


def test_a_digest_in_the_place_of_a_tag_is_no_tag() -> None:
    """Harbor writes it so for an artifact that was pushed by digest."""
    assert _read(harbor(tag=DIGEST)).events == (
        ImageEvent(Happening.PUSHED, "dev/website", None, DIGEST),
    )


def test_a_malformed_digest_is_left_out_since_the_scan_looks_for_itself() -> None:
    assert _read(dtr(digest="sha256:abc")).events == (PUSHED_TAG,)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"push", "not JSON"),
        (b"7", "not an object"),
        (b"[7]", "[0] is 7, not an object"),
        (b"{}", "of no known format"),
        (b'{"hello": "world"}', "of no known format"),
        (b'{"repository": "dev/website", "repository": "qa/website"}', "stands twice"),
        (b'{"repository": "Dev/Website"}', "is no repository"),
        (b'{"repository": "dev/website", "tag": 7}', "tag is 7, not a text"),
        (b'{"repository": "../../etc"}', "is no repository"),
        (
            json.dumps(distribution(distribution_event(target={"repository": 7}))).encode(),
            "repository",
        ),
        (json.dumps(docker_hub(repo_name=None)).encode(), "repository.repo_name is missing"),
        (json.dumps(dtr(namespace=None)).encode(), "contents.namespace is missing"),
        (b'{"type": "PUSH_ARTIFACT", "event_data": {}}', "event_data.repository is missing"),
        (b'{"type": "harbor.artifact.pushed"}', "data is missing"),
        (b"[" * (MAX_DEPTH + 1), "levels deep"),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_is_wrong(content: bytes, said: str) -> None:
    with pytest.raises(NotificationError) as caught:
        read_notification(content)
    assert said in str(caught.value)
    assert "Nothing was started" in str(caught.value)


def test_a_delivery_holds_so_many_events_and_no_more() -> None:
    allowed = [{"repository": f"dev/r{number}"} for number in range(MAX_EVENTS)]
    assert len(_read(allowed).events) == MAX_EVENTS
    with pytest.raises(NotificationError, match="more than 1000 events"):
        _read([*allowed, {"repository": "dev/last"}])


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    with suppress(NotificationError):
        read_notification(content)


_KEYS = st.sampled_from(
    [
        *("events", "action", "target", "mediaType", "repository", "tag", "digest", "push_data"),
        *("repo_name", "type", "event_data", "resources", "repo_full_name", "data", "contents"),
        "namespace",
    ]
)
_WORDS = st.sampled_from(
    ["push", "TAG_PUSH", "PUSH_ARTIFACT", "harbor.artifact.pushed", "dev/website", "x" * 300]
) | st.sampled_from(MANIFEST_MEDIA_TYPES)
_DOCUMENTS: st.SearchStrategy[Any] = st.recursive(
    _WORDS | st.text(max_size=5) | st.none() | st.integers() | st.booleans() | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=5),
    max_leaves=20,
)


@given(st.dictionaries(_KEYS, _DOCUMENTS, max_size=5) | _DOCUMENTS)
def test_any_document_of_the_products_words_is_read_or_refused(document: object) -> None:
    with suppress(NotificationError):
        for event in _read(document).events:
            assert "\n" not in str(event)
            assert len(event.repository) <= 255


@given(
    st.sampled_from([distribution(), docker_hub(), harbor(), harbor_cloud_event(), dtr()]),
    st.data(),
)
def test_a_delivery_with_any_one_thing_replaced_is_read_or_refused(
    document: dict[str, Any], data: st.DataObject
) -> None:
    changed = json.loads(json.dumps(document))
    places = list(_places(changed))
    holder, key = data.draw(st.sampled_from(places))
    holder[key] = data.draw(_DOCUMENTS)
    with suppress(NotificationError):
        _read(changed)


def _places(value: dict[Any, Any] | list[Any]) -> Iterator[tuple[Any, Any]]:
    """Give each place of a document: what holds it, and its key there."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        yield value, key
        if isinstance(inner, dict | list):
            yield from _places(inner)
