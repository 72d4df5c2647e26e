"""COLMAP's images.bin and points3D.bin as columns: key points, links and points, without what one says about the other.

The bytes come back exactly or `pack_*` returns None; reading models for their meaning is `colmap_io`'s business.
"""

from __future__ import annotations

import struct
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from nerfstudio_mvc.archive.byte_fields import FieldReader, varint
from nerfstudio_mvc.archive.planes import (
    PlaneReader,
    byte_planes,
    from_byte_planes,
    unzigzag_array,
    zigzag_array,
)

PLANE_RECORDS = 1
PLANE_REPEATED = 2
PLANE_LINKED = 3
PLANE_LINKS = 4
PLANE_TRACK_LENGTHS = 5
PLANE_TRACK_PLACES = 9
PLANE_TRACK_IMAGES = 16
PLANE_X = 32
PLANE_Y = 40
PLANE_POINT_IDS = 48
PLANE_XYZ = 56  # three times eight
PLANE_ERROR = 80
PLANE_RGB = 88

IMAGE_HEADER = struct.Struct("<I7dI")
CAMERA_HEADER = struct.Struct("<IiQQ")
COUNT = struct.Struct("<Q")
KEY_POINT = np.dtype([("x", "<f8"), ("y", "<f8"), ("id", "<i8")])
POINT = np.dtype([("id", "<u8"), ("xyz", "<f8", 3), ("rgb", "u1", 3), ("error", "<f8"), ("length", "<u8")])

LINK = np.dtype([("image", "<u4"), ("key_point", "<u4")])

SCALE_NONE = 0  # key points are float32 numbers written as float64
SCALE_DOUBLE = 1  # any float64
SCALE_RATIO = 2  # float32 numbers times a ratio of two small integers (photographs resized after matching)
MAX_RATIO = 16_384
PROBED = 32
MAX_COORDINATE = 2.0**24
MAX_TRACKED_IMAGES = 65_536

Packed = tuple[bytes, list[tuple[int, bytes]]]
"""Fields for the index, and bytes by plane."""


@dataclass(frozen=True)
class KeyPoints:
    """What an images.bin says of its key points: per image id and records, in file order."""

    image_ids: np.ndarray
    records: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class PointCloud:
    """What a points3D.bin says of its points: float64 [P, 3], uint8 [P, 3]."""

    xyz: np.ndarray
    rgb: np.ndarray


def camera_sizes(data: bytes) -> set[int]:
    """Widths and heights in the first camera of a cameras.bin; empty when it is none."""
    if len(data) < COUNT.size + CAMERA_HEADER.size:
        return set()
    _, _, width, height = CAMERA_HEADER.unpack_from(data, COUNT.size)
    return {side for side in (width, height) if 0 < side <= MAX_RATIO}


def parse_images(data: bytes) -> tuple[bytes, KeyPoints] | None:
    """Everything but the key points as one run of bytes, and the key points; None when it is no images.bin."""
    if len(data) < COUNT.size:
        return None
    (image_count,) = COUNT.unpack_from(data)
    position = COUNT.size
    headers = [data[:position]]
    image_ids, records = [], []
    while len(records) < image_count:
        name_end = data.find(b"\0", position + IMAGE_HEADER.size)
        if name_end < 0 or name_end + 1 + COUNT.size > len(data):
            return None
        (key_points,) = COUNT.unpack_from(data, name_end + 1)
        start = name_end + 1 + COUNT.size
        if key_points > (len(data) - start) // KEY_POINT.itemsize:
            return None
        headers.append(data[position:start])
        image_ids.append(struct.unpack_from("<I", data, position)[0])
        records.append(np.frombuffer(data, KEY_POINT, key_points, start))
        position = start + key_points * KEY_POINT.itemsize
    if position != len(data) or not records:
        return None
    return b"".join(headers), KeyPoints(np.array(image_ids, np.int64), tuple(records))


def pack_images(data: bytes, *, sizes: Collection[int] = ()) -> Packed | None:
    """An images.bin as planes; None when it is none. `sizes` are the sides of its cameras, in pixels."""
    parsed = parse_images(data)
    if parsed is None:
        return None
    headers, key_points = parsed
    counts = np.array([len(records) for records in key_points.records])
    merged = np.concatenate(key_points.records)
    if np.any(merged["id"] < -1) or np.any(merged["id"] > 2**31 - 1):
        return None
    x_bits, y_bits = (merged[axis].view(np.uint64) for axis in ("x", "y"))
    repeated = np.zeros(len(merged), bool)
    repeated[1:] = (x_bits[1:] == x_bits[:-1]) & (y_bits[1:] == y_bits[:-1])
    starts = (np.cumsum(counts) - counts)[counts > 0]
    repeated[starts] = False
    fields = varint(len(headers))
    planes = [(PLANE_RECORDS, headers), (PLANE_REPEATED, np.packbits(repeated).tobytes())]
    for axis, plane in (("x", PLANE_X), ("y", PLANE_Y)):
        scale, bits = _coordinate_bits(merged[axis][~repeated], sizes)
        fields += b"".join(varint(number) for number in scale)
        if axis == "y":  # key points come in rows, so each y is near the one before
            signed = bits.view(f"i{bits.itemsize}")
            bits = zigzag_array(np.diff(signed, prepend=signed.dtype.type(0)))
        planes += byte_planes(bits, first_plane=plane)
    linked = merged["id"] >= 0
    planes.append((PLANE_LINKED, np.packbits(linked).tobytes()))
    planes.append((PLANE_LINKS, merged["id"][linked].astype("<i4").tobytes()))
    return fields, planes


def unpack_images(fields: FieldReader, planes: PlaneReader, *, size: int) -> tuple[bytes, KeyPoints]:
    """Inverse of `pack_images`; `size` bounds what may come out."""
    headers = planes.take(PLANE_RECORDS, fields.varint(limit=size))
    counts, cuts = _header_cuts(fields, headers, size)
    total = sum(counts)
    repeated = _bits(planes.take(PLANE_REPEATED, (total + 7) // 8), total)
    kept = int(total - np.count_nonzero(repeated))
    merged = np.zeros(total, KEY_POINT)
    source = np.cumsum(~repeated) - 1
    if total and repeated[0]:
        raise fields.damaged("its first key point repeats none")
    for axis, plane in (("x", PLANE_X), ("y", PLANE_Y)):
        scale = [fields.varint(limit=MAX_RATIO) for _ in range(3)]
        if scale[0] > SCALE_RATIO or not scale[2]:
            raise fields.damaged("an unknown scale of key points")
        bits = from_byte_planes(planes, kept, dtype="u8" if scale[0] == SCALE_DOUBLE else "u4", first_plane=plane)
        if axis == "y":
            signed = unzigzag_array(bits)
            bits = np.cumsum(signed, dtype=signed.dtype).view(bits.dtype)
        merged[axis] = _coordinates(scale, bits)[source]
    linked = _bits(planes.take(PLANE_LINKED, (total + 7) // 8), total)
    merged["id"] = -1
    merged["id"][linked] = np.frombuffer(planes.take(PLANE_LINKS, 4 * int(np.count_nonzero(linked))), "<i4")
    parts, records, image_ids, used = [headers[: COUNT.size]], [], [], 0
    for (start, stop), count in zip(cuts, counts, strict=True):
        records.append(merged[used : used + count])
        image_ids.append(struct.unpack_from("<I", headers, start)[0])
        parts += [headers[start:stop], records[-1].tobytes()]
        used += count
    return b"".join(parts), KeyPoints(np.array(image_ids, np.int64), tuple(records))


def _header_cuts(fields: FieldReader, headers: bytes, size: int) -> tuple[list[int], list[tuple[int, int]]]:
    """Number of key points and extent of each image's header."""
    counts: list[int] = []
    cuts: list[tuple[int, int]] = []
    position, room = COUNT.size, size // KEY_POINT.itemsize
    while position < len(headers):
        name_end = headers.find(b"\0", position + IMAGE_HEADER.size)
        stop = name_end + 1 + COUNT.size
        if name_end < 0 or stop > len(headers):
            raise fields.damaged("a header of a COLMAP image is cut")
        (count,) = COUNT.unpack_from(headers, name_end + 1)
        room -= count
        if room < 0:
            raise fields.damaged("more key points than the file has room for")
        counts.append(count)
        cuts.append((position, stop))
        position = stop
    return counts, cuts


def _bits(packed: bytes, count: int) -> np.ndarray:
    return np.unpackbits(np.frombuffer(packed, np.uint8), count=count).astype(bool)


def _coordinate_bits(values: np.ndarray, sizes: Collection[int]) -> tuple[tuple[int, int, int], np.ndarray]:
    """How coordinates are scaled (kind, numerator, denominator), and the bits that remain."""
    with np.errstate(over="ignore", invalid="ignore"):
        single = values.astype(np.float32)
    if _same_bits(single.astype(np.float64), values):
        return (SCALE_NONE, 1, 1), single.view(np.uint32)
    ratio = _find_ratio(values, sizes)
    if ratio is not None:
        single = (values * (ratio[1] / ratio[0])).astype(np.float32)
        return (SCALE_RATIO, *ratio), single.view(np.uint32)
    return (SCALE_DOUBLE, 1, 1), np.ascontiguousarray(values).view(np.uint64)


def _coordinates(scale: list[int], bits: np.ndarray) -> np.ndarray:
    if scale[0] == SCALE_DOUBLE:
        return bits.view(np.float64)
    single = bits.view(np.float32).astype(np.float64)
    return single * (scale[1] / scale[2]) if scale[0] == SCALE_RATIO else single


def _same_bits(first: np.ndarray, second: np.ndarray) -> bool:
    return np.array_equal(first.view(np.uint64), np.ascontiguousarray(second).view(np.uint64))


def _find_ratio(values: np.ndarray, sizes: Collection[int]) -> tuple[int, int] | None:
    """The resize that explains all values: from an image of `denominator` pixels across to one of `numerator`."""
    if not np.all(np.abs(values) < MAX_COORDINATE):
        return None
    denominators = np.arange(1, MAX_RATIO + 1)
    for numerator in sorted(sizes):
        fits = _resized_exactly(values[:PROBED], numerator, denominators[:, None]).all(1)
        for denominator in denominators[fits].tolist():
            if _resized_exactly(values, numerator, denominator).all():
                return numerator, denominator
    return None


def _resized_exactly(values: np.ndarray, numerator: int, denominator: int | np.ndarray) -> np.ndarray:
    single = (values * (denominator / numerator)).astype(np.float32).astype(np.float64)
    return single * (numerator / denominator) == values


def pack_points(data: bytes, *, key_points: KeyPoints) -> Packed | None:
    """A points3D.bin as planes, its tracks as the images they visit: which key point is known from images.bin."""
    parsed = parse_points(data)
    if parsed is None:
        return None
    points, track_images, track_key_points = parsed
    ids = points["id"].astype(np.int64)
    rows = np.repeat(np.arange(len(points)), points["length"].astype(np.int64))
    image_rows = _rows_of(track_images, key_points.image_ids)
    if image_rows is None or len(key_points.image_ids) > MAX_TRACKED_IMAGES:
        return None
    links = _match_links(ids, rows, image_rows, key_points)
    if links is None:
        return None
    several = links.run_lengths > 1
    # Where a track has several key points of one image, their places among each other are stored.
    places = np.empty(len(rows), np.int64)
    places[np.lexsort((track_key_points, image_rows, rows))] = np.arange(len(rows))
    places = (places[links.order] - links.run_starts)[several]
    if np.any(places > 255):
        return None
    planes = byte_planes(zigzag_array(np.diff(ids, prepend=np.int64(0))), first_plane=PLANE_POINT_IDS)
    planes = [*planes, *byte_planes(points["length"].astype(np.uint32), first_plane=PLANE_TRACK_LENGTHS)]
    planes.append((PLANE_TRACK_PLACES, places.astype(np.uint8).tobytes()))
    planes += byte_planes(image_rows.astype(np.uint16), first_plane=PLANE_TRACK_IMAGES)
    for axis in range(3):
        column = np.ascontiguousarray(points["xyz"][:, axis]).view(np.uint64)
        planes += byte_planes(column, first_plane=PLANE_XYZ + 8 * axis)
    planes += byte_planes(np.ascontiguousarray(points["error"]).view(np.uint64), first_plane=PLANE_ERROR)
    red, green, blue = points["rgb"].T
    planes += [(PLANE_RGB, (red - green).tobytes()), (PLANE_RGB + 1, green.tobytes())]
    planes.append((PLANE_RGB + 2, (blue - green).tobytes()))
    return varint(len(points)) + varint(len(rows)), planes


def unpack_points(
    fields: FieldReader, planes: PlaneReader, *, key_points: KeyPoints, size: int
) -> tuple[bytes, PointCloud]:
    """Inverse of `pack_points`; `size` bounds what may come out."""
    count = fields.varint(limit=size // POINT.itemsize)
    link_count = fields.varint(limit=size // LINK.itemsize)
    points = np.zeros(count, POINT)
    ids = np.cumsum(unzigzag_array(from_byte_planes(planes, count, dtype="u8", first_plane=PLANE_POINT_IDS)))
    lengths = from_byte_planes(planes, count, dtype="u4", first_plane=PLANE_TRACK_LENGTHS).astype(np.int64)
    image_rows = from_byte_planes(planes, link_count, dtype="u2", first_plane=PLANE_TRACK_IMAGES).astype(np.int64)
    if int(lengths.sum()) != link_count or np.any(image_rows >= len(key_points.image_ids)):
        raise fields.damaged("tracks of 3D points do not add up")
    points["id"], points["length"] = ids.view(np.uint64), lengths
    for axis in range(3):
        bits = from_byte_planes(planes, count, dtype="u8", first_plane=PLANE_XYZ + 8 * axis)
        points["xyz"][:, axis] = bits.view(np.float64)
    points["error"] = from_byte_planes(planes, count, dtype="u8", first_plane=PLANE_ERROR).view(np.float64)
    red, green, blue = (np.frombuffer(planes.take(PLANE_RGB + channel, count), np.uint8) for channel in range(3))
    points["rgb"] = np.stack([red + green, green, blue + green], axis=1)
    links = _match_links(ids, np.repeat(np.arange(count), lengths), image_rows, key_points)
    if links is None:
        raise fields.damaged("tracks of 3D points do not agree with the key points of the images")
    several = links.run_lengths > 1
    places = np.zeros(link_count, np.int64)
    places[several] = np.frombuffer(planes.take(PLANE_TRACK_PLACES, int(np.count_nonzero(several))), np.uint8)
    if np.any(places >= links.run_lengths):
        raise fields.damaged("a place in a track that is not there")
    track_key_points = np.empty(link_count, np.int64)
    track_key_points[links.order] = links.key_points[links.run_starts + places]
    file = _points_file(points, key_points.image_ids[image_rows], track_key_points)
    return file, PointCloud(points["xyz"], points["rgb"])


def parse_points(data: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """A points3D.bin as (points, image id of every link, key point of every link); None when it is none."""
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
    links = octets[in_tracks].view(LINK)
    points = octets[fixed].reshape(-1).view(POINT)
    return points, links["image"].astype(np.int64), links["key_point"].astype(np.int64)


def _points_file(points: np.ndarray, track_images: np.ndarray, track_key_points: np.ndarray) -> bytes:
    links = np.zeros(len(track_images), LINK)
    links["image"], links["key_point"] = track_images, track_key_points
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


@dataclass(frozen=True)
class _Links:
    """Links of tracks (point, image) matched with linked key points of images.

    Attributes:
        order: links sorted by point, then image. int64 [L]
        key_points: the key points linked, sorted by point, image, key point: of the same point and image at the same
            places as `order`. int64 [L]
        run_starts: place of the first link with the same point and image. int64 [L]
        run_lengths: how many links share point and image, mostly 1. int64 [L]
    """

    order: np.ndarray
    key_points: np.ndarray
    run_starts: np.ndarray
    run_lengths: np.ndarray


def _match_links(ids: np.ndarray, rows: np.ndarray, image_rows: np.ndarray, key_points: KeyPoints) -> _Links | None:
    """Bring tracks and images together; None when they do not link the same points and images.

    Args:
        ids: of the points. int64 [P]
        rows: point of each link. int64 [L]
        image_rows: image of each link. int64 [L]
    """
    linked = [np.flatnonzero(records["id"] >= 0) for records in key_points.records]
    seen_images = np.repeat(np.arange(len(linked)), [len(indices) for indices in linked])
    seen_ids = np.concatenate([records["id"][idx] for records, idx in zip(key_points.records, linked, strict=True)])
    seen_rows = _rows_of(seen_ids, ids)
    if seen_rows is None or len(seen_rows) != len(rows):
        return None
    order = np.lexsort((image_rows, rows))
    from_images = np.lexsort((seen_images, seen_rows))
    row_of, image_of = rows[order], image_rows[order]
    if not np.array_equal(row_of, seen_rows[from_images]) or not np.array_equal(image_of, seen_images[from_images]):
        return None
    first = np.ones(len(order), bool)
    first[1:] = (row_of[1:] != row_of[:-1]) | (image_of[1:] != image_of[:-1])
    starts = np.flatnonzero(first)
    lengths = np.diff(starts, append=len(order))
    run_starts, run_lengths = np.repeat(starts, lengths), np.repeat(lengths, lengths)
    return _Links(order, np.concatenate(linked)[from_images], run_starts, run_lengths)


def _rows_of(wanted: np.ndarray, ids: np.ndarray) -> np.ndarray | None:
    """Position in `ids` of every wanted id; None when one is missing."""
    if not len(ids):
        return None if len(wanted) else np.zeros(0, np.int64)
    order = np.argsort(ids, kind="stable")
    positions = np.minimum(np.searchsorted(ids, wanted, sorter=order), len(ids) - 1)
    rows = order[positions]
    return rows if np.array_equal(ids[rows], wanted) else None
