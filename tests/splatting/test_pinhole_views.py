"""From the distorted photograph to the pinhole view and back."""

import numpy as np
import pytest
import synthetic_scene as scene

from colmap_io.records import Camera
from nerfstudio_mvc.capture.views import View
from nerfstudio_mvc.splatting.depth_map import grid_size
from nerfstudio_mvc.splatting.pinhole_views import MAX_GROWTH, SceneFrame, depth_on_grid, pinhole_view, undistort

WORLD = SceneFrame(np.zeros(3), 1.0)
LENSES = [("PINHOLE", ()), ("OPENCV", (-0.18, 0.03, 0.002, -0.001)), ("OPENCV_FISHEYE", (0.02, -0.004, 0.0, 0.0))]


def pinhole_twin(camera):
    """The pinhole camera as a view of the analytic scene."""
    record = Camera(1, "PINHOLE", camera.width, camera.height, (camera.fx, camera.fy, camera.cx, camera.cy))
    return View(0, "twin", None, camera.width, camera.height, record, camera.cam_from_world)


@pytest.mark.parametrize(("model", "lens"), LENSES)
def test_the_pinhole_view_covers_the_photograph_and_shows_the_scene(model, lens):
    view = scene.look_at(0, (-0.4, 0.2, 0.0), size=(160, 120), model=model, lens=lens)
    pinhole = pinhole_view(view, WORLD, long_side=160)
    assert pinhole.grid_covered.all()
    x, y = pinhole.grid_positions[..., 0], pinhole.grid_positions[..., 1]
    assert x.min() >= 0
    assert y.min() >= 0
    assert x.max() <= pinhole.camera.width
    assert y.max() <= pinhole.camera.height
    pixels = np.round(scene.picture(view).color * 255).astype(np.uint8)
    image, mask = undistort(pixels, view, pinhole)
    exact = scene.picture(pinhole_twin(pinhole.camera)).color
    error = np.abs(image / 255.0 - exact).max(-1)[mask > 0]
    assert mask.mean() > 0.7
    assert np.quantile(error, 0.95) < 0.06  # bilinear sampling of a texture of 5 px waves; half a pixel off gives .2


def test_without_distortion_the_pinhole_view_is_the_photograph():
    view = scene.look_at(0, (-0.4, 0.2, 0.0), size=(160, 120))
    pinhole = pinhole_view(view, WORLD, long_side=160)
    assert (pinhole.camera.width, pinhole.camera.height) == (160, 120)
    pixels = np.round(scene.picture(view).color * 255).astype(np.uint8)
    assert (pinhole.camera.fx, pinhole.camera.cx) == pytest.approx((view.camera.params[0], view.camera.params[2]))
    assert np.abs(undistort(pixels, view, pinhole)[0].astype(int) - pixels)[1:-1, 1:-1].max() < 40
    depth = scene.picture(view).depth.astype(np.float32)
    back, valid = depth_on_grid(depth, np.ones(depth.shape, bool), pinhole)
    assert valid.all()
    np.testing.assert_allclose(back, depth, rtol=1e-6)


@pytest.mark.parametrize(("model", "lens"), LENSES)
def test_depth_comes_back_onto_the_distorted_grid(model, lens):
    view = scene.look_at(0, (-0.4, 0.2, 0.0), size=(320, 240), model=model, lens=lens)
    pinhole = pinhole_view(view, WORLD, long_side=160)
    height, width = grid_size(view, 160)
    depth = scene.picture(pinhole_twin(pinhole.camera)).depth.astype(np.float32)
    back, valid = depth_on_grid(depth, np.ones(depth.shape, bool), pinhole)
    exact = scene.picture(view, height=height, width=width).depth
    assert valid.all()
    off = np.abs(back / exact - 1) > 0.01
    assert off.mean() < 0.02  # only at the outline of the sphere, a pixel wide
    between = (back > 5.2) & (back < 5.6)  # no such depth exists between the sphere and the wall
    assert not between.any()


def test_a_scene_frame_scales_depth():
    view = scene.look_at(0, (-0.4, 0.2, 0.0))
    frame = SceneFrame(np.array([1.0, 2.0, 3.0]), 0.25)
    point = np.array([0.3, 0.1, 5.0])
    there = frame.camera_pose(view.cam_from_world) @ np.append((point - frame.offset) * frame.scale, 1)
    here = view.cam_from_world @ np.append(point, 1)
    np.testing.assert_allclose(there[:3], here[:3] * frame.scale, atol=1e-12)


def test_a_strong_fisheye_keeps_the_pinhole_view_small():
    lens = Camera(1, "OPENCV_FISHEYE", 300, 200, (100.0, 100.0, 150.0, 100.0, 0.0, 0.0, 0.0, 0.0))
    pinhole = pinhole_view(View(0, "wide", None, 300, 200, lens, np.eye(4)), WORLD, long_side=300)
    assert max(pinhole.camera.width, pinhole.camera.height) <= MAX_GROWTH * 300 + 2
    assert 0.3 < pinhole.grid_covered.mean() < 1
