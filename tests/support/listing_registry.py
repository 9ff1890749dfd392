"""A registry with the referrers API: a real one without it, and before it the API.

CNCF distribution 2.8 takes what is about an image and lists it nowhere. This double lets every
request through to it, remembers what names a subject, and answers `GET .../referrers/DIGEST` as OCI
Distribution Specification 1.1 says ("Listing Referrers", "Pushing Manifests with Subject").
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from aiohttp import ClientSession, web

OCI_INDEX = "application/vnd.oci.image.index.v1+json"

_HOP_BY_HOP = {"connection", "transfer-encoding", "content-encoding", "content-length", "host"}
_MANIFEST = re.compile(r"/v2/(?P<name>.+)/manifests/(?P<reference>[^/]+)")
_REFERRERS = re.compile(r"/v2/(?P<name>.+)/referrers/(?P<digest>[^/]+)")


class ListingRegistry:
    """Serves on a free loopback port while its context is open.

    Args:
        url: The registry that holds everything.
    """

    def __init__(self, url: str) -> None:
        self._upstream = url
        self._listed: dict[tuple[str, str], dict[str, dict[str, object]]] = {}
        self.put: list[str] = []

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._port}"

    def tags_put(self) -> set[str]:
        """The tags that were set."""
        found = (_MANIFEST.fullmatch(path) for path in self.put)
        return {each["reference"] for each in found if each and ":" not in each["reference"]}

    async def __aenter__(self) -> Self:
        self._client = ClientSession(auto_decompress=False)
        app = web.Application(client_max_size=2**26)
        app.router.add_route("*", "/{tail:.*}", self._serve)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self._port = int(self._runner.addresses[0][1])
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._runner.cleanup()
        await self._client.close()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if request.method == "GET" and (asked := _REFERRERS.fullmatch(request.path)):
            listed = self._listed.get((asked["name"], asked["digest"]), {})
            index = {
                "schemaVersion": 2,
                "mediaType": OCI_INDEX,
                "manifests": list(listed.values()),
            }
            return web.Response(body=json.dumps(index).encode(), content_type=OCI_INDEX)
        body = await request.read()
        headers = {
            name: value
            for name, value in request.headers.items()
            if name.lower() not in _HOP_BY_HOP
        }
        # The registry makes its addresses of what it is called here.
        headers["Host"] = self.host
        async with self._client.request(
            request.method,
            self._upstream + request.raw_path,
            data=body,
            headers=headers,
            allow_redirects=False,
        ) as answer:
            content = await answer.read()
            replied = _passed_on(answer.headers)
            if request.method == "PUT" and answer.ok:
                self.put.append(request.path)
                replied |= self._note(request.path, body, answer.headers)
            if request.method == "HEAD":
                replied["Content-Length"] = answer.headers.get("Content-Length", "0")
            return web.Response(status=answer.status, body=content, headers=replied)

    def _note(self, path: str, body: bytes, answered: Mapping[str, str]) -> dict[str, str]:
        put = _MANIFEST.fullmatch(path)
        if put is None:
            return {}
        manifest = json.loads(body)
        subject = manifest.get("subject")
        if subject is None:
            return {}
        digest = answered["Docker-Content-Digest"]
        entry = {
            "mediaType": manifest["mediaType"],
            "digest": digest,
            "size": len(body),
            "artifactType": manifest.get("artifactType") or manifest["config"]["mediaType"],
        }
        if manifest.get("annotations"):
            entry["annotations"] = manifest["annotations"]
        self._listed.setdefault((put["name"], subject["digest"]), {})[digest] = entry
        return {"OCI-Subject": subject["digest"]}


def _passed_on(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _HOP_BY_HOP}
