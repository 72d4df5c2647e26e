"""Coding order, nearest views and groups."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from colmap_io.records import Camera
from colmap_io.rotation import matrix_from_quaternion
from nerfstudio_mvc.capture.grouping import split_into_groups
from nerfstudio_mvc.capture.view_order import (
    ORDERS,
    camera_distances,
    coding_groups,
    coding_order,
    dissimilarities,
    nearest_coded,
    order_views,
    overlap_order,
    shared_points,
)
from nerfstudio_mvc.capture.views import Capture, View
from nerfstudio_mvc.errors import ShapeError

CAMERA = Camera(1, "PINHOLE", 8, 8, (8.0, 8.0, 4.0, 4.0))


def view_at(view_idx: int, center: np.ndarray, quaternion: np.ndarray) -> View:
    pose = np.eye(4)
    pose[:3, :3] = matrix_from_quaternion(quaternion)
    pose[:3, 3] = -pose[:3, :3] @ center
    return View(view_idx, f"{view_idx}.png", None, 8, 8, CAMERA, pose)


def random_views(count: int, seed: int = 0) -> list[View]:
    rng = np.random.default_rng(seed)
    return [view_at(idx, rng.normal(size=3), rng.normal(size=4)) for idx in range(count)]


def moved(views: list[View], *, scale: float, shift: np.ndarray) -> list[View]:
    """The same cameras in another world: x -> scale x + shift."""
    result = []
    for view in views:
        pose = view.cam_from_world.copy()
        pose[:3, 3] = -pose[:3, :3] @ (scale * view.center + shift)
        result.append(replace(view, cam_from_world=pose))
    return result


def test_distance_is_that_of_the_paper() -> None:
    """|| V_i V_j^-1 - I ||_F in a world whose farthest camera is 1 away from the cameras' mean."""
    views = random_views(6)
    centers = np.stack([view.center for view in views])
    middle = centers.mean(0)
    radius = np.linalg.norm(centers - middle, axis=1).max()
    unit = moved(views, scale=1 / radius, shift=-middle / radius)
    expected = [
        [np.linalg.norm(one.cam_from_world @ np.linalg.inv(other.cam_from_world) - np.eye(4)) for other in unit]
        for one in unit
    ]
    np.testing.assert_allclose(camera_distances(views), expected, atol=1e-7)


def test_order_does_not_depend_on_scale_or_origin() -> None:
    views = random_views(30)
    order = coding_order(views)
    assert sorted(order) == list(range(30))
    assert coding_order(moved(views, scale=1e4, shift=np.array([50.0, -3.0, 8.0]))) == order


def test_order_follows_a_path_that_was_shuffled() -> None:
    path = [view_at(idx, np.array([0.0, 0.1 * idx, 0.0]), np.array([1.0, 0.02 * idx, 0, 0])) for idx in range(12)]
    shuffled = np.random.default_rng(5).permutation(12)
    views = [path[idx] for idx in shuffled]
    start = int(np.flatnonzero(shuffled == 0)[0])
    assert [int(shuffled[position]) for position in coding_order(views, start=start)] == list(range(12))
    assert coding_order(views)[0] == 0


def test_equal_cameras_and_single_views() -> None:
    views = [view_at(idx, np.zeros(3), np.array([1.0, 0, 0, 0])) for idx in range(3)]
    assert coding_order(views) == [0, 1, 2]
    assert coding_order(views[:1]) == [0]
    with pytest.raises(ShapeError, match="view 1 of 1"):
        coding_order(views[:1], start=1)


def test_nearest_coded_views_come_nearest_first_and_later_first_among_equals() -> None:
    quaternion = np.array([1.0, 0, 0, 0])
    coded = [view_at(idx, np.array([x, 0.0, 0.0]), quaternion) for idx, x in enumerate((5.0, 1.0, -1.0, 3.0))]
    current = view_at(9, np.zeros(3), quaternion)
    assert nearest_coded(current, coded) == [2, 1]
    assert nearest_coded(current, coded, count=10) == [2, 1, 3, 0]
    assert nearest_coded(current, coded[:1]) == [0]
    assert nearest_coded(current, []) == []


def on_a_strip(shuffle: np.ndarray) -> list[View]:
    """Views along a strip of 30 points a step, each seeing 90 of them: two thirds and one third in common."""
    views = random_views(len(shuffle), seed=1)
    return [replace(view, point_idxs=30 * place + np.arange(90)) for view, place in zip(views, shuffle, strict=True)]


def test_shared_points_and_what_is_missing() -> None:
    views = on_a_strip(np.arange(4))
    # A point seen twice counts once, and order does not matter.
    views[0] = replace(views[0], point_idxs=np.concatenate([views[0].point_idxs[::-1], views[0].point_idxs[:7]]))
    assert shared_points(views).tolist() == [[90, 60, 30, 0], [60, 90, 60, 30], [30, 60, 90, 60], [0, 30, 60, 90]]
    views[3] = replace(views[3], point_idxs=np.arange(90, 130))
    missing = dissimilarities(views)
    assert missing[3, 2] == pytest.approx(0)  # the small view is all in the large one
    assert missing[2, 3] == pytest.approx(1 - 40 / 90)
    assert missing[0, 1] == pytest.approx(1 / 3)
    assert missing[0, 3] == pytest.approx(1 + camera_distances(views)[0, 3])
    assert (np.diag(missing) == 0).all()


def test_overlap_order_follows_the_scene_not_the_cameras() -> None:
    places = np.random.default_rng(3).permutation(12)
    views = on_a_strip(places)
    order = overlap_order(views, group_size=12)
    assert places[order].tolist() in (list(range(12)), list(range(11, -1, -1)))
    groups = split_into_groups(overlap_order(views, group_size=4), 4)
    assert [max(places[group]) - min(places[group]) for group in groups] == [3, 3, 3]  # each keeps together
    assert sorted(view_idx for group in groups for view_idx in group) == list(range(12))


def test_overlap_order_goes_by_cameras_where_points_are_unknown() -> None:
    path = [view_at(idx, np.array([0.0, 0.1 * idx**1.1, 0.0]), np.array([1.0, 0, 0, 0])) for idx in range(9)]
    assert overlap_order(path, group_size=16) == list(range(8, -1, -1))
    assert overlap_order(path[:1], group_size=16) == [0]


def test_orders_by_name() -> None:
    views = tuple(on_a_strip(np.array([3, 0, 2, 1])))
    found = {order: order_views(views, order, group_size=16) for order in ORDERS}
    assert all(sorted(order) == [0, 1, 2, 3] for order in found.values())
    assert found["file"] == [0, 1, 2, 3]
    assert found["distance"] == coding_order(views)
    assert found["overlap"] == overlap_order(views, group_size=16)
    assert order_views(views, "random", group_size=16) == found["random"]
    with pytest.raises(ShapeError, match="available: distance, overlap, file, random"):
        order_views(views, "size", group_size=16)


@pytest.mark.parametrize("order", ORDERS)
def test_views_without_geometry_have_groups_of_their_own(order: str) -> None:
    placed = on_a_strip(np.array([3, 0, 2, 1]))
    lens = replace(placed[0].camera, model="EUCM")
    views = [
        replace(placed[0], camera=None, cam_from_world=None),
        *placed[1:],
        replace(placed[0], view_idx=4, camera=lens),
        replace(placed[0], view_idx=5, camera=None, cam_from_world=None),
    ]
    capture = Capture(None, "colmap", tuple(views), np.zeros((0, 3)), np.zeros((0, 3), np.uint8))
    groups = coding_groups(capture, order, group_size=16)
    assert [sorted(group) for group in groups] == [[1, 2, 3], [0, 4, 5]]
    assert groups[1] == [0, 4, 5]
    assert nearest_coded(views[1], views[:1]) == []
    nobody = replace(capture, views=(views[0],))
    assert coding_groups(nobody, order, group_size=16) == [[0]]
    assert nobody.scene_radius == 1.0


def test_groups_are_balanced_runs_of_the_order() -> None:
    for count in range(1, 60):
        order = list(np.random.default_rng(count).permutation(count))
        for size in (1, 2, 3, 8, 16, 100):
            groups = split_into_groups(order, size)
            assert [view_idx for group in groups for view_idx in group] == order
            lengths = [len(group) for group in groups]
            assert max(lengths) - min(lengths) <= 1
            assert min(lengths) >= (1 if size == 1 or count == 1 else 2)
            assert max(lengths) <= max(1.5 * size + 1, 3)
    assert [len(group) for group in split_into_groups(range(17), 16)] == [17]
    assert [len(group) for group in split_into_groups(range(24), 16)] == [12, 12]
    assert split_into_groups([], 4) == []
    with pytest.raises(ShapeError, match="group size 0"):
        split_into_groups([0], 0)
