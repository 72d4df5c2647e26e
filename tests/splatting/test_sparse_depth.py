"""Interpolated sparse depth on the analytic scene, and what it does with bad points."""

from dataclasses import replace

import numpy as np
import synthetic_scene as scene

from nerfstudio_mvc.splatting.sparse_depth import interpolate_sparse_depth

LENS = (-0.12, 0.02, 0.001, -0.002)


def make_capture(model="OPENCV", lens=LENS, point_count=1200):
    views = [scene.look_at(i, (x, 0.1 * i, 0.0), model=model, lens=lens) for i, x in enumerate((-0.6, 0.0, 0.6))]
    return scene.capture(views, point_count=point_count)


def relative_error(depth_map, view):
    exact = scene.picture(view, height=depth_map.depth.shape[0], width=depth_map.depth.shape[1]).depth
    return np.abs(depth_map.depth - exact) / exact


def test_depth_lies_on_the_distorted_pixel_grid():
    capture = make_capture()
    depth_map = interpolate_sparse_depth(capture.views[0], capture.points, long_side=64)
    assert depth_map.depth.shape == (48, 64)
    assert depth_map.depth.dtype == np.float32
    error = relative_error(depth_map, capture.views[0])
    assert np.median(error[depth_map.valid]) < 0.002
    assert (error[depth_map.valid] < 0.02).mean() > 0.85  # the rest lies between the sphere and the wall


def test_inverse_depth_is_exact_on_a_plane():
    view = scene.look_at(0, (-2.0, 0.0, 0.0), target=(-6.0, 0.0, 6.0))  # beside the sphere: wall only
    capture = scene.capture([view], point_count=40)
    depth_map = interpolate_sparse_depth(capture.views[0], capture.points)
    assert depth_map.valid.mean() > 0.6
    assert relative_error(depth_map, view)[depth_map.valid].max() < 1e-5


def test_outside_the_hull_is_filled_and_not_valid():
    capture = make_capture()
    view = capture.views[1]
    left = replace(view, point_idxs=view.point_idxs[capture.points[view.point_idxs, 0] < -0.5])
    depth_map = interpolate_sparse_depth(left, capture.points)
    assert not depth_map.valid[:, -20:].any()
    assert (depth_map.depth > 0).all()


def test_outliers_do_not_leave_a_mark():
    capture = make_capture()
    view = capture.views[1]
    clean = interpolate_sparse_depth(view, capture.points)
    spoiled = capture.points.copy()
    bad = view.point_idxs[::25]
    spoiled[bad] = view.center + (spoiled[bad] - view.center) * 0.1
    assert (spoiled[bad] != capture.points[bad]).all()
    error = np.abs(interpolate_sparse_depth(view, spoiled).depth / clean.depth - 1)
    assert (error < 0.05).mean() > 0.97


def test_points_behind_the_camera_and_nan_are_ignored():
    capture = make_capture()
    view = replace(capture.views[1], point_idxs=np.zeros(0, np.int64))
    points = np.concatenate([capture.points, [[0.0, 0.0, -9.0], [np.nan, 0, 5], [np.inf, 1, 5]]])
    with_junk = interpolate_sparse_depth(view, points)
    without = interpolate_sparse_depth(view, capture.points)
    assert np.array_equal(with_junk.depth, without.depth)


def test_no_point_and_one_point():
    capture = make_capture()
    view = replace(capture.views[1], point_idxs=np.zeros(0, np.int64))
    assert interpolate_sparse_depth(view, np.zeros((0, 3))) is None
    assert interpolate_sparse_depth(view, np.array([[0.0, 0.0, -5.0]])) is None
    one = interpolate_sparse_depth(view, np.array([[0.0, 0.0, 5.0]]))
    assert not one.valid.any()
    assert np.unique(one.depth).size == 1
