"""The real pipeline on real photographs, small: fitted depth aligns neighbours by many dB."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from colmap_io.camera_models import resize_camera
from nerfstudio_mvc.capture.open_capture import load_capture
from nerfstudio_mvc.capture.views import Capture
from nerfstudio_mvc.geometry.warping import warp_view
from nerfstudio_mvc.splatting import capture_gaussians, gsplat_backend, prior
from nerfstudio_mvc.splatting.depth_map import DepthMap
from nerfstudio_mvc.splatting.fitting import FittingSettings
from nerfstudio_mvc.splatting.prior import estimate_depth

SAMPLE = Path(__file__).parents[2] / "examples" / "data" / "nerfstudio"


def psnr_db(a: np.ndarray, b: np.ndarray, where: np.ndarray) -> float:
    return float(-10 * np.log10(((a - b) ** 2)[:, where].mean()))


def warped_neighbours(capture: Capture, maps: Sequence[DepthMap]) -> tuple[float, float, float]:
    """Means over the views: PSNR of the nearest neighbour as it is, and warped, where it shows the view; that share."""
    pictures, small_views = [], []
    for view in capture.views:
        height, width = maps[view.view_idx].depth.shape
        camera = resize_camera(view.camera, width=width, height=height)
        small_views.append(replace(view, width=width, height=height, camera=camera))
        with Image.open(view.image_path) as image:
            small = image.convert("RGB").resize((width, height), Image.Resampling.BOX)
        pictures.append(np.asarray(small, np.float32).transpose(2, 0, 1) / 255)
    centers = np.stack([view.center for view in capture.views])
    found = []
    for view in small_views:
        nearest = int(np.argsort(np.linalg.norm(centers - view.center, axis=1))[1])
        warped, valid = warp_view(
            torch.from_numpy(pictures[nearest]),
            torch.from_numpy(maps[view.view_idx].depth),
            torch.from_numpy(maps[nearest].depth),
            current=view,
            reference=small_views[nearest],
        )
        where = valid[0].numpy() > 0.5
        target = pictures[view.view_idx]
        found.append((psnr_db(pictures[nearest], target, where), psnr_db(warped.numpy(), target, where), where.mean()))
    before, after, covered = np.mean(found, axis=0)
    return float(before), float(after), float(covered)


@pytest.mark.parametrize("method", ["sparse", "gaussians"])
def test_depth_aligns_the_nearest_neighbour(method, monkeypatch):
    monkeypatch.setattr(prior, "LONG_SIDE", 128)
    monkeypatch.setattr(
        capture_gaussians, "settings_for", lambda effort, count, long_side: FittingSettings(long_side, 150, 6000)
    )
    capture = load_capture(SAMPLE)
    before, after, covered = warped_neighbours(capture, estimate_depth(capture, method=method).maps)
    assert after - before > 6  # 8.2 and 8.5 measured
    assert covered > 0.6


@pytest.mark.gpu
@pytest.mark.skipif(gsplat_backend.why_not("cuda") is not None, reason="needs a CUDA device on which gsplat works")
def test_gsplat_and_the_cpu_align_equally_well():
    capture = load_capture(SAMPLE)
    scores = {}
    for device in ("cpu", "cuda"):
        found = estimate_depth(capture, method="gaussians", device=device)
        assert ("gsplat" in found.note) == (device == "cuda")
        scores[device] = warped_neighbours(capture, found.maps)
    assert scores["cuda"][1] == pytest.approx(scores["cpu"][1], abs=0.5)  # dB
    assert scores["cuda"][2] == pytest.approx(scores["cpu"][2], abs=0.03)
