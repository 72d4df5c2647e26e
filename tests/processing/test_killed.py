"""ns-mvc-process-data, killed in each of its stages, goes on and comes to what one run makes."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from confetti import draw_confetti
from small_captures import tree

ROOT = Path(__file__).parents[2]

# One thread, with which an answer repeats exactly; where it is to be killed it waits for that.
PROGRAM = """
import sys, time
from functools import partial
from nerfstudio_mvc.pipeline.progress import StepProgress
from nerfstudio_mvc.processing import scene

data, output_dir, last = sys.argv[1:]
scene.estimate_cameras = partial(scene.estimate_cameras, num_threads=1)

def on_event(event):
    if isinstance(event, StepProgress):
        print(event.step, event.done, flush=True)
        if event.step == last and event.done > 0:
            print("here", flush=True)
            time.sleep(600)

scene.process_images(data, output_dir, on_event=on_event)
"""


def start(*words: object) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", PROGRAM, *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


@pytest.mark.skipif(find_spec("pycolmap") is None, reason="pycolmap is not installed")
def test_killed_in_every_stage_it_goes_on_to_the_same_folder(tmp_path: Path) -> None:
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    for index in range(4):
        draw_confetti(photographs / f"{index}.png", 0.1 * index)
    for stage in ("smaller copies", "features", "matches", "cameras"):
        with start(photographs, tmp_path / "scene", stage) as process:
            assert "here\n" in process.stdout, stage
            process.kill()
        assert not (tmp_path / "scene").exists()
    with start(photographs, tmp_path / "scene", "") as process:
        steps = process.stdout.read().splitlines()
    assert process.returncode == 0
    assert not any(step.startswith("smaller copies") for step in steps)  # they were there
    with start(photographs, tmp_path / "at once", "") as process:
        process.communicate()
    assert tree(tmp_path / "scene") == tree(tmp_path / "at once")
    assert {path.name for path in tmp_path.iterdir()} == {"photographs", "scene", "at once"}
