"""transforms.json made from stored cameras, for every camera model nerfstudio has a name for."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from colmap_io.camera_models import CAMERA_MODELS
from colmap_io.records import Camera
from nerfstudio_mvc.capture.open_capture import load_capture
from nerfstudio_mvc.capture.views import View
from nerfstudio_mvc.errors import ArchiveError
from nerfstudio_mvc.pipeline.restored_transforms import leads_elsewhere, transforms_of_views, with_restored_paths

PARAMETERS = {
    "SIMPLE_PINHOLE": (90.0, 40.0, 30.0),
    "PINHOLE": (90.0, 91.0, 40.0, 30.0),
    "SIMPLE_RADIAL": (90.0, 40.0, 30.0, 0.1),
    "RADIAL": (90.0, 40.0, 30.0, 0.1, 0.2),
    "OPENCV": (90.0, 91.0, 40.0, 30.0, 0.1, 0.2, 0.3, 0.4),
    "OPENCV_FISHEYE": (90.0, 91.0, 40.0, 30.0, 0.1, 0.2, 0.3, 0.4),
}

MODELS = {name: model for name, model in CAMERA_MODELS.items() if name != "EQUIRECTANGULAR"}


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


def test_lenses_of_different_models_share_one_where_that_holds() -> None:
    """A phone's two lenses: the plainer one gets coefficients of zero, which the dataparser takes from all or none."""
    transforms = made(
        view(0, "OPENCV", PARAMETERS["OPENCV"]),
        view(1, "SIMPLE_PINHOLE", (70.0, 30.0, 40.0), size=(60, 80)),
        view(2, "FULL_OPENCV", (90.0, 91.0, 40.0, 30.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.0, 0.0, 0.0)),
    )
    assert transforms["camera_model"] == "OPENCV"
    assert not any("camera_model" in frame for frame in transforms["frames"])
    found = [[frame[name] for name in ("k1", "k2", "k3", "p1", "p2")] for frame in transforms["frames"]]
    assert found == [[0.1, 0.2, 0.0, 0.3, 0.4], [0.0] * 5, [0.1, 0.2, 0.5, 0.3, 0.4]]


@pytest.mark.parametrize("model", ["SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE", "SIMPLE_FISHEYE", "FISHEYE"])
def test_fisheyes_are_opencvs_with_coefficients_of_zero(model: str) -> None:
    count = len(CAMERA_MODELS[model].param_names)
    head = (90.0, 40.0, 30.0) if "f" in CAMERA_MODELS[model].param_names else (90.0, 91.0, 40.0, 30.0)
    transforms = made(view(0, model, (*head, 0.1, 0.2)[:count]))
    assert transforms["camera_model"] == "OPENCV_FISHEYE"
    assert (transforms["k3"], transforms["k4"]) == (0.0, 0.0)


def test_models_that_exclude_each_other_stand_in_their_frames() -> None:
    views = (
        view(0, "OPENCV", PARAMETERS["OPENCV"]),
        view(1, "OPENCV_FISHEYE", PARAMETERS["OPENCV_FISHEYE"]),
        view(2, "OPENCV_FISHEYE", PARAMETERS["OPENCV_FISHEYE"]),
        view(3, "FULL_OPENCV", tuple(map(float, range(80, 92)))),
    )
    transforms, problem = transforms_of_views(views, names={v.view_idx: v.name for v in views})
    assert "FULL_OPENCV" in problem
    assert transforms["camera_model"] == "OPENCV_FISHEYE"
    assert [frame.get("camera_model") for frame in transforms["frames"]] == ["OPENCV", None, None, "FULL_OPENCV"]
    assert [transforms["frames"][3][name] for name in ("fl_x", "k3", "k6")] == [80.0, 88.0, 91.0]
    _, problem = transforms_of_views(views[:3], names={v.view_idx: v.name for v in views})
    assert "takes all cameras for OPENCV_FISHEYE" in problem


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    """Every model of COLMAP's and nerfstudio's own, each with its parameters: what goes out comes in again."""
    cameras = [
        (name, tuple(90.0 + 0.25 * at for at in range(len(model.param_names)))) for name, model in MODELS.items()
    ]
    cameras += [("nerfstudio:OPENCV", tuple(map(float, range(70, 80)))), ("nerfstudio:VR180_L", (9.0,) * 10)]
    names, views = {}, []
    for view_idx, (model, params) in enumerate(cameras):
        views.append(view(view_idx, model, params))
        (tmp_path / "images").mkdir(exist_ok=True)
        Image.new("RGB", (80, 60)).save(tmp_path / views[-1].name)
        names[view_idx] = views[-1].name
    transforms, _ = transforms_of_views(views, names=names)
    (tmp_path / "transforms.json").write_text(json.dumps(transforms))
    again, _ = transforms_of_views(load_capture(tmp_path).views, names=names)
    assert again == transforms


def test_views_without_a_camera_are_no_frames_and_points_are_named() -> None:
    placed = view(1, "PINHOLE", PARAMETERS["PINHOLE"])
    views = [replace(placed, view_idx=0, camera=None, cam_from_world=None), placed]
    transforms, _ = transforms_of_views(views, names={1: "images/1.jpg"}, ply_file_path="sparse_pc.ply")
    assert [frame["file_path"] for frame in transforms["frames"]] == ["images/1.jpg"]
    assert transforms["ply_file_path"] == "sparse_pc.ply"
    # Where it is not said, nerfstudio takes a COLMAP world for another.
    assert transforms["applied_transform"] == np.eye(4)[:3].tolist()


def test_paths_lead_to_the_restored_files() -> None:
    transforms = {
        "fl_x": 1.5,
        "ply_file_path": "/data/scan/points.ply",
        "frames": [
            {"file_path": "./images/a.jpg", "mask_path": "images/a.png", "transform_matrix": [[1]]},
            {"file_path": "images\\b.jpg", "layers": ["../more/b.exr"]},
            {"file_path": "images/c"},
            {"file_path": "/data/scan/images/d.jpg"},
        ],
        "train_filenames": ["images/a.jpg", "images\\b.jpg"],
    }
    written = {
        "/data/scan/points.ply": "points.ply",
        "images\\b.jpg": "images/b.jpg",
        "../more/b.exr": "outside/more/b.exr",
        "images/c": "images/c.jpg",
        "/data/scan/images/d.jpg": "images/d.jpg",
    }

    def restored(**renamed: str) -> dict:
        content = json.dumps(transforms).encode()
        names = {f"images/{name}.jpg": f"images/{new}" for name, new in renamed.items()}
        return json.loads(with_restored_paths(content, written_paths=written, renamed=names))

    kept = restored()
    assert [frame["file_path"] for frame in kept["frames"]] == [
        "./images/a.jpg",
        "images\\b.jpg",
        "images/c",
        "images/d.jpg",
    ]
    assert (kept["ply_file_path"], kept["frames"][1]["layers"]) == ("points.ply", ["outside/more/b.exr"])
    png = restored(a="a.jpg.png", b="b.png", c="c.png", d="d.png")
    names = ["images/a.jpg.png", "images/b.png", "images/c.png", "images/d.png"]
    assert [frame["file_path"] for frame in png["frames"]] == names
    assert png["frames"][0]["mask_path"] == "images/a.png"
    assert png["train_filenames"] == names[:2]
    assert png["fl_x"] == 1.5


@pytest.mark.parametrize("path", ["/a/b.jpg", "C:\\a\\b.jpg", "../b.jpg", "a/../../b.jpg", "\\a\\b.jpg"])
def test_paths_that_lead_out_of_the_folder(path: str) -> None:
    assert leads_elsewhere(path)
    assert not leads_elsewhere("a\\b.jpg")
    assert not leads_elsewhere("./a/b..jpg")


@pytest.mark.parametrize("content", [b"", b"[1]", b'{"frames": [3]}', b'{"frames": 7}', b"\xff", b"[" * 100_000])
def test_what_is_no_transforms_json_is_said(content: bytes) -> None:
    with pytest.raises(ArchiveError, match="--image-format keep"):
        with_restored_paths(content, written_paths={}, renamed={})
