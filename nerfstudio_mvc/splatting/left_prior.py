"""The Gaussians that training leaves in a capture for compression to take its depth from.

Owns the folder `PRIOR_FOLDER` of a capture: what is written there, and whether it was trained with the cameras that the
capture has now. Training itself is nerfstudio's; what depth is made of the Gaussians is `prior`'s business.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from colmap_io.regular_files import read_regular
from nerfstudio_mvc.capture.views import PRIOR_FOLDER, Capture, View
from nerfstudio_mvc.errors import CaptureError, OutputError
from nerfstudio_mvc.splatting.gaussian_files import ply_of_gaussians
from nerfstudio_mvc.splatting.gaussians import Gaussians

GAUSSIANS_NAME, RECORD_NAME = "gaussians.ply", "prior.json"
VERSION = 1
_RECORD_LIMIT = 1 << 16


@dataclass(frozen=True)
class LeftPrior:
    """Gaussians that training left.

    Attributes:
        gaussians: a `.ply` file in the world of the capture.
        made_by: the training run and how far it had come, for people.
        fits: whether the capture has the cameras that they were trained with.
    """

    gaussians: Path
    made_by: str
    fits: bool


def fingerprint_of_cameras(views: Sequence[View]) -> str:
    """SHA-256 of names, intrinsics and poses of the views that have geometry."""
    digest = sha256()
    for view in sorted((view for view in views if view.has_geometry), key=lambda view: view.name):
        camera = view.camera
        words = (view.name, camera.model, camera.width, camera.height)
        digest.update("\0".join(map(str, words)).encode())
        digest.update(np.array(camera.params, "<f8").tobytes())
        digest.update(np.array(view.cam_from_world, "<f8").tobytes())
    return digest.hexdigest()


def write_left_prior(folder: Path, gaussians: Gaussians, *, cameras: str, made_by: str) -> Path:
    """Leave Gaussians in the capture `folder`; those left before are replaced.

    Args:
        gaussians: in the world of the capture; colour of degree 0 is kept.
        cameras: `fingerprint_of_cameras` of the capture.

    Returns:
        The folder they are in.

    Raises:
        OutputError: it cannot be written.
    """
    target = folder / PRIOR_FOLDER
    record = {"version": VERSION, "cameras": cameras, "made_by": made_by}
    try:
        target.mkdir(exist_ok=True)
        _replace(target / GAUSSIANS_NAME, ply_of_gaussians(gaussians))
        _replace(target / RECORD_NAME, json.dumps(record, indent=2).encode())
    except OSError as error:
        raise OutputError(
            f"{target}: cannot be written ({error.strerror}); give --gaussians to ns-mvc-compress"
        ) from None
    return target


def find_left_prior(capture: Capture) -> LeftPrior | None:
    """What training left in the folder of `capture`; None where there is nothing that could be used.

    Raises:
        CaptureError: the record of it is damaged, or cannot be read.
    """
    if capture.root is None or not (folder := capture.root / PRIOR_FOLDER).is_dir():
        return None
    path = folder / RECORD_NAME
    try:
        record = json.loads(read_regular(path, limit=_RECORD_LIMIT))
        if record["version"] != VERSION:
            raise ValueError("it is of another version")
        cameras, made_by = str(record["cameras"]), str(record["made_by"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CaptureError(f"{path}: unusable ({error}); train again, or remove {folder}") from None
    return LeftPrior(folder / GAUSSIANS_NAME, made_by, cameras == fingerprint_of_cameras(capture.views))


def _replace(path: Path, content: bytes) -> None:
    beside = path.with_name(f".{path.name}.part")
    beside.write_bytes(content)
    os.replace(beside, path)
