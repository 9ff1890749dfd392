"""Doubles of DTR, Docker Hub and Harbor, built from the documented answers.

None of the three runs here, so nothing proves that the real ones answer like this; each double says
which documentation it is built from. They are strict: a request that the documentation does not
have fails the test, and so does one without the login that the product wants.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence

from tests.support.scripted_server import Reply, ScriptedServer, Seen

USER, PASSWORD = "robot$ci", "canary-secret"
BASIC = "Basic " + b64encode(f"{USER}:{PASSWORD}".encode()).decode()


def json_of(seen: Seen) -> dict[str, object]:
    """Read what was sent."""
    document: dict[str, object] = json.loads(seen.body)
    return document


class DtrDouble:
    """DTR 2.6, from its API description: ``/api/v0/repositories``.

    Args:
        server: Where it answers.
        full: The repository, ``namespace/name``.
    """

    def __init__(self, server: ScriptedServer, full: str) -> None:
        self._server = server
        self._path = f"/api/v0/repositories/{full}"
        self._namespace, _, self._name = full.partition("/")
        self.created: list[dict[str, object]] = []

    def page(self, start: str, tags: Sequence[Mapping[str, object]], following: str = "") -> None:
        """Plan one page of tags."""
        line = f"GET {self._path}/tags?pageSize=100&pageStart={start}"
        headers = {"X-Next-Page-Start": following} if following else {}
        self._server.on(line, _for(BASIC, Reply(200, _json(tags), headers)))

    def repository(self, *, immutable_tags: bool | None) -> None:
        """Plan the repository itself; None for one that does not exist yet."""
        missing = Reply.of_json({"errors": [{"code": "NO_SUCH_REPOSITORY", "message": ""}]}, 404)

        def answer(_seen: Seen) -> Reply:
            made = self.created[-1]["immutableTags"] if self.created else immutable_tags
            if made is None:
                return missing
            return Reply.of_json({"name": self._name, "immutableTags": made})

        self._server.on(f"GET {self._path}", lambda seen: _answered(seen, BASIC, answer(seen)))

    def deletes_tag(self, tag: str) -> None:
        """Plan that a tag is deleted: DELETE /tags/{reference}, which answers 204."""
        self._server.on(f"DELETE {self._path}/tags/{tag}", _for(BASIC, Reply(204)))

    def takes_new_repositories(self, refusal: Reply | None = None) -> None:
        """Plan the creation of a repository, or its refusal."""

        def create(seen: Seen) -> Reply:
            if refusal is not None:
                return refusal
            self.created.append(json_of(seen))
            return Reply.of_json({"name": self._name}, 201)

        self._server.on(
            f"POST /api/v0/repositories/{self._namespace}",
            lambda seen: _answered(seen, BASIC, create(seen)),
        )


class DtrPoliciesDouble:
    """DTR 2.6, from its API description: the listing of repositories, and their policies.

    Args:
        server: Where it answers.
    """

    def __init__(self, server: ScriptedServer) -> None:
        self._server = server

    def page(self, start: str, repositories: Sequence[str], following: str = "") -> None:
        """Plan one page of repositories, each ``namespace/name``."""
        listed = [
            dict(zip(("namespace", "name"), each.split("/"), strict=True)) for each in repositories
        ]
        headers = {"X-Next-Page-Start": following} if following else {}
        reply = Reply(200, _json({"repositories": listed}), headers)
        line = f"GET /api/v0/repositories?pageSize=100&pageStart={start}"
        self._server.on(line, _for(BASIC, reply))

    def policies(
        self,
        full: str,
        *,
        promotion: Sequence[object] = (),
        push: Sequence[object] = (),
        poll: Sequence[object] = (),
        refusal: Reply | None = None,
    ) -> None:
        """Plan the policies of a repository, or that none of them may be read."""
        for kind, found in (
            ("promotionPolicies", promotion),
            ("pushMirroringPolicies", push),
            ("pollMirroringPolicies", poll),
        ):
            reply = refusal or Reply(200, _json(list(found)))
            self._server.on(f"GET /api/v0/repositories/{full}/{kind}", _for(BASIC, reply))


class HarborReplicationDouble:
    """Harbor 2, from its API description: listReplicationPolicies, listRegistries.

    Args:
        server: Where it answers.
    """

    def __init__(self, server: ScriptedServer) -> None:
        self._server = server

    def rules(self, number: int, rules: Sequence[object]) -> None:
        """Plan one page of replication rules."""
        self._page("replication/policies", number, rules)

    def registries(self, number: int, registries: Sequence[object]) -> None:
        """Plan one page of registries."""
        self._page("registries", number, registries)

    def _page(self, path: str, number: int, items: Sequence[object]) -> None:
        line = f"GET /api/v2.0/{path}?page={number}&page_size=100"
        self._server.on(line, _for(BASIC, Reply(200, _json(list(items)))))


class HarborDouble:
    """Harbor 2, from its API description: listArtifacts, headProject, createProject.

    It sets a session's cookie with each answer, as Harbor does, and refuses to create anything for
    whoever sends it back: that is a browser, and would need a CSRF token.

    Args:
        server: Where it answers.
        project: The project.
        encoded: The repository in it, as Harbor wants it in a path.
    """

    def __init__(self, server: ScriptedServer, project: str, encoded: str) -> None:
        self._server = server
        self._project = project
        self._artifacts = f"/api/v2.0/projects/{project}/repositories/{encoded}/artifacts"
        self.created: list[dict[str, object]] = []

    def page(self, number: int, artifacts: Sequence[Mapping[str, object]]) -> None:
        """Plan one page of artifacts."""
        query = (
            f"page={number}&page_size=100&q=tags%3D%2A&with_tag=true&with_scan_overview=true"
            "&with_immutable_status=true"
        )
        reply = Reply(200, _json(artifacts), {"Set-Cookie": "sid=1; Path=/"})
        self._server.on(f"GET {self._artifacts}?{query}", _for(BASIC, reply))

    def deletes_tag(self, tag: str, digest: str, reply: Reply | None = None) -> None:
        """Plan that a tag of an artifact is deleted: deleteTag, which answers 200."""
        line = f"DELETE {self._artifacts}/{digest}/tags/{tag}"
        self._server.on(line, _for(BASIC, reply or Reply(200)))

    def project(self, *, exists: bool) -> None:
        """Plan the look at the project."""
        reply = Reply(200 if exists else 404, headers={"Set-Cookie": "sid=1; Path=/"})
        line = f"HEAD /api/v2.0/projects?project_name={self._project}"
        self._server.on(line, _for(BASIC, reply))

    def takes_new_projects(self, status: int = 201) -> None:
        """Plan the creation of a project."""

        def create(seen: Seen) -> Reply:
            if "sid=" in seen.headers.get("cookie", ""):
                return Reply.of_json(
                    {"errors": [{"code": "FORBIDDEN", "message": "CSRF token not found"}]}, 403
                )
            if status == 201:
                self.created.append(json_of(seen))
            return Reply(status)

        self._server.on(
            "POST /api/v2.0/projects", lambda seen: _answered(seen, BASIC, create(seen))
        )


class DockerHubDouble:
    """Docker Hub's API, from its description: tags, access tokens, rate limits.

    Args:
        server: Where it answers.
        full: The repository, ``namespace/name``.
    """

    def __init__(self, server: ScriptedServer, full: str) -> None:
        self._server = server
        namespace, _, name = full.partition("/")
        self._tags = f"/v2/namespaces/{namespace}/repositories/{name}/tags"
        self.logins: list[dict[str, object]] = []

    def takes_logins(self) -> None:
        """Plan tokens: ``token-1``, ``token-2`` and so on."""

        def log_in(seen: Seen) -> Reply:
            login = json_of(seen)
            if login != {"identifier": USER, "secret": PASSWORD}:
                return Reply.of_json({"detail": "Incorrect authentication credentials"}, 401)
            self.logins.append(login)
            return Reply.of_json({"access_token": f"token-{len(self.logins)}"})

        self._server.on("POST /v2/auth/token", log_in)

    def page(
        self,
        tags: Sequence[Mapping[str, object]],
        *,
        number: int = 1,
        is_last: bool = True,
        token: str | None = None,
        following: str | None = None,
    ) -> None:
        """Plan one page of tags, for whoever has the token; None for anybody without one."""
        line = f"GET {self._tags}?page_size=100" + (f"&page={number}" if number > 1 else "")
        if following is None and not is_last:
            following = f"{self._server.url}{self._tags}?page_size=100&page={number + 1}"
        body = {"count": len(tags), "next": following, "previous": None, "results": list(tags)}
        reply = Reply(
            200,
            json.dumps(body).encode(),
            {
                "X-RateLimit-Limit": "600",
                "X-RateLimit-Remaining": str(600 - number),
                "X-RateLimit-Reset": "1700000060",
            },
        )
        self._server.on(line, _for(None if token is None else f"Bearer {token}", reply))

    def slow_down_once(self, until_s: int) -> None:
        """Plan that the first page is refused once."""
        self._server.on(
            f"GET {self._tags}?page_size=100",
            Reply(429, b"{}", {"X-Retry-After": str(until_s)}),
        )


def _for(authorization: str | None, reply: Reply) -> Callable[[Seen], Reply]:
    return lambda seen: _answered(seen, authorization, reply)


def _answered(seen: Seen, authorization: str | None, reply: Reply) -> Reply:
    if seen.headers.get("authorization") != authorization:
        return Reply.of_json({"errors": [{"code": "NOT_AUTHENTICATED", "message": ""}]}, 401)
    return reply


def _json(document: object) -> bytes:
    return json.dumps(document).encode()
