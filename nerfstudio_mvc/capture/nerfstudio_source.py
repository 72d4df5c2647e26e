"""A folder with transforms.json -> Capture, in the world of the original COLMAP model.

Owns the meaning of transforms.json: cameras, names, and the world. ns-process-data turns (`applied_transform`) and may
scale (`applied_scale`) COLMAP's world before it writes poses and `sparse_pc.ply`; both are undone here, so cameras,
the model beside them and the points are in one world. Signs of camera axes are `camera_axes`' business.

Sparse points come from the COLMAP model if its poses are those of transforms.json, with the views each point was seen
in; otherwise from `ply_file_path`, without them. Where neither can be had there are none: nothing else depends on them.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from colmap_io.camera_models import CAMERA_MODELS
from colmap_io.model_folder import find_models
from colmap_io.records import Camera, Image, Model
from colmap_io.regular_files import read_regular
from colmap_io.rotation import nearest_rotation
from nerfstudio_mvc.capture.camera_axes import colmap_from_nerfstudio
from nerfstudio_mvc.capture.checks import (
    check_lens,
    check_names,
    check_size,
    listed,
    rigid_pose,
)
from nerfstudio_mvc.capture.coded_photographs import PhotographFiles
from nerfstudio_mvc.capture.colmap_source import (
    IMAGE_FOLDERS,
    finite_points,
    point_rows,
    pose_of_image,
    read_model_or_refuse,
)
from nerfstudio_mvc.capture.damaged_pictures import Look, headers_alone, refuse_damaged
from nerfstudio_mvc.capture.ply_points import read_ply_points
from nerfstudio_mvc.capture.transforms_paths import NamedPaths, is_path_like, other_files_named
from nerfstudio_mvc.capture.unposed import geometry_note, with_unposed
from nerfstudio_mvc.capture.views import Capture, View
from nerfstudio_mvc.errors import CaptureError

KIND = "nerfstudio"
MAX_TRANSFORMS_BYTES = 256 << 20
MAX_FRAMES = 100_000
"""Of one file: as many views as an archive holds."""
_OBJECTS_PER_FRAME = 64
"""At most, and lists: a pose has five."""
TRANSFORMS_NAME = "transforms.json"
TRANSFORMS_FILE = re.compile(r"transforms(_train|_val|_test)?\.json")
SPLIT_NAMES = ("transforms_train.json", "transforms_val.json", "transforms_test.json")
NERFSTUDIO_LENS = "nerfstudio:"
"""Before the name of a camera model that is nerfstudio's alone; parameters fx, fy, cx, cy, k1, k2, k3, k4, p1, p2."""

_PERSPECTIVE = frozenset(("OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL"))
_DISTORTION = ("k1", "k2", "k3", "k4", "p1", "p2")
_SAME_POSE = 1e-3
"""Largest difference of a rotation's entries, and of a centre over the scene's radius, between equal poses."""


@dataclass(frozen=True)
class Fields:
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


def find_transforms(root: Path) -> list[Path]:
    """transforms.json in `root`, or else those of its splits, as Blender scenes have them; none may be there."""
    path = root / TRANSFORMS_NAME
    return [path] if path.is_file() else [split for split in map(root.joinpath, SPLIT_NAMES) if split.is_file()]


def load_nerfstudio(
    photographs: PhotographFiles, transforms_files: Sequence[Path], look: Look = headers_alone
) -> Capture:
    """The capture of `photographs`: views in the order of the frames in `transforms_files`, those without a camera last

    Raises:
        CaptureError: a file is not valid, names photographs that are missing, or has a camera that makes no sense.
    """
    root = photographs.root
    paths = NamedPaths(root, photographs.coded)
    frames: list[Frame] = []
    for path in transforms_files:
        frames += _frames(path, paths)
    missing = [frame.written for frame in frames if frame.name is None]
    if missing:
        raise CaptureError(
            f"{transforms_files[0]}: {len(missing)} of {len(frames)} images are not there: {listed(missing, 12)};"
            " put them back or remove their frames"
        )
    notes = []
    first = {frame.name: frame for frame in reversed(frames)}
    if len(first) < len(frames):
        twice = sorted({frame.written for frame in frames if first[frame.name] is not frame})
        notes.append(f"named more than once, the first camera counts: {listed(twice)}")
    frames = [frame for frame in frames if first[frame.name] is frame]
    check_names([frame.name for frame in frames], place=str(transforms_files[0]))
    files = {frame.name: paths.files[frame.name] for frame in frames}
    refuse_damaged(root, files, look)
    views = views_of_frames(frames, files, photographs)
    scaled = [frame.name for frame in frames if frame.scaled]
    if scaled:
        notes.append(f"the rotations of {len(scaled)} of {len(frames)} poses have a scale; they are used without it")
    others, gone = {}, []
    for text in (text for path in transforms_files for text in other_files_named(read_json(path))):
        name = paths.find(text)
        if name is None and is_path_like(text):
            gone.append(text)
        elif name is not None and name not in files:
            others[name] = paths.files[name]
    if gone:
        notes.append(f"{transforms_files[0].name} names files that are not there: {listed(sorted(set(gone)))}")
    all_views, copies, unreadable = with_unposed(photographs, views, look, named_files=others)
    points, problem = _points(root, frames[0], frames, views)
    if problem:
        notes.append(problem)
    all_views[: len(views)] = points.views
    notes += [*geometry_note(all_views), *unreadable]
    return Capture(
        root=root,
        kind=KIND,
        views=tuple(all_views),
        points=points.xyz,
        point_colors=points.colors,
        smaller_copies=copies,
        named_files=others,
        written_paths=paths.written,
        notes=tuple(notes),
    )


@dataclass
class Frame:
    """A frame of a transforms.json, with what stands at the top of that file, and the world of the file.

    Attributes:
        written: its file_path.
        name: path of its photograph in the archive; None where there is no file.
        scaled: its rotation had a scale.
    """

    fields: Fields
    path: Path
    world: np.ndarray
    written: str
    name: str | None
    scaled: bool = False


def _frames(path: Path, paths: NamedPaths) -> list[Frame]:
    transforms = read_json(path)
    frames = transforms.get("frames")
    if not isinstance(frames, list) or not frames:
        raise CaptureError(f"{path}: it has no frames, so there are no images; process the photographs again")
    if len(frames) > MAX_FRAMES:
        raise CaptureError(f"{path}: more frames than the {MAX_FRAMES} that are possible; split the capture")
    if not all(isinstance(frame, dict) for frame in frames):
        raise CaptureError(f"{path}: a frame is not an object with fields; correct the file")
    world = _applied_world(transforms, path)
    found = []
    for index, frame in enumerate(frames):
        written = frame.get("file_path")
        if not isinstance(written, str) or not written or "\0" in written:
            raise CaptureError(f"{path}: frame {index} has no file_path; add it or remove the frame")
        fields = Fields(frame, transforms, f"{path}: frame {written!r}")
        found.append(Frame(fields, path, world, written, paths.find(written, image=True)))
    return found


def views_of_frames(frames: Sequence[Frame], files: Mapping[str, Path], photographs: PhotographFiles) -> list[View]:
    """Views in the order of `frames`; `files` by their names.

    Raises:
        CaptureError: a camera makes no sense.
    """
    cameras: dict[Camera, Camera] = {}
    views = []
    for view_idx, frame in enumerate(frames):
        image_path = files[frame.name]
        size = photographs.size(frame.name, image_path)
        camera = _camera(frame.fields, size)
        check_lens(camera, place=frame.fields.place)
        check_size(camera, size, path=image_path)
        pose, frame.scaled = _pose(frame.fields, frame.world)
        views.append(
            View(
                view_idx=view_idx,
                name=frame.name,
                image_path=image_path,
                width=size[0],
                height=size[1],
                # Equal cameras share one id, in the order of their first use.
                camera=cameras.setdefault(camera, replace(camera, camera_id=len(cameras) + 1)),
                cam_from_world=pose,
                source_bytes=photographs.source_bytes(frame.name),
            )
        )
    return views


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; a CaptureError where there is none."""
    try:
        data = read_regular(path, limit=MAX_TRANSFORMS_BYTES)
        # Counted before they are parsed, which takes a hundred times as long and several times the file's room.
        if max(data.count(b'"file_path"'), (data.count(b"{") + data.count(b"[")) // _OBJECTS_PER_FRAME) > MAX_FRAMES:
            raise CaptureError(f"{path}: more frames than the {MAX_FRAMES} that are possible; split the capture")
        transforms = json.loads(data)
    except OSError as error:
        raise CaptureError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:160]
        raise CaptureError(f"{path}: not valid JSON ({reason}); correct it, or process the photographs again") from None
    if not isinstance(transforms, dict):
        raise CaptureError(f"{path}: not an object with fields; process the photographs again")
    return transforms


def _applied_world(transforms: dict[str, Any], path: Path) -> np.ndarray:
    """The similarity that took the original world to that of the file. float64 [4, 4]"""
    world = np.eye(4)
    applied = transforms.get("applied_transform")
    if applied is not None:
        world[:3] = _matrix(applied, f"{path}: applied_transform")[:3]
    scale = Fields({}, transforms, str(path)).number("applied_scale", 1.0)
    with np.errstate(over="ignore", invalid="ignore"):
        world[:3] *= scale
        size = np.cbrt(np.linalg.det(world[:3, :3]))
    if not (np.isfinite(world).all() and 1e-12 < size < 1e12):
        raise CaptureError(f"{path}: applied_transform or applied_scale cannot be undone; correct them")
    rigid_pose(world, place=f"{path}: applied_transform")
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


def _pose(fields: Fields, world: np.ndarray) -> tuple[np.ndarray, bool]:
    """cam_from_world of a frame in the original world, float64 [4, 4]; whether its rotation had a scale."""
    pose = _matrix(fields.get("transform_matrix"), f"{fields.place}: transform_matrix")
    pose, scaled = rigid_pose(pose, place=fields.place)
    size = np.cbrt(np.linalg.det(world[:3, :3]))
    # A frame's rotation was turned but not scaled, its centre both.
    original = np.eye(4)
    original[:3, :3] = nearest_rotation((world[:3, :3] / size).T @ pose[:3, :3])
    original[:3, 3] = np.linalg.solve(world[:3, :3], pose[:3, 3] - world[:3, 3])
    return colmap_from_nerfstudio(original), scaled


def _camera(fields: Fields, size: tuple[int, int]) -> Camera:
    """The frame's COLMAP camera, with camera_id 0."""
    width, height = fields.number("w", size[0]), fields.number("h", size[1])
    if not (width == int(width) and height == int(height) and width > 0 and height > 0):
        raise CaptureError(f"{fields.place}: impossible image size w {width:g}, h {height:g}; correct it")
    model = fields.get("camera_model") or "OPENCV"
    if not isinstance(model, str) or not model.isprintable() or len(model) > 40:
        raise CaptureError(f"{fields.place}: camera_model is no name; correct it")
    size_and_name = {"camera_id": 0, "width": int(width), "height": int(height)}
    known = CAMERA_MODELS.get(model)
    if known is not None and model not in (*_PERSPECTIVE, "OPENCV_FISHEYE", "EQUIRECTANGULAR"):
        # COLMAP's own, by its names for the parameters: as we write them.
        focal = {"f": "fl_x", "fx": "fl_x", "fy": "fl_y", "k": "k1"}
        params = tuple(fields.number(focal.get(name, name)) for name in known.param_names)
        return Camera(model=model, params=params, **size_and_name)
    lens_known = known is not None and model != "EQUIRECTANGULAR"
    angle = fields.get("camera_angle_x")
    if fields.get("fl_x") is None and angle is not None:
        focal_x = width / 2 / math.tan(fields.number("camera_angle_x") / 2 or math.nan)
        pinhole = (
            focal_x,
            fields.number("fl_y", focal_x),
            fields.number("cx", width / 2),
            fields.number("cy", height / 2),
        )
    else:
        usual = (None, None, None) if lens_known else (width / 2, width / 2, height / 2)
        focal_x = fields.number("fl_x", usual[0])
        pinhole = (
            focal_x,
            fields.number("fl_y", focal_x),
            fields.number("cx", usual[1]),
            fields.number("cy", usual[2]),
        )
    k1, k2, k3, k4, p1, p2 = _distortion(fields)
    if not lens_known or (k4 and model != "OPENCV_FISHEYE"):
        # No lens of COLMAP's: kept as it is, under a name that says whose it is.
        name, params = f"{NERFSTUDIO_LENS}{model}", (*pinhole, k1, k2, k3, k4, p1, p2)
    elif model == "OPENCV_FISHEYE":
        name, params = model, (*pinhole, k1, k2, k3, k4)
    elif k3:
        name, params = "FULL_OPENCV", (*pinhole, k1, k2, p1, p2, k3, 0.0, 0.0, 0.0)
    elif "PINHOLE" not in model or k1 or k2 or p1 or p2:
        name, params = "OPENCV", (*pinhole, k1, k2, p1, p2)
    else:
        name, params = "PINHOLE", pinhole
    return Camera(model=name, params=params, **size_and_name)


def _distortion(fields: Fields) -> tuple[float, ...]:
    """(k1, k2, k3, k4, p1, p2), which is also the order of nerfstudio's `distortion_params`."""
    listed = fields.get("distortion_params")
    if listed is None:
        return tuple(fields.number(key, 0.0) for key in _DISTORTION)
    if not isinstance(listed, list) or len(listed) != len(_DISTORTION):
        raise CaptureError(f"{fields.place}: distortion_params must be the six numbers {', '.join(_DISTORTION)}")
    given = Fields(dict(zip(_DISTORTION, listed, strict=True)), {}, fields.place)
    return tuple(given.number(key) for key in _DISTORTION)


@dataclass(frozen=True)
class _Points:
    """Sparse points in the original world, and the views with the rows that each sees."""

    xyz: np.ndarray
    colors: np.ndarray
    views: Sequence[View]


def _points(root: Path, first: Frame, frames: Sequence[Frame], views: Sequence[View]) -> tuple[_Points, str]:
    """The points, from the model whose poses the views have or else from the PLY file; what is wrong with them."""
    problem = ""
    for model_folder in find_models(root):
        try:
            model = read_model_or_refuse(model_folder)
            images = _images_of_views(model, [frame.fields.frame for frame in frames], views)
            same = _same_world(views, images)
        except CaptureError as error:
            problem = f"no points are taken from {model_folder.relative_to(root).as_posix()}: {error}"
            continue
        if same and len(model.points):
            rows = point_rows(model)
            seen = [
                replace(view, point_idxs=rows[image.image_id]) if image is not None else view
                for view, image in zip(views, images, strict=True)
            ]
            return _Points(*finite_points(model), seen), ""
    none = _Points(np.zeros((0, 3)), np.zeros((0, 3), np.uint8), views)
    ply_file = first.fields.shared.get("ply_file_path")
    paths = NamedPaths(root)
    name = paths.find(ply_file) if isinstance(ply_file, str) else None
    if name is None:
        return none, problem
    try:
        points, colors = read_ply_points(paths.files[name])
    except CaptureError as error:
        return none, f"no points: {error}"
    world = first.world
    original = np.linalg.solve(world[:3, :3], (points - world[:3, 3]).T).T
    return _Points(original, colors, views), problem


def _images_of_views(model: Model, frames: Sequence[dict[str, Any]], views: Sequence[View]) -> list[Image | None]:
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


def _same_world(views: Sequence[View], images: list[Image | None]) -> bool:
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
