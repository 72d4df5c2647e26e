"""COLMAP's binary files as arrays and back, byte for byte: what `colmap_packing.py` packs.

Nothing is interpreted beyond the layout, and a file that does not fit it is None, not an error; reading models for
their meaning is `colmap_io`'s business.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

CAMERA_HEADER = struct.Struct("<IiQQ")
IMAGE_HEADER = struct.Struct("<I7dI")
COUNT = struct.Struct("<Q")
KEY_POINT = np.dtype([("x", "<f8"), ("y", "<f8"), ("id", "<i8")])
POINT = np.dtype([("id", "<u8"), ("xyz", "<f8", 3), ("rgb", "u1", 3), ("error", "<f8"), ("length", "<u8")])
LINK = np.dtype([("image", "<u4"), ("key_point", "<u4")])

PARAMETER_COUNTS = (3, 4, 4, 5, 8, 8, 12, 5, 4, 5, 12)
"""By COLMAP's number of the camera model."""
OPENCV_PLACES: dict[int, tuple[int, ...]] = {
    0: (0, 0, 1, 2),
    1: (0, 1, 2, 3),
    2: (0, 0, 1, 2, 3),
    3: (0, 0, 1, 2, 3, 4),
    4: (0, 1, 2, 3, 4, 5, 6, 7),
}
"""Models that are special cases of OPENCV: which of their parameters are fx, fy, cx, cy, k1, k2, p1, p2."""


@dataclass(frozen=True)
class CameraFile:
    """A cameras.bin: widths and heights, and by camera id the parameters as OPENCV's eight; NaN for other models."""

    sizes: frozenset[int]
    opencv: dict[int, np.ndarray]


@dataclass(frozen=True)
class ImageFile:
    """An images.bin.

    Attributes:
        headers: all its bytes but the key points.
        image_ids, camera_ids: int64 [I]
        poses: quaternion wxyz and translation, cam_from_world. float64 [I, 7]
        starts: first key point of each image, and their number at the end. int64 [I + 1]
        key_points: of all images. KEY_POINT [K]
    """

    headers: bytes
    image_ids: np.ndarray
    camera_ids: np.ndarray
    poses: np.ndarray
    starts: np.ndarray
    key_points: np.ndarray


@dataclass(frozen=True)
class PointFile:
    """A points3D.bin: POINT [P], and the links of all tracks one after the other. LINK [L]"""

    points: np.ndarray
    links: np.ndarray


@dataclass(frozen=True)
class PointCloud:
    """Positions and colours of 3D points. float64 [P, 3], uint8 [P, 3]"""

    xyz: np.ndarray
    rgb: np.ndarray


def parse_cameras(data: bytes) -> CameraFile | None:
    """Read a cameras.bin; None when it is none."""
    if len(data) < COUNT.size:
        return None
    (count,) = COUNT.unpack_from(data)
    sizes: set[int] = set()
    opencv: dict[int, np.ndarray] = {}
    position = COUNT.size
    for _ in range(min(count, len(data))):
        if position + CAMERA_HEADER.size > len(data):
            return None
        camera_id, model, width, height = CAMERA_HEADER.unpack_from(data, position)
        position += CAMERA_HEADER.size
        if not 0 <= model < len(PARAMETER_COUNTS) or position + 8 * PARAMETER_COUNTS[model] > len(data):
            return None
        stored = np.frombuffer(data, "<f8", PARAMETER_COUNTS[model], position)
        position += stored.nbytes
        sizes.update((width, height))
        opencv[camera_id] = np.full(8, np.nan)
        if model in OPENCV_PLACES:
            opencv[camera_id] = np.zeros(8)
            opencv[camera_id][: len(OPENCV_PLACES[model])] = stored[list(OPENCV_PLACES[model])]
    return CameraFile(frozenset(sizes), opencv) if position == len(data) else None


def parse_images(data: bytes) -> ImageFile | None:
    """Read an images.bin; None when it is none."""
    if len(data) < COUNT.size:
        return None
    (image_count,) = COUNT.unpack_from(data)
    position, headers, records = COUNT.size, [data[: COUNT.size]], []
    while len(records) < image_count:
        stop = _header_stop(data, position)
        if stop is None:
            return None
        (count,) = COUNT.unpack_from(data, stop - COUNT.size)
        if count > (len(data) - stop) // KEY_POINT.itemsize:
            return None
        headers.append(data[position:stop])
        records.append(np.frombuffer(data, KEY_POINT, count, stop))
        position = stop + count * KEY_POINT.itemsize
    if position != len(data) or not records:
        return None
    image_file = parse_image_headers(b"".join(headers), size=len(data))
    if image_file is None:
        return None
    image_file.key_points[:] = np.concatenate(records)
    return image_file


def parse_image_headers(headers: bytes, *, size: int) -> ImageFile | None:
    """An images.bin of at most `size` bytes from its headers alone, its key points zero; None when they are none."""
    position, room = COUNT.size, size // KEY_POINT.itemsize
    counts, rows = [], []
    while position < len(headers):
        stop = _header_stop(headers, position)
        if stop is None:
            return None
        (count,) = COUNT.unpack_from(headers, stop - COUNT.size)
        room -= count
        if room < 0:
            return None
        counts.append(count)
        rows.append(IMAGE_HEADER.unpack_from(headers, position))
        position = stop
    if not rows:
        return None
    table = np.array(rows, np.float64)
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    ids, cameras = table[:, 0].astype(np.int64), table[:, 8].astype(np.int64)
    return ImageFile(headers, ids, cameras, table[:, 1:8], starts, np.zeros(int(starts[-1]), KEY_POINT))


def _header_stop(data: bytes, position: int) -> int | None:
    """Where the key points of the image begin whose header starts at `position`."""
    name_end = data.find(b"\0", position + IMAGE_HEADER.size)
    stop = name_end + 1 + COUNT.size
    return None if name_end < 0 or stop > len(data) else stop


def image_file_bytes(image_file: ImageFile) -> bytes:
    """Inverse of `parse_images`."""
    headers, position = image_file.headers, COUNT.size
    parts = [headers[:position]]
    for start, stop in zip(image_file.starts[:-1].tolist(), image_file.starts[1:].tolist(), strict=True):
        header_stop = _header_stop(headers, position)
        parts += [headers[position:header_stop], image_file.key_points[start:stop].tobytes()]
        position = header_stop or len(headers)
    return b"".join(parts)


def parse_points(data: bytes) -> PointFile | None:
    """Read a points3D.bin; None when it is none."""
    if len(data) < COUNT.size:
        return None
    (count,) = COUNT.unpack_from(data)
    if count > len(data) // POINT.itemsize:
        return None
    position, starts = COUNT.size, []
    while len(starts) < count:
        if position + POINT.itemsize > len(data):
            return None
        starts.append(position)
        position += POINT.itemsize + LINK.itemsize * COUNT.unpack_from(data, position + POINT.itemsize - COUNT.size)[0]
    if position != len(data):
        return None
    octets = np.frombuffer(data, np.uint8)
    fixed = np.array(starts, np.int64)[:, None] + np.arange(POINT.itemsize)
    in_tracks = np.ones(len(data), bool)
    in_tracks[: COUNT.size] = False
    in_tracks[fixed] = False
    return PointFile(octets[fixed].reshape(-1).view(POINT), octets[in_tracks].view(LINK))


def point_file_bytes(point_file: PointFile) -> bytes:
    """Inverse of `parse_points`; the lengths of the tracks must add up to the links."""
    points, links = point_file.points, point_file.links
    sizes = POINT.itemsize + LINK.itemsize * points["length"].astype(np.int64)
    octets = np.zeros(COUNT.size + int(sizes.sum()), np.uint8)
    octets[: COUNT.size] = np.frombuffer(COUNT.pack(len(points)), np.uint8)
    fixed = (COUNT.size + np.cumsum(sizes) - sizes)[:, None] + np.arange(POINT.itemsize)
    in_tracks = np.ones(len(octets), bool)
    in_tracks[: COUNT.size] = False
    in_tracks[fixed] = False
    octets[fixed] = points.view(np.uint8).reshape(-1, POINT.itemsize)
    octets[in_tracks] = links.view(np.uint8)
    return octets.tobytes()


def rows_of(wanted: np.ndarray, ids: np.ndarray) -> np.ndarray | None:
    """Position in `ids` of every wanted id; None when one is missing. int64"""
    if not len(ids):
        return None if len(wanted) else np.zeros(0, np.int64)
    order = np.argsort(ids, kind="stable")
    rows = order[np.minimum(np.searchsorted(ids, wanted, sorter=order), len(ids) - 1)]
    return rows if np.array_equal(ids[rows], wanted) else None
