"""What every source of captures must make sure of before a capture is used: names, sizes, poses, cameras.

Where the numbers come from is the business of the sources.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from colmap_io.camera_models import CAMERA_MODELS, UNSUPPORTED_LENSES, check_camera
from colmap_io.errors import ModelError
from colmap_io.records import Camera
from nerfstudio_mvc.capture.image_files import IMAGE_SUFFIXES, read_size
from nerfstudio_mvc.errors import CaptureError

ROTATION_SLACK = 1e-3
"""How far the rotation part of a pose may be from orthonormal: files with six digits pass, scaled axes do not."""


def listed(names: Iterable[str], limit: int = 6) -> str:
    """Up to `limit` names, and how many more there are."""
    names = list(names)
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"


def rigid_pose(pose: np.ndarray, *, place: str) -> tuple[np.ndarray, bool]:
    """The 4x4 `pose` without the scale that some engines put into its rotation; whether there was one.

    Raises:
        CaptureError: it is not finite, or no rotation and translation besides; names `place`.
    """
    if not np.isfinite(pose).all():
        raise CaptureError(
            f"{place}: the camera's pose has a number that is not finite; remove the photograph or redo its pose"
        )
    if np.abs(pose[3] - (0, 0, 0, 1)).max() > ROTATION_SLACK:
        raise CaptureError(f"{place}: the last row of the camera's pose is not 0 0 0 1; redo its pose")
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        scale = float(np.cbrt(np.linalg.det(pose[:3, :3])))
        rotation = pose[:3, :3] / scale
        deviation = np.nan_to_num(np.abs(rotation @ rotation.T - np.eye(3)), nan=np.inf).max()
    if deviation > ROTATION_SLACK or not scale > 0:
        raise CaptureError(
            f"{place}: the camera's pose is singular or no rotation (off by {deviation:.3g});"
            " remove the photograph or redo its pose"
        )
    if abs(scale - 1) <= ROTATION_SLACK:
        return pose, False
    rigid = pose.copy()
    rigid[:3, :3] = rotation
    return rigid, True


def check_names(names: Sequence[str], *, place: str) -> None:
    """Do nothing if there is a photograph, no name occurs twice, and all can be stored as they are.

    Raises:
        CaptureError: naming `place` and the photographs.
    """
    if not names:
        raise CaptureError(f"{place}: there are no images in it; give the folder that holds the photographs")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise CaptureError(f"{place}: named more than once: {listed(twice)}; keep one entry of each")
    for name in names:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
            raise CaptureError(
                f"{place}: {name!r} is not inside the capture folder; move the image there and name it anew"
            )


def check_lens(camera: Camera, *, place: str) -> None:
    """Do nothing if `camera` can project, or is of a model that nobody projects with here.

    Raises:
        CaptureError: naming `place`.
    """
    if camera.model not in CAMERA_MODELS or camera.model in UNSUPPORTED_LENSES:
        return
    try:
        check_camera(camera)
    except ModelError as error:
        raise CaptureError(f"{place}: {error}; correct the camera or estimate it again") from None


def image_size(path: Path) -> tuple[int, int]:
    """(width, height) of the image file, from its header.

    Raises:
        CaptureError: missing or unreadable.
    """
    width, height = read_size(path)
    if width < 1 or height < 1:
        raise CaptureError(f"{path}: the image has no pixels; remove it")
    return width, height


def check_size(camera: Camera, size: tuple[int, int], *, path: Path) -> None:
    """Do nothing if the camera was estimated for the pixels in the file.

    No camera is scaled to fit: the capture's own files would go on to say the other size.

    Raises:
        CaptureError: the sizes differ.
    """
    width, height = size
    if (camera.width, camera.height) == size:
        return
    if (camera.height, camera.width) == size:
        remedy = "the image was turned after its camera was estimated: turn it back, or estimate the cameras again"
    else:
        remedy = "put back the images the cameras were estimated for, or estimate the cameras again"
    raise CaptureError(
        f"{path}: the image is {width} x {height} and its camera {camera.width} x {camera.height}; {remedy}"
    )


def images_in(folder: Path) -> list[Path]:
    """Image files directly in `folder`, by their endings, in the order of their names."""
    return sorted(file for file in folder.iterdir() if is_image_name(file.name) and file.is_file())


def is_image_name(name: str) -> bool:
    """Whether a file of this name counts as a photograph: a known ending, and not hidden."""
    return not name.startswith(".") and PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES
