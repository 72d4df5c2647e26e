"""COLMAP's binary files, bytes to records and back; what was not edited is written back byte for byte.

Owns the layouts of cameras, images, points3D, rigs and frames `.bin` (little-endian, as in COLMAP's
`scene/reconstruction_io_binary.cc`). Works on bytes: which files a folder holds is `model_folder`'s business.

Every count is compared with the bytes that are left before anything is allocated, so hostile input costs no memory,
and whatever is wrong with it ends in a `ModelError`.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

from colmap_io.camera_models import CAMERA_MODELS, MODEL_OF_ID
from colmap_io.errors import ModelError
from colmap_io.records import Camera, Frame, FrameData, Image, Points3D, Rig, RigSensor

_COUNT = struct.Struct("<Q")
_CAMERA_HEAD = struct.Struct("<IiQQ")
_IMAGE_HEAD = struct.Struct("<I7dI")
_RIG_HEAD = struct.Struct("<II")
_SENSOR = struct.Struct("<iI")
_POSE = struct.Struct("<7d")
_FRAME_HEAD = struct.Struct("<II7dI")
_FRAME_DATA = struct.Struct("<iIQ")

_KEY_POINT = np.dtype([("xy", "<f8", 2), ("point3d_id", "<i8")])
_POINT_HEAD = np.dtype(
    [("id", "<u8"), ("xyz", "<f8", 3), ("color", "u1", 3), ("error", "<f8"), ("track_length", "<u8")]
)
_TRACK_ELEMENT = np.dtype([("image_id", "<u4"), ("point2d_idx", "<u4")])


class _Cursor:
    """A position in bytes that never moves past their end."""

    def __init__(self, data: bytes, file_name: str) -> None:
        self.data, self.file_name, self.offset = data, file_name, 0

    def require(self, size: int, what: str) -> None:
        left = len(self.data) - self.offset
        if size > left:
            raise ModelError(
                f"{self.file_name}: {what} at byte {self.offset} needs {size} bytes and {left} are left; "
                "the file is truncated or is not a COLMAP file"
            )

    def unpack(self, layout: struct.Struct, what: str) -> tuple:
        self.require(layout.size, what)
        values = layout.unpack_from(self.data, self.offset)
        self.offset += layout.size
        return values

    def count(self, smallest: int, what: str) -> int:
        """A count of items of at least `smallest` bytes each."""
        (count,) = self.unpack(_COUNT, f"the number of {what}")
        self.require(count * smallest, f"{count} {what}")
        return count

    def records(self, dtype: np.dtype, count: int, what: str) -> np.ndarray:
        self.require(count * dtype.itemsize, f"{count} {what}")
        records = np.frombuffer(self.data, dtype, count, self.offset)
        self.offset += count * dtype.itemsize
        return records

    def text(self, what: str) -> str:
        end = self.data.find(b"\0", self.offset)
        if end < 0:
            raise ModelError(f"{self.file_name}: {what} at byte {self.offset} has no end; the file is truncated")
        text = self.data[self.offset : end].decode("utf-8", "surrogateescape")
        self.offset = end + 1
        return text

    def finish(self) -> None:
        if self.offset != len(self.data):
            raise ModelError(f"{self.file_name}: {len(self.data) - self.offset} bytes follow the last record")


def read_cameras(data: bytes) -> tuple[Camera, ...]:
    """Cameras of a `cameras.bin`, in the order of the file.

    Raises:
        ModelError: truncated or overlong, or a camera model COLMAP 4.2 does not have.
    """
    cursor = _Cursor(data, "cameras.bin")
    cameras = []
    for _ in range(cursor.count(_CAMERA_HEAD.size, "cameras")):
        camera_id, model_id, width, height = cursor.unpack(_CAMERA_HEAD, "a camera")
        model = MODEL_OF_ID.get(model_id)
        if model is None:
            raise ModelError(f"cameras.bin: camera {camera_id} has the unknown camera model number {model_id}")
        params = cursor.records(np.dtype("<f8"), len(model.param_names), "camera parameters")
        cameras.append(Camera(camera_id, model.name, width, height, tuple(params.tolist())))
    cursor.finish()
    return tuple(cameras)


def write_cameras(cameras: Sequence[Camera]) -> bytes:
    """Bytes of a `cameras.bin`."""
    parts = [_COUNT.pack(len(cameras))]
    for camera in cameras:
        model = CAMERA_MODELS[camera.model]
        parts.append(_CAMERA_HEAD.pack(camera.camera_id, model.model_id, camera.width, camera.height))
        parts.append(np.array(camera.params, "<f8").tobytes())
    return b"".join(parts)


def read_images(data: bytes) -> tuple[Image, ...]:
    """Images of an `images.bin`, in the order of the file.

    Raises:
        ModelError: truncated or overlong.
    """
    cursor = _Cursor(data, "images.bin")
    images = []
    # Head, the end of an empty name, the count of key points.
    for _ in range(cursor.count(_IMAGE_HEAD.size + 1 + _COUNT.size, "images")):
        image_id, *pose, camera_id = cursor.unpack(_IMAGE_HEAD, "an image")
        name = cursor.text("the name of an image")
        key_points = cursor.records(_KEY_POINT, cursor.count(_KEY_POINT.itemsize, "key points"), "key points")
        images.append(
            Image(
                image_id=image_id,
                quaternion=np.array(pose[:4]),
                translation=np.array(pose[4:]),
                camera_id=camera_id,
                name=name,
                points2d=np.ascontiguousarray(key_points["xy"], np.float64),
                point3d_ids=np.ascontiguousarray(key_points["point3d_id"], np.int64),
            )
        )
    cursor.finish()
    return tuple(images)


def write_images(images: Sequence[Image]) -> bytes:
    """Bytes of an `images.bin`."""
    parts = [_COUNT.pack(len(images))]
    for image in images:
        parts.append(_IMAGE_HEAD.pack(image.image_id, *image.quaternion, *image.translation, image.camera_id))
        parts.append(image.name.encode("utf-8", "surrogateescape") + b"\0" + _COUNT.pack(len(image.points2d)))
        key_points = np.empty(len(image.points2d), _KEY_POINT)
        key_points["xy"], key_points["point3d_id"] = image.points2d, image.point3d_ids
        parts.append(key_points.tobytes())
    return b"".join(parts)


def read_points(data: bytes) -> Points3D:
    """Points of a `points3D.bin`, in the order of the file.

    Raises:
        ModelError: truncated or overlong.
    """
    cursor = _Cursor(data, "points3D.bin")
    count = cursor.count(_POINT_HEAD.itemsize, "points")
    # Where a record starts depends on all tracks before it, so this walk is the one loop over points.
    starts, lengths = np.empty(count, np.int64), np.empty(count, np.int64)
    length_field = _POINT_HEAD.itemsize - _COUNT.size
    end = len(data)
    offset = cursor.offset
    for row in range(count):
        starts[row] = cursor.offset = offset
        if offset + _POINT_HEAD.itemsize > end:
            cursor.require(_POINT_HEAD.itemsize, "a point")
        (length,) = _COUNT.unpack_from(data, offset + length_field)
        offset += _POINT_HEAD.itemsize
        if length * _TRACK_ELEMENT.itemsize > end - offset:
            cursor.offset = offset
            cursor.require(length * _TRACK_ELEMENT.itemsize, "a track")
        lengths[row] = length
        offset += length * _TRACK_ELEMENT.itemsize
    cursor.offset = offset
    cursor.finish()

    body = np.frombuffer(data, np.uint8, offset=_COUNT.size)
    is_head = _head_bytes(starts - _COUNT.size, len(body))
    heads = body[is_head].view(_POINT_HEAD)
    tracks = body[~is_head].view(_TRACK_ELEMENT)
    return Points3D(
        ids=np.ascontiguousarray(heads["id"], np.uint64),
        xyz=np.ascontiguousarray(heads["xyz"], np.float64),
        colors=np.ascontiguousarray(heads["color"]),
        errors=np.ascontiguousarray(heads["error"], np.float64),
        track_starts=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        track_image_ids=np.ascontiguousarray(tracks["image_id"], np.uint32),
        track_point2d_idxs=np.ascontiguousarray(tracks["point2d_idx"], np.uint32),
    )


def write_points(points: Points3D) -> bytes:
    """Bytes of a `points3D.bin`."""
    count = len(points)
    heads = np.empty(count, _POINT_HEAD)
    heads["id"], heads["xyz"], heads["color"], heads["error"] = points.ids, points.xyz, points.colors, points.errors
    heads["track_length"] = np.diff(points.track_starts)
    tracks = np.empty(len(points.track_image_ids), _TRACK_ELEMENT)
    tracks["image_id"], tracks["point2d_idx"] = points.track_image_ids, points.track_point2d_idxs
    starts = np.arange(count) * _POINT_HEAD.itemsize + points.track_starts[:-1] * _TRACK_ELEMENT.itemsize
    body = np.empty(heads.nbytes + tracks.nbytes, np.uint8)
    is_head = _head_bytes(starts, len(body))
    body[is_head] = np.frombuffer(heads.tobytes(), np.uint8)
    body[~is_head] = np.frombuffer(tracks.tobytes(), np.uint8)
    return _COUNT.pack(count) + body.tobytes()


def _head_bytes(starts: np.ndarray, size: int) -> np.ndarray:
    """True on the bytes of the point heads that begin at `starts`, False on tracks. bool [size]"""
    is_head = np.zeros(size, bool)
    is_head[(starts[:, None] + np.arange(_POINT_HEAD.itemsize)).reshape(-1)] = True
    return is_head


def read_rigs(data: bytes) -> tuple[Rig, ...]:
    """Rigs of a `rigs.bin`, in the order of the file.

    Raises:
        ModelError: truncated or overlong.
    """
    cursor = _Cursor(data, "rigs.bin")
    rigs = []
    for _ in range(cursor.count(_RIG_HEAD.size, "rigs")):
        rig_id, sensor_count = cursor.unpack(_RIG_HEAD, "a rig")
        cursor.require(sensor_count * _SENSOR.size, f"{sensor_count} sensors of rig {rig_id}")
        sensors = []
        for index in range(sensor_count):
            sensor_type, sensor_id = cursor.unpack(_SENSOR, "a sensor")
            pose = None
            if index > 0:
                (has_pose,) = cursor.unpack(struct.Struct("<B"), "a sensor")
                if has_pose > 1:
                    raise ModelError(f"rigs.bin: rig {rig_id}: a yes-or-no byte is {has_pose}; the file is damaged")
                pose = cursor.unpack(_POSE, "the pose of a sensor") if has_pose else None
            sensors.append(RigSensor(sensor_type, sensor_id, pose))
        rigs.append(Rig(rig_id, tuple(sensors)))
    cursor.finish()
    return tuple(rigs)


def write_rigs(rigs: Sequence[Rig]) -> bytes:
    """Bytes of a `rigs.bin`."""
    parts = [_COUNT.pack(len(rigs))]
    for rig in rigs:
        parts.append(_RIG_HEAD.pack(rig.rig_id, len(rig.sensors)))
        for index, sensor in enumerate(rig.sensors):
            parts.append(_SENSOR.pack(sensor.sensor_type, sensor.sensor_id))
            if index > 0:
                pose = sensor.sensor_from_rig
                parts.append(b"\0" if pose is None else b"\1" + _POSE.pack(*pose))
    return b"".join(parts)


def read_frames(data: bytes) -> tuple[Frame, ...]:
    """Frames of a `frames.bin`, in the order of the file.

    Raises:
        ModelError: truncated or overlong.
    """
    cursor = _Cursor(data, "frames.bin")
    frames = []
    for _ in range(cursor.count(_FRAME_HEAD.size, "frames")):
        frame_id, rig_id, *pose, data_count = cursor.unpack(_FRAME_HEAD, "a frame")
        cursor.require(data_count * _FRAME_DATA.size, f"{data_count} recordings of frame {frame_id}")
        recorded = tuple(FrameData(*cursor.unpack(_FRAME_DATA, "a recording")) for _ in range(data_count))
        frames.append(Frame(frame_id, rig_id, tuple(pose), recorded))
    cursor.finish()
    return tuple(frames)


def write_frames(frames: Sequence[Frame]) -> bytes:
    """Bytes of a `frames.bin`."""
    parts = [_COUNT.pack(len(frames))]
    for frame in frames:
        parts.append(_FRAME_HEAD.pack(frame.frame_id, frame.rig_id, *frame.rig_from_world, len(frame.data)))
        parts.extend(_FRAME_DATA.pack(item.sensor_type, item.sensor_id, item.data_id) for item in frame.data)
    return b"".join(parts)
