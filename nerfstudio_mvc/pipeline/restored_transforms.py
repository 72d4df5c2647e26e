"""transforms.json on the way back: made from the stored cameras, or with the paths in it led to the restored files.

Camera axes are `capture.camera_axes`'s business.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np

from colmap_io.camera_models import CAMERA_MODELS
from colmap_io.records import Camera
from nerfstudio_mvc.capture.camera_axes import nerfstudio_from_colmap
from nerfstudio_mvc.capture.nerfstudio_source import NERFSTUDIO_LENS
from nerfstudio_mvc.capture.views import View
from nerfstudio_mvc.errors import ArchiveError

TRANSFORMS_NAME = "transforms.json"

OTHER_COEFFICIENTS = ("k1", "k2", "k3", "k4", "p1", "p2")
"""Of cameras of nerfstudio's that COLMAP has no model for, behind fx, fy, cx, cy."""

# COLMAP's models that are nerfstudio's OPENCV or OPENCV_FISHEYE with coefficients of zero. All others keep their name.
_PERSPECTIVE = ("SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV")
_FISHEYE = ("OPENCV_FISHEYE", "SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE", "SIMPLE_FISHEYE", "FISHEYE")
_NERFSTUDIO = (*_PERSPECTIVE, "OPENCV_FISHEYE", "EQUIRECTANGULAR")
_RATIONAL = ("k4", "k5", "k6")  # of FULL_OPENCV; without them it is nerfstudio's OPENCV with k3
_NAMES = {"fx": "fl_x", "fy": "fl_y", "k": "k1"}
_NO_TRANSFORM = np.eye(3, 4)
"""Said aloud: where it is missing and there is a COLMAP model, nerfstudio takes the world for another."""
Z_UP = np.array([[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, -1.0, 0.0, 0.0]])
"""The world that ns-process-data writes, from COLMAP's, whose y often points down."""

# The dataparser takes every coefficient from all frames or from none.
_COEFFICIENTS = {"OPENCV": ("k1", "k2", "p1", "p2"), "OPENCV_FISHEYE": ("k1", "k2", "k3", "k4")}


def transforms_of_views(
    views: Sequence[View],
    *,
    names: Mapping[int, str],
    ply_file_path: str | None = None,
    applied_transform: np.ndarray = _NO_TRANSFORM,
) -> tuple[dict[str, Any], str]:
    """A transforms.json for the views that have a camera; intrinsics in the frames unless all agree.

    Args:
        views: with and without cameras.
        names: view_idx -> path of the photograph, relative to the folder.
        ply_file_path: the sparse points, in the world of the transforms.json.
        applied_transform: to that world from the one of the views. [3, 4]

    Returns:
        The file's content; and what nerfstudio will not read of it as it is meant, "" where that is nothing.
    """
    views = [view for view in views if view.camera is not None and view.cam_from_world is not None]
    intrinsics = [_intrinsics(view.camera) for view in views]
    camera_model = Counter(model for model, _ in intrinsics).most_common(1)[0][0]
    if len({model for model, _ in intrinsics}) == 1 and camera_model == "OPENCV":
        camera_model, intrinsics = _plainest(intrinsics)
    shared = all(line == intrinsics[0] for line in intrinsics)
    world = np.vstack((applied_transform, (0.0, 0.0, 0.0, 1.0)))
    frames = []
    for view, (model, values) in zip(views, intrinsics, strict=True):
        frame: dict[str, Any] = {} if shared else dict(values)
        if model != camera_model:
            frame["camera_model"] = model
        frame["file_path"] = names[view.view_idx]
        frame["transform_matrix"] = (world @ nerfstudio_from_colmap(view.cam_from_world)).tolist()
        frames.append(frame)
    head = {"camera_model": camera_model, **(intrinsics[0][1] if shared else {})}
    head["applied_transform"] = applied_transform.tolist()
    if ply_file_path is not None:
        head["ply_file_path"] = ply_file_path
    return {**head, "frames": frames}, _not_understood(camera_model, {model for model, _ in intrinsics})


def leads_elsewhere(written: str) -> bool:
    """Whether a path in a transforms.json leads out of the folder that the file lies in, on this or another system."""
    windows = PureWindowsPath(written)
    return bool(windows.drive or windows.root) or ".." in windows.parts


def with_restored_paths(
    content: bytes, *, written_paths: Mapping[str, str], renamed: Mapping[str, str], what: str = TRANSFORMS_NAME
) -> bytes:
    """A transforms.json that names the restored files.

    Args:
        content: of the file, called `what`.
        written_paths: path as it stands in the file -> path in the archive.
        renamed: path in the archive -> restored path, of photographs that are restored under another name.

    Raises:
        ArchiveError: `content` is not a transforms.json.
    """

    def restored(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: restored(item) for key, item in value.items()}
        if isinstance(value, list):
            return [restored(item) for item in value]
        if not isinstance(value, str):
            return value
        archived = written_paths.get(value) or PurePosixPath(value).as_posix()
        leads = archived in renamed or (value in written_paths and leads_elsewhere(value))
        return renamed.get(archived, archived) if leads else value

    try:
        transforms = json.loads(content)
        if not all(isinstance(frame, dict) for frame in transforms["frames"]):
            raise TypeError
        return json.dumps(restored(transforms), indent=4).encode()
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ArchiveError(
            f"the attached {what} cannot be read ({type(error).__name__}): restore it as it is, with "
            "--image-format keep"
        ) from error


def _intrinsics(camera: Camera) -> tuple[str, dict[str, float]]:
    """nerfstudio's camera model, and the intrinsics by its names."""
    values: dict[str, float] = {"w": camera.width, "h": camera.height}
    if camera.model == "EQUIRECTANGULAR":
        x, y = camera.width / 2, camera.height / 2
        return camera.model, values | {"fl_x": x, "fl_y": y, "cx": x, "cy": y}
    known = CAMERA_MODELS.get(camera.model)
    if known is None:
        values |= zip(("fl_x", "fl_y", "cx", "cy", *OTHER_COEFFICIENTS), camera.params, strict=False)
        return camera.model.removeprefix(NERFSTUDIO_LENS), values
    for name, value in zip(known.param_names, camera.params, strict=False):
        values |= {"fl_x": value, "fl_y": value} if name == "f" else {_NAMES.get(name, name): value}
    model = "OPENCV" if camera.model in _PERSPECTIVE else "OPENCV_FISHEYE" if camera.model in _FISHEYE else camera.model
    if model == "FULL_OPENCV" and not any(values[name] for name in _RATIONAL):
        model, values = "OPENCV", {name: value for name, value in values.items() if name not in _RATIONAL}
    for name in _COEFFICIENTS.get(model, ()):
        values.setdefault(name, 0.0)
    return model, values


def _plainest(intrinsics: list[tuple[str, dict[str, float]]]) -> tuple[str, list[tuple[str, dict[str, float]]]]:
    """PINHOLE without coefficients where no camera has any; every coefficient in all lines otherwise."""
    coefficients = {name for _, values in intrinsics for name in (*_COEFFICIENTS["OPENCV"], "k3") if name in values}
    if any(values.get(name) for _, values in intrinsics for name in coefficients):
        return "OPENCV", [("OPENCV", dict.fromkeys(sorted(coefficients), 0.0) | values) for _, values in intrinsics]
    plain = [{name: value for name, value in line.items() if name not in coefficients} for _, line in intrinsics]
    return "PINHOLE", [("PINHOLE", line) for line in plain]


def _not_understood(camera_model: str, models: Collection[str]) -> str:
    foreign = sorted(model for model in models if model in CAMERA_MODELS and model not in _NERFSTUDIO)
    if foreign:
        return f"{TRANSFORMS_NAME}: nerfstudio has no camera model like COLMAP's {', '.join(foreign)}"
    if len(models) > 1:
        return f"{TRANSFORMS_NAME}: nerfstudio takes all cameras for {camera_model}; frames with another model say so"
    return ""
