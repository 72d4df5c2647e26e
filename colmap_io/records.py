"""The nouns of a COLMAP sparse model, as frozen records over NumPy arrays.

Reading and writing them is the business of `binary_format` and `text_format`; what a camera's parameters mean is
that of `camera_models`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

NO_POINT = -1
"""Entry of `Image.point3d_ids` for a key point that belongs to no 3D point."""


@dataclass(frozen=True)
class Camera:
    """One physical camera.

    Attributes:
        model: COLMAP's model name, e.g. ``"OPENCV"``.
        width, height: pixels.
        params: in COLMAP's order for `model` (`camera_models.CAMERA_MODELS`); focal lengths and centre in pixels.
    """

    camera_id: int
    model: str
    width: int
    height: int
    params: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Image:
    """One posed photograph.

    Attributes:
        quaternion: rotation of cam_from_world, wxyz, as stored (not renormalised). float64 [4]
        translation: translation of cam_from_world, world units. float64 [3]
        name: path relative to the image folder; bytes that are not UTF-8 are kept as surrogate escapes.
        points2d: key points, (x, y) in pixels; the centre of the first pixel is (0.5, 0.5). float64 [K, 2]
        point3d_ids: the 3D point of each key point, or `NO_POINT`. int64 [K]
    """

    image_id: int
    quaternion: np.ndarray
    translation: np.ndarray
    camera_id: int
    name: str
    points2d: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    point3d_ids: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))


@dataclass(frozen=True, eq=False)
class Points3D:
    """All 3D points of a model, one row each, in the order of the file.

    The track of row i is ``track_image_ids[track_starts[i] : track_starts[i + 1]]`` with the matching
    ``track_point2d_idxs``.

    Attributes:
        ids: uint64 [P]
        xyz: world units. float64 [P, 3]
        colors: RGB. uint8 [P, 3]
        errors: mean reprojection error, pixels. float64 [P]
        track_starts: int64 [P + 1]
        track_image_ids, track_point2d_idxs: one entry per observation. uint32 [T]
    """

    ids: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint64))
    xyz: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))
    colors: np.ndarray = field(default_factory=lambda: np.zeros((0, 3), np.uint8))
    errors: np.ndarray = field(default_factory=lambda: np.zeros(0))
    track_starts: np.ndarray = field(default_factory=lambda: np.zeros(1, np.int64))
    track_image_ids: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint32))
    track_point2d_idxs: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint32))

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def track_rows(self) -> np.ndarray:
        """The row of the point each observation belongs to. int64 [T]"""
        return np.repeat(np.arange(len(self.ids)), np.diff(self.track_starts))


@dataclass(frozen=True)
class RigSensor:
    """A sensor of a rig and, except for the reference sensor, its pose.

    Attributes:
        sensor_type: COLMAP's number (0 camera, 1 inertial unit).
        sensor_id: for a camera, its camera_id.
        sensor_from_rig: (qw, qx, qy, qz, tx, ty, tz), or None where unknown or for the reference sensor.
    """

    sensor_type: int
    sensor_id: int
    sensor_from_rig: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Rig:
    """Sensors mounted together; the first one is the reference."""

    rig_id: int
    sensors: tuple[RigSensor, ...]


@dataclass(frozen=True)
class FrameData:
    """What one sensor recorded in a frame; for a camera `data_id` is an image_id."""

    sensor_type: int
    sensor_id: int
    data_id: int


@dataclass(frozen=True)
class Frame:
    """One moment of a rig: rig_from_world as (qw, qx, qy, qz, tx, ty, tz)."""

    frame_id: int
    rig_id: int
    rig_from_world: tuple[float, ...]
    data: tuple[FrameData, ...]


@dataclass(frozen=True)
class Model:
    """A whole sparse model; no points, and None for `rigs` and `frames`, where the folder has no such file."""

    cameras: tuple[Camera, ...]
    images: tuple[Image, ...]
    points: Points3D = field(default_factory=Points3D)
    rigs: tuple[Rig, ...] | None = None
    frames: tuple[Frame, ...] | None = None
