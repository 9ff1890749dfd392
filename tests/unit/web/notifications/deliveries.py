"""Deliveries as the products' documentation has them, cut to what matters here."""

from __future__ import annotations

from typing import Any

DIGEST = "sha256:" + "8a" * 32

Json = dict[str, Any]


def distribution_event(**changes: object) -> Json:
    """Give an event as CNCF distribution 2.8.2 sent it."""
    event: Json = {
        "id": "c7cf28c0-b2e7-44fe-80f8-b86a4e6026fb",
        "timestamp": "2026-11-24T22:27:30.954587575Z",
        "action": "push",
        "target": {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "size": 477,
            "digest": DIGEST,
            "length": 477,
            "repository": "dev/website",
            "url": f"http://127.0.0.1:38979/v2/dev/website/manifests/{DIGEST}",
            "tag": "1.0",
        },
        "request": {"id": "5e7551bd", "addr": "127.0.0.1:35158", "method": "PUT"},
        "actor": {},
        "source": {"addr": "vm:38979", "instanceID": "0fd8e34b"},
    }
    event["target"].update(changes.pop("target", {}))
    return event | changes


def distribution(*events: Json) -> Json:
    """Give an envelope of events."""
    return {"events": list(events or (distribution_event(),))}


def docker_hub(**changes: object) -> Json:
    """Give what Docker Hub sends for a push."""
    return {
        "callback_url": "https://registry.hub.docker.com/u/dev/website/hook/2141b5bi5i5b02bec211/",
        "push_data": {"pushed_at": 1417566161, "pusher": "trustedbuilder", "tag": "1.0"},
        "repository": {
            "name": "website",
            "namespace": "dev",
            "repo_name": "dev/website",
            "is_private": True,
            "star_count": 0,
            **changes,
        },
    }


def harbor(kind: str = "PUSH_ARTIFACT", **resource: object) -> Json:
    """Give what Harbor sends in its own format."""
    return {"type": kind, "occur_at": 1680501893, "operator": "ci", "event_data": _data(resource)}


def harbor_cloud_event(kind: str = "harbor.artifact.pushed", **resource: object) -> Json:
    """Give what Harbor sends as a CloudEvent."""
    return {
        "specversion": "1.0",
        "id": "66e18103-09c1-41f6-982f-37df223f3eeb",
        "source": "/projects/2/webhook/policies/15",
        "type": kind,
        "datacontenttype": "application/json",
        "time": "2026-04-03T06:04:46Z",
        "data": _data(resource),
        "operator": "ci",
    }


def dtr(kind: str = "TAG_PUSH", **contents: object) -> Json:
    """Give what DTR 2.6 sends."""
    return {
        "type": kind,
        "createdAt": "2026-04-03T06:04:46.123Z",
        "contents": {
            "namespace": "dev",
            "repository": "website",
            "tag": "1.0",
            "imageName": "dtr.example.com/dev/website:1.0",
            **contents,
        },
        "location": "/repositories/dev/website/tags/1.0",
    }


def _data(resource: Json) -> Json:
    shown = {
        "digest": DIGEST,
        "tag": "1.0",
        "resource_url": "harbor.example.com/dev/website:1.0",
        **resource,
    }
    repository = {
        "date_created": 1680501893,
        "name": "website",
        "namespace": "dev",
        "repo_full_name": "dev/website",
        "repo_type": "private",
    }
    return {"resources": [shown], "repository": repository}
