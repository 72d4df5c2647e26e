"""A folder of bare photographs -> Capture, with cameras estimated by whoever is given as `estimate_cameras`."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Protocol

from colmap_io.errors import ModelError
from colmap_io.records import Model
from nerfstudio_mvc.capture.checks import check_names, image_size, is_image_name
from nerfstudio_mvc.capture.colmap_source import capture_of_model
from nerfstudio_mvc.capture.image_files import read_image, write_image
from nerfstudio_mvc.capture.views import Capture
from nerfstudio_mvc.errors import CaptureError

KIND = "photographs"
_NO_PHOTOGRAPHS = re.compile(r"images_\d+|(masks?|depths?)(_\d+)?", re.IGNORECASE)
"""Folders beside photographs that hold smaller copies, masks or depth."""

_READ_BY_COLMAP = frozenset((".jpg", ".jpeg", ".png", ".bmp"))

Progress = Callable[[str, int, int], None]


class EstimateCameras(Protocol):
    """What `colmap_io.camera_estimation.estimate_cameras` does."""

    def __call__(
        self,
        folder: Path,
        names: Sequence[str],
        *,
        sizes: Sequence[tuple[int, int]],
        on_progress: Progress | None = None,
    ) -> Model: ...


def load_photographs(root: Path, *, estimate_cameras: EstimateCameras, on_progress: Progress | None = None) -> Capture:
    """The capture made of all photographs at and below `root`, in the order of their names.

    Raises:
        CaptureError: no photograph, an unreadable one, or cameras that cannot be estimated.
    """
    names = find_photographs(root)
    check_names(names, place=str(root))
    sizes = [image_size(root / name) for name in names]
    with tempfile.TemporaryDirectory(prefix="photographs-") as scratch:
        folder, name_of = _readable_by_colmap(root, names, Path(scratch))
        try:
            model = estimate_cameras(folder, list(name_of), sizes=sizes, on_progress=on_progress)
        except ModelError as error:
            # What was called otherwise, the user does not know.
            raise CaptureError(str(error).replace(str(folder), str(root))) from None
    return capture_of_model(
        root, model, names={image.image_id: name_of[image.name] for image in model.images}, kind=KIND
    )


def _readable_by_colmap(root: Path, names: Sequence[str], scratch: Path) -> tuple[Path, dict[str, str]]:
    """A folder of photographs COLMAP can read, and their names in it -> names below `root`, in the order of `names`.

    That is `root` itself, or, if there are other formats than JPEG, PNG and BMP, `scratch` with these as JPEG.
    """
    if all(PurePosixPath(name).suffix.lower() in _READ_BY_COLMAP for name in names):
        return root, {name: name for name in names}
    name_of = {}
    for name in names:
        plain = PurePosixPath(name).suffix.lower() in _READ_BY_COLMAP
        target = scratch / (name if plain else f"{name}.jpg")
        target.parent.mkdir(parents=True, exist_ok=True)
        if plain:
            shutil.copyfile(root / name, target)
        else:
            image = read_image(root / name)
            write_image(target, image.pixels, image.metadata)
        name_of[target.relative_to(scratch).as_posix()] = name
    return scratch, name_of


def find_photographs(root: Path) -> list[str]:
    """POSIX paths below `root` of its photographs, sorted; without hidden folders, masks, depth and smaller copies."""
    found = []
    for folder, subfolders, files in os.walk(root):
        subfolders[:] = [
            name for name in subfolders if not name.startswith(".") and not _NO_PHOTOGRAPHS.fullmatch(name)
        ]
        found += [(Path(folder) / name).relative_to(root).as_posix() for name in files if is_image_name(name)]
    return sorted(found)
