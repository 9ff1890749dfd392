from __future__ import annotations

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_promotion.cli.main import main
from image_promotion.errors import InvalidReferenceError
from image_promotion.registry.reference import Reference

DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("debian", ("docker.io", "library/debian", None, None)),
        ("debian:12", ("docker.io", "library/debian", "12", None)),
        ("team/site", ("docker.io", "team/site", None, None)),
        ("index.docker.io/debian", ("docker.io", "library/debian", None, None)),
        ("localhost/site:1", ("localhost", "site", "1", None)),
        ("localhost:5000/team/site:1.4", ("localhost:5000", "team/site", "1.4", None)),
        ("[::1]:5000/site:1", ("[::1]:5000", "site", "1", None)),
        ("[2001:db8::1]/site", ("[2001:db8::1]", "site", None, None)),
        (f"qa.example.com/site@{DIGEST}", ("qa.example.com", "site", None, DIGEST)),
        (f"qa.example.com/site:1@{DIGEST}", ("qa.example.com", "site", "1", DIGEST)),
    ],
)
def test_a_reference_is_taken_apart(
    capsys: pytest.CaptureFixture[str], text: str, parts: tuple[str | None, ...]
) -> None:
    assert main(["reference", text, "--json"]) == 0
    output = capsys.readouterr()
    found = json.loads(output.out)
    whole = found.pop("reference")
    names = ("registry", "repository", "tag", "digest")
    assert found == {"valid": True, **dict(zip(names, parts, strict=True))}
    assert Reference.parse(whole) == Reference.parse(text)
    assert not output.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("two words", "white space"),
        ("qa.example.com/Site:1", "upper-case"),
        ("qa.example.com/site:", "no tag after it"),
        ("qa.example.com/site:-1", "illegal tag"),
        (f"site:{'x' * 129}", "129 characters"),
        ("qa.example.com/site@sha256:abc", "refused"),
        ("qa.example.com/site@md5:" + "ab" * 16, "refused"),
        ("https://qa.example.com/site", "begins with https://"),
        ("::1:5000/site", "illegal registry"),
        ("qa.example.com:99999/site", "illegal registry"),
        ("qa.example.com//site", "empty component"),
        ("ab" * 32, "image id"),
    ],
)
def test_what_is_no_reference_is_refused_with_the_rule_it_breaks(
    capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    assert main(["reference", text, "--json"]) == 1
    output = capsys.readouterr()
    found = json.loads(output.out)
    assert (found["valid"], found["text"]) == (False, text)
    assert said in found["reason"]
    assert found["advice"]
    assert not output.err

    assert main(["reference", text]) == 1
    output = capsys.readouterr()
    assert not output.out
    assert said in output.err


@given(text=st.text(max_size=40) | st.text(string.ascii_lowercase + ":/@.[]_-", max_size=40))
def test_any_text_gets_json_and_the_exit_code_that_goes_with_it(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        written: list[str] = []
        patch.setattr("builtins.print", lambda line, **_: written.append(line))
        status = main(["reference", "--json", "--", text])
    found = json.loads("".join(written))
    try:
        expected = Reference.parse(text)
    except InvalidReferenceError:
        assert (status, found["valid"]) == (1, False)
        # A login is not repeated; everything else is, to the letter.
        assert found["text"] == text or ("@" in text and "***@" in found["text"])
    else:
        assert (status, found["valid"], found["repository"]) == (0, True, expected.repository)


def test_json_of_a_text_that_is_no_unicode_is_still_json(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["reference", "caf\udce9", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["valid"] is False


@pytest.mark.parametrize(
    ("template", "at", "zone", "rendered"),
    [
        ("%n", "2026-02-01T09:05:07+00:00", "UTC", "1.4-stable"),
        ("%n-%Y%m%d%H%M%S", "2026-02-01T09:05:07+00:00", "UTC", "1.4-stable-20260201090507"),
        ("%n-%H", "2026-02-01T09:05:07Z", "Europe/Berlin", "1.4-stable-10"),
        ("%n-%H", "2026-07-01T09:05:07Z", "Europe/Berlin", "1.4-stable-11"),
        ("%n-%H", "2026-02-01T09:05:07", "Europe/Berlin", "1.4-stable-09"),
        ("%A-%B-%p-%I", "2026-02-01T00:00:00Z", "UTC", "Sunday-February-AM-12"),
        ("%j_%W_%w_%f_%Z", "2026-02-01T00:00:00.000042Z", "UTC", "032_04_0_000042_UTC"),
    ],
)
def test_a_tag_is_rendered_at_a_time_in_a_zone(
    capsys: pytest.CaptureFixture[str], template: str, at: str, zone: str, rendered: str
) -> None:
    arguments = ["render-tag", template, "--tag", "1.4-stable", "--at", at, "--timezone", zone]
    assert main(arguments) == 0
    assert capsys.readouterr().out == f"{rendered}\n"


@pytest.mark.parametrize(
    ("template", "tag", "zone", "said"),
    [
        ("%n-%%", "1", "UTC", "percent sign"),
        ("%Q", "1", "UTC", "%Q"),
        ("", "1", "UTC", "is empty"),
        ("-%n", "1", "UTC", "begins with"),
        ("%n-%{1}", "1", "UTC", "no group"),
        ("%n", "x" * 129, "UTC", "129 characters"),
        ("%n", "a/b", "UTC", "'/'"),
        ("%n", "1", "Europe/Nowhere", "no time zone"),
        ("%n", "1", "../UTC", "no time zone"),
    ],
)
def test_what_gives_no_legal_tag_is_refused_with_the_reason(
    capsys: pytest.CaptureFixture[str], template: str, tag: str, zone: str, said: str
) -> None:
    at = "2026-02-01T09:05:07Z"
    assert main(["render-tag", "--tag", tag, "--at", at, "--timezone", zone, "--", template]) == 1
    output = capsys.readouterr()
    assert not output.out
    assert said in output.err
