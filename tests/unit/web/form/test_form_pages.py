"""The form's pages as somebody without script uses them, over a real folder and ledger."""

from __future__ import annotations

import re
from html import unescape
from typing import TYPE_CHECKING
from urllib.parse import quote_plus

import pytest

from image_promotion.errors import PolicyError
from image_promotion.ledger.records import PolicyVersion
from image_promotion.policy.loading import load_policies, load_policy
from image_promotion.policy.model import Policy
from image_promotion.registry.probe_result import ProbeResult, Trouble, Use
from image_promotion.web.form import routes
from tests.unit.web.form.filled_form import FilledForm, Pairs
from tests.unit.web.pages.conftest import NOW, Pages

if TYPE_CHECKING:
    from httpx import Response

POLICY = "website-to-qa"
HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>'
ROOT = "/airflow/image-promotion"


def _press(making: Pages, path: str, fields: Pairs, action: str, *dags: str) -> Response:
    client = making.seen_by(*(dags or (POLICY,)))
    body = "&".join(
        f"{quote_plus(name)}={quote_plus(value)}" for name, value in [*fields, ("do", action)]
    )
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}
    answer: Response = client.post(path, content=body, headers=headers, follow_redirects=False)
    return answer


def _new(making: Pages) -> FilledForm:
    return FilledForm.read(making.seen_by().get("/new").text)


def _website(form: FilledForm, **more: str) -> Pairs:
    return form.with_values(
        name="website",
        source__connection="dev_registry",
        source__repository="dev/website",
        targets__0__connection="qa_registry",
        targets__0__repository="qa/website",
        triggers__0__conditions__0__values="v",
        **more,
    )


def _yaml_of(page: str) -> str:
    found = re.search(r'<code id="yaml">(.*?)</code>', page, re.DOTALL)
    assert found
    return unescape(found[1])


def test_whoever_may_not_edit_connections_makes_no_policies(making: Pages) -> None:
    making.write_policy()
    making.edits_connections = False
    client = making.seen_by(POLICY)

    for path in ("/new", f"/policies/{POLICY}/edit", "/new/saved/x"):
        assert client.get(path).status_code == 403
        assert "right to edit connections" in client.get(path).text
    assert client.post("/new").status_code == 403
    assert client.post(f"/policies/{POLICY}/edit").status_code == 403
    assert client.post("/api/form/preview", json={"form": {}}).status_code == 403
    assert client.get(f"/api/policies/{POLICY}/form").status_code == 403
    assert "New policy" not in client.get("/").text
    assert "Open in form" not in client.get(f"/policies/{POLICY}").text


def test_whoever_may_finds_the_form_in_the_navigation_and_on_the_policy(making: Pages) -> None:
    making.write_policy()
    client = making.seen_by(POLICY)

    assert f'href="{ROOT}/new"' in client.get("/history").text
    assert f'href="{ROOT}/policies/{POLICY}/edit"' in client.get(f"/policies/{POLICY}").text


def test_a_policy_of_a_dag_that_one_may_not_see_does_not_open(making: Pages) -> None:
    making.write_policy()

    for client in (making.seen_by("another"), making.seen_by()):
        assert client.get(f"/policies/{POLICY}/edit").status_code == 404
        assert client.post(f"/policies/{POLICY}/edit").status_code == 404
        assert client.get(f"/api/policies/{POLICY}/form").status_code == 404


def test_a_post_from_another_site_is_refused(making: Pages) -> None:
    answer = making.seen_by().post("/new", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403


@pytest.mark.usefixtures("saving")
def test_a_policy_is_made_button_by_button_and_saved(making: Pages) -> None:
    form = _new(making)
    page = _press(making, "/new", _website(form), "add:triggers:any")
    form = FilledForm.read(page.text)
    assert form.focused == "triggers.1.legend"
    page = _press(making, "/new", form.fields, "add:triggers.1.parts:vulnerabilities")
    form = FilledForm.read(page.text)
    assert form.focused == "triggers.1.parts.0.conditions.0.operator"
    fields = form.with_values(triggers__1__parts__0__conditions__0__number="0")
    page = _press(making, "/new", fields, "add:triggers.1.parts.0.conditions")
    form = FilledForm.read(page.text)
    fields = form.with_values(
        triggers__1__parts__0__conditions__1__operator="severity:HIGH",
        triggers__1__parts__0__conditions__1__comparison="<=",
        triggers__1__parts__0__conditions__1__number="2",
        targets__0__tag="%n-%Y",
        schedule="*/5 * * * *",
        further__soak="24h",
    )

    answer = _press(making, "/new", fields, "save")

    assert answer.status_code == 303
    assert answer.headers["location"] == f"{ROOT}/new/saved/website"
    assert (making.folder / "website.yaml").read_text() == (
        "name: website\n"
        "source:\n"
        "  connection: dev_registry\n"
        "  repository: dev/website\n"
        "target:\n"
        "  connection: qa_registry\n"
        "  repository: qa/website\n"
        '  tag: "%n-%Y"\n'
        "triggers:\n"
        "  - tag: {starts_with: v}\n"
        "  - any:\n"
        "      - vulnerabilities:\n"
        '          critical: "= 0"\n'
        '          severity: {HIGH: "<= 2"}\n'
        'schedule: "*/5 * * * *"\n'
        "soak: 24h\n"
    )
    (saved,) = making.saved
    assert (saved.policy, saved.file, saved.who, saved.is_new) == (
        "website",
        "website.yaml",
        "ada",
        True,
    )
    assert saved.version == load_policy(making.folder / "website.yaml").hash
    after = making.seen_by().get("/new/saved/website").text
    assert 'href="/airflow/dags/website" data-airflow' in after
    assert "within a minute" in after


def test_nothing_is_saved_where_the_operator_has_not_turned_it_on(making: Pages) -> None:
    form = _new(making)
    assert "save" not in form.buttons

    answer = _press(making, "/new", _website(form), "save")

    assert answer.status_code == 403
    assert "IMAGE_PROMOTION_PAGE_MAY_SAVE=yes" in answer.text
    assert list(making.folder.iterdir()) == []
    assert making.saved == []


@pytest.mark.usefixtures("saving")
@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("website.yaml", "name: [", "is taken by the file website.yaml"),
        ("other.yaml", "name: website\n", "is taken by the file other.yaml, which is broken"),
        ("website.yml", "", "is taken by the file website.yml"),
    ],
)
def test_a_new_policy_takes_no_name_that_is_taken(
    making: Pages, file: str, text: str, said: str
) -> None:
    (making.folder / file).write_text(text)

    answer = _press(making, "/new", _website(_new(making)), "save")

    assert answer.status_code == 422
    assert said in answer.text
    assert [path.name for path in making.folder.iterdir()] == [file]


def test_a_new_policy_takes_no_name_of_a_policy_or_of_a_dag(making: Pages) -> None:
    making.write_policy()
    making.airflow.states["etl"] = making.airflow.states[POLICY]
    form = _new(making)

    for name, by in ((POLICY, f"the file {POLICY}.yaml"), ("etl", "a Dag that Airflow has")):
        fields = [(key, name if key == "name" else value) for key, value in _website(form)]
        assert f"Is taken by {by}" in _press(making, "/new", fields, "preview").text


def test_what_is_wrong_is_said_at_its_field_and_in_a_summary_that_leads_there(
    making: Pages,
) -> None:
    page = _press(making, "/new", _new(making).with_values(targets__0__tag="%q"), "download")

    form = FilledForm.read(page.text)
    assert page.status_code == 422
    wrong = ("name", "source.connection", "targets.0.tag", "triggers.0.conditions.0.values")
    for name in wrong:
        assert f"#{name}" in form.links
        assert f"{name}.error" in form.ids
    assert "there is no code %q" in page.text
    assert page.text.count('aria-invalid="true"') >= len(wrong)


def test_a_box_that_is_no_yaml_says_so(making: Pages) -> None:
    fields = _website(_new(making), further__approval="approvals: [")

    page = _press(making, "/new", fields, "preview")

    assert "further.approval.error" in FilledForm.read(page.text).ids
    assert "is not the YAML of one document" in page.text


def test_what_is_required_of_another_policy_is_looked_for_in_the_folder(making: Pages) -> None:
    making.write_policy()
    fields = _website(_new(making), further__requires="[website-to-qb]")

    page = _press(making, "/new", fields, "preview")

    assert f"did you mean {POLICY}?" in page.text
    assert "further.requires.error" in FilledForm.read(page.text).ids


def test_a_box_cannot_write_beyond_its_key(making: Pages) -> None:
    fields = _website(_new(making), further__approval="approvals: 1\nname: other\n")

    page = _press(making, "/new", fields, "preview")

    assert "approval.name" in page.text
    assert "further.approval.error" in FilledForm.read(page.text).ids


def test_a_new_form_says_nothing_is_wrong_before_anybody_asked(making: Pages) -> None:
    page = making.seen_by().get("/new").text
    assert "aria-invalid" not in page
    added = _press(making, "/new", FilledForm.read(page).fields, "add:targets")
    assert "aria-invalid" not in added.text
    assert FilledForm.read(added.text).focused == "targets.1.connection"


def test_rows_are_removed_and_the_others_keep_what_they_have(making: Pages) -> None:
    form = FilledForm.read(
        _press(making, "/new", _website(_new(making)), "add:triggers:license").text
    )
    fields = form.with_values(triggers__1__conditions__0__values="MIT\nISC")

    page = _press(making, "/new", fields, "remove:triggers.0")

    assert "  - license: {is_not_one_of: [MIT, ISC]}\n" in _yaml_of(page.text)
    assert "starts_with" not in _yaml_of(page.text)
    assert FilledForm.read(page.text).focused == "triggers.add"


@pytest.mark.parametrize(
    "action",
    [
        "remove:triggers.9",
        "remove:triggers.x",
        "remove:name",
        "add:source:tag",
        "add:triggers.0.parts.4.parts:tag",
        "add:triggers:sandwich",
        "remove:" + "triggers.0.parts." * 50,
        "remove:triggers.-1",
    ],
)
def test_a_button_about_what_is_not_there_changes_nothing(making: Pages, action: str) -> None:
    page = _press(making, "/new", _website(_new(making)), action)

    assert page.status_code == 200
    assert "  - tag: {starts_with: v}\n" in _yaml_of(page.text)


def test_source_and_target_change_places(making: Pages) -> None:
    form = _new(making)
    fields = [
        (name, {"source.repository": "dev/*", "targets.0.repository": "qa/{name}"}.get(name, value))
        for name, value in _website(form)
    ]

    text = _yaml_of(_press(making, "/new", fields, "swap").text)

    assert "source:\n  connection: qa_registry\n  repository: qa/*\n" in text
    assert "target:\n  connection: dev_registry\n  repository: dev/{name}\n" in text


def test_an_existing_policy_opens_and_downloads_to_the_letter(making: Pages) -> None:
    making.write_policy()
    path = f"/policies/{POLICY}/edit"
    form = FilledForm.read(making.seen_by(POLICY).get(path).text)

    answer = _press(making, path, form.fields, "download")

    assert answer.content == (making.folder / f"{POLICY}.yaml").read_bytes()
    assert answer.headers["content-disposition"] == f'attachment; filename="{POLICY}.yaml"'


@pytest.mark.usefixtures("saving")
def test_an_existing_policy_is_changed_in_its_own_file(making: Pages) -> None:
    making.write_policy()
    file = making.folder / f"{POLICY}.yaml"
    file = file.rename(making.folder / "another-name.yml")
    file.write_text(f"# Ours.\n{file.read_text()}")
    path = f"/policies/{POLICY}/edit"
    form = FilledForm.read(making.seen_by(POLICY).get(path).text)
    old = file.read_text()

    answer = _press(making, path, form.with_values(description="Changed."), "save")

    assert answer.status_code == 303
    assert file.read_text() == old.replace("Stable builds go to QA.", "Changed.")
    assert making.saved[0].is_new is False
    assert [each.path for each in load_policies(making.folder).good] == [file]


@pytest.mark.usefixtures("saving")
def test_a_file_that_changed_meanwhile_is_not_overwritten_and_both_versions_are_shown(
    making: Pages,
) -> None:
    making.write_policy()
    path, file = f"/policies/{POLICY}/edit", making.folder / f"{POLICY}.yaml"
    form = FilledForm.read(making.seen_by(POLICY).get(path).text)
    theirs = file.read_text().replace("Stable", "Their")
    file.write_text(theirs)

    answer = _press(making, path, form.with_values(description="Our builds."), "save")

    assert answer.status_code == 409
    assert "Their builds go to QA." in answer.text
    assert "description: Our builds." in answer.text
    assert file.read_text() == theirs
    assert making.saved == []


def test_a_policy_keeps_its_name(making: Pages) -> None:
    making.write_policy()
    path = f"/policies/{POLICY}/edit"
    form = FilledForm.read(making.seen_by(POLICY).get(path).text)

    page = _press(making, path, form.with_values(name="another"), "preview")

    assert "name.error" in FilledForm.read(page.text).ids


@pytest.mark.usefixtures("saving")
def test_a_policy_without_a_file_here_opens_as_its_last_run_had_it(making: Pages) -> None:
    making.write_policy("remembered")
    file = making.folder / "remembered.yaml"
    policy = load_policy(file)
    version = PolicyVersion(policy.name, policy.hash, policy.document())
    making.ledger.begin_run(version, key="remembered/1", kind="manual", at=NOW)
    file.unlink()
    path = "/policies/remembered/edit"
    page = making.seen_by("remembered").get(path)
    form = FilledForm.read(page.text)

    answer = _press(making, path, form.fields, "download", "remembered")

    assert "does not have the policy" in page.text
    assert "save" not in form.buttons
    file.write_bytes(answer.content)
    assert load_policy(file) == policy


def test_connect_tries_both_sides_before_the_rest_is_a_policy(making: Pages) -> None:
    making.registries.results["qa_registry"] = ProbeResult(
        ok=False, message="It does not let us write.", trouble=Trouble.RIGHT_MISSING
    )
    fields = [
        (name, "" if name.startswith("triggers.0.conditions") else value)
        for name, value in _website(_new(making))
    ]

    page = _press(making, "/new", fields, "connect")

    assert "Source works" in page.text
    assert "Target does not work" in page.text
    assert "It does not let us write." in page.text
    assert [side.use for _, side in making.registries.probed] == [Use.READ, Use.WRITE]


def test_what_it_would_do_now_says_why_that_is_not_known(making: Pages) -> None:
    making.registries.missing = {"dev_registry"}

    page = _press(making, "/new", _website(_new(making)), "outlook")

    assert "there is no such connection" in page.text


def test_what_it_would_do_now_is_asked_of_the_policy_that_is_not_saved(
    making: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    async def what_now(_site: object, policy: Policy, *, who: str) -> None:
        asked.append((policy.name, who))
        raise PolicyError("enough was seen")

    monkeypatch.setattr(routes, "what_now", what_now)

    page = _press(making, "/new", _website(_new(making)), "outlook")

    assert asked == [("website", "ada")]
    assert "enough was seen" in page.text


def test_hostile_texts_are_texts(making: Pages) -> None:
    fields = [
        (name, HOSTILE if value == "" or name.startswith(("name", "further")) else value)
        for name, value in _website(_new(making))
    ]

    page = _press(making, "/new", fields, "preview").text

    assert "<script>alert" not in page
    assert "<img" not in page
    assert "&lt;script&gt;alert" in page


def test_every_field_has_a_label(making: Pages) -> None:
    form = _new(making)
    for kind in ("vulnerabilities", "not", "yaml", "license", "updated"):
        form = FilledForm.read(_press(making, "/new", form.fields, f"add:triggers:{kind}").text)
    hidden = re.compile(r"base|targets_listed|.*\.(kind|written|tag_listed)")

    names = {name for name, _ in form.fields} - {"do"}

    assert {name for name in names if not hidden.fullmatch(name)} <= form.labelled
    assert len(form.ids) == len(set(form.ids))


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"\xff\xfe", 400),
        (b"triggers=x", 422),
        (b"triggers.0.0.0.kind=tag", 422),
        (b"a." * 500 + b"=1", 200),
        (b"name=%ff", 400),
        (b"targets.0=1&targets.0.tag=%25n", 200),
    ],
)
def test_what_no_page_sends_breaks_nothing(making: Pages, body: bytes, status: int) -> None:
    answer = making.seen_by().post("/new", content=body, headers={"Sec-Fetch-Site": "same-origin"})
    assert answer.status_code == status


def test_the_api_says_what_a_form_means(making: Pages) -> None:
    making.write_policy()
    client = making.seen_by(POLICY)
    opened = client.get(f"/api/policies/{POLICY}/form").json()
    form = opened["form"] | {"schedule": "cron", "cron": "30 4 * * *", "example_tag": "2.0-stable"}

    found = client.post("/api/form/preview", json={"form": form, "policy": POLICY}).json()

    assert opened["file"] == f"{POLICY}.yaml"
    assert found["valid"] is True
    assert found["yaml"].endswith('schedule: "30 4 * * *"\n')
    assert found["examples"] == [
        {"template": "%n-%Y", "source_tag": "2.0-stable", "tag": "2.0-stable-2026", "problem": ""}
    ]
    assert [each[:16] for each in found["next_runs"]] == [
        "2026-03-02T04:30",
        "2026-03-03T04:30",
        "2026-03-04T04:30",
    ]


def test_the_api_says_what_is_wrong_by_field(making: Pages) -> None:
    form = {"name": "Website", "triggers": [{"kind": "tag"}], "schedule": "cron", "cron": "x"}

    found = making.seen_by().post("/api/form/preview", json={"form": form}).json()

    assert found["valid"] is False
    assert {each["field"] for each in found["faults"]} >= {"name", "source.connection", "cron"}
    assert found["next_runs"] == []
