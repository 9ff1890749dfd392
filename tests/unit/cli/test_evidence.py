from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from image_promotion.cli.main import main
from tests.support import sboms
from tests.support.json_shape import documented_fields
from tests.support.sboms import written
from tests.support.scans import Document, grype, grype_match, openvex, trivy, trivy_result

DOCUMENTATION = Path(__file__).parents[3] / "docs" / "command-line.md"


def _file(folder: Path, document: Document) -> str:
    path = folder / "report.json"
    path.write_bytes(written(document))
    return str(path)


def test_the_numbers_of_an_sbom_are_printed_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = sboms.cyclonedx(2) | {"vulnerabilities": None}
    assert main(["evidence", _file(tmp_path, document), "--json"]) == 0
    output = capsys.readouterr()
    assert json.loads(output.out) == {
        "format": "cyclonedx-json-1.6",
        "components": 2,
        "vulnerabilities": None,
        "licenses": {"MIT": 2, "MIT-like": 2},
    }
    assert not output.err


def test_the_numbers_of_a_scan_are_printed_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = grype(grype_match(), grype_match(id="CVE-1", severity="Low"), grype_match())
    assert main(["evidence", _file(tmp_path, document), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "format": "grype-json",
        "components": None,
        "vulnerabilities": {
            "total": 2,
            "by_severity": {"Low": 1, "Medium": 1},
            "by_band": {"critical": 2, "major": 0, "minor": 0},
        },
        "licenses": {},
    }


def test_the_json_has_the_fields_that_the_documentation_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    promised = documented_fields(DOCUMENTATION)
    assert main(["evidence", _file(tmp_path, grype(grype_match())), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert set(printed) == promised["evidence"]
    assert set(printed["vulnerabilities"]) == promised["evidence, vulnerabilities"]


def test_without_json_people_read_where_it_comes_from_and_what_it_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evidence", _file(tmp_path, grype(grype_match()))]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "format grype-json" in lines
    assert "tool grype 0.99.0" in lines
    assert "made 2026-11-23 11:00:00Z" in lines
    assert "image sha256:" + 64 * "a" in lines
    assert "components not said" in lines
    assert "vulnerabilities 1" in lines
    assert "critical 1" in lines
    assert "rated Medium 1" in lines


def test_the_statements_of_a_vex_document_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(["evidence", _file(tmp_path, openvex({"vulnerability": "CVE-1", "status": "fixed"}))])
        == 0
    )
    assert "statements (VEX)  1" in capsys.readouterr().out


def test_what_a_stranger_wrote_reaches_no_terminal_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package = {"Name": "a", "Version": "1", "Licenses": ["[red]\x1b[31mMIT"]}
    document = trivy(trivy_result(Packages=[package]))
    assert main(["evidence", _file(tmp_path, document)]) == 0
    output = capsys.readouterr().out
    assert "\x1b" not in output
    assert "[red] [31mMIT" in output


def test_a_dash_reads_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = io.TextIOWrapper(io.BytesIO(written(trivy(trivy_result()))))
    monkeypatch.setattr(sys, "stdin", text)
    assert main(["evidence", "-", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["vulnerabilities"]["total"] == 0


def test_a_scan_that_failed_is_told_apart_from_a_clean_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = _file(tmp_path, grype(database={"status": {"valid": False}}))
    assert main(["evidence", file, "--json"]) == 0
    output = capsys.readouterr()
    assert json.loads(output.out)["vulnerabilities"] is None
    assert f"{file} is no evidence about vulnerabilities" in output.err
    assert "database was not valid" in output.err


def test_a_file_of_no_known_format_is_told_which_formats_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = _file(tmp_path, {"some": "document"})
    assert main(["evidence", file]) == 1
    output = capsys.readouterr()
    assert output.err.startswith(f"promotion: {file}: cannot read the report")
    for known in (
        "SPDX",
        "CycloneDX",
        "syft",
        "Trivy",
        "Grype",
        "SARIF",
        "OpenVEX",
        "Harbor",
        "DTR",
    ):
        assert known in output.err
    assert not output.out


def test_a_file_that_breaks_its_format_is_told_where(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = _file(tmp_path, trivy(trivy_result({"VulnerabilityID": "CVE-1"})))
    assert main(["evidence", file]) == 1
    error = capsys.readouterr().err
    assert file in error
    assert "Results[0].Vulnerabilities[0].PkgName is missing" in error


def test_a_file_that_is_not_there_is_told_as_such(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for place in (tmp_path / "nowhere", tmp_path):
        assert main(["evidence", str(place)]) == 1
        assert f"promotion: {place}: cannot be read: " in capsys.readouterr().err
