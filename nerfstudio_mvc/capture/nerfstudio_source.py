"""A folder with transforms.json -> Capture, in the world of the original COLMAP model.

Owns the meaning of transforms.json: cameras, names, and the world. ns-process-data turns (`applied_transform`) and may
scale (`applied_scale`) COLMAP's world before it writes poses and `sparse_pc.ply`; both are undone here, so cameras,
the model beside them and the points are in one world. Signs of camera axes are `camera_axes`' business.

Sparse points come from the COLMAP model if its poses are those of transforms.json, with the views each point was seen
in; otherwise from `ply_file_path`, without them.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from colmap_io.model_folder import find_model
from colmap_io.records import Camera, Image, Model
from colmap_io.rotation import nearest_rotation
from nerfstudio_mvc.capture.camera_axes import colmap_from_nerfstudio
from nerfstudio_mvc.capture.checks import (
    check_all_posed,
    check_lens,
    check_names,
    check_pose,
    check_size,
    image_size,
)
from nerfstudio_mvc.capture.colmap_source import (
    IMAGE_FOLDERS,
    finite_points,
    point_rows,
    pose_of_image,
    read_model_or_refuse,
)
from nerfstudio_mvc.capture.image_files import IMAGE_SUFFIXES
from nerfstudio_mvc.capture.ply_points import read_ply_points
from nerfstudio_mvc.capture.views import Capture, View
from nerfstudio_mvc.errors import CaptureError

KIND = "nerfstudio"
TRANSFORMS_NAME = "transforms.json"

_PERSPECTIVE = frozenset(("OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL"))
_DISTORTION = ("k1", "k2", "k3", "k4", "p1", "p2")
_SAME_POSE = 1e-3
"""Largest difference of a rotation's entries, and of a centre over the scene's radius, between equal poses."""


@dataclass(frozen=True)
class _Fields:
    """A frame's fields, with the file's top level behind them."""

    frame: dict[str, Any]
    shared: dict[str, Any]
    place: str

    def get(self, key: str) -> Any:
        return self.frame.get(key, self.shared.get(key))

    def number(self, key: str, default: float | None = None) -> float:
        value = self.get(key)
        if value is None:
            if default is None:
                raise CaptureError(f"{self.place}: there is no {key}; add it to the frame or to the top of the file")
            return default
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise CaptureError(f"{self.place}: {key} is not a number; correct it")
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise CaptureError(f"{self.place}: {key} is {number}; correct the camera or estimate it again")
        return number


def load_nerfstudio(root: Path) -> Capture:
    """The capture in `root`, views in the order of the frames in its transforms.json.

    Raises:
        CaptureError: transforms.json is not valid, names a missing file, has a camera that cannot be used, or has none
            for some of the images in its folders.
    """
    path = root / TRANSFORMS_NAME
    transforms = _read_json(path)
    frames = transforms.get("frames")
    if not isinstance(frames, list) or not frames:
        raise CaptureError(f"{path}: it has no frames, so there are no images; process the photographs again")
    if not all(isinstance(frame, dict) for frame in frames):
        raise CaptureError(f"{path}: a frame is not an object with fields; correct the file")
    names = [_image_name(root, frame, index) for index, frame in enumerate(frames)]
    check_names(names, place=str(path))
    world = _applied_world(transforms, path)
    cameras: dict[Camera, Camera] = {}
    views = []
    for view_idx, (frame, name) in enumerate(zip(frames, names, strict=True)):
        fields = _Fields(frame, transforms, f"{path}: frame {name!r}")
        size = image_size(root / name)
        camera = _camera(fields, size)
        check_lens(camera, place=fields.place)
        check_size(camera, size, path=root / name)
        views.append(
            View(
                view_idx=view_idx,
                name=name,
                image_path=root / name,
                width=size[0],
                height=size[1],
                # Equal cameras share one id, in the order of their first use.
                camera=cameras.setdefault(camera, replace(camera, camera_id=len(cameras) + 1)),
                cam_from_world=_pose(fields, world),
            )
        )
    extra = [fields.get(key) for frame in frames for fields in (_Fields(frame, {}, ""),) for key in _SIDE_FILES]
    check_all_posed(views, root=root, other_files=[name for name in extra if isinstance(name, str)])
    return _with_points(root, transforms, frames, views, world)


_SIDE_FILES = ("mask_path", "depth_file_path")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        transforms = json.loads(path.read_bytes())
    except OSError as error:
        raise CaptureError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:160]
        raise CaptureError(f"{path}: not valid JSON ({reason}); correct it, or process the photographs again") from None
    if not isinstance(transforms, dict):
        raise CaptureError(f"{path}: not an object with fields; process the photographs again")
    return transforms


def _image_name(root: Path, frame: dict[str, Any], index: int) -> str:
    """POSIX path below `root` of a frame's image; endings that are left out, as some writers do, are found."""
    place = f"{root / TRANSFORMS_NAME}: frame {index}"
    file_path = frame.get("file_path")
    if not isinstance(file_path, str) or not file_path or "\0" in file_path:
        raise CaptureError(f"{place} has no file_path; add it or remove the frame")
    given = PurePosixPath(file_path.replace("\\", "/"))
    if given.is_absolute():
        try:
            given = PurePosixPath(Path(file_path).relative_to(root.absolute()).as_posix())
        except ValueError:
            raise CaptureError(
                f"{place}: {file_path!r} is not inside the capture folder; move the image there and name it anew"
            ) from None
    name = given.as_posix()
    if ".." in given.parts or (root / name).is_file():
        return name
    if given.suffix.lower() not in IMAGE_SUFFIXES:
        for suffix in (".png", ".jpg", ".jpeg", ".JPG", ".webp"):
            if (root / (name + suffix)).is_file():
                return name + suffix
    raise CaptureError(
        f"{place}: there is no image {root / name}; put it back or remove the frame from {TRANSFORMS_NAME}"
    )


def _applied_world(transforms: dict[str, Any], path: Path) -> np.ndarray:
    """The similarity that took the original world to that of the file. float64 [4, 4]"""
    world = np.eye(4)
    applied = transforms.get("applied_transform")
    if applied is not None:
        world[:3] = _matrix(applied, f"{path}: applied_transform")[:3]
    scale = _Fields({}, transforms, str(path)).number("applied_scale", 1.0)
    with np.errstate(over="ignore", invalid="ignore"):
        world[:3] *= scale
        size = np.cbrt(np.linalg.det(world[:3, :3]))
    if not (np.isfinite(world).all() and 1e-12 < size < 1e12):
        raise CaptureError(f"{path}: applied_transform or applied_scale cannot be undone; correct them")
    check_pose(_rigid(world, size), place=f"{path}: applied_transform")
    return world


def _matrix(value: Any, place: str) -> np.ndarray:
    """A 3x4 or 4x4 matrix as 4x4. float64 [4, 4]"""
    try:
        matrix = np.array(value, dtype=np.float64)
    except (ValueError, TypeError, OverflowError):
        matrix = np.zeros(0)
    if matrix.shape == (3, 4):
        matrix = np.vstack([matrix, (0.0, 0.0, 0.0, 1.0)])
    if matrix.shape != (4, 4):
        raise CaptureError(f"{place} is not a 4 x 4 matrix of numbers; correct it")
    return matrix


def _rigid(similarity: np.ndarray, scale: float) -> np.ndarray:
    rigid = similarity.copy()
    rigid[:3, :3] /= scale
    return rigid


def _pose(fields: _Fields, world: np.ndarray) -> np.ndarray:
    """cam_from_world of a frame in the original world. float64 [4, 4]"""
    pose = _matrix(fields.get("transform_matrix"), f"{fields.place}: transform_matrix")
    check_pose(pose, place=fields.place)
    size = np.cbrt(np.linalg.det(world[:3, :3]))
    # A frame's rotation was turned but not scaled, its centre both.
    original = np.eye(4)
    original[:3, :3] = nearest_rotation((world[:3, :3] / size).T @ pose[:3, :3])
    original[:3, 3] = np.linalg.solve(world[:3, :3], pose[:3, 3] - world[:3, 3])
    return colmap_from_nerfstudio(original)


def _camera(fields: _Fields, size: tuple[int, int]) -> Camera:
    """The frame's COLMAP camera, with camera_id 0."""
    width, height = fields.number("w", size[0]), fields.number("h", size[1])
    if not (width == int(width) and height == int(height) and width > 0 and height > 0):
        raise CaptureError(f"{fields.place}: impossible image size w {width:g}, h {height:g}; correct it")
    model = fields.get("camera_model") or "OPENCV"
    angle = fields.get("camera_angle_x")
    if fields.get("fl_x") is None and angle is not None:
        focal = width / 2 / math.tan(fields.number("camera_angle_x") / 2 or math.nan)
        center = (fields.number("cx", width / 2), fields.number("cy", height / 2))
    else:
        focal = fields.number("fl_x")
        center = (fields.number("cx"), fields.number("cy"))
    pinhole = (focal, fields.number("fl_y", focal), *center)
    k1, k2, k3, k4, p1, p2 = _distortion(fields)
    if model == "OPENCV_FISHEYE":
        name, params = model, (*pinhole, k1, k2, k3, k4)
    elif not isinstance(model, str) or model not in _PERSPECTIVE:
        raise CaptureError(
            f"{fields.place}: the camera model {model!r} is not supported; undistort the images to PINHOLE"
        )
    elif k4:
        raise CaptureError(f"{fields.place}: {model} with k4 is not supported; undistort the images to PINHOLE")
    elif k3:
        name, params = "FULL_OPENCV", (*pinhole, k1, k2, p1, p2, k3, 0.0, 0.0, 0.0)
    elif "PINHOLE" not in model or k1 or k2 or p1 or p2:
        name, params = "OPENCV", (*pinhole, k1, k2, p1, p2)
    else:
        name, params = "PINHOLE", pinhole
    return Camera(camera_id=0, model=name, width=int(width), height=int(height), params=params)


def _distortion(fields: _Fields) -> tuple[float, ...]:
    """(k1, k2, k3, k4, p1, p2), which is also the order of nerfstudio's `distortion_params`."""
    listed = fields.get("distortion_params")
    if listed is None:
        return tuple(fields.number(key, 0.0) for key in _DISTORTION)
    if not isinstance(listed, list) or len(listed) != len(_DISTORTION):
        raise CaptureError(f"{fields.place}: distortion_params must be the six numbers {', '.join(_DISTORTION)}")
    given = _Fields(dict(zip(_DISTORTION, listed, strict=True)), {}, fields.place)
    return tuple(given.number(key) for key in _DISTORTION)


def _with_points(
    root: Path, transforms: dict[str, Any], frames: list[dict[str, Any]], views: list[View], world: np.ndarray
) -> Capture:
    model_folder = find_model(root)
    if model_folder is not None:
        model = read_model_or_refuse(model_folder)
        images = _images_of_views(model, frames, views)
        if _same_world(views, images):
            rows = point_rows(model)
            views = [
                replace(view, point_idxs=rows[image.image_id]) if image is not None else view
                for view, image in zip(views, images, strict=True)
            ]
            return Capture(root, KIND, tuple(views), *finite_points(model))
    ply_file = transforms.get("ply_file_path")
    if ply_file is None:
        return Capture(root, KIND, tuple(views), np.zeros((0, 3)), np.zeros((0, 3), np.uint8))
    if not isinstance(ply_file, str) or "\0" in ply_file:
        raise CaptureError(f"{root / TRANSFORMS_NAME}: ply_file_path is not a path; correct it or take it out")
    points, colors = read_ply_points(root / ply_file)
    original = np.linalg.solve(world[:3, :3], (points - world[:3, 3]).T).T
    return Capture(root, KIND, tuple(views), original, colors)


def _images_of_views(model: Model, frames: list[dict[str, Any]], views: list[View]) -> list[Image | None]:
    """The model's image of each view, by `colmap_im_id` or else by name; None where it has none."""
    by_id = {image.image_id: image for image in model.images}
    by_name = {}
    for folder in reversed(IMAGE_FOLDERS):
        by_name |= {(PurePosixPath(folder) / image.name).as_posix(): image for image in model.images}
    images = []
    for frame, view in zip(frames, views, strict=True):
        image_id = frame.get("colmap_im_id")
        images.append(by_id.get(image_id) if isinstance(image_id, int) else by_name.get(view.name))
    return images


def _same_world(views: list[View], images: list[Image | None]) -> bool:
    """Whether the model's poses are those of the views: otherwise its points lie elsewhere than the cameras look."""
    pairs = [(view, image) for view, image in zip(views, images, strict=True) if image is not None]
    if not pairs:
        return False
    centers = np.stack([view.center for view, _ in pairs])
    radius = np.linalg.norm(centers - centers.mean(0), axis=1).max() or 1.0
    for view, image in pairs:
        pose = pose_of_image(image, place=view.name)
        center = -pose[:3, :3].T @ pose[:3, 3]
        turned = np.abs(pose[:3, :3] - view.cam_from_world[:3, :3]).max()
        if turned > _SAME_POSE or np.linalg.norm(center - view.center) > _SAME_POSE * radius:
            return False
    return True
