"""What kind of folder it is: chooses the source that reads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from colmap_io.camera_estimation import estimate_cameras
from colmap_io.model_folder import find_models
from nerfstudio_mvc.capture.coded_photographs import CodedPhotograph, PhotographFiles
from nerfstudio_mvc.capture.colmap_source import load_colmap
from nerfstudio_mvc.capture.damaged_pictures import damaged_pictures
from nerfstudio_mvc.capture.nerfstudio_source import find_transforms, load_nerfstudio
from nerfstudio_mvc.capture.photo_source import EstimateCameras, load_photographs
from nerfstudio_mvc.capture.polycam_source import find_polycam, load_polycam
from nerfstudio_mvc.capture.views import Capture
from nerfstudio_mvc.errors import CaptureError


def load_capture(
    root: Path,
    *,
    colmap_model: Path | None = None,
    coded: Mapping[str, CodedPhotograph] | None = None,
    estimate_cameras: EstimateCameras = estimate_cameras,
    whole_pictures: bool = False,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> Capture:
    """Read a capture folder: by its transforms.json, a COLMAP model, Polycam's cameras, or else as bare photographs.

    Blender's transforms_train.json and the like stand for transforms.json. Headers of the images are read, and pictures
    only where it must be found out what they are, or `whole_pictures` asks for it.

    Args:
        root: the folder.
        colmap_model: folder of the COLMAP model to take, below `root`; the one with most images when None.
        coded: photographs without an image file, as of `PhotographFiles`.
        estimate_cameras: for bare photographs; with pycolmap by default.
        whole_pictures: decode every photograph once, so that damaged ones are found now; those without a camera are
            then carried as the files they are.
        on_progress: called with (stage, done, total) while that is done or cameras are estimated.

    Raises:
        CaptureError: the folder does not hold a usable capture; says what to do about it.
    """
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "there is no such folder"
        raise CaptureError(f"{root}: {what}; give the folder that holds the photographs")
    files = PhotographFiles(root, coded or {})

    def look(pictures: Mapping[str, Path]) -> dict[str, CaptureError]:
        own = {name: path for name, path in pictures.items() if name not in files.coded}
        return damaged_pictures(own, whole=whole_pictures, on_progress=on_progress)

    models = find_models(root)
    if colmap_model is not None:
        chosen = root / colmap_model
        if not any((chosen / f"cameras{suffix}").is_file() for suffix in (".bin", ".txt")):
            raise CaptureError(f"{chosen}: there is no COLMAP model; give its folder, for instance sparse/1")
        models = [chosen, *(folder for folder in models if folder.resolve() != chosen.resolve())]
    elif transforms := find_transforms(root):
        return load_nerfstudio(files, transforms, look)
    if models:
        return load_colmap(files, models, look)
    if polycam := find_polycam(root):
        return load_polycam(root, polycam, look)
    return load_photographs(files, look, estimate_cameras=estimate_cameras, on_progress=on_progress)
