"""Camera estimation as a program of its own: its answers, its failures, its end."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from confetti import draw_confetti
from PIL import Image

from colmap_io import camera_estimation
from colmap_io.camera_estimation import estimate_cameras
from colmap_io.errors import MappingError
from colmap_io.mapping_job import MappingJob, MappingSettings
from colmap_io.model_folder import read_model
from colmap_io.rotation import matrix_from_quaternion

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "examples/data/nerfstudio/colmap/sparse/0"
needs_pycolmap = pytest.mark.skipif(find_spec("pycolmap") is None, reason="pycolmap is not installed")


def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: str) -> None:
    """Let `program` run in place of `colmap_io.mapping`; it finds the job in `job`."""
    script = tmp_path / "stand_in.py"
    script.write_text(f"import json, sys\njob = json.loads(sys.stdin.readline())\n{program}\n")
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


def test_photographs_that_were_not_placed_are_not_in_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, tmp_path, COPY_MODEL + "print('[\"done\"]')")
    names = [*sample_names(), *(f"left over {index}.jpg" for index in range(10))]
    model = estimate_cameras(tmp_path, names, sizes=[(1280, 851)] * len(names))
    assert [image.name for image in model.images] == sample_names()


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ('print(\'["failed", "no space"]\')', r"pycolmap failed: no space"),
        ("sys.exit('out of luck')", r"without an answer \(exit code 1\): out of luck"),
        ("import os; os.kill(os.getpid(), 9)", r"without an answer \(exit code -9\)"),
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


def test_one_photograph_has_no_place(tmp_path: Path) -> None:
    assert estimate_cameras(tmp_path, ["a.jpg"], sizes=[(8, 8)]).images == ()


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
    model = estimate_cameras(
        tmp_path,
        ["a.png", "b.png", "sub folder/c.jpg"],
        sizes=[(64, 48), (48, 64), (48, 64)],
        num_threads=1,
        on_progress=lambda stage, done, total: stages.append(stage),
    )
    assert model.images == ()
    assert {"features", "matches", "cameras"} <= set(stages)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png", "sub folder"]


@needs_pycolmap
def test_cameras_on_a_circle_are_found_there(tmp_path: Path) -> None:
    names = [f"{index}.png" for index in range(4)]
    truth = np.stack([draw_confetti(tmp_path / name, 0.1 * index) for index, name in enumerate(names)])
    model = estimate_cameras(tmp_path, names, sizes=[(320, 240)] * 4, num_threads=1)
    images = sorted(model.images, key=lambda image: image.name)
    assert [image.name for image in images] == names
    assert [camera.model for camera in model.cameras] == ["OPENCV"]
    centers = np.stack([-matrix_from_quaternion(image.quaternion).T @ image.translation for image in images])

    def distances(points: np.ndarray) -> np.ndarray:
        pairs = np.linalg.norm(points[:, None] - points[None], axis=2)
        return pairs / pairs.max()

    # The world is arbitrary, ratios of distances are not; focal length and lens are estimated along with them.
    np.testing.assert_allclose(distances(centers), distances(truth), atol=0.05)


@needs_pycolmap
def test_the_program_ends_with_the_one_that_asked(tmp_path: Path) -> None:
    names = ["0.png", "1.png"]
    for index, name in enumerate(names):
        draw_confetti(tmp_path / name, 0.1 * index)
    job = MappingJob(folder=str(tmp_path), names=names, sizes=[(320, 240)] * 2, scratch=str(tmp_path))
    command = [sys.executable, "-m", "colmap_io.mapping"]
    run = subprocess.run(
        command, input=job.to_json() + b"\n", capture_output=True, cwd=ROOT, check=False
    )  # then closed
    assert run.returncode == 1
    assert b"done" not in run.stdout


@needs_pycolmap
def test_a_stopped_estimation_goes_on(tmp_path: Path) -> None:
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    names = [f"{index} of a circle.png" for index in range(4)]
    for index, name in enumerate(names):
        draw_confetti(photographs / name, 0.1 * index)
    arguments = (photographs, names)
    options = {"sizes": [(320, 240)] * 4, "num_threads": 1}
    whole = estimate_cameras(*arguments, **options)

    def stop(stage: str, done: int, total: int) -> None:
        if stage == "features" and done >= 2:
            raise KeyboardInterrupt

    scratch, seen = tmp_path / "scratch", []
    scratch.mkdir()
    with pytest.raises(KeyboardInterrupt):
        estimate_cameras(*arguments, **options, scratch=scratch, on_progress=stop)
    again = estimate_cameras(*arguments, **options, scratch=scratch, on_progress=lambda *event: seen.append(event))
    assert seen[0][0] == "features"
    assert 2 <= seen[0][1] < 4  # not from the beginning
    assert ("matches", 6, 6) in seen
    assert [image.name for image in again.images] == [image.name for image in whole.images]
    assert again.cameras == whole.cameras  # one, and the same
    for one, other in zip(again.images, whole.images, strict=True):
        np.testing.assert_array_equal(one.quaternion, other.quaternion)
        np.testing.assert_array_equal(one.translation, other.translation)
    seen.clear()
    estimate_cameras(*arguments, **options, scratch=scratch, on_progress=lambda *event: seen.append(event))
    assert not seen  # all was there


@needs_pycolmap
def test_a_last_adjustment_that_runs_away_is_not_taken(tmp_path: Path) -> None:
    names = [f"{index}.png" for index in range(4)]
    for index, name in enumerate(names):
        draw_confetti(tmp_path / name, 0.1 * index)
    settings = MappingSettings(camera_model="SIMPLE_PINHOLE", matching="sequential", refine_principal_point=True)
    (camera,) = estimate_cameras(tmp_path, names, sizes=[(320, 240)] * 4, num_threads=1, settings=settings).cameras
    assert camera.model == "SIMPLE_PINHOLE"
    # On a circle all cameras look alike: the principal point goes to (177, -8).
    assert camera.params[1:] == (160.0, 120.0)
