"""Training without a part: nothing of it is shown to the model, and the codec's switch leaves out the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from small_captures import write_nerfstudio_capture
from tiny_lmvic import CONFIG

from nerfstudio_mvc.capture.image_files import read_image
from nerfstudio_mvc.capture.open_capture import load_capture
from nerfstudio_mvc.splatting.depth_map import DepthMap
from nerfstudio_mvc.splatting.prior import DepthPrior
from nerfstudio_mvc.training import run
from nerfstudio_mvc.training.ablated_views import SWITCHES, ValidEverywhere
from nerfstudio_mvc.training.loop import Recipe
from nerfstudio_mvc.training.warped_views import store_warped_views

RECIPE = Recipe(minutes=1e-6, batch_single=1, batch_predicted=1, crop_px=64, bfloat16=False)


class HalfSeen:
    """Neighbours that show the left half of a view, and something absurd on the right."""

    def batch(self, count, crop_px, rng):
        view = torch.full((count, 3, crop_px, crop_px), 0.5)
        valid = torch.ones(2, count, 1, crop_px, crop_px)
        valid[..., crop_px // 2 :] = 0
        return view, torch.where(valid > 0, view, 9.0), valid


def test_without_mask_holes_are_filled_and_not_told_of():
    view, neighbours, valid = ValidEverywhere(HalfSeen()).batch(2, 64, np.random.default_rng(0))
    assert torch.equal(valid, torch.ones(2, 2, 1, 64, 64))
    assert torch.allclose(neighbours, view.expand_as(neighbours), atol=1e-3)


def test_unaligned_neighbours_are_the_photographs_as_they_are(tmp_path: Path) -> None:
    root = write_nerfstudio_capture(tmp_path / "capture", views=3, size=(96, 80))
    capture = load_capture(root)
    flat = DepthMap(np.full((20, 24), 3.0, np.float32), np.ones((20, 24), bool))
    prior = DepthPrior((flat,) * 3, "sparse", "a wall")
    assert store_warped_views(capture, prior, tmp_path / "stored", align=SWITCHES["concatenate"].align)
    photographs = [read_image(view.image_path).pixels for view in capture.views]
    for path in (tmp_path / "stored").glob("*.npy"):
        stored = np.load(path)
        for first in (3, 6):
            neighbour = stored[..., first : first + 3]
            assert any(np.array_equal(neighbour, other) for other in photographs)
        assert (stored[..., 9:] == 255).all()


@pytest.mark.parametrize(("ablation", "folders"), [("separate", set()), ("concatenate", {"unaligned"})])
def test_a_run_without_a_part_trains_and_exports(tmp_path: Path, monkeypatch, ablation, folders) -> None:
    monkeypatch.setattr(run, "EXPORT_SAMPLES", 2)
    capture = write_nerfstudio_capture(tmp_path / "capture", views=3, size=(96, 80))
    data = run.TrainingData((capture,), depth="sparse")
    report = run.train(data, tmp_path / "run", RECIPE, config=CONFIG, ablation=ablation)
    assert report.weights.stat().st_size == report.weights_bytes > 0
    assert {name for name in ("warped", "unaligned") if (tmp_path / "run" / name).exists()} == folders
