"""The whole prior on small captures: what is chosen, what it gains, and that it repeats itself exactly."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import synthetic_scene as scene

from nerfstudio_mvc.errors import CaptureError
from nerfstudio_mvc.splatting import capture_gaussians, prior
from nerfstudio_mvc.splatting.fitting import FittingSettings
from nerfstudio_mvc.splatting.prior import estimate_depth

LENS = (-0.12, 0.02, 0.001, -0.002)
POSITIONS = [(x, y, 0.0) for y in (-0.4, 0.4) for x in (-0.9, -0.3, 0.3, 0.9)]


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    views = [scene.look_at(i, at, model="OPENCV", lens=LENS, size=(96, 72)) for i, at in enumerate(POSITIONS)]
    return scene.capture(views, tmp_path_factory.mktemp("scene"), point_count=500)


@pytest.fixture
def quick(monkeypatch):
    """150 iterations at 96 px: seconds."""
    monkeypatch.setattr(prior, "LONG_SIDE", 96)
    monkeypatch.setattr(
        capture_gaussians, "settings_for", lambda effort, count, long_side: FittingSettings(long_side, 150, 3000)
    )


def exact_depth(view, depth_map):
    return scene.picture(view, height=depth_map.depth.shape[0], width=depth_map.depth.shape[1]).depth


def warp_psnr_db(current, reference, depth):
    """PSNR of the reference's analytic colours carried to `current` by `depth`, on the depth's own grid."""
    height, width = depth.shape
    exact = scene.picture(current, height=height, width=width)
    rays = (exact.points - current.center) / exact.depth[..., None]
    points = current.center + rays * depth[..., None]
    in_reference = points @ reference.cam_from_world[:3, :3].T + reference.cam_from_world[:3, 3]
    landed, _ = scene.project(reference.camera, in_reference.reshape(-1, 3))
    inside = ((landed > 0) & (landed < (reference.width, reference.height))).all(1).reshape(height, width)
    there = scene.colors_at(reference, landed).reshape(height, width, 3)
    return -10 * np.log10(((there - exact.color) ** 2)[inside].mean())


def test_gaussians_give_depth_that_predicts_the_neighbour(capture, quick):
    done = []
    found = estimate_depth(capture, threads=2, on_progress=lambda *event: done.append(event))
    assert found.method == "gaussians"
    assert "Gaussians" in found.note
    assert ("fit", 150, 150) in done
    assert ("depth", 8, 8) in done
    gains, errors = [], []
    for view, reference in zip(capture.views, capture.views[1:], strict=False):
        depth_map = found.maps[view.view_idx]
        assert depth_map.depth.shape == depth_map.valid.shape == (72, 96)
        assert depth_map.depth.dtype == np.float32
        assert np.isfinite(depth_map.depth).all()
        assert (depth_map.depth > 0).all()
        flat = np.full(depth_map.depth.shape, 1e6)  # rotation alone: what a prior without depth can do
        gains.append(warp_psnr_db(view, reference, depth_map.depth) - warp_psnr_db(view, reference, flat))
        errors.append(np.abs(depth_map.depth / exact_depth(view, depth_map) - 1)[depth_map.valid])
    assert np.mean(gains) > 6
    assert np.median(np.concatenate(errors)) < 0.01
    assert np.mean([depth_map.valid.mean() for depth_map in found.maps]) > 0.95


def test_two_runs_and_other_threads_give_identical_depth(capture, quick, monkeypatch):
    monkeypatch.setattr(
        capture_gaussians, "settings_for", lambda effort, count, long_side: FittingSettings(long_side, 20, 3000)
    )
    first, second, third = (estimate_depth(capture, method="gaussians", threads=n) for n in (2, 2, 1))
    for a, b, c in zip(first.maps, second.maps, third.maps, strict=True):
        assert np.array_equal(a.depth, b.depth)
        assert np.array_equal(a.depth, c.depth)
        assert np.array_equal(a.valid, c.valid)


def test_auto_falls_back_to_sparse_depth_and_says_why(capture):
    two = replace(capture, views=capture.views[:2])
    assert estimate_depth(two).method == "sparse"
    assert "2 views are too few" in estimate_depth(two).note
    few = replace(capture, points=capture.points[:90], point_colors=capture.point_colors[:90])
    few = replace(few, views=tuple(replace(view, point_idxs=np.zeros(0, np.int64)) for view in few.views))
    assert "90 points are too few" in estimate_depth(few).note


def test_none_and_a_view_without_points(capture):
    nothing = estimate_depth(capture, method="none")
    assert nothing.maps == (None,) * 8
    assert nothing.method == "none"
    away = scene.look_at(8, (0.0, 0.0, -9.0), target=(0.0, 0.0, -20.0))
    found = estimate_depth(replace(capture, views=(*capture.views, away)), method="sparse")
    assert found.maps[8] is None
    assert "1 views see no point" in found.note


def test_a_capture_from_an_archive_has_no_photographs_to_fit(capture):
    bare = replace(capture, views=tuple(replace(view, image_path=None) for view in capture.views))
    with pytest.raises(CaptureError, match="not on this machine"):
        estimate_depth(bare)
    gone = replace(capture, views=tuple(replace(view, image_path=Path("gone.png")) for view in capture.views))
    with pytest.raises(CaptureError, match=r"gone\.png"):
        estimate_depth(gone)


def test_photographs_of_different_size_and_camera(capture, quick, tmp_path):
    views = [
        scene.look_at(0, (-0.5, 0.0, 0.0), size=(128, 96)),
        scene.look_at(1, (0.0, 0.0, 0.0), size=(90, 120), model="OPENCV", lens=LENS),
        scene.look_at(2, (0.5, 0.0, 0.0), size=(64, 48), model="OPENCV_FISHEYE", lens=(0.01, 0.0, 0.0, 0.0)),
    ]
    found = estimate_depth(scene.capture(views, tmp_path, point_count=400))
    assert [depth_map.depth.shape for depth_map in found.maps] == [(72, 96), (96, 72), (48, 64)]
    for view, depth_map in zip(views, found.maps, strict=True):
        assert np.median(np.abs(depth_map.depth / exact_depth(view, depth_map) - 1)) < 0.02
