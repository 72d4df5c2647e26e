"""The examples run as their first lines say, on a corner of the sample capture."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from small_captures import write_sample_corner

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("[0-9]_*.py"))
ESTIMATES_CAMERAS = "2_from_photographs.py"  # a minute of pycolmap; tests/colmap_io and tests/capture cover it


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("examples")
    (folder / "out").mkdir()
    write_sample_corner(folder / "examples" / "data" / "nerfstudio")
    for path in EXAMPLES:
        shutil.copy(path, folder / "examples")
    return folder


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_example_runs_as_its_first_lines_say(example: Path, workspace: Path) -> None:
    lines = example.read_text(encoding="utf-8").splitlines()
    commands = [line for line in lines[: lines.index('"""', 1)] if line.startswith(("python ", "ns-mvc-"))]
    assert len(lines) < 60
    assert commands[-1].startswith(f"python examples/{example.name}")
    if example.name == ESTIMATES_CAMERAS:
        return
    scripts = sysconfig.get_path("scripts")
    path = os.pathsep.join([str(Path(sys.executable).parent), scripts, os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    for command in commands:
        run = subprocess.run(
            command, shell=True, cwd=workspace, env=environment, capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, f"{command}\n{run.stderr}"
        assert run.stdout
