"""transforms.json on the way back: made from the stored cameras, or with its photographs renamed.

Camera axes are `capture.camera_axes`'s business.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from colmap_io.records import Camera
from nerfstudio_mvc.capture.camera_axes import nerfstudio_from_colmap
from nerfstudio_mvc.capture.views import View
from nerfstudio_mvc.errors import ArchiveError

TRANSFORMS_NAME = "transforms.json"

# COLMAP camera model -> nerfstudio's name, and the names of its parameters in COLMAP's order.
_INTRINSICS = {
    "SIMPLE_PINHOLE": ("PINHOLE", ("f", "cx", "cy")),
    "PINHOLE": ("PINHOLE", ("fl_x", "fl_y", "cx", "cy")),
    "SIMPLE_RADIAL": ("OPENCV", ("f", "cx", "cy", "k1")),
    "RADIAL": ("OPENCV", ("f", "cx", "cy", "k1", "k2")),
    "OPENCV": ("OPENCV", ("fl_x", "fl_y", "cx", "cy", "k1", "k2", "p1", "p2")),
    "OPENCV_FISHEYE": ("OPENCV_FISHEYE", ("fl_x", "fl_y", "cx", "cy", "k1", "k2", "k3", "k4")),
}


def transforms_of_views(views: Sequence[View], *, names: Mapping[int, str]) -> tuple[dict[str, Any], str]:
    """A transforms.json for `views`, intrinsics per frame unless all agree.

    Args:
        views: with COLMAP cameras.
        names: view_idx -> path of the photograph, relative to the folder.

    Returns:
        The file's content; and why there is none, "" when there is one.
    """
    unknown = sorted({view.camera.model for view in views} - set(_INTRINSICS))
    if unknown:
        return {}, f"no {TRANSFORMS_NAME} is written: nerfstudio has no camera model like COLMAP's {', '.join(unknown)}"
    intrinsics = [_intrinsics(view.camera) for view in views]
    models = {camera_model for camera_model, _ in intrinsics}
    if len(models) > 1:
        return {}, f"no {TRANSFORMS_NAME} is written: it can hold one camera model, these views have {len(models)}"
    shared = all(values == intrinsics[0][1] for _, values in intrinsics)
    frames = []
    for view, (_, values) in zip(views, intrinsics, strict=True):
        frame: dict[str, Any] = {} if shared else dict(values)
        frame["file_path"] = names[view.view_idx]
        frame["transform_matrix"] = nerfstudio_from_colmap(view.cam_from_world).tolist()
        frames.append(frame)
    head = {"camera_model": models.pop(), **(intrinsics[0][1] if shared else {})}
    return {**head, "frames": frames}, ""


def renamed_transforms(content: bytes, names: Mapping[str, str]) -> bytes:
    """transforms.json with the photographs in it renamed: `names` maps old paths to new ones.

    Raises:
        ArchiveError: `content` is not a transforms.json.
    """
    try:
        transforms = json.loads(content)
        for frame in transforms["frames"]:
            old = str(PurePosixPath(frame["file_path"]))
            frame["file_path"] = names.get(old, frame["file_path"])
        for split in ("train_filenames", "val_filenames", "test_filenames"):
            if split in transforms:
                transforms[split] = [names.get(str(PurePosixPath(name)), name) for name in transforms[split]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ArchiveError(
            f"the attached {TRANSFORMS_NAME} cannot be read ({type(error).__name__}): restore it as it is, with "
            "--image-format keep"
        ) from error
    return json.dumps(transforms, indent=4).encode()


def _intrinsics(camera: Camera) -> tuple[str, dict[str, float]]:
    camera_model, parameter_names = _INTRINSICS[camera.model]
    values: dict[str, float] = {"w": camera.width, "h": camera.height}
    for name, value in zip(parameter_names, camera.params, strict=True):
        values.update({"fl_x": value, "fl_y": value} if name == "f" else {name: value})
    # The dataparser takes every coefficient from all frames or from none.
    for name in ("k1", "k2", "p1", "p2") if camera_model == "OPENCV" else ():
        values.setdefault(name, 0.0)
    return camera_model, values
