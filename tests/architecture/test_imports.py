from __future__ import annotations

from pathlib import Path

import pytest

from tests.architecture.house import (
    AIRFLOW_ROOMS,
    PACKAGE,
    PICTURE,
    PLUGINS,
    ROOT,
    TABLE,
    Import,
    imports_of,
    modules_of,
    name_of,
    package_imports,
    picture,
    room_of,
    ways_to,
)


def test_every_room_is_in_the_table_and_every_room_of_the_table_is_there() -> None:
    there = {
        path.stem
        for path in (PLUGINS / PACKAGE).iterdir()
        if (path.is_dir() and (path / "__init__.py").is_file())
        or (path.suffix == ".py" and path.stem != "__init__")
    }
    assert there == set(TABLE)


def test_rooms_import_only_what_the_table_allows() -> None:
    offending = [
        each
        for each in package_imports()
        if (importer := room_of(each.importer))
        and (imported := room_of(each.imported))
        and imported != importer
        and imported not in TABLE[importer]
    ]
    assert not offending, "\n".join(map(str, offending))


def test_nothing_hides_behind_the_front_door() -> None:
    """An import in image_promotion/__init__.py would be everybody's import."""
    offending = [each for each in package_imports() if each.importer == PACKAGE]
    assert not offending, "\n".join(map(str, offending))


def test_only_the_rooms_that_face_airflow_reach_it() -> None:
    offending = [
        " ... ".join(map(str, way))
        for module, way in ways_to("airflow", package_imports()).items()
        if room_of(module) not in AIRFLOW_ROOMS
    ]
    assert not offending, "\n".join(offending)


def test_the_provider_imports_nothing_since_one_that_fails_breaks_every_airflow_command() -> None:
    offending = [
        each
        for each in package_imports()
        if room_of(each.importer) == "provider" and each.imported != "__future__"
    ]
    assert not offending, "\n".join(map(str, offending))


def test_dag_files_import_what_builds_dags_alone() -> None:
    builders = (f"{PACKAGE}.dag_builder", f"{PACKAGE}.rollback_dag")
    offending = [
        each
        for path in modules_of(ROOT / "dags")
        for each in imports_of(path, path.stem)
        if each.imported not in ("__future__", "pathlib", *builders)
    ]
    assert not offending, "\n".join(map(str, offending))


def test_the_sandbox_does_not_know_what_it_is_there_to_check() -> None:
    offending = [
        each
        for path in modules_of(ROOT / "sandbox")
        for each in imports_of(path, name_of(path, ROOT))
        if each.imported.partition(".")[0] in (PACKAGE, "tests")
    ]
    assert not offending, "\n".join(map(str, offending))


def test_the_picture_in_the_documentation_is_drawn_from_the_table() -> None:
    assert picture() in PICTURE.read_text(), f"{PICTURE} should contain:\n{picture()}"


def test_a_way_to_a_package_is_found_through_other_modules() -> None:
    imports = (
        Import("ours.a", "ours.b", 1),
        Import("ours.b", "airflow.sdk", 2),
        Import("ours.c", "json", 3),
    )
    ways = ways_to("airflow", imports)
    assert [str(step) for step in ways["ours.a"]] == [
        "ours.a -> ours.b (line 1)",
        "ours.b -> airflow.sdk (line 2)",
    ]
    assert "ours.c" not in ways


@pytest.mark.parametrize(
    ("source", "imported"),
    [
        ("import airflow.sdk", "airflow.sdk"),
        ("def f():\n    from airflow import sdk", "airflow"),
        ("if TYPE_CHECKING:\n    from airflow.sdk import DAG", "airflow.sdk"),
        ("from image_promotion.registry import digest", "image_promotion.registry.digest"),
        ("from . import errors", "image_promotion.errors"),
        ("from .registry.digest import Digest", "image_promotion.registry.digest"),
    ],
)
def test_imports_are_found_wherever_they_stand(tmp_path: Path, source: str, imported: str) -> None:
    path = tmp_path / "module.py"
    path.write_text(source)
    found = [each.imported for each in imports_of(path, f"{PACKAGE}.module")]
    assert found == [imported]
