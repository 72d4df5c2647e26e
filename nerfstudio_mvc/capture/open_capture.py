"""What kind of folder it is: chooses the source that reads it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from colmap_io.camera_estimation import estimate_cameras
from colmap_io.model_folder import find_model
from nerfstudio_mvc.capture.colmap_source import load_colmap
from nerfstudio_mvc.capture.nerfstudio_source import TRANSFORMS_NAME, load_nerfstudio
from nerfstudio_mvc.capture.photo_source import EstimateCameras, load_photographs
from nerfstudio_mvc.capture.views import Capture
from nerfstudio_mvc.errors import CaptureError


def load_capture(
    root: Path,
    *,
    estimate_cameras: EstimateCameras = estimate_cameras,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> Capture:
    """Read a capture folder: transforms.json if there is one, else a COLMAP model, else bare photographs.

    Headers of the images are read, their pixels are not: damage there shows when they are coded.

    Args:
        root: the folder.
        estimate_cameras: for bare photographs; with pycolmap by default.
        on_progress: called with (stage, done, total) while cameras are estimated.

    Raises:
        CaptureError: the folder does not hold a usable capture; says what to do about it.
    """
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "there is no such folder"
        raise CaptureError(f"{root}: {what}; give the folder that holds the photographs")
    if (root / TRANSFORMS_NAME).is_file():
        return load_nerfstudio(root)
    model_folder = find_model(root)
    if model_folder is not None:
        return load_colmap(root, model_folder)
    return load_photographs(root, estimate_cameras=estimate_cameras, on_progress=on_progress)
