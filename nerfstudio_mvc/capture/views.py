"""What is being compressed: photographs, their cameras and the sparse points, as plain NumPy.

Reading folders is the business of the modules called `.._source`; this module only defines the nouns.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from colmap_io.camera_models import CAMERA_MODELS, UNSUPPORTED_LENSES
from colmap_io.records import Camera
from nerfstudio_mvc.coded import Substream

PRIOR_FOLDER = "mvc_prior"
"""Of a capture: where `ns-train mvc-splatfacto` leaves its Gaussians; no part of what is compressed."""


@dataclass(frozen=True)
class View:
    """One photograph and, where it is known, the camera that took it.

    Attributes:
        view_idx: contiguous, from 0, in capture order.
        name: POSIX path of the photograph relative to the capture folder, e.g. ``"images/frame_00001.jpg"``.
        image_path: where the photograph lies on this machine; None once a capture is read back from an archive.
        width, height: size in pixels of the array `image_files.read_image` returns for it.
        camera: COLMAP camera (model name, width, height, float64 parameters), for the pixels of that array; of another
            model where COLMAP has none like it. None where the photograph was not placed.
        cam_from_world: world-to-camera, COLMAP axes (x right, y down, z forward); None with `camera`. float64 [4, 4]
        point_idxs: rows of `Capture.points` this view sees; empty where unknown. int64 [K]
        source_bytes: of the photograph's own file, where `image_path` is one in which it is coded; else None.
    """

    view_idx: int
    name: str
    image_path: Path | None
    width: int
    height: int
    camera: Camera | None
    cam_from_world: np.ndarray | None
    point_idxs: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    source_bytes: int | None = None

    @property
    def has_geometry(self) -> bool:
        """Whether points can be projected into it: it has a pose, and a camera of a model that we project."""
        return (
            self.camera is not None
            and self.cam_from_world is not None
            and self.camera.model in CAMERA_MODELS
            and self.camera.model not in UNSUPPORTED_LENSES
        )

    @property
    def center(self) -> np.ndarray:
        """Camera centre in world units, of a view with a pose. float64 [3]"""
        assert self.cam_from_world is not None, f"{self.name} has no pose"
        rotation, translation = self.cam_from_world[:3, :3], self.cam_from_world[:3, 3]
        return -rotation.T @ translation


@dataclass(frozen=True)
class SourceView:
    """One view to encode.

    Attributes:
        view: camera and size (its `image_path` is not read by a codec).
        pixels: 8-bit RGB. uint8 [H, W, 3]; [0, 0, 3] of a view that is coded already
        coded: the strings of such a view; only codecs take them that code every view by itself.
        depth: z-depth on the pixel grid of the photograph, lens distortion included, at any lower resolution,
            world units; None where there is no prior. float32 [h, w]
        depth_valid: where `depth` was seen rather than filled in. bool [h, w]
        file: the photograph's file, for codecs that keep it.
    """

    view: View
    pixels: np.ndarray
    depth: np.ndarray | None = None
    depth_valid: np.ndarray | None = None
    file: bytes | None = None
    coded: tuple[Substream, ...] = ()


@dataclass(frozen=True)
class SmallerCopies:
    """A folder like images_2 whose pictures are photographs of the folder beside it, reduced.

    Attributes:
        folder: POSIX path of the folder, e.g. ``"images_2"``.
        source: the folder of the photographs, e.g. ``"images"``.
        copies: path of the photograph -> path of its copy, below the capture folder.
        sizes: width and height of each copy, in the order of `copies`.
        sha256: path of the photograph -> SHA-256 of its file when they were compared.
    """

    folder: str
    source: str
    copies: Mapping[str, str]
    sizes: tuple[tuple[int, int], ...]
    sha256: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Capture:
    """Photographs of one scene, and what is known of the scene.

    Attributes:
        root: the folder; None once a capture is read back from an archive.
        kind: ``"nerfstudio"``, ``"colmap"``, ``"polycam"`` or ``"photographs"``.
        views: in capture order; ``views[i].view_idx == i``.
        points: sparse points in the world of the cameras; may be empty. float64 [P, 3]
        point_colors: RGB. uint8 [P, 3]
        smaller_copies: pictures of the folder that are its photographs, reduced.
        named_files: what its transforms.json names besides photographs (masks, depth, points): path below the capture
            folder -> where it lies on this machine.
        written_paths: path as transforms.json has it -> path below the capture folder, where the one does not lead to
            the other by itself: absolute paths, and those out of the folder.
        notes: what its user should be told, one sentence each.
    """

    root: Path | None
    kind: str
    views: tuple[View, ...]
    points: np.ndarray
    point_colors: np.ndarray
    smaller_copies: tuple[SmallerCopies, ...] = ()
    named_files: Mapping[str, Path] = field(default_factory=dict)
    written_paths: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @cached_property
    def scene_radius(self) -> float:
        """1.1 times the largest distance of a camera centre from their mean, world units; 1.0 when all coincide."""
        centers = np.stack([view.center for view in self.views if view.has_geometry] or [np.zeros(3)])
        radius = 1.1 * float(np.linalg.norm(centers - centers.mean(0), axis=1).max())
        return radius if radius > 1e-9 else 1.0


def by_size(views: Sequence[View]) -> dict[tuple[int, int], list[View]]:
    """Views by (width, height), in their order: those of one size can be frames of one video."""
    found: dict[tuple[int, int], list[View]] = {}
    for view in views:
        found.setdefault((view.width, view.height), []).append(view)
    return found


def needed_by_size(views: Sequence[View], wanted: Collection[int] | None) -> dict[tuple[int, int], list[View]]:
    """Of each size, the views up to the last one whose view_idx is wanted, where one is (None: all): what has to be
    decoded when views of one size are frames of one video."""
    found = {}
    for size, members in by_size(views).items():
        last = max((at for at, view in enumerate(members) if wanted is None or view.view_idx in wanted), default=-1)
        if last >= 0:
            found[size] = members[: last + 1]
    return found
