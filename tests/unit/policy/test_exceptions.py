from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_promotion.errors import PolicyError
from image_promotion.policy.exceptions import (
    ExceptionEntry,
    check_exceptions_file,
    load_exceptions,
)
from image_promotion.policy.facts import VulnerabilityException

TEXT = """\
exceptions:
  - id: CVE-2026-1234
    package: openssl
    repository: dev/website
    reason: The affected function is not compiled in.
    expires: 2026-12-31
    by: alice@example.com
  - id: GHSA-jfh8-c2jp-5v3q
    reason: Behind a firewall.
    expires: "2027-01-31"
    by: bob
"""


def faults(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "e.yaml"
    path.write_text(text)
    exceptions, found = check_exceptions_file(path)
    assert exceptions == ()
    return [str(each).removeprefix(f"{tmp_path}/") for each in found]


def test_a_file_of_exceptions_is_read(tmp_path: Path) -> None:
    path = tmp_path / "accepted.yaml"
    path.write_text(TEXT)

    assert load_exceptions(path) == (
        VulnerabilityException(
            id="CVE-2026-1234",
            reason="The affected function is not compiled in.",
            expires=date(2026, 12, 31),
            by="alice@example.com",
            package="openssl",
            repository="dev/website",
        ),
        VulnerabilityException(
            "GHSA-jfh8-c2jp-5v3q", "Behind a firewall.", date(2027, 1, 31), "bob"
        ),
    )


def test_a_list_from_which_the_last_was_taken_out_is_well(tmp_path: Path) -> None:
    path = tmp_path / "accepted.yaml"
    path.write_text("exceptions: []\n")

    assert load_exceptions(path) == ()


KEYS = "id, package, repository, reason, expires, by"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "id: CVE-2026-1234",
            "cve: CVE-2026-1234",
            f"2:5: exceptions[0].cve: is no key here; did you mean id? (allowed: {KEYS})",
        ),
        (
            "package:",
            "packge:",
            f"3:5: exceptions[0].packge: is no key here; did you mean package? (allowed: {KEYS})",
        ),
        ("dev/website", "dev/*/*", "4:17: exceptions[0].repository: 'dev/*/*' has more than one"),
        ("dev/website", "r.io/dev:1", "4:17: exceptions[0].repository: 'r.io/dev:1' is no repo"),
        ("Behind a firewall.", '" "', "9:13: exceptions[1].reason: must not be blank"),
        (
            "2026-12-31",
            "tomorrow",
            "6:14: exceptions[0].expires: 'tomorrow' is no date (allowed: a day such as 2026-",
        ),
        ("2026-12-31", "2026-12-31T10:00:00Z", "6:14: exceptions[0].expires: must be a date"),
        ("2026-12-31", "20261231", "6:14: exceptions[0].expires: must be a date, not a number"),
        ("2026-12-31", "9999-12-31", "6:14: exceptions[0].expires: 9999-12-31 is out of range"),
        ("by: bob", "by: 5", "11:9: exceptions[1].by: YAML reads 5 as a number (allowed: a text"),
        ("    by: bob\n", "", "8:5: exceptions[1].by: is missing (allowed: Who accepted it)"),
        ("    by: bob\n", "    by:\n", "11:5: exceptions[1].by: has no value"),
        ("by: bob\n", "by: bob\n    by: a\n", "12:5: exceptions[1].by: stands twice, in line 11"),
        ("exceptions:", "exception:", "1:1: exceptions: is missing (allowed: a list of except"),
    ],
)
def test_a_mistake_is_told_where_it_is_with_what_is_allowed(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert TEXT.count(old) == 1

    assert any(
        each.startswith(f"e.yaml:{message}") for each in faults(tmp_path, TEXT.replace(old, new))
    ), faults(tmp_path, TEXT.replace(old, new))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty (allowed: a list of exceptions)"),
        ("- id: a\n", "must be a mapping of keys to values"),
        ("exceptions: none\n", "must be a list, not a text"),
        ("exceptions: [CVE-2026-1]\n", "must be a mapping, not a text"),
        ("exceptions: [", "is not the YAML of one document"),
    ],
)
def test_what_is_no_list_of_exceptions_is_refused(tmp_path: Path, text: str, message: str) -> None:
    assert any(message in each for each in faults(tmp_path, text)), faults(tmp_path, text)


def test_all_faults_are_told_in_their_order_and_the_first_is_raised(tmp_path: Path) -> None:
    text = TEXT.replace("by: bob", "by: 5").replace("2026-12-31", "never")

    assert [each.split(": ")[0] for each in faults(tmp_path, text)] == [
        "e.yaml:6:14",
        "e.yaml:11:9",
    ]
    with pytest.raises(PolicyError, match="is no date"):
        load_exceptions(tmp_path / "e.yaml")


def test_a_file_that_is_not_there_is_an_error_of_the_policy(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="is not a file"):
        load_exceptions(tmp_path / "none.yaml")


@given(st.dates(date(1970, 1, 1), date(2999, 12, 31)), st.none() | st.just("a"))
def test_an_entry_that_was_recorded_is_the_same_again(expires: date, package: str | None) -> None:
    entry = ExceptionEntry(id="CVE-1", reason="r", expires=expires, by="b", package=package or "x")
    again = ExceptionEntry.model_validate_json(entry.model_dump_json(exclude_none=True))

    assert again == entry
    assert again.exception() == entry.exception()
