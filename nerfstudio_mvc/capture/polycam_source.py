"""Polycam's raw export (a folder `keyframes` of pictures, and a JSON file of each with its camera) -> Capture.

As nerfstudio's `ns-process-data polycam` reads it: the corrected pictures where there are some, poses with z up. Then
pictures that are not corrected lie in another world, and those without a JSON file in none: both are photographs
without a camera. Depth, confidence and meshes are other files. What a camera has to be is `nerfstudio_source`'s
business.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from nerfstudio_mvc.capture.checks import check_names, image_size, images_in
from nerfstudio_mvc.capture.coded_photographs import PhotographFiles
from nerfstudio_mvc.capture.damaged_pictures import Look, headers_alone, refuse_damaged
from nerfstudio_mvc.capture.nerfstudio_source import Fields, Frame, read_json, views_of_frames
from nerfstudio_mvc.capture.unposed import geometry_note
from nerfstudio_mvc.capture.views import Capture, View

KIND = "polycam"
FOLDERS = (
    ("keyframes/corrected_images", "keyframes/corrected_cameras"),
    ("keyframes/images", "keyframes/cameras"),
)
"""Pictures, and their cameras; the first of which both are there is taken."""
_ROWS = (2, 0, 1)
"""Of the pose's rows x, y (up), z, in the order that makes z point up."""


def find_polycam(root: Path) -> tuple[str, str] | None:
    """The folders of pictures and cameras of an export in `root`; None where there is none."""
    return next((pair for pair in FOLDERS if (root / pair[0]).is_dir() and any((root / pair[1]).glob("*.json"))), None)


def load_polycam(root: Path, folders: tuple[str, str], look: Look = headers_alone) -> Capture:
    """The capture in `root`; views in the order of their names, those without a camera last.

    Args:
        folders: from `find_polycam`.
        look: finds the photographs that cannot be read.

    Raises:
        CaptureError: a photograph or the file of its camera cannot be read or makes no sense.
    """
    pictures, cameras = folders
    files = {path.relative_to(root).as_posix(): path for path in images_in(root / pictures)}
    others = {
        path.relative_to(root).as_posix(): path
        for folder, _ in FOLDERS
        if folder != pictures and (root / folder).is_dir()
        for path in images_in(root / folder)
    }
    check_names([*files, *others], place=str(root))
    refuse_damaged(root, files | others, look)
    frames = [
        _frame(name, camera)
        for name, path in files.items()
        if (camera := root / cameras / f"{path.stem}.json").is_file()
    ]
    views = views_of_frames(frames, files, PhotographFiles(root))
    placed = {view.name for view in views}
    for name, path in (files | others).items():
        if name not in placed:
            views.append(View(len(views), name, path, *image_size(path), None, None))
    return Capture(
        root=root,
        kind=KIND,
        views=tuple(views),
        points=np.zeros((0, 3)),
        point_colors=np.zeros((0, 3), np.uint8),
        notes=geometry_note(views),
    )


def _frame(name: str, path: Path) -> Frame:
    told = Fields(read_json(path), {}, str(path))
    pose = [[told.number(f"t_{row}{column}") for column in range(4)] for row in _ROWS]
    camera = {"fl_x": "fx", "fl_y": "fy", "cx": "cx", "cy": "cy", "w": "width", "h": "height"}
    fields = {key: told.number(own) for key, own in camera.items()} | {"transform_matrix": pose}
    return Frame(replace(told, frame=fields), path, np.eye(4), name, name)
