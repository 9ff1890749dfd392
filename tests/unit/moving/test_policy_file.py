from __future__ import annotations

from dataclasses import replace

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from image_promotion.moving.connections import Connections
from image_promotion.moving.findings import Draft, Place
from image_promotion.moving.policy_file import faults_of, make_files, render
from image_promotion.moving.words import shown
from tests.support.policies import trigger_documents

DRAFT = Draft(
    origin="DTR promotion policy 1 of dev/website",
    source=Place("dtr", "dev/website"),
    target=Place("dtr", "qa/website"),
    triggers=({"tag": {"ends_with": "-stable"}},),
    notes=("It was disabled.",),
)


def test_a_file_begins_with_what_is_to_be_known_about_it() -> None:
    (file,), left_out = make_files([DRAFT])

    assert not left_out
    assert file.text.splitlines()[:4] == [
        "# Imported from DTR promotion policy 1 of dev/website.",
        "# It was disabled.",
        "",
        "name: dev-website-to-qa-website",
    ]


def test_names_are_unique_and_also_differ_from_those_that_are_taken() -> None:
    files, _ = make_files([DRAFT, DRAFT], taken={"dev-website-to-qa-website"})

    assert [each.name for each in files] == [
        "dev-website-to-qa-website-2",
        "dev-website-to-qa-website-3",
    ]


def test_a_draft_that_is_no_valid_policy_takes_no_name() -> None:
    broken = replace(DRAFT, tag="%U")
    files, left_out = make_files([broken, DRAFT])

    assert [each.name for each in files] == ["dev-website-to-qa-website"]
    assert "target.tag" in left_out[0].reason
    assert "/" not in left_out[0].reason.replace("dev/website", "")


def test_very_long_names_stay_legal() -> None:
    long = "/".join(["a" * 60] * 4)
    files, left_out = make_files([replace(DRAFT, source=Place("dtr", long))] * 2)

    assert not left_out
    assert len({each.name for each in files}) == 2


@settings(max_examples=100, deadline=None)
@given(
    triggers=st.lists(
        trigger_documents.filter(lambda each: "signature" not in repr(each)), min_size=1, max_size=3
    ),
    note=st.text(max_size=300),
)
def test_what_is_written_reads_as_it_was_meant(
    triggers: list[dict[str, object]], note: str
) -> None:
    draft = replace(DRAFT, triggers=tuple(triggers), notes=(shown(note), f"It said {shown(note)}."))
    text = render(draft, "website")

    assert text.isascii()
    assert yaml.safe_load(text)["triggers"] == triggers
    assert text == render(draft, "website")
    assert not faults_of(text)


@given(st.text())
def test_words_of_others_stay_in_their_line(text: str) -> None:
    assert shown(text).isascii()
    assert len(shown(text).splitlines()) <= 1


def test_one_registry_is_one_connection_and_two_never_share_an_id() -> None:
    connections = Connections()
    ids = [
        connections.add(each).connection_id
        for each in ("a-b.example.com", "https://a-b.example.com/v2/", "a.b.example.com")
    ]

    assert ids == ["a_b_example_com", "a_b_example_com", "a_b_example_com_2"]


@pytest.mark.parametrize("name", ["docker.io", "https://hub.docker.com", "index.docker.io"])
def test_docker_hub_has_one_connection_under_all_its_names(name: str) -> None:
    connections = Connections()
    connection = connections.add(name)

    assert connection.connection_id == "docker_io"
    assert '"registry_type": "docker_hub"' in connection.command


def test_a_command_is_quoted_for_the_shell() -> None:
    connection = Connections().add("registry.example.com", login="robot$ci; rm -rf")

    assert "--conn-login 'robot$ci; rm -rf'" in connection.command
