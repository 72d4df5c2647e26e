"""Imports follow the floors: the table of docs/architecture.md is read and held against what the code imports."""

from __future__ import annotations

import ast
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = ("colmap_io", "nerfstudio_mvc")
ANYWHERE = {"numpy"} | set(sys.stdlib_module_names)

MODULES = {"pillow": "PIL", "opencv": "cv2", "imageio-ffmpeg": "imageio_ffmpeg", "pillow-jxl-plugin": "pillow_jxl"}
"""Distributions that the table names, as they are imported where that differs."""


@dataclass(frozen=True)
class Floor:
    """One line of the table, for one place: a package or a module.

    Attributes:
        number: of the floor.
        ours: places it may import.
        third_party: modules it may import -> names of the only files that may; empty where all may.
    """

    number: int
    ours: frozenset[str]
    third_party: dict[str, frozenset[str]]


def floors(readme: str) -> dict[str, Floor]:
    """Place -> its line in the table of docs/architecture.md."""
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in re.findall(r"^\| \d.*$", readme, re.M)]
    numbers = {
        name.removesuffix("/").removesuffix(".py"): int(row[0])
        for row in rows
        if re.fullmatch(r"\d+", row[0])
        for name in re.findall(r"`([^`]+)`", row[1])
    }
    found = {}
    for number, places, _, ours, third_party in (row for row in rows if re.fullmatch(r"\d+", row[0])):
        below = {place for place, floor in numbers.items() if floor < int(number)}
        named = set() if ours == "-" else below if ours == "everything below" else set(ours.split(", "))
        for name in re.findall(r"`([^`]+)`", places):
            place = name.removesuffix("/").removesuffix(".py")
            found[place] = Floor(int(number), frozenset(named), third_parties(third_party))
    return found


def third_parties(cell: str) -> dict[str, frozenset[str]]:
    """``torch, scipy; numba in `a.py`, `b.py` only`` -> module -> the only files that may import it, none for all."""
    found = {}
    for clause in () if cell == "-" else cell.split("; "):
        names, _, files = clause.partition(" in ")
        assert not files or files.endswith(" only"), f'"{clause}": say "NAME in `file.py` only"'
        for name in names.split(", "):
            found[MODULES.get(name, name)] = frozenset(re.findall(r"`([^`]+)`", files))
    return found


FLOORS = floors((ROOT / "docs/architecture.md").read_text(encoding="utf-8"))


def source_files() -> list[Path]:
    return sorted(path for package in OURS for path in (ROOT / package).rglob("*.py"))


def place_of(module: str) -> str:
    """``nerfstudio_mvc.archive.reader`` -> ``archive``; ``colmap_io.records`` -> ``colmap_io``."""
    parts = module.split(".")
    return parts[0] if parts[0] == "colmap_io" or len(parts) == 1 else parts[1]


def imported_modules(path: Path) -> set[str]:
    """Full names of everything a file imports, anywhere in it except under TYPE_CHECKING."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(node)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and "TYPE_CHECKING" in ast.unparse(branch.test)
        for node in ast.walk(branch)
    }
    found = set()
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; write the whole name"
            # `from nerfstudio_mvc.archive import layout` imports the module archive.layout.
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", source_files(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_stay_on_their_floor(path: Path) -> None:
    relative = path.relative_to(ROOT)
    module = ".".join(relative.with_suffix("").parts).removesuffix(".__init__")
    place = place_of(module)
    if place == "nerfstudio_mvc":
        return  # the front door: resolves its names on first use
    assert place in FLOORS, f"{place} is not in the floor table of docs/architecture.md"
    floor = FLOORS[place]
    for name in imported_modules(path):
        top = name.split(".")[0]
        if top in OURS:
            target = place_of(name)
            if target == "__version__":
                continue
            assert target == place or target in floor.ours, f"{relative} ({place}) imports {name}"
        elif top not in ANYWHERE:
            assert top in floor.third_party, f"{relative} ({place}) imports {name}"
            only = floor.third_party[top]
            assert not only or path.name in only, f"{relative} imports {name}, which only {sorted(only)} may"


def test_the_table_is_one_of_floors() -> None:
    for place, floor in FLOORS.items():
        for below in floor.ours:
            assert below in FLOORS, f"{place} may import {below}, which has no line"
            assert FLOORS[below].number < floor.number, f"{below} is not below {place}"
        for files in floor.third_party.values():
            for name in files:
                assert list(ROOT.glob(f"*/**/{name}")), f"{place}: there is no {name}"
    packages = {path.parent.name for path in (ROOT / "nerfstudio_mvc").glob("*/__init__.py")}
    modules = {path.stem for path in (ROOT / "nerfstudio_mvc").glob("*.py")} - {"__init__"}
    assert set(FLOORS) == packages | modules | {"colmap_io"}


def test_a_line_of_the_table_is_read_as_it_is_meant() -> None:
    rows = (
        "| floor | ..|",
        "| 0 | `a.py`, `b.py` | x | - | numba |",
        "| 1 | `c/` | y | a, b | torch; cv2 in `d.py` only |",
    )
    table = "\n".join(rows)
    found = floors(table)
    assert found["b"] == Floor(0, frozenset(), {"numba": frozenset()})
    assert found["c"] == Floor(1, frozenset("ab"), {"torch": frozenset(), "cv2": frozenset({"d.py"})})


def test_codecs_do_not_import_each_other() -> None:
    codecs = ROOT / "nerfstudio_mvc" / "codecs"
    names = [path.name for path in codecs.iterdir() if path.is_dir() and path.name != "__pycache__"]
    for name in names:
        for path in (codecs / name).rglob("*.py"):
            for imported in imported_modules(path):
                for other in set(names) - {name}:
                    assert not imported.startswith(f"nerfstudio_mvc.codecs.{other}"), f"{path} imports {imported}"
