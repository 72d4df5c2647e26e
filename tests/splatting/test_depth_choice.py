"""The map that predicts the neighbours is taken, whatever the exposure, and the first one where nothing speaks."""

import numpy as np
import pytest
import synthetic_scene as scene

from nerfstudio_mvc.splatting.depth_choice import choose_depth
from nerfstudio_mvc.splatting.fitting import TrainingView
from nerfstudio_mvc.splatting.median_depth import PinholeDepth
from nerfstudio_mvc.splatting.projection import PinholeCamera
from nerfstudio_mvc.splatting.workers import Workers

CENTERS = [(-0.5, 0.0, 0.0), (0.0, 0.1, 0.0), (0.5, 0.0, 0.0)]


@pytest.fixture(scope="module")
def scene_views():
    """Training views, the second twice as bright, and exact depth."""
    views, depths = [], []
    for index, center in enumerate(CENTERS):
        view = scene.look_at(index, center, size=(128, 96))
        picture = scene.picture(view)
        camera = PinholeCamera(view.cam_from_world, *view.camera.params, view.width, view.height)
        color = picture.color * 0.5 + (0.4 if index == 1 else 0.1)
        mask = np.ones(picture.depth.shape, np.float32)
        views.append(TrainingView(camera, np.round(color * 255).astype(np.uint8), mask))
        depths.append(PinholeDepth(picture.depth.astype(np.float32), np.ones(mask.shape, bool)))
    return views, depths


def spoiled(depth: PinholeDepth, columns: slice) -> PinholeDepth:
    wrong = depth.depth.copy()
    wrong[:, columns] *= 1.3
    return PinholeDepth(wrong, depth.seen)


def test_each_half_comes_from_the_map_that_is_right_there(scene_views):
    views, exact = scene_views
    left = [spoiled(depth, slice(0, 64)) for depth in exact]
    right = [spoiled(depth, slice(64, 128)) for depth in exact]
    with Workers(2) as workers:
        chosen = choose_depth(views, left, right, workers=workers)
        again = choose_depth(views, left, right, workers=workers)
    for found, repeated, depth in zip(chosen, again, exact, strict=True):
        wrong = np.abs(found.depth / depth.depth - 1) > 0.01
        assert wrong.mean() < 0.12  # a few pixels at the seam, and the borders no neighbour sees
        assert np.array_equal(found.depth, repeated.depth)


def test_equal_maps_and_lone_views_keep_the_first(scene_views):
    views, exact = scene_views
    other = [PinholeDepth(depth.depth.copy(), np.zeros(depth.seen.shape, bool)) for depth in exact]
    with Workers(1) as workers:
        same = choose_depth(views, exact, other, workers=workers)
        alone = choose_depth(views[:1], exact[:1], [spoiled(exact[0], slice(0, 64))], workers=workers)
    assert all(np.array_equal(found.depth, depth.depth) for found, depth in zip(same, exact, strict=True))
    assert all(found.seen.all() for found in same)
    assert np.array_equal(alone[0].depth, exact[0].depth)


def test_a_missing_map_is_replaced_by_the_other(scene_views):
    views, exact = scene_views
    with Workers(1) as workers:
        chosen = choose_depth(views, [None, exact[1], None], [exact[0], None, None], workers=workers)
    assert chosen[0] is exact[0]
    assert chosen[1] is exact[1]
    assert chosen[2] is None
