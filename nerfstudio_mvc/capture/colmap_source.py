"""A folder of images with a COLMAP sparse model -> Capture.

Reading the model's files is `colmap_io`'s business; this module finds the images and checks that both fit together.
`views_of_model` also serves models that never were a file, such as the one estimated for bare photographs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from colmap_io.errors import ModelError
from colmap_io.model_folder import image_count, read_model
from colmap_io.records import Image, Model
from colmap_io.rotation import pose_matrix
from nerfstudio_mvc.capture.checks import check_lens, check_names, check_size, listed, rigid_pose
from nerfstudio_mvc.capture.coded_photographs import PhotographFiles
from nerfstudio_mvc.capture.damaged_pictures import Look, headers_alone, refuse_damaged
from nerfstudio_mvc.capture.unposed import geometry_note, with_unposed
from nerfstudio_mvc.capture.views import Capture, View
from nerfstudio_mvc.errors import CaptureError

KIND = "colmap"
IMAGE_FOLDERS = ("images", ".", "input")
"""Where the images of a model lie below a capture folder; the first that holds one of them is taken."""


def load_colmap(files: PhotographFiles, model_folders: Sequence[Path], look: Look = headers_alone) -> Capture:
    """The capture of `files`; views in the order of their names, those without a camera last.

    Args:
        model_folders: sub-models; the first one is taken.
        look: finds the photographs that cannot be read.

    Raises:
        CaptureError: the model is damaged, or it and the images do not fit together.
    """
    root = files.root
    model_folder, *others = model_folders
    model = read_model_or_refuse(model_folder)
    check_names([image.name for image in model.images], place=str(model_folder))
    prefix = _image_prefix(files, model)
    names = {image.image_id: prefix + image.name for image in model.images}
    missing = sorted(name for name in names.values() if name not in files)
    if missing:
        raise CaptureError(
            f"{root}: the model in {model_folder} names images that are not there: {listed(missing)};"
            " put them back, or estimate the cameras again"
        )
    refuse_damaged(root, {name: files.path(name) for name in names.values()}, look)
    capture = capture_of_model(files, model, names=names, kind=KIND)
    views, copies, unreadable = with_unposed(files, capture.views, look)
    notes = (*_note_of_others(root, model_folder, others), *geometry_note(views), *unreadable)
    return replace(capture, views=tuple(views), smaller_copies=copies, notes=notes)


def _note_of_others(root: Path, taken: Path, others: Sequence[Path]) -> tuple[str, ...]:
    if not others:
        return ()
    shown = listed(f"{folder.relative_to(root).as_posix()} ({image_count(folder)} images)" for folder in others)
    return (
        f"{len(others) + 1} COLMAP models: cameras are those of {taken.relative_to(root).as_posix()} "
        f"({image_count(taken)} images), not those of {shown}; --colmap-model takes another one",
    )


def read_model_or_refuse(model_folder: Path) -> Model:
    """`read_model`, with its errors as ours.

    Raises:
        CaptureError: the model is damaged or incomplete.
    """
    try:
        return read_model(model_folder)
    except ModelError as error:
        raise CaptureError(f"{error}; put the model's files back, or estimate the cameras again") from None


def capture_of_model(files: PhotographFiles, model: Model, *, names: Mapping[int, str], kind: str) -> Capture:
    """The capture a model describes.

    Args:
        files: of the capture.
        model: its points become those of the capture, in the same order.
        names: image_id -> path of its image file below `root`.
        kind: see `Capture`.

    Raises:
        CaptureError: a camera or pose is unusable, or an image has another size than its camera.
    """
    cameras = {camera.camera_id: camera for camera in model.cameras}
    for camera_id in sorted({image.camera_id for image in model.images}):
        check_lens(cameras[camera_id], place=str(files.root))
    rows = point_rows(model)
    views = []
    for view_idx, image in enumerate(sorted(model.images, key=lambda image: names[image.image_id])):
        name, camera = names[image.image_id], cameras[image.camera_id]
        size = files.size(name)
        check_size(camera, size, path=files.path(name))
        views.append(
            View(
                view_idx=view_idx,
                name=name,
                image_path=files.path(name),
                width=size[0],
                height=size[1],
                camera=camera,
                cam_from_world=pose_of_image(image, place=f"{files.path(name)}"),
                point_idxs=rows[image.image_id],
                source_bytes=files.source_bytes(name),
            )
        )
    points, colors = finite_points(model)
    return Capture(root=files.root, kind=kind, views=tuple(views), points=points, point_colors=colors)


def pose_of_image(image: Image, *, place: str) -> np.ndarray:
    """cam_from_world of an image. float64 [4, 4]

    Raises:
        CaptureError: its quaternion is zero or a number is not finite.
    """
    norm = np.linalg.norm(image.quaternion)
    if not (np.isfinite(norm) and norm > 1e-12 and np.isfinite(image.translation).all()):
        raise CaptureError(
            f"{place}: its pose in the COLMAP model is singular or not finite; remove the image or redo its pose"
        )
    return rigid_pose(pose_matrix(image.quaternion, image.translation), place=place)[0]


def finite_points(model: Model) -> tuple[np.ndarray, np.ndarray]:
    """The model's points whose coordinates are finite, and their colours. float64 [P, 3], uint8 [P, 3]"""
    kept = np.isfinite(model.points.xyz).all(1)
    return model.points.xyz[kept], model.points.colors[kept]


def point_rows(model: Model) -> dict[int, np.ndarray]:
    """image_id -> rows of `finite_points` its key points belong to, ascending, each once. int64 [K]"""
    kept = np.isfinite(model.points.xyz).all(1)
    ids = model.points.ids[kept].astype(np.int64)
    order = np.argsort(ids, kind="stable")
    rows = {}
    for image in model.images:
        wanted = np.unique(image.point3d_ids[image.point3d_ids >= 0])
        position = np.searchsorted(ids[order], wanted)
        position, wanted = position[position < len(ids)], wanted[position < len(ids)]
        rows[image.image_id] = np.sort(order[position[ids[order][position] == wanted]])
    return rows


def _image_prefix(files: PhotographFiles, model: Model) -> str:
    for folder in IMAGE_FOLDERS:
        prefix = "" if folder == "." else f"{folder}/"
        if any(prefix + image.name in files for image in model.images):
            return prefix
    here = files.root
    raise CaptureError(f"{here}: none of the images of its COLMAP model is here; copy them to {here / 'images'}")
