"""Cameras must come back bit for bit: the encoder codes with what the decoder will read."""

import dataclasses

import numpy as np
import pytest
from small_archive import make_views, random_rotation

from colmap_io.records import Camera
from nerfstudio_mvc.archive.camera_table import decode_cameras, encode_cameras
from nerfstudio_mvc.capture.views import View
from nerfstudio_mvc.errors import ArchiveError, CaptureError


def view_with_pose(cam_from_world):
    return View(0, "a.jpg", None, 8, 6, Camera(1, "PINHOLE", 8, 6, (5.0, 5.0, 4.0, 3.0)), cam_from_world)


def poses(kind):
    rng = np.random.default_rng(3)
    for _ in range(40):
        pose = np.eye(4)
        pose[:3, :3] = random_rotation(rng)
        pose[:3, 3] = rng.normal(size=3) * 1e3
        if kind == "inverted":
            pose = np.linalg.inv(pose)
            pose[3] = 0, 0, 0, 1
        if kind == "half turn":
            pose[:3, :3] = np.diag([[1, -1, -1], [-1, 1, -1], [-1, -1, 1]][rng.integers(3)])
        if kind == "scaled":
            pose[:3, :3] *= 1.7
        if kind == "mirrored":
            pose[:3, :3] *= -1
        if kind == "single precision":
            pose = pose.astype(np.float32).astype(np.float64)
        if kind == "signed zeros":
            pose[:3, :3] = np.diag([1.0, 1.0, 1.0]) * np.where(rng.integers(2, size=(3, 3)), 1.0, -1.0) ** 2
            pose[0, 1], pose[1, 0] = -0.0, 0.0
        if kind == "zero":
            pose[:3, :3] = 0.0
        yield pose


@pytest.mark.parametrize(
    "kind", ["plain", "inverted", "half turn", "scaled", "mirrored", "single precision", "signed zeros", "zero"]
)
def test_poses_return_bit_for_bit(kind):
    views = [view_with_pose(pose) for pose in poses(kind)]
    table = decode_cameras(encode_cameras(views), view_count=len(views), what="t")
    assert np.stack(table.cam_from_world).tobytes() == np.stack([view.cam_from_world for view in views]).tobytes()


def test_views_without_a_camera_stay_without():
    placed = make_views(None, 3)
    views = [placed[0], dataclasses.replace(placed[1], camera=None, cam_from_world=None), placed[2]]
    table = decode_cameras(encode_cameras(views), view_count=3, what="t")
    assert table.camera_rows == (0, None, 1)
    assert table.cam_from_world[1] is None
    nobody = [dataclasses.replace(view, camera=None, cam_from_world=None) for view in placed]
    assert decode_cameras(encode_cameras(nobody), view_count=3, what="t").camera_rows == (None,) * 3


def test_rotations_cost_less_than_their_nine_numbers():
    views = [view_with_pose(pose) for pose in poses("inverted")]
    one = len(encode_cameras(views[:1]))
    assert (len(encode_cameras(views)) - one) / (len(views) - 1) < 64


def test_equal_cameras_are_stored_once_and_keep_their_ids():
    views = make_views(None, 6)
    table = decode_cameras(encode_cameras(views), view_count=6, what="t")
    assert len(table.cameras) == 2
    assert [table.cameras[row] for row in table.camera_rows] == [view.camera for view in views]


@pytest.mark.parametrize("broken", [np.full((4, 4), np.nan), np.eye(3), np.diag([1.0, 1.0, 1.0, 2.0])])
def test_pose_that_is_none_is_refused(broken):
    with pytest.raises(CaptureError, match=r"a\.jpg"):
        encode_cameras([view_with_pose(broken)])


def test_camera_beyond_limits_is_refused():
    view = make_views(None, 1)[0]
    huge = dataclasses.replace(view, camera=dataclasses.replace(view.camera, width=70_000))
    with pytest.raises(CaptureError, match="70000"):
        encode_cameras([huge])


def test_every_cut_and_every_flip_ends_in_a_value_or_an_archive_error():
    data = encode_cameras(make_views(None, 3))
    for length in range(len(data)):
        with pytest.raises(ArchiveError):
            decode_cameras(data[:length], view_count=3, what="t")
    for position in range(len(data)):
        for flip in (0x01, 0x80, 0xFF):
            damaged = bytearray(data)
            damaged[position] ^= flip
            try:
                table = decode_cameras(bytes(damaged), view_count=3, what="t")
            except ArchiveError:
                continue
            assert all(np.isfinite(pose).all() for pose in table.cam_from_world if pose is not None)


def test_a_camera_with_fewer_parameters_than_its_model_is_refused():
    view = dataclasses.replace(view_with_pose(np.eye(4)), camera=Camera(1, "PINHOLE", 8, 6, (5.0,)))
    with pytest.raises(ArchiveError, match="PINHOLE"):
        decode_cameras(encode_cameras([view]), view_count=1, what="a")
