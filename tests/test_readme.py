"""README is true: its shell commands and its Python run as printed, on a corner of the sample capture."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from small_captures import write_sample_corner

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SCRIPTS = Path(sysconfig.get_path("scripts"))


def blocks(language: str) -> list[str]:
    """The fenced blocks of README in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that looks like the project's root to a command."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "out").mkdir()
    write_sample_corner(folder / "examples" / "data" / "nerfstudio")
    return folder


def test_commands_run_as_printed(workspace: Path) -> None:
    if not (SCRIPTS / "ns-mvc-compress").exists():
        pytest.skip("the commands are not installed here (make env)")
    environment = {**os.environ, "PATH": f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}"}
    for block in blocks("sh"):
        run = subprocess.run(
            block, shell=True, cwd=workspace, env=environment, capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, f"{block}\n{run.stderr}"
    names = {path.name for path in (workspace / "out").iterdir()}
    assert {"bananas.mvc", "bananas", "two"} <= names
    assert len(list((workspace / "out" / "two").rglob("*.jpg"))) == 2


def test_python_runs_as_printed(workspace: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for block in blocks("python"):
        run = subprocess.run(
            [sys.executable, "-c", block], cwd=workspace, env=environment, capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, f"{block}\n{run.stderr}"


def test_make_targets_in_readme_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = set(re.findall(r"make (demo|env-nerfstudio|env|test|lint|help|bench[a-z-]*)", README))
    assert named
    assert named <= targets


@pytest.mark.parametrize(
    "path", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda path: path.name
)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (path.parent / target).exists(), target
