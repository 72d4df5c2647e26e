"""The entry with the cameras: intrinsics and poses, float64, bit for bit what was written, in few bytes.

A rotation is stored as a quaternion in fixed point and the small integer differences between the matrix it gives and
the real one; both directions use the same float64 operations one at a time, so the matrix returns exactly. What a
camera model means is `colmap_io.camera_models`' business.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from colmap_io.camera_models import CAMERA_MODELS
from colmap_io.records import Camera
from nerfstudio_mvc.archive import layout
from nerfstudio_mvc.archive.byte_fields import FieldReader, text_field, unzigzag, varint, zigzag
from nerfstudio_mvc.archive.manifest import ViewEntry
from nerfstudio_mvc.capture.views import View
from nerfstudio_mvc.errors import CaptureError

POSE_RAW = 0
POSE_QUATERNION = 1  # + index of the component left out: 1..4

QUATERNION_SCALE = 2.0**55  # the three stored components are below 0.7072 in magnitude: 56 bits with the sign
MAX_RESIDUAL = 1 << 40  # past this the matrix is no rotation worth predicting


@dataclass(frozen=True)
class CameraTable:
    """Cameras as stored, and per view the row of its camera and its pose, float64 [4, 4]; None for one without."""

    cameras: tuple[Camera, ...]
    camera_rows: tuple[int | None, ...]
    cam_from_world: tuple[np.ndarray | None, ...]


def encode_cameras(views: Sequence[View]) -> bytes:
    """Cameras of all views.

    Raises:
        CaptureError: a pose is not a finite [4, 4] matrix with last row (0, 0, 0, 1), or a camera is out of limits.
    """
    rows: dict[Camera, int] = {}
    camera_rows = [None if view.camera is None else rows.setdefault(view.camera, len(rows)) for view in views]
    out = bytearray(layout.CAMERAS_MAGIC)
    out += varint(len(rows))
    for camera in rows:
        out += _encode_camera(camera)
    out += varint(len(views))
    for view, row in zip(views, camera_rows, strict=True):
        out += varint(0) if row is None else varint(row + 1) + _encode_pose(_checked_pose(view))
    return bytes(out)


def decode_cameras(data: bytes, *, view_count: int, what: str) -> CameraTable:
    """Inverse of `encode_cameras`; `what` names the entry in messages.

    Raises:
        ArchiveError: the bytes do not hold cameras for `view_count` views.
    """
    reader = FieldReader(data, what=what)
    if reader.take(len(layout.CAMERAS_MAGIC)) != layout.CAMERAS_MAGIC:
        raise reader.damaged("it does not start as a camera table")
    cameras = tuple(_decode_camera(reader) for _ in range(reader.varint(limit=min(layout.MAX_VIEWS, reader.remaining))))
    stored = reader.varint(limit=layout.MAX_VIEWS)
    if stored != view_count:
        raise reader.damaged(f"it has {stored} views, the manifest {view_count}")
    camera_rows: list[int | None] = []
    poses: list[np.ndarray | None] = []
    for _ in range(view_count):
        row = reader.varint(limit=len(cameras))
        camera_rows.append(row - 1 if row else None)
        poses.append(np.array([*_decode_pose(reader), [0.0, 0.0, 0.0, 1.0]]) if row else None)
    reader.finish()
    return CameraTable(cameras, tuple(camera_rows), tuple(poses))


def views_of_table(table: CameraTable, lines: Sequence[ViewEntry]) -> tuple[View, ...]:
    """Views as a reader gives them back: names and sizes from the manifest's lines, `image_path` None."""
    views = []
    for view_idx, (line, row) in enumerate(zip(lines, table.camera_rows, strict=True)):
        views.append(
            View(
                view_idx=view_idx,
                name=line.name,
                image_path=None,
                width=line.width,
                height=line.height,
                camera=None if row is None else table.cameras[row],
                cam_from_world=table.cam_from_world[view_idx],
            )
        )
    return tuple(views)


def _encode_camera(camera: Camera) -> bytes:
    if not 0 < camera.width <= layout.MAX_IMAGE_SIDE or not 0 < camera.height <= layout.MAX_IMAGE_SIDE:
        raise CaptureError(
            f"camera {camera.camera_id} is {camera.width}x{camera.height}; an archive holds sides of 1 to "
            f"{layout.MAX_IMAGE_SIDE} pixels: scale the photographs and their cameras down."
        )
    return (
        varint(zigzag(camera.camera_id))
        + text_field(camera.model)
        + varint(camera.width)
        + varint(camera.height)
        + varint(len(camera.params))
        + struct.pack(f"<{len(camera.params)}d", *camera.params)
    )


def _decode_camera(reader: FieldReader) -> Camera:
    camera_id = unzigzag(reader.varint(limit=2**64))
    model = reader.text(limit=64)
    width = reader.varint(limit=layout.MAX_IMAGE_SIDE)
    height = reader.varint(limit=layout.MAX_IMAGE_SIDE)
    count = reader.varint(limit=layout.MAX_CAMERA_PARAMETERS)
    params = struct.unpack(f"<{count}d", reader.take(8 * count))
    if not width or not height or not all(map(math.isfinite, params)):
        raise reader.damaged(f"camera {camera_id} has no size or parameters that are not finite")
    if model in CAMERA_MODELS and count != len(CAMERA_MODELS[model].param_names):
        raise reader.damaged(f"camera {camera_id} has {count} parameters, {model} another number")
    return Camera(camera_id=camera_id, model=model, width=width, height=height, params=params)


def _checked_pose(view: View) -> np.ndarray:
    pose = np.asarray(view.cam_from_world, dtype=np.float64)
    if pose.shape != (4, 4) or not np.isfinite(pose).all() or pose[3].tolist() != [0.0, 0.0, 0.0, 1.0]:
        raise CaptureError(
            f"{view.name}: its pose is not a finite 4x4 matrix ending in 0 0 0 1; correct or remove this view."
        )
    return pose[:3]


def _encode_pose(pose: np.ndarray) -> bytes:
    translation = struct.pack("<3d", *pose[:, 3].tolist())
    rotation = pose[:, :3].ravel().tolist()
    left_out, stored = _fixed_point_quaternion(rotation)
    guesses = _rotation(left_out, stored)
    residuals = [_ordered(real) - _ordered(guess) for real, guess in zip(rotation, guesses, strict=True)]
    if max(map(abs, residuals)) > MAX_RESIDUAL:
        return bytes([POSE_RAW]) + struct.pack("<9d", *rotation) + translation
    fixed = b"".join(value.to_bytes(7, "little", signed=True) for value in stored)
    small = b"".join(varint(zigzag(residual)) for residual in residuals)
    return bytes([POSE_QUATERNION + left_out]) + fixed + small + translation


def _decode_pose(reader: FieldReader) -> list[list[float]]:
    kind = reader.take(1)[0]
    if kind == POSE_RAW:
        rotation = list(struct.unpack("<9d", reader.take(72)))
    elif kind <= POSE_QUATERNION + 3:
        stored = [int.from_bytes(reader.take(7), "little", signed=True) for _ in range(3)]
        guesses = _rotation(kind - POSE_QUATERNION, stored)
        residuals = [unzigzag(reader.varint(limit=2 * MAX_RESIDUAL)) for _ in range(9)]
        rotation = [_from_ordered(_ordered(guess) + extra) for guess, extra in zip(guesses, residuals, strict=True)]
    else:
        raise reader.damaged(f"a pose of unknown kind {kind}")
    translation = struct.unpack("<3d", reader.take(24))
    if not all(map(math.isfinite, (*rotation, *translation))):
        raise reader.damaged("a pose with numbers that are not finite")
    return [[*rotation[3 * row : 3 * row + 3], translation[row]] for row in range(3)]


def _fixed_point_quaternion(rotation: list[float]) -> tuple[int, list[int]]:
    """The component left out (the largest; made positive) and the other three of wxyz, rounded to 2**-55."""
    r00, r01, r02, r10, r11, r12, r20, r21, r22 = rotation
    symmetric = np.array(
        [
            [r00 + r11 + r22, r21 - r12, r02 - r20, r10 - r01],
            [r21 - r12, r00 - r11 - r22, r10 + r01, r02 + r20],
            [r02 - r20, r10 + r01, r11 - r00 - r22, r21 + r12],
            [r10 - r01, r02 + r20, r21 + r12, r22 - r00 - r11],
        ]
    )
    # This is 4 q q^T minus the identity, q in wxyz: the row of its largest diagonal gives q without cancellation.
    left_out = int(np.argmax(np.diag(symmetric)))
    row = symmetric[left_out].copy()
    row[left_out] += 1.0
    norm = float(np.linalg.norm(row))
    row = row / norm if norm > 0 else np.eye(4)[left_out]
    others = [float(value) for component, value in enumerate(row) if component != left_out]
    limit = 2**55 - 1
    return left_out, [max(-limit, min(limit, round(value * QUATERNION_SCALE))) for value in others]


def _rotation(left_out: int, stored: Sequence[int]) -> list[float]:
    """Rotation matrix, row by row, of a fixed-point quaternion; the order of operations is part of the format."""
    a, b, c = (value / QUATERNION_SCALE for value in stored)
    largest = math.sqrt(max(0.0, 1.0 - (a * a + b * b + c * c)))
    components = [a, b, c]
    components.insert(left_out, largest)
    w, x, y, z = components
    return [
        1.0 - 2.0 * (y * y + z * z),
        2.0 * (x * y - w * z),
        2.0 * (x * z + w * y),
        2.0 * (x * y + w * z),
        1.0 - 2.0 * (x * x + z * z),
        2.0 * (y * z - w * x),
        2.0 * (x * z - w * y),
        2.0 * (y * z + w * x),
        1.0 - 2.0 * (x * x + y * y),
    ]


def _ordered(value: float) -> int:
    """Float64 bits as an integer that grows with the value; -0.0 keeps a number of its own."""
    bits = struct.unpack("<q", struct.pack("<d", value))[0]
    return bits if bits >= 0 else -(bits & 0x7FFF_FFFF_FFFF_FFFF) - 1


def _from_ordered(number: int) -> float:
    bits = number if number >= 0 else -(number + 1) - (1 << 63)
    if not -(1 << 63) <= bits < 1 << 63:
        return math.nan
    return struct.unpack("<d", struct.pack("<q", bits))[0]
