"""The API's addresses for trying a policy, and for what its form picks from; none writes."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, HTTPException, Query
from fastapi.concurrency import run_in_threadpool
from starlette import status

from image_promotion.errors import BusyError, PolicyError, PromotionError
from image_promotion.policy.loading import check_policy_text
from image_promotion.policy.model import Policy
from image_promotion.web.acting import (
    RETRY_AFTER_S,
    Visiting,
    Visitor,
    connections_of,
    shelved,
    status_of,
)
from image_promotion.web.api import trial_models as models
from image_promotion.web.api.models import Problem
from image_promotion.web.pages.access import ConnectionEditor, Connections
from image_promotion.web.pages.page_sources import Site
from image_promotion.web.pages.picking import NAME_FIRST, repositories_of, tags_of
from image_promotion.web.pages.policy_shelf import default_folder
from image_promotion.web.pages.trying import MAX_TAGS, try_tag, what_now

MAX_TEXT = 512

MAY_NOT_TRY = (
    "You may not trigger this policy's Dag, and what it would do is asked with its connections."
)
TRY_ADVICE = "Ask whoever runs Airflow for the right to trigger it."
MAY_NOT_EDIT = "You may not edit connections, and this uses one."

Result = TypeVar("Result")

_Text = Annotated[str, Query(max_length=MAX_TEXT)]
_Needed = Annotated[str, Query(min_length=1, max_length=MAX_TEXT)]


def _said(of: dict[int, str]) -> dict[int | str, dict[str, Any]]:
    return {code: {"model": Problem, "description": text} for code, text in of.items()}


_OF_LOOKS = _said(
    {
        status.HTTP_403_FORBIDDEN: "You may not use the connections.",
        status.HTTP_429_TOO_MANY_REQUESTS: "The same is being asked, or too much at once.",
    }
)
_OF_TRIALS = _OF_LOOKS | _said(
    {
        status.HTTP_404_NOT_FOUND: "There is no such policy that you may see, or no such tag.",
        status.HTTP_424_FAILED_DEPENDENCY: "A connection or a registry cannot be asked.",
    }
)


def trying_routes(site: Site) -> APIRouter:
    """Make the routes by which policies are tried.

    Args:
        site: Where they have what they answer from.

    Returns:
        The routes, without the API's prefix.
    """
    router = APIRouter()
    _add_trials(router, site)
    _add_policy_names(router, site)
    _add_connections(router, site)
    return router


def _add_trials(router: APIRouter, site: Site) -> None:
    @router.get(
        "/policies/{name}/trial",
        responses=_OF_TRIALS | _said({status.HTTP_400_BAD_REQUEST: "It is no tag of the policy."}),
    )
    async def get_trial(
        who: Visiting, name: str, tag: _Needed, repository: _Text = ""
    ) -> models.Trial:
        """What the policy decides about one tag now, and why; nothing is written."""
        policy = await _policy(site, who, name)
        text = f"{repository}:{tag}" if repository else tag
        return await _answered(try_tag(site, policy, text, who=who.name))

    @router.get("/policies/{name}/outlook", responses=_OF_TRIALS)
    async def get_outlook(
        who: Visiting,
        name: str,
        at_most: Annotated[int, Query(ge=1, le=MAX_TAGS)] = MAX_TAGS,
    ) -> models.Outlook:
        """What a run of the policy would do now; nothing is written."""
        policy = await _policy(site, who, name)
        return await _answered(what_now(site, policy, who=who.name, at_most=at_most, is_saved=True))

    @router.post("/outlook", responses=_OF_TRIALS)
    async def post_outlook(
        who: Visiting, may_edit: ConnectionEditor, text: models.PolicyText
    ) -> models.OutlookOfText:
        """What a policy would do now that need not be saved, or what is wrong with it."""
        _require_editor(may_edit)
        policy, faults = await run_in_threadpool(_checked, site, who.readable, text.yaml)
        if policy is None:
            return models.OutlookOfText(faults=faults, outlook=None)
        named = connections_of(policy)
        _require_editor(await run_in_threadpool(who.connections.may_edit, *named))
        outlook = await _answered(what_now(site, policy, who=who.name))
        return models.OutlookOfText(faults=(), outlook=outlook)


def _add_policy_names(router: APIRouter, site: Site) -> None:
    @router.get("/policies/{name}/tags", responses=_OF_TRIALS)
    async def list_policy_tags(
        who: Visiting,
        name: str,
        repository: _Text = "",
        prefix: _Text = "",
    ) -> models.Names:
        """Tags of the policy's source."""
        policy = await _policy(site, who, name)
        named = repository if policy.repository_is_pattern else policy.source.repository
        if not policy.matches_repository(named):
            return models.Names(names=(), is_complete=False, problem=NAME_FIRST)
        return await _answered(tags_of(site, policy.source.connection, named, prefix))

    @router.get("/policies/{name}/repositories", responses=_OF_TRIALS)
    async def list_policy_repositories(
        who: Visiting, name: str, prefix: _Text = ""
    ) -> models.Names:
        """Repositories that the policy takes images from."""
        policy = await _policy(site, who, name)
        if not policy.repository_is_pattern:
            return models.Names(names=(policy.source.repository,), is_complete=True)
        connection_id = policy.source.connection
        return await _answered(repositories_of(site, connection_id, prefix, policy))


def _add_connections(router: APIRouter, site: Site) -> None:
    @router.get("/connections", responses=_OF_LOOKS)
    def list_connections(may_edit: ConnectionEditor, rights: Connections) -> models.Connections:
        """The connections to registries that you may edit."""
        _require_editor(may_edit)
        found = site.registries.connection_ids()
        return models.Connections(
            connections=tuple(each for each in found if rights.may_edit(each))
        )

    @router.get("/connections/{connection_id}/repositories", responses=_OF_LOOKS)
    async def list_repositories(
        may_edit: ConnectionEditor, connection_id: str, prefix: _Text = ""
    ) -> models.Names:
        """Repositories that the registry lists."""
        _require_editor(may_edit)
        return await _answered(repositories_of(site, connection_id, prefix))

    @router.get("/connections/{connection_id}/tags", responses=_OF_LOOKS)
    async def list_tags(
        may_edit: ConnectionEditor, connection_id: str, repository: _Needed, prefix: _Text = ""
    ) -> models.Names:
        """Tags of a repository."""
        _require_editor(may_edit)
        return await _answered(tags_of(site, connection_id, repository, prefix))


async def _policy(site: Site, who: Visitor, name: str) -> Policy:
    """Return a policy that whoever asks may see and trigger."""
    found = await run_in_threadpool(shelved, site, who, name)
    if found is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, "no policy that you may see")
    if name not in who.runnable:
        raise HTTPException(status.HTTP_403_FORBIDDEN, f"{MAY_NOT_TRY} {TRY_ADVICE}")
    return found.policy


def _require_editor(may_edit: bool) -> None:
    if not may_edit:
        raise HTTPException(status.HTTP_403_FORBIDDEN, MAY_NOT_EDIT)


async def _answered(answer: Awaitable[Result]) -> Result:
    """Wait for an answer; what failed becomes one that says why."""
    try:
        return await answer
    except PromotionError as error:
        code = status_of(error)
        retry = {"Retry-After": str(RETRY_AFTER_S)}
        raise HTTPException(
            code, str(error), headers=retry if isinstance(error, BusyError) else None
        ) from error


def _checked(
    site: Site, readable: frozenset[str], text: str
) -> tuple[Policy | None, tuple[models.Fault, ...]]:
    """Read a policy that need not be saved."""
    policy, faults = check_policy_text(text, default_folder() / "unsaved.yaml")
    if policy is not None and _is_of_others(site, readable, policy.name):
        taken = PolicyError(
            "is the name of a policy that you may not see", key="name", allowed="another name"
        )
        policy, faults = None, (taken,)
    return policy, tuple(
        models.Fault(
            line=each.line,
            key=each.key,
            reason=f"{each.attempted}. {each.advice}".strip() if each.advice else each.attempted,
            allowed=each.allowed,
        )
        for each in faults
    )


def _is_of_others(site: Site, readable: frozenset[str], name: str) -> bool:
    """Say whether what the ledger holds under a name is not for whoever asks."""
    return name not in readable and name in site.shelf.policies(site.ledger(), {name})
