"""What docs/triggers.md says is so: its examples are read, its tables are what triggers answer."""

from __future__ import annotations

import re
from datetime import UTC
from pathlib import Path

import pytest
import yaml

from image_promotion.policy.criteria.components import ComponentName
from image_promotion.policy.criteria.licenses import License
from image_promotion.policy.criteria.text import TextOperator
from image_promotion.policy.criteria.verdict import Verdict
from image_promotion.policy.exceptions import load_exceptions
from image_promotion.policy.facts import Band, Component, Vulnerability
from image_promotion.policy.license_names import identifier_of
from image_promotion.policy.loading import load_policy
from image_promotion.policy.schema import ROOT, keys_at
from image_promotion.policy.triggers import Trigger
from image_promotion.policy.version_ranges import VersionRange
from tests.support.policies import NOW, TEXT, facts

PAGE = ROOT / "docs" / "triggers.md"
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
_CODE = re.compile(r"`([^`]+)`")


def rows_under(heading: str) -> list[list[str]]:
    """Return the cells of the table whose head begins so."""
    lines = PAGE.read_text().splitlines()
    start = lines.index(next(each for each in lines if each.startswith(f"| {heading}")))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([each.strip() for each in line.strip("|").split(" | ")])
    assert len(rows) > 1
    return rows


def codes(cell: str) -> list[str]:
    return _CODE.findall(cell)


def test_every_example_is_read(tmp_path: Path) -> None:
    assert len(EXAMPLES) > 8
    path = tmp_path / "exceptions" / "accepted.yaml"
    path.parent.mkdir()
    triggers = [each for each in EXAMPLES if each.startswith("- ")]
    (exceptions,) = (each for each in EXAMPLES if each.startswith("exceptions:"))
    (evidence,) = (each for each in EXAMPLES if each.startswith("evidence:"))
    path.write_text(exceptions)
    policy = tmp_path / "p.yaml"
    policy.write_text(TEXT + evidence)

    assert len(triggers) + 2 == len(EXAMPLES)
    for each in triggers:
        for trigger in yaml.safe_load(each):
            assert Trigger.model_validate(trigger).criterion(UTC).describe()
    assert load_exceptions(path)
    assert load_policy(policy).evidence.exceptions


def test_every_operator_and_key_of_triggers_has_an_example() -> None:
    shown = "\n".join(EXAMPLES)
    for trigger in keys_at(("triggers", 0)):
        assert f"{trigger}:" in shown
        for key in keys_at(("triggers", 0, trigger)):
            assert f"{key}:" in shown, f"{trigger}.{key}"
    for sign in (">=", ">", "=", "!=", "<=", "<"):
        assert f'"{sign} ' in shown


ANSWERS = {"yes": True, "no": False, "unknown": None}


@pytest.mark.parametrize(("type_", "version", "range_", "answer"), rows_under("type | version"))
def test_the_table_of_versions_is_right(type_: str, version: str, range_: str, answer: str) -> None:
    ecosystem = None if type_ == "none" else type_

    assert VersionRange(codes(range_)[0]).contains(codes(version)[0], ecosystem) is ANSWERS[answer]


@pytest.mark.parametrize(("score", "word", "band", "severity"), rows_under("CVSS |"))
def test_the_table_of_severities_is_right(score: str, word: str, band: str, severity: str) -> None:
    flaw = Vulnerability(
        "CVE-1",
        "a",
        "1",
        "" if word == "none" else word,
        None if score == "none" else float(score),
    )

    assert flaw.band is (Band.OTHER if band == "all alone" else Band(band))
    assert flaw.severity_word == severity


@pytest.mark.parametrize(
    ("licenses", "listed", "one_of", "none_of"), rows_under("a component's licenses")
)
def test_the_table_of_licenses_is_right(
    licenses: str, listed: str, one_of: str, none_of: str
) -> None:
    image = facts(components=(Component("a", licenses=tuple(codes(licenses))),))
    verdicts = {"holds": Verdict.HELD, "does not hold": Verdict.NOT_HELD}

    for operator, answer in (
        (TextOperator.IS_ONE_OF, one_of),
        (TextOperator.IS_NOT_ONE_OF, none_of),
    ):
        verdict = License(operator, tuple(codes(listed))).judge(image, NOW).verdict
        assert verdict is verdicts[answer], operator


@pytest.mark.parametrize(("identifier", "spellings"), rows_under("identifier |"))
def test_the_table_of_spellings_is_right(identifier: str, spellings: str) -> None:
    for each in codes(spellings):
        assert identifier_of(each) == codes(identifier)[0]


_NAMED = {
    "npm": Component("core", purl="pkg:npm/%40angular/core@1"),
    "Maven": Component("log4j-core", group="org.apache.logging.log4j"),
    "Go": Component("github.com/gin-gonic/gin", purl="pkg:golang/github.com/gin-gonic/gin@v1"),
    "Debian": Component("libssl3", purl="pkg:deb/debian/libssl3@3?upstream=openssl"),
}


@pytest.mark.parametrize(("component", "names"), rows_under("component | its names"))
def test_the_table_of_names_is_right(component: str, names: str) -> None:
    image = facts(components=(_NAMED[component.partition(" ")[0]],))

    for name in codes(names):
        criterion = ComponentName(TextOperator.EQUALS, (name,))
        assert criterion.judge(image, NOW).verdict is Verdict.HELD


def test_its_links_lead_somewhere_and_the_readme_leads_to_it() -> None:
    for target in re.findall(r"\]\(([^)#]+)", PAGE.read_text()):
        assert (PAGE.parent / target).exists(), target
    assert "(docs/triggers.md)" in (ROOT / "README.md").read_text()
