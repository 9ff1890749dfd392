"""The import table of the house, and the imports that are really there.

The table is the only place where the rule stands: the tests hold the code to it, and the picture in
docs/architecture.md is drawn from it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = ROOT / "plugins"
PACKAGE = "image_promotion"
PICTURE = ROOT / "docs" / "architecture.md"

TABLE: Mapping[str, frozenset[str]] = {
    "errors": frozenset(),
    "registry": frozenset({"errors"}),
    "policy": frozenset({"errors"}),
    "ledger": frozenset({"errors"}),
    "evidence": frozenset({"errors", "registry", "policy", "ledger"}),
    "promotion": frozenset({"errors", "registry", "policy", "ledger", "evidence"}),
    "moving": frozenset({"errors", "registry", "policy"}),
    "hooks": frozenset({"errors", "registry", "evidence", "ledger"}),
    "operators": frozenset(
        {"errors", "registry", "policy", "ledger", "evidence", "promotion", "hooks"}
    ),
    "dag_builder": frozenset({"errors", "policy", "operators"}),
    "rollback_dag": frozenset({"policy", "operators", "dag_builder"}),
    "web": frozenset({"errors", "registry", "policy", "ledger", "evidence", "promotion", "hooks"}),
    "provider": frozenset(),
    "cli": frozenset({"errors", "registry", "policy", "ledger", "evidence", "promotion", "moving"}),
}
"""Each room, a package or module of ``image_promotion``, and the rooms it may import."""

AIRFLOW_ROOMS = frozenset({"hooks", "operators", "dag_builder", "rollback_dag", "web"})
"""The rooms that may import Airflow; ``provider`` is read by it and imports nothing at all."""


@dataclass(frozen=True, slots=True)
class Import:
    """One import statement: who imports what, and where it stands."""

    importer: str
    imported: str
    line: int

    def __str__(self) -> str:
        return f"{self.importer} -> {self.imported} (line {self.line})"


def modules_of(folder: Path) -> Iterator[Path]:
    """Yield the Python files of a folder, at any depth."""
    yield from sorted(folder.rglob("*.py"))


def name_of(path: Path, root: Path = PLUGINS) -> str:
    """Return the dotted name under which a file is imported."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path, name: str) -> Iterator[Import]:
    """Yield every import of a file, also within functions and under TYPE_CHECKING."""
    for node in ast.walk(ast.parse(path.read_text(), filename=str(path))):
        match node:
            case ast.Import(names=names):
                for alias in names:
                    yield Import(name, alias.name, node.lineno)
            case ast.ImportFrom(module=module, names=names, level=level):
                base = module or ""
                if level:
                    parents = name.split(".")[: -level if path.stem != "__init__" else None]
                    base = ".".join([*parents, *([module] if module else [])])
                for alias in names:
                    # `from package import module` imports the module, not a name in the package.
                    whole = f"{base}.{alias.name}"
                    yield Import(name, whole if _is_module(whole) else base, node.lineno)
            case _:
                pass


@cache
def package_imports() -> tuple[Import, ...]:
    """Return every import in ``image_promotion``."""
    return tuple(
        each for path in modules_of(PLUGINS / PACKAGE) for each in imports_of(path, name_of(path))
    )


def room_of(module: str) -> str | None:
    """Return the room of a module of ours; None for one of somebody else and for the front door."""
    package, _, rest = module.partition(".")
    return rest.partition(".")[0] or None if package == PACKAGE else None


def ways_to(package: str, imports: tuple[Import, ...]) -> Mapping[str, tuple[Import, ...]]:
    """Find how modules of ours come to import a package of others.

    Args:
        package: The top name of the package, such as ``airflow``.
        imports: Every import of ours.

    Returns:
        For each module that does, directly or through others of ours, the shortest way there.
    """
    ways: dict[str, tuple[Import, ...]] = {}
    newest: dict[str, tuple[Import, ...]] = {
        each.importer: (each,) for each in imports if each.imported.partition(".")[0] == package
    }
    while newest:
        ways |= newest
        newest = {
            each.importer: (each, *newest[each.imported])
            for each in imports
            if each.imported in newest and each.importer not in ways
        }
    return ways


def picture() -> str:
    """Draw the table as a Mermaid flowchart, leaving out arrows that follow from others."""
    lines = ["```mermaid", "flowchart BT"]
    for room, may in TABLE.items():
        lines.append(f"    {room}")
        implied = frozenset[str]().union(*(_reachable(other) for other in may))
        lines += [f"    {room} --> {other}" for other in sorted(may - implied)]
    lines += [f"    {room} -.-> Airflow" for room in sorted(AIRFLOW_ROOMS)]
    return "\n".join([*lines, "```"])


def _reachable(room: str) -> frozenset[str]:
    return TABLE[room].union(*(_reachable(other) for other in TABLE[room]))


def _is_module(name: str) -> bool:
    path = PLUGINS.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()
