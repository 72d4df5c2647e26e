"""transforms.json made from stored cameras, for every camera model nerfstudio has a name for."""

from __future__ import annotations

import json

import numpy as np
import pytest

from colmap_io.records import Camera
from nerfstudio_mvc.capture.views import View
from nerfstudio_mvc.errors import ArchiveError
from nerfstudio_mvc.pipeline.restored_transforms import renamed_transforms, transforms_of_views

PARAMETERS = {
    "SIMPLE_PINHOLE": (90.0, 40.0, 30.0),
    "PINHOLE": (90.0, 91.0, 40.0, 30.0),
    "SIMPLE_RADIAL": (90.0, 40.0, 30.0, 0.1),
    "RADIAL": (90.0, 40.0, 30.0, 0.1, 0.2),
    "OPENCV": (90.0, 91.0, 40.0, 30.0, 0.1, 0.2, 0.3, 0.4),
    "OPENCV_FISHEYE": (90.0, 91.0, 40.0, 30.0, 0.1, 0.2, 0.3, 0.4),
}


def view(view_idx: int, model: str, params: tuple[float, ...], size: tuple[int, int] = (80, 60)) -> View:
    return View(view_idx, f"images/{view_idx}.jpg", None, *size, Camera(1, model, *size, params), np.eye(4))


def made(*views: View) -> dict:
    transforms, problem = transforms_of_views(views, names={v.view_idx: v.name for v in views})
    assert problem == ""
    return transforms


@pytest.mark.parametrize("model", PARAMETERS)
def test_every_parameter_arrives_under_its_name(model: str) -> None:
    transforms = made(view(0, model, PARAMETERS[model]))
    focal = (90.0, 90.0) if "SIMPLE" in model or model == "RADIAL" else (90.0, 91.0)
    assert (transforms["fl_x"], transforms["fl_y"], transforms["cx"], transforms["cy"]) == (*focal, 40.0, 30.0)
    given = PARAMETERS[model][4:] if "OPENCV" in model else PARAMETERS[model][3:]
    coefficients = {
        "OPENCV": ("k1", "k2", "p1", "p2"),
        "OPENCV_FISHEYE": ("k1", "k2", "k3", "k4"),
        "SIMPLE_RADIAL": ("k1",),
        "RADIAL": ("k1", "k2"),
    }.get(model, ())
    assert tuple(transforms[name] for name in coefficients) == (given if coefficients else ())
    assert (transforms["w"], transforms["h"]) == (80, 60)


def test_nerfstudio_axes_look_along_minus_z() -> None:
    # COLMAP's identity camera looks along +z with y down; nerfstudio's axes are x right, y up, z back.
    matrix = made(view(0, "PINHOLE", PARAMETERS["PINHOLE"]))["frames"][0]["transform_matrix"]
    np.testing.assert_array_equal(matrix, np.diag([1.0, -1.0, -1.0, 1.0]))


def test_different_cameras_go_into_the_frames() -> None:
    transforms = made(
        view(0, "PINHOLE", PARAMETERS["PINHOLE"]), view(1, "SIMPLE_PINHOLE", (70.0, 30.0, 40.0), size=(60, 80))
    )
    assert "fl_x" not in transforms
    assert [frame["fl_x"] for frame in transforms["frames"]] == [90.0, 70.0]
    assert [frame["w"] for frame in transforms["frames"]] == [80, 60]


def test_camera_without_a_name_there_is_said() -> None:
    views = (view(0, "FULL_OPENCV", (1.0,) * 12),)
    transforms, problem = transforms_of_views(views, names={0: "a.jpg"})
    assert transforms == {}
    assert "FULL_OPENCV" in problem
    mixed = (view(0, "OPENCV", PARAMETERS["OPENCV"]), view(1, "OPENCV_FISHEYE", PARAMETERS["OPENCV_FISHEYE"]))
    assert "one camera model" in transforms_of_views(mixed, names={0: "a.jpg", 1: "b.jpg"})[1]


def test_renaming_touches_names_only() -> None:
    transforms = {
        "fl_x": 1.5,
        "frames": [{"file_path": "./images/a.jpg", "transform_matrix": [[1]]}, {"file_path": "images/b.jpg"}],
        "train_filenames": ["images/a.jpg"],
    }
    names = {"images/a.jpg": "images/a.png", "images/b.jpg": "images/b.png"}
    renamed = json.loads(renamed_transforms(json.dumps(transforms).encode(), names))
    assert [frame["file_path"] for frame in renamed["frames"]] == ["images/a.png", "images/b.png"]
    assert renamed["train_filenames"] == ["images/a.png"]
    assert renamed["fl_x"] == 1.5


@pytest.mark.parametrize("content", [b"", b"[1]", b'{"frames": [3]}', b'{"frames": 7}', b"\xff", b"[" * 100_000])
def test_what_is_no_transforms_json_is_said(content: bytes) -> None:
    with pytest.raises(ArchiveError, match="--image-format keep"):
        renamed_transforms(content, {})
