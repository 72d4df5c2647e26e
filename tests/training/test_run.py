"""A training run from a capture folder to a weights file that codes, and its continuation."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_captures import write_nerfstudio_capture
from tiny_lmvic import CONFIG

from nerfstudio_mvc import compress_capture, decompress_archive
from nerfstudio_mvc.errors import CaptureError
from nerfstudio_mvc.training import run
from nerfstudio_mvc.training.loop import Recipe

RECIPE = Recipe(minutes=1e-6, batch_single=1, batch_predicted=1, crop_px=64, bfloat16=False)


def test_trains_continues_and_codes(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(run, "EXPORT_SAMPLES", 2)
    capture = write_nerfstudio_capture(tmp_path / "capture", views=3, size=(96, 80))
    data = run.TrainingData((capture,), depth="none")
    first = run.train(data, tmp_path / "run", RECIPE, config=CONFIG)
    again = run.train(data, tmp_path / "run", RECIPE, config=CONFIG)
    assert again.steps >= first.steps  # found its checkpoint
    compress_capture(capture, tmp_path / "a.mvc", weights=again.weights, pictures="learned", depth="none", quality=8)
    report = decompress_archive(tmp_path / "a.mvc", tmp_path / "out", weights=again.weights)
    assert len(report.views) == 3
    assert not report.differing_views


def test_photographs_smaller_than_a_crop_are_refused(tmp_path: Path) -> None:
    capture = write_nerfstudio_capture(tmp_path / "capture", views=2, size=(48, 32))
    with pytest.raises(CaptureError, match="--crop-px"):
        run.train(run.TrainingData((), (capture,)), tmp_path / "run", RECIPE, config=CONFIG)


def test_folders_of_captures_are_opened(tmp_path: Path) -> None:
    for name in ("b", "a"):
        write_nerfstudio_capture(tmp_path / "captures" / name, views=1)
    (tmp_path / "captures" / "README.md").write_text("")
    assert [path.name for path in run.folders_below([tmp_path / "captures"])] == ["a", "b"]
    assert run.folders_below([tmp_path / "captures" / "a"]) == (tmp_path / "captures" / "a",)
    with pytest.raises(CaptureError, match="no such folder"):
        run.folders_below([tmp_path / "none"])
