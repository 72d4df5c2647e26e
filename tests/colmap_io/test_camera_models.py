"""Projection and its inverse through every supported lens."""

from __future__ import annotations

import math
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from colmap_io.camera_models import (
    CAMERA_MODELS,
    MODEL_OF_ID,
    UNSUPPORTED_LENSES,
    check_camera,
    intrinsics,
    project,
    resize_camera,
    unproject,
)
from colmap_io.errors import ModelError
from colmap_io.records import Camera

VALUES = {"f": 900.0, "fx": 900.0, "fy": 880.0, "cx": 500.0, "cy": 370.0, "omega": 0.9}
VALUES |= {"k": -0.05, "k1": -0.24, "k2": 0.29, "k3": -0.02, "k4": 0.01, "k5": 0.02, "k6": -0.01}
VALUES |= {"p1": 0.0016, "p2": -0.0038, "sx1": 0.002, "sy1": -0.003}
FISHEYE_VALUES = VALUES | {"k": 0.02, "k1": 0.02, "k2": -0.01, "k3": 0.004, "k4": -0.001}
SUPPORTED = sorted(set(CAMERA_MODELS) - UNSUPPORTED_LENSES)


def example_camera(model: str) -> Camera:
    values = FISHEYE_VALUES if "FISHEYE" in model else VALUES
    return Camera(1, model, 1008, 757, tuple(values[name] for name in CAMERA_MODELS[model].param_names))


def loop_project(camera: Camera, point: tuple[float, float, float]) -> tuple[float, float]:
    """One point at a time, each model spelled out as COLMAP's documentation does."""
    values = dict(zip(CAMERA_MODELS[camera.model].param_names, camera.params, strict=True))
    fx, fy = values.get("fx", values.get("f")), values.get("fy", values.get("f"))
    x, y, z = point
    u, v = x / z, y / z
    if "FISHEYE" in camera.model:
        r = math.hypot(u, v)
        theta = math.atan(r)
        u, v = u * theta / r, v * theta / r
    r2 = u * u + v * v

    def get(name: str) -> float:
        return values.get(name, 0.0)

    if camera.model == "FOV":
        r = math.sqrt(r2)
        factor = math.atan(2 * r * math.tan(get("omega") / 2)) / (r * get("omega"))
        du, dv = u * factor, v * factor
    elif camera.model == "FULL_OPENCV":
        factor = (1 + get("k1") * r2 + get("k2") * r2**2 + get("k3") * r2**3) / (
            1 + get("k4") * r2 + get("k5") * r2**2 + get("k6") * r2**3
        )
        du, dv = u * factor, v * factor
    else:
        factor = 1 + (get("k") or get("k1")) * r2 + get("k2") * r2**2 + get("k3") * r2**3 + get("k4") * r2**4
        du, dv = u * factor, v * factor
    du += 2 * get("p1") * u * v + get("p2") * (r2 + 2 * u * u) + get("sx1") * r2
    dv += 2 * get("p2") * u * v + get("p1") * (r2 + 2 * v * v) + get("sy1") * r2
    return fx * du + values["cx"], fy * dv + values["cy"]


@pytest.mark.parametrize("model", SUPPORTED)
def test_project_agrees_with_a_loop_over_points(model: str) -> None:
    camera = example_camera(model)
    points = np.random.default_rng(0).normal(size=(50, 3)) * (0.25, 0.2, 0.1) + (0, 0, 1)
    xy, valid = project(camera, points)
    assert valid.all()
    expected = [loop_project(camera, tuple(point)) for point in points]
    np.testing.assert_allclose(xy, expected, atol=1e-9)  # 1e-9 px: rounding of coordinates near 1000 is 1e-13


@pytest.mark.parametrize("model", SUPPORTED)
def test_unproject_inverts_project(model: str) -> None:
    camera = example_camera(model)
    pixels = np.random.default_rng(1).uniform(0, 1, (400, 2)) * (camera.width, camera.height)
    normalized, valid = unproject(camera, pixels)
    assert valid.all()
    back, _ = project(camera, np.column_stack([normalized, np.ones(len(normalized))]) * 3.7)
    np.testing.assert_allclose(back, pixels, atol=1e-6)  # 1e-9 of a focal length of 900 px


def test_project_says_what_is_behind_the_camera() -> None:
    for model in ("PINHOLE", "OPENCV"):
        _, valid = project(example_camera(model), np.array([[0.1, 0, 1], [0.1, 0, -1], [0.1, 0, 0], [np.nan, 0, 1]]))
        assert valid.tolist() == [True, False, False, False]


def test_fisheye_sees_beside_itself_and_its_axis() -> None:
    camera = Camera(1, "OPENCV_FISHEYE", 1000, 1000, (300.0, 300.0, 500.0, 500.0, 0.0, 0.0, 0.0, 0.0))
    xy, valid = project(camera, np.array([[0.0, 0.0, 2.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]]))
    assert valid.tolist() == [True, True, False]
    np.testing.assert_allclose(xy[:2], [[500, 500], [500 + 300 * np.pi / 2, 500]], atol=1e-9)
    # A ray at a right angle to the axis never meets z = 1.
    assert not unproject(camera, xy[1:2])[1].any()


def test_points_beyond_the_fold_do_not_come_back_into_the_picture() -> None:
    """With k1 < 0 alone, u (1 + k1 u^2) turns round at u = 1 / sqrt(-3 k1); past it the formula is not a lens."""
    camera = Camera(1, "SIMPLE_RADIAL", 1000, 1000, (500.0, 500.0, 500.0, -0.3))
    fold = 1 / np.sqrt(0.9)
    _, valid = project(camera, np.array([[0.99 * fold, 0, 1], [1.01 * fold, 0, 1], [1.8, 0, 1]]))
    assert valid.tolist() == [True, False, False]
    edge = 500 + 500 * fold * (1 - 0.3 * fold**2)
    _, valid = unproject(camera, np.array([[edge - 1.0, 500.0], [edge + 1.0, 500.0], [np.inf, 500.0]]))
    assert valid.tolist() == [True, False, False]


def test_fov_lens_near_its_axis() -> None:
    camera = example_camera("FOV")
    offsets = np.array([[0.0, 0.0], [1e-7, 0.0], [1e-3, 0.0]])
    normalized, valid = unproject(camera, np.array([500.0, 370.0]) + offsets)
    assert valid.all()
    gain = 2 * np.tan(0.45) / 0.9
    np.testing.assert_allclose(normalized[:, 0], offsets[:, 0] / 900 / gain, rtol=1e-6, atol=1e-15)


@pytest.mark.parametrize(
    ("camera", "message"),
    [
        (Camera(4, "OPENCV", 10, 10, (1.0,) * 7), "8 parameters"),
        (Camera(4, "LENS", 10, 10, ()), "no camera model 'LENS'"),
        (Camera(4, "PINHOLE", 0, 10, (1.0, 1.0, 5.0, 5.0)), "image size 0 x 10"),
        (Camera(4, "PINHOLE", 10, 10, (1.0, math.nan, 5.0, 5.0)), "fy is nan"),
        (Camera(4, "SIMPLE_PINHOLE", 10, 10, (-2.0, 5.0, 5.0)), "f is -2"),
        (Camera(4, "EUCM", 10, 10, (1.0,) * 6), "not supported"),
    ],
)
def test_unusable_cameras_are_refused(camera: Camera, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        check_camera(camera)
    assert "camera 4" in str(caught.value)


def test_resized_camera_sees_the_same_rays() -> None:
    camera = example_camera("OPENCV")
    half = resize_camera(camera, width=504, height=757)
    pixels = np.array([[10.0, 20.0], [900.0, 700.0]])
    np.testing.assert_allclose(unproject(half, pixels * (0.5, 1))[0], unproject(camera, pixels)[0], atol=1e-12)
    assert intrinsics(half) == (450.0, 880.0, 250.0, 370.0)


AGAINST_PYCOLMAP = """
import numpy as np, pycolmap
from colmap_io.camera_models import CAMERA_MODELS, project
from colmap_io.records import Camera
for name, number in pycolmap.CameraModelId.__members__.items():
    if name == "INVALID":
        continue
    known = pycolmap.Camera.create_from_model_id(1, number, 100.0, 64, 48)
    assert CAMERA_MODELS[name].model_id == number.value, name
    assert ",".join(CAMERA_MODELS[name].param_names) == known.params_info.replace(" ", ""), name
for model, params in EXAMPLES:
    points = np.random.default_rng(2).normal(size=(200, 3)) * (0.3, 0.25, 0.1) + (0, 0, 1)
    theirs = pycolmap.Camera(model=model, width=1008, height=757, params=params).img_from_cam(points)
    ours, valid = project(Camera(1, model, 1008, 757, params), points)
    assert valid.all() and np.abs(ours - theirs).max() < 1e-9, model
"""


@pytest.mark.skipif(find_spec("pycolmap") is None, reason="pycolmap is not installed")
def test_models_are_those_of_pycolmap() -> None:
    """In a process of its own: pycolmap and Pillow must not share one."""
    examples = [(model, example_camera(model).params) for model in SUPPORTED]
    subprocess.run([sys.executable, "-c", f"EXAMPLES = {examples!r}\n{AGAINST_PYCOLMAP}"], check=True, timeout=120)
    assert len(MODEL_OF_ID) == len(CAMERA_MODELS)
