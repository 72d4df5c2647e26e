"""A folder of bare photographs -> Capture, with cameras estimated by whoever is given as `estimate_cameras`."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Protocol

from colmap_io.errors import ModelError
from colmap_io.records import Model
from nerfstudio_mvc.capture.checks import check_names, image_size, is_image_name
from nerfstudio_mvc.capture.coded_photographs import PhotographFiles
from nerfstudio_mvc.capture.colmap_source import capture_of_model
from nerfstudio_mvc.capture.damaged_pictures import Look, headers_alone, refuse_damaged
from nerfstudio_mvc.capture.image_files import read_image, write_image
from nerfstudio_mvc.capture.smaller_copies import NUMBERED, find_smaller_copies
from nerfstudio_mvc.capture.unposed import geometry_note, is_other_picture
from nerfstudio_mvc.capture.views import Capture, SmallerCopies
from nerfstudio_mvc.errors import CaptureError

KIND = "photographs"
_NO_PHOTOGRAPHS = re.compile(r"(masks?|depths?)(_\d+)?", re.IGNORECASE)
"""Folders beside photographs that hold masks or depth."""

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


def no_cameras(
    folder: Path, names: Sequence[str], *, sizes: Sequence[tuple[int, int]], on_progress: Progress | None = None
) -> Model:
    """An `EstimateCameras` for those who need none."""
    return Model((), ())


def load_photographs(
    files: PhotographFiles,
    look: Look = headers_alone,
    *,
    estimate_cameras: EstimateCameras,
    on_progress: Progress | None = None,
) -> Capture:
    """The capture made of all photographs at and below a folder, in the order of their names.

    Those that no camera is found for come last.

    Raises:
        CaptureError: no photograph, an unreadable one, or no way to estimate cameras.
    """
    root = files.root
    names, copies = find_photographs(root, files.coded)
    check_names(names, place=str(root))
    refuse_damaged(root, {name: files.path(name) for name in names}, look)
    model = Model((), ())
    if estimate_cameras is not no_cameras:
        model = model_of_photographs(root, names, estimate_cameras=estimate_cameras, on_progress=on_progress)
    placed = {image.image_id: image.name for image in model.images}
    capture = capture_of_model(files, model, names=placed, kind=KIND)
    views = list(capture.views)
    for name in sorted(set(names) - set(placed.values())):
        views.append(files.unposed(len(views), name))
    notes: tuple[str, ...] = ()
    if estimate_cameras is not no_cameras:
        notes = geometry_note(views, why=", as they overlap too little with the others" if placed else "")
    return replace(capture, views=tuple(views), smaller_copies=copies, notes=notes)


def model_of_photographs(
    root: Path, names: Sequence[str], *, estimate_cameras: EstimateCameras, on_progress: Progress | None = None
) -> Model:
    """What `estimate_cameras` finds for photographs, whatever their format; its images are called as in `names`.

    Raises:
        CaptureError: no photograph, an unreadable one, or no way to estimate cameras.
    """
    check_names(names, place=str(root))
    sizes = [image_size(root / name) for name in names]
    with tempfile.TemporaryDirectory(prefix="photographs-") as scratch:
        try:
            folder, name_of = _readable_by_colmap(root, names, Path(scratch))
        except OSError as error:
            raise CaptureError(
                f"{scratch}: no photographs can be written there for COLMAP ({error.strerror}); let TMPDIR name "
                "a folder with room"
            ) from None
        try:
            model = estimate_cameras(folder, list(name_of), sizes=sizes, on_progress=on_progress)
        except ModelError as error:
            # What was called otherwise, the user does not know.
            raise CaptureError(str(error).replace(str(folder), str(root))) from None
    images = tuple(replace(image, name=name_of[image.name]) for image in model.images)
    return replace(model, images=images)


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


def find_photographs(root: Path, coded: Collection[str] = ()) -> tuple[list[str], tuple[SmallerCopies, ...]]:
    """POSIX paths below `root` of its photographs with those `coded`, sorted, and folders of smaller copies of them.

    Hidden folders, masks and depth are left out too.
    """
    found = [path.relative_to(root).as_posix() for path in files_with_photographs(root) if is_image_name(path.name)]
    found += coded
    stems = Counter(PurePosixPath(name).with_suffix("").as_posix() for name in found)
    names = sorted([name for name in found if not is_other_picture(name, stems=stems)] or found)
    first = [name for name in names if not any(NUMBERED.fullmatch(part) for part in PurePosixPath(name).parent.parts)]
    copies = find_smaller_copies(root, first)
    copied = {path for folder in copies for path in folder.copies.values()}
    return [name for name in names if name not in copied], copies


def files_with_photographs(root: Path) -> Iterator[Path]:
    """All files at and below `root`, but for those in hidden folders and in folders of masks and depth."""
    for folder, subfolders, files in os.walk(root):
        subfolders[:] = [
            name for name in subfolders if not name.startswith(".") and not _NO_PHOTOGRAPHS.fullmatch(name)
        ]
        yield from (Path(folder, name) for name in files)
