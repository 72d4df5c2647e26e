"""Fitting on the analytic scene, small: the picture comes out, Gaussians multiply and vanish as they should."""

import numpy as np
import pytest
import synthetic_scene as scene

from nerfstudio_mvc.splatting.capture_gaussians import near_plane, scene_frame
from nerfstudio_mvc.splatting.fitting import FittingSettings, TrainingView, fit, settings_for, starting_gaussians
from nerfstudio_mvc.splatting.pinhole_views import pinhole_view, undistort
from nerfstudio_mvc.splatting.rasterizer import draw
from nerfstudio_mvc.splatting.workers import Workers

CENTERS = [(-0.6, -0.2, 0.0), (-0.2, 0.2, 0.0), (0.2, -0.2, 0.0), (0.6, 0.2, 0.0)]


@pytest.fixture(scope="module")
def prepared():
    """Training views, starting Gaussians and near plane of a capture of 64 x 48 pixels."""
    capture = scene.capture([scene.look_at(i, at, size=(64, 48)) for i, at in enumerate(CENTERS)], point_count=300)
    frame = scene_frame(capture)
    views = []
    for view in capture.views:
        pinhole = pinhole_view(view, frame, long_side=64)
        pixels = np.round(scene.picture(view).color * 255).astype(np.uint8)
        views.append(TrainingView(pinhole.camera, *undistort(pixels, view, pinhole)))
    points = (capture.points - frame.offset) * frame.scale
    start = starting_gaussians(points, capture.point_colors / 255.0, max_count=1000)
    return views, start, near_plane(capture, frame)


def mean_psnr_db(gaussians, views, near, workers):
    scores = []
    for view in views:
        image = draw(gaussians, view.camera, near=near, workers=workers).image
        scores.append(-10 * np.log10(((image - view.image / 255.0) ** 2).mean()))
    return np.mean(scores)


def test_the_photographs_come_out(prepared):
    views, start, near = prepared
    before = {name: array.copy() for name, array in start.arrays().items()}
    done = []
    with Workers(2) as workers:
        fitted = fit(
            start,
            views,
            FittingSettings(64, 450, 700),
            near=near,
            workers=workers,
            on_iteration=lambda *at: done.append(at),
        )
        assert mean_psnr_db(fitted, views, near, workers) > mean_psnr_db(start, views, near, workers) + 10
    assert done[-1] == (450, 450)
    assert 300 < len(fitted) <= 700  # densified at iteration 300 and not past the limit
    assert all(np.isfinite(array).all() for array in fitted.arrays().values())
    assert all(np.array_equal(before[name], array) for name, array in start.arrays().items())


def test_effort_grows_with_views_within_its_bounds():
    assert settings_for("default", 5).iterations == 1000
    assert settings_for("default", 50).iterations == 1500
    assert settings_for("default", 5000).iterations == 2000
    fast, high = settings_for("fast", 20), settings_for("high", 20)
    assert fast.iterations < settings_for("default", 20).iterations < high.iterations
    assert fast.max_gaussians < high.max_gaussians


def test_start_is_a_faint_ball_per_point_of_its_colour():
    rng = np.random.default_rng(0)
    points, colors = rng.normal(0, 1, (50, 3)), rng.uniform(0, 1, (50, 3))
    start = starting_gaussians(points, colors, max_count=100)
    np.testing.assert_allclose(0.5 + 0.28209479177387814 * start.harmonics[:, 0], colors, atol=1e-6)
    distances = np.sort(np.linalg.norm(points[:, None] - points[None], axis=2), axis=1)[:, 1:4]
    spread = np.sqrt((distances**2).mean(1))
    below = spread < np.quantile(spread, 0.97)
    np.testing.assert_allclose(np.exp(start.log_scales[below, 1]), spread[below], rtol=1e-5)
    assert len(starting_gaussians(points, colors, max_count=20)) == 20


def test_the_scene_frame_follows_cameras_or_a_far_scene():
    wide = scene.capture([scene.look_at(i, (3.0 * i, 0.0, 0.0)) for i in range(3)], point_count=60)
    assert scene_frame(wide).scale == pytest.approx(1 / wide.scene_radius)
    narrow = scene.capture([scene.look_at(i, (0.01 * i, 0.0, 0.0)) for i in range(3)], point_count=60)
    assert 1 / scene_frame(narrow).scale == pytest.approx(6.0 / 4, rel=0.1)
    assert 0.1 < near_plane(narrow, scene_frame(narrow)) < 1.0
