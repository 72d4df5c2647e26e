"""Camera estimation as a program of its own: its answers, its failures, its end."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from colmap_io import camera_estimation
from colmap_io.camera_estimation import estimate_cameras
from colmap_io.errors import MappingError
from colmap_io.model_folder import read_model

SAMPLE = Path(__file__).parents[2] / "examples/data/nerfstudio/colmap/sparse/0"
needs_pycolmap = pytest.mark.skipif(find_spec("pycolmap") is None, reason="pycolmap is not installed")


def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: str) -> None:
    """Let `program` run in place of `colmap_io.mapping`; it finds the job in `job`."""
    script = tmp_path / "stand_in.py"
    script.write_text(f"import json, sys\njob = json.load(sys.stdin)\n{program}\n")
    launcher = tmp_path / "python"
    launcher.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}"\n')
    launcher.chmod(0o755)
    monkeypatch.setattr(camera_estimation.sys, "executable", str(launcher))
    monkeypatch.setattr(camera_estimation, "find_spec", lambda name: object())


def sample_names() -> list[str]:
    return [image.name for image in read_model(SAMPLE).images]


COPY_MODEL = f"import shutil; shutil.copytree({str(SAMPLE)!r}, job['scratch'] + '/best')\n"


def test_progress_and_model_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = COPY_MODEL + (
        'print(\'["progress", "features", 1, 2]\')\nprint("a library says hello")\nprint(\'["done"]\')\n'
    )
    stand_in(monkeypatch, tmp_path, program)
    seen = []
    names = sample_names()
    model = estimate_cameras(
        tmp_path, names, sizes=[(1280, 851)] * len(names), on_progress=lambda *event: seen.append(event)
    )
    assert seen == [("features", 1, 2)]
    assert [image.name for image in model.images] == names


def test_photographs_that_were_not_placed_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, tmp_path, COPY_MODEL + "print('[\"done\"]')")
    names = [*sample_names(), *(f"left over {index}.jpg" for index in range(10))]
    with pytest.raises(
        MappingError, match=r"10 of 18 photographs could not be placed: left over 0\.jpg, .* and 2 more"
    ):
        estimate_cameras(tmp_path, names, sizes=[(1280, 851)] * len(names))


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ('print(\'["failed", "no space"]\')', r"pycolmap failed: no space"),
        ("sys.exit('out of luck')", r"without an answer \(exit code 1\): out of luck"),
        ("import os; os.kill(os.getpid(), 9)", r"without an answer \(exit code -9\)"),
        ("print('[\"done\"]')", r"no two photographs match well enough"),
    ],
)
def test_failures_become_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, message: str) -> None:
    stand_in(monkeypatch, tmp_path, program)
    with pytest.raises(MappingError, match=message) as caught:
        estimate_cameras(tmp_path, ["a.jpg", "b.jpg"], sizes=[(8, 8)] * 2)
    assert "\n" not in str(caught.value)


def test_an_interrupted_estimation_leaves_no_program_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, tmp_path, 'import time\nprint(\'["progress", "x", 0, 1]\', flush=True)\ntime.sleep(600)')

    def interrupt(stage: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    # Without the kill, this would wait for the program's 600 seconds.
    with pytest.raises(KeyboardInterrupt):
        estimate_cameras(tmp_path, ["a.jpg", "b.jpg"], sizes=[(8, 8)] * 2, on_progress=interrupt)


def test_one_photograph_is_too_few(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match="two or more photographs, found 1"):
        estimate_cameras(tmp_path, ["a.jpg"], sizes=[(8, 8)])


def test_without_pycolmap_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_estimation, "find_spec", lambda name: None)
    with pytest.raises(MappingError, match="pip install pycolmap"):
        estimate_cameras(tmp_path, ["a.jpg", "b.jpg"], sizes=[(8, 8)] * 2)


@needs_pycolmap
def test_photographs_without_texture_do_not_match(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "sub folder/c.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (64, 48) if name == "a.png" else (48, 64), (90, 90, 90)).save(tmp_path / name)
    stages = []
    with pytest.raises(MappingError, match="no two photographs match well enough"):
        estimate_cameras(
            tmp_path,
            ["a.png", "b.png", "sub folder/c.jpg"],
            sizes=[(64, 48), (48, 64), (48, 64)],
            num_threads=1,
            on_progress=lambda stage, done, total: stages.append(stage),
        )
    assert {"features", "matches", "cameras"} <= set(stages)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png", "sub folder"]


@needs_pycolmap
def test_cameras_of_a_textured_relief(tmp_path: Path) -> None:
    """Three views of random bumps in front of each other, rendered by shifting layers: all are placed."""
    rng = np.random.default_rng(0)
    layers = [rng.integers(0, 256, (30, 40), np.uint8) for _ in range(6)]
    names = []
    for index in range(3):
        canvas = Image.new("L", (320, 240))
        for depth, layer in enumerate(layers):
            texture = Image.fromarray(layer).resize((480, 360), Image.Resampling.BICUBIC)
            shift = 80 - 8 * index * (depth + 1) // 2
            view = texture.crop((shift, 60, shift + 320, 300))
            stripe = (0, 40 * depth, 320, 40 * (depth + 1))
            canvas.paste(view.crop(stripe), stripe)
        names.append(f"{index}.png")
        canvas.convert("RGB").save(tmp_path / names[-1])
    model = estimate_cameras(tmp_path, names, sizes=[(320, 240)] * 3, num_threads=1)
    assert {camera.model for camera in model.cameras} == {"OPENCV"}
    assert len(model.cameras) == 1
    assert [image.name for image in model.images] == names
