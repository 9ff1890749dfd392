"""The form's pages."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fastapi import APIRouter, Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, Response
from starlette import status

from image_promotion.errors import LedgerError, PolicyError, PromotionError
from image_promotion.registry.probe_result import Use
from image_promotion.web.connecting import End, connect, end_of, ends_of
from image_promotion.web.form.audit import SavedPolicy
from image_promotion.web.form.desk import (
    OpenedPolicy,
    beside_existing,
    beside_new,
    name_in_broken_files,
    open_policy,
)
from image_promotion.web.form.drafting import base_of, encoded
from image_promotion.web.form.editing import changed, new_form
from image_promotion.web.form.fields import PolicyFields
from image_promotion.web.form.findings import Fault
from image_promotion.web.form.posted import form_of, posted_pairs
from image_promotion.web.form.saving import ChangedMeanwhileError, PolicyFolder, may_save
from image_promotion.web.form.view import WORDS, Conflict, FormView, Meaning, meaning_of
from image_promotion.web.pages.access import (
    ConnectionRights,
    Connections,
    Readable,
    UserName,
    readable_dags,
)
from image_promotion.web.pages.page_sources import Site
from image_promotion.web.pages.rendering import render
from image_promotion.web.pages.trying import what_now

NOT_THESE = "This uses connections that you may not edit in Airflow."
NOT_ALLOWED = "Making and changing policies takes the right to edit connections in Airflow."
SAVING_IS_OFF = "Saving from this page is off."
SAVING_ADVICE = (
    "Download the policy and propose it as a change of the folder of policies, or ask Airflow's "
    "operator to set IMAGE_PROMOTION_PAGE_MAY_SAVE=yes."
)

_BUTTON = "do"


def form_page_routes(site: Site) -> APIRouter:
    """Make the routes of the form's pages; each asks Airflow who is there.

    Args:
        site: Where they have what they show from.

    Returns:
        The routes; they write policy files where the operator turned that on, and nothing else.
    """
    router = APIRouter(dependencies=[Depends(readable_dags)], include_in_schema=False)
    desk = _Desk(site)
    _add_new(router, desk)
    _add_existing(router, desk, site)
    return router


def _add_new(router: APIRouter, desk: _Desk) -> None:
    @router.get("/new")
    def show_new(request: Request, rights: Connections) -> Response:
        if not rights.may_edit():
            return _not_allowed(request)
        return _shown(request, desk.view(new_form(), None, rights))

    @router.post("/new")
    async def answer_new(request: Request, rights: Connections, who: UserName) -> Response:
        if not await run_in_threadpool(rights.may_edit):
            return _not_allowed(request)
        return await desk.answer(request, None, _Asker(who, rights))

    @router.get("/new/saved/{name}")
    def show_saved(request: Request, rights: Connections, name: str) -> Response:
        if not rights.may_edit():
            return _not_allowed(request)
        return render(request, "form_saved.html", name=name)


def _add_existing(router: APIRouter, desk: _Desk, site: Site) -> None:
    @router.get("/policies/{name}/edit")
    def show_policy(
        request: Request, readable: Readable, rights: Connections, name: str
    ) -> Response:
        if not rights.may_edit():
            return _not_allowed(request)
        opened = open_policy(site, readable, name)
        if opened is None:
            return _nothing(request, name)
        return _shown(request, desk.view(opened.form, opened, rights))

    @router.post("/policies/{name}/edit")
    async def answer_policy(
        request: Request,
        readable: Readable,
        rights: Connections,
        who: UserName,
        name: str,
    ) -> Response:
        if not await run_in_threadpool(rights.may_edit):
            return _not_allowed(request)
        opened = await run_in_threadpool(open_policy, site, readable, name)
        if opened is None:
            return _nothing(request, name)
        return await desk.answer(request, opened, _Asker(who, rights))


@dataclass(frozen=True, slots=True)
class _Asker:
    """Whoever presses a button.

    Args:
        name: Their name.
        rights: What they may do with connections.
    """

    name: str
    rights: ConnectionRights


class _Desk:
    """Answers what the form's buttons ask.

    Args:
        site: Where it has from what it shows.
    """

    def __init__(self, site: Site) -> None:
        self._site = site

    def view(
        self, form: PolicyFields, opened: OpenedPolicy | None, rights: ConnectionRights
    ) -> FormView:
        """Return the page of a form about which nobody has asked anything yet."""
        has_file = opened is None or bool(opened.file)
        return FormView(
            meaning=self._meaning(form, opened),
            name=opened.name if opened else "",
            file=opened.file if opened else "",
            may_save=may_save() and has_file,
            connections=tuple(
                each for each in self._site.registries.connection_ids() if rights.may_edit(each)
            ),
        )

    async def answer(
        self, request: Request, opened: OpenedPolicy | None, asker: _Asker
    ) -> Response:
        """Do what the button says that was pressed, and show the form again."""
        pairs = await posted_pairs(request)
        form = form_of(pairs)
        action = next((value for name, value in reversed(pairs) if name == _BUTTON), "")
        if (change := changed(form, action)) is not None:
            view = await run_in_threadpool(self.view, change.form, opened, asker.rights)
            return _shown(request, replace(view, focus=change.focus, said=change.said))
        view = await run_in_threadpool(self.view, form, opened, asker.rights)
        view = replace(view, shows_faults=True)
        match action:
            case "outlook":
                return _shown(request, await self._with_outlook(view, asker))
            case "connect":
                return _shown(request, await self._with_report(view, asker))
            case "download":
                return _download(request, view)
            case "save":
                return await run_in_threadpool(self._save, request, view, asker.name)
            case _:
                return _shown(request, view)

    def _meaning(self, form: PolicyFields, opened: OpenedPolicy | None) -> Meaning:
        beside = (
            beside_existing(self._site, opened)
            if opened
            else beside_new(self._site, form.name.strip())
        )
        return meaning_of(form, beside, self._site.now())

    async def _with_outlook(self, view: FormView, asker: _Asker) -> FormView:
        policy = view.meaning.drafted.policy
        if policy is None:
            return view
        named = {policy.source.connection, *policy.target_connections}
        if not await run_in_threadpool(asker.rights.may_edit, *sorted(named)):
            return replace(view, problem=NOT_THESE)
        try:
            return replace(view, outlook=await what_now(self._site, policy, who=asker.name))
        except LedgerError:
            raise
        except PromotionError as error:
            return replace(view, problem=f"What it would do now is not known: {error}")

    async def _with_report(self, view: FormView, asker: _Asker) -> FormView:
        ends = _ends(view.meaning)
        if not ends:
            return view
        named = {each.connection_id for each in ends}
        if not await run_in_threadpool(asker.rights.may_edit, *sorted(named)):
            return replace(view, problem=NOT_THESE)
        what = view.meaning.form.name or "new policy"
        try:
            report = await connect(self._site, ends, who=asker.name, what=what)
        except LedgerError:
            raise
        except PromotionError as error:
            return replace(view, shows_faults=False, problem=f"{error}")
        return replace(view, shows_faults=False, report=report)

    def _save(self, request: Request, view: FormView, who: str) -> Response:
        if not view.may_save:
            refused = replace(view, problem=SAVING_IS_OFF, advice=SAVING_ADVICE)
            return _shown(request, refused, status.HTTP_403_FORBIDDEN)
        form, policy = view.meaning.form, view.meaning.drafted.policy
        if policy is not None and not view.name:
            broken = name_in_broken_files(self._site, policy.name)
            if broken is not None:
                fault = Fault("name", "name", f"is taken by the file {broken}, which is broken")
                made = replace(view.meaning.drafted, policy=None, faults=(fault,))
                view = replace(view, meaning=replace(view.meaning, drafted=made))
                policy = None
        if policy is None:
            return _shown(request, view, status.HTTP_422_UNPROCESSABLE_CONTENT)
        folder = PolicyFolder(self._site.shelf.folder)
        base = base_of(form)
        content = encoded(view.meaning.drafted.text, base)
        try:
            if view.name:
                file = folder.change(view.file, content, base=base or b"")
            else:
                file = folder.add(policy.name, content)
        except ChangedMeanwhileError as error:
            theirs = "" if error.now is None else error.now.decode(errors="replace")
            conflict = Conflict(theirs, view.meaning.drafted.text)
            refused = replace(
                view, problem=f"{error}", advice="Nothing was saved.", conflict=conflict
            )
            return _shown(request, refused, status.HTTP_409_CONFLICT)
        except PolicyError as error:
            refused = replace(view, problem=f"{error}", advice="Nothing was saved.")
            return _shown(request, refused, status.HTTP_409_CONFLICT)
        self._site.note_saved_policy(
            SavedPolicy(policy.name, file.name, who, not view.name, policy.hash)
        )
        root = str(request.scope.get("root_path", "")).rstrip("/")
        return RedirectResponse(
            f"{root}/new/saved/{policy.name}", status_code=status.HTTP_303_SEE_OTHER
        )


def _ends(meaning: Meaning) -> tuple[End, ...]:
    """Return what there is to try: both sides, whether or not the rest is a policy yet."""
    if meaning.drafted.policy is not None:
        return ends_of(meaning.drafted.policy)
    wrong = {each.field.partition(".")[0] for each in meaning.drafted.faults}
    if wrong & {"source", "targets"} or not meaning.drafted.text:
        return ()
    form = meaning.form
    source = end_of(form.source.connection.strip(), form.source.repository.strip(), Use.READ)
    targets = (
        end_of(each.connection.strip(), each.repository.strip(), Use.WRITE) for each in form.targets
    )
    return (source, *dict.fromkeys(targets))


def _shown(request: Request, view: FormView, status_code: int = status.HTTP_200_OK) -> Response:
    return render(request, "form.html", status_code=status_code, view=view, words=WORDS)


def _download(request: Request, view: FormView) -> Response:
    policy = view.meaning.drafted.policy
    if policy is None:
        return _shown(request, view, status.HTTP_422_UNPROCESSABLE_CONTENT)
    name = view.file or f"{policy.name}.yaml"
    return Response(
        encoded(view.meaning.drafted.text, base_of(view.meaning.form)),
        media_type="application/yaml",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _not_allowed(request: Request) -> Response:
    return render(
        request,
        "message.html",
        status_code=status.HTTP_403_FORBIDDEN,
        title="Not for you",
        said=NOT_ALLOWED,
        advice="Ask whoever runs Airflow, or propose a file in the folder of policies.",
    )


def _nothing(request: Request, name: str) -> Response:
    return render(
        request,
        "message.html",
        status_code=status.HTTP_404_NOT_FOUND,
        title="Nothing here",
        said=f"{name} is no promotion policy that you may see.",
        advice="",
    )
