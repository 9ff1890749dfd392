from __future__ import annotations

import json
from pathlib import Path

import pytest

from image_promotion.cli.main import main
from image_promotion.policy.loading import load_policies

SECRET = "canary-9fK2-secret"

PROMOTION = {
    "id": "1",
    "sourceRepository": "dev/website",
    "targetRepository": "qa/website",
    "enabled": True,
    "rules": [{"field": "tag", "operator": "ew", "values": ["-stable"]}],
}
PUSH = {
    "id": "2",
    "localRepository": "dev/website",
    "remoteHost": "https://registry.example.com",
    "remoteRepository": "team/website",
    "username": "mirror",
    "password": SECRET,
    "rules": [],
}
BROKEN = PROMOTION | {"id": "3", "rules": [{"field": "moon", "operator": "eq", "values": ["1"]}]}


def export(folder: Path, document: object) -> str:
    path = folder / "export.json"
    path.write_text(json.dumps(document))
    return str(path)


def test_each_policy_is_written_validates_and_is_told_with_its_connections(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = export(tmp_path, {"promotionPolicies": [PROMOTION], "pushMirroringPolicies": [PUSH]})
    folder = tmp_path / "policies"

    assert (
        main(["import", "dtr", "--file", file, "--local", "old_dtr", "--output", str(folder)]) == 0
    )

    loaded = load_policies(folder)
    assert not loaded.broken
    assert [each.policy.name for each in loaded.good] == [
        "dev-website-to-qa-website",
        "dev-website-to-registry-example-com-team-website",
    ]
    assert main(["validate", str(folder)]) == 0
    output = capsys.readouterr()
    assert "airflow connections add old_dtr" in output.out
    assert "airflow connections add registry_example_com" in output.out
    assert "every tag is promoted" in output.out
    everything = output.out + output.err + "".join(each.read_text() for each in folder.iterdir())
    assert SECRET not in everything


def test_what_is_left_out_fails_the_command_and_the_rest_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = export(tmp_path, [BROKEN, PROMOTION])

    assert main(["import", "dtr", "--file", file, "--output", str(tmp_path / "out")]) == 1

    assert [each.name for each in (tmp_path / "out").iterdir()] == [
        "dev-website-to-qa-website.yaml"
    ]
    assert "left out: DTR promotion policy 3 of dev/website: there is no field moon" in (
        capsys.readouterr().err
    )


def test_files_that_are_there_are_kept_unless_it_is_forced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = export(tmp_path, {"promotionPolicies": [PROMOTION], "pushMirroringPolicies": [PUSH]})
    policy = tmp_path / "dev-website-to-qa-website.yaml"
    policy.write_text("mine")
    arguments = ["import", "dtr", "--file", file, "--output", str(tmp_path)]

    assert main(arguments) == 1
    assert policy.read_text() == "mine"
    assert not list(tmp_path.glob("*registry*.yaml"))
    assert "--force" in capsys.readouterr().err

    assert main([*arguments, "--force"]) == 0
    assert policy.read_text() != "mine"


def test_the_name_of_a_policy_in_another_file_is_not_taken_again(tmp_path: Path) -> None:
    file = export(tmp_path, [PROMOTION])
    assert main(["import", "dtr", "--file", file, "--output", str(tmp_path)]) == 0
    (tmp_path / "dev-website-to-qa-website.yaml").rename(tmp_path / "mine.yaml")

    assert main(["import", "dtr", "--file", file, "--output", str(tmp_path)]) == 0

    assert not load_policies(tmp_path).broken
    assert (tmp_path / "dev-website-to-qa-website-2.yaml").is_file()


def test_a_dry_run_prints_the_files_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = export(tmp_path, [PROMOTION])

    assert (
        main(["import", "dtr", "--file", file, "--output", str(tmp_path / "p"), "--dry-run"]) == 0
    )

    assert not (tmp_path / "p").exists()
    assert "name: dev-website-to-qa-website\n" in capsys.readouterr().out


def test_the_folder_of_policies_is_the_usual_one(tmp_path: Path) -> None:
    file = export(tmp_path, [PROMOTION])

    assert main(["--policies", str(tmp_path / "p"), "import", "dtr", "--file", file]) == 0
    assert (tmp_path / "p" / "dev-website-to-qa-website.yaml").is_file()


@pytest.mark.parametrize("text", ["{", '{"password": "' + SECRET, "[" * 100_000, "\ud800"])
def test_an_export_that_is_no_json_is_refused_and_not_repeated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    path = tmp_path / "export.json"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))

    assert main(["import", "harbor", "--file", str(path), "--output", str(tmp_path)]) == 1

    error = capsys.readouterr().err
    assert "is not JSON" in error
    assert SECRET not in error


def test_an_empty_export_is_said_to_be_empty(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["import", "dtr", "--file", export(tmp_path, []), "--output", str(tmp_path)]) == 1
    assert "nothing to import" in capsys.readouterr().err


def test_regsync_yml_is_read_and_refused_with_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "regsync.yml"
    path.write_text("sync:\n- {source: alpine, target: 'localhost:5000/a', type: repository}\n")
    assert main(["import", "regsync", "--file", str(path), "--output", str(tmp_path / "p")]) == 0
    assert [each.name for each in (tmp_path / "p").iterdir()] == [
        "library-alpine-to-localhost-5000-a.yaml"
    ]

    path.write_text("a: 1\n")
    assert main(["import", "regsync", "--file", str(path), "--output", str(tmp_path / "q")]) == 1
    assert "regsync.yml: has no list `sync`" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["dtr"],
        ["quay", "--file", "a"],
        ["dtr", "--file", "a", "--connection", "b"],
        ["regsync", "--connection", "b"],
        ["regsync", "--file", "a", "--file", "b"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_told(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["import", *arguments])
    assert ended.value.code == 2
    assert "usage: promotion" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"registry_type": "harbor"}, "not to dtr"),
        ({"registry_type": "dtr", "namespace": "team"}, "namespace"),
    ],
)
def test_a_connection_that_cannot_be_imported_from_is_refused(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    extra: dict[str, str],
    said: str,
) -> None:
    content = {"conn_type": "container_registry", "host": "127.0.0.1:9", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_OLD", json.dumps(content))

    assert main(["import", "dtr", "--connection", "old", "--dry-run"]) == 1
    assert said in capsys.readouterr().err
