"""A COLMAP model as columns: key points, tracks and points, without what one says about the other.

`pack_*` return None for bytes they do not understand. The layout of the files is `colmap_files.py`'s business, what can
be expected of their numbers `colmap_prediction.py`'s. FORMAT.md lists the planes.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from nerfstudio_mvc.archive.byte_fields import FieldReader, varint
from nerfstudio_mvc.archive.colmap_files import (
    LINK,
    POINT,
    CameraFile,
    ImageFile,
    PointCloud,
    PointFile,
    image_file_bytes,
    parse_image_headers,
    parse_images,
    parse_points,
    point_file_bytes,
    rows_of,
)
from nerfstudio_mvc.archive.colmap_prediction import expected_errors, expected_pixels, near_key_points
from nerfstudio_mvc.archive.planes import PlaneReader, byte_planes, from_byte_planes, unzigzag_array, zigzag_array

PLANE_RECORDS = 1
PLANE_REPEATED = 2
PLANE_LINKED = 3
PLANE_LINKS = 4
PLANE_TRACK_LENGTHS = 8
PLANE_RANKS = 12
PLANE_FAR_KEY_POINTS = 13
PLANE_EXPECTED_ERRORS = 14
PLANE_ERROR_STEPS = 15
PLANE_TRACK_IMAGES = 16
PLANE_X = 32
PLANE_Y = 40
PLANE_POINT_IDS = 48
PLANE_XYZ = 56  # three times eight
PLANE_ERROR = 80
PLANE_RGB = 88

SCALE_NONE = 0  # key points are float32 numbers written as float64
SCALE_DOUBLE = 1  # any float64
SCALE_RATIO = 2  # float32 numbers times a ratio of two small integers: photographs resized after matching
MAX_RATIO = 16_384
PROBED = 32
MAX_COORDINATE = 2.0**24
MAX_ERROR_STEP = 127  # in units in the last place
MAX_RANK = 254
FAR = 255
MAX_IMAGES = 1 << 16

Packed = tuple[bytes, list[tuple[int, bytes]]]
"""Fields for the index, and bytes by plane."""


def pack_images(data: bytes, *, sizes: Collection[int] = ()) -> Packed | None:
    """An images.bin on its own; `sizes` are the sides of its cameras, in pixels."""
    image_file = parse_images(data)
    if image_file is None:
        return None
    ids = image_file.key_points["id"]
    if np.any(ids < -1) or np.any(ids > 2**31 - 1):
        return None
    fields, planes = _pack_coordinates(image_file, sizes)
    linked = ids >= 0
    planes.append((PLANE_LINKED, np.packbits(linked).tobytes()))
    planes.append((PLANE_LINKS, ids[linked].astype("<i4").tobytes()))
    return fields, planes


def unpack_images(fields: FieldReader, planes: PlaneReader, *, size: int) -> bytes:
    """Inverse of `pack_images`; `size` bounds what may come out."""
    image_file = _unpack_coordinates(fields, planes, size=size)
    count = len(image_file.key_points)
    linked = _bits(planes.take(PLANE_LINKED, (count + 7) // 8), count)
    image_file.key_points["id"] = -1
    image_file.key_points["id"][linked] = np.frombuffer(planes.take(PLANE_LINKS, 4 * np.count_nonzero(linked)), "<i4")
    return image_file_bytes(image_file)


def pack_model(images: bytes, points: bytes, *, camera_file: CameraFile) -> Packed | None:
    """An images.bin and the points3D.bin beside it as one.

    Which key point a track has in an image is stored as its rank among those near where the 3D point projects to; the
    ids in images.bin follow from the tracks.
    """
    image_file, point_file = parse_images(images), parse_points(points)
    if image_file is None or point_file is None:
        return None
    image_rows = rows_of(point_file.links["image"].astype(np.int64), image_file.image_ids)
    if image_rows is None or len(image_file.image_ids) > MAX_IMAGES:
        return None
    fields, planes = _pack_coordinates(image_file, camera_file.sizes)
    rows = _rows_of_links(point_file.points)
    cloud = point_file.points
    expected = expected_pixels(cloud["xyz"][rows], image_rows, image_file=image_file, camera_file=camera_file)
    ids = cloud["id"].astype(np.int64)
    planes += byte_planes(zigzag_array(np.diff(ids, prepend=np.int64(0))), first_plane=PLANE_POINT_IDS)
    planes += byte_planes(cloud["length"].astype(np.uint32), first_plane=PLANE_TRACK_LENGTHS)
    planes += byte_planes(image_rows.astype(np.uint16), first_plane=PLANE_TRACK_IMAGES)
    for axis in range(3):
        planes += byte_planes(_float_bits(cloud["xyz"][:, axis]), first_plane=PLANE_XYZ + 8 * axis)
    red, green, blue = cloud["rgb"].T
    planes += [(PLANE_RGB, (red - green).tobytes()), (PLANE_RGB + 1, green.tobytes())]
    planes.append((PLANE_RGB + 2, (blue - green).tobytes()))
    wanted = point_file.links["key_point"].astype(np.int64)
    if len(wanted) > len(image_file.key_points) or np.any(wanted >= np.diff(image_file.starts)[image_rows]):
        return None
    planes += _pack_ranks(expected, image_rows, wanted, image_file)
    seen = image_file.key_points[image_file.starts[image_rows] + wanted]
    planes += _pack_errors(cloud["error"], expected_errors(expected, seen, rows, point_count=len(cloud)))
    return fields + varint(len(points)) + varint(len(cloud)) + varint(len(rows)), planes


def unpack_model(
    fields: FieldReader, planes: PlaneReader, *, size: int, camera_file: CameraFile, limit: int
) -> tuple[bytes, bytes, PointCloud]:
    """Inverse of `pack_model`: the bytes of images.bin (at most `size`) and of points3D.bin (at most `limit`)."""
    image_file = _unpack_coordinates(fields, planes, size=size)
    point_bytes = fields.varint(limit=limit)
    point_count = fields.varint(limit=point_bytes // POINT.itemsize)
    link_count = fields.varint(limit=min(point_bytes // LINK.itemsize, len(image_file.key_points)))
    cloud = np.zeros(point_count, POINT)
    steps = from_byte_planes(planes, point_count, dtype="u8", first_plane=PLANE_POINT_IDS)
    cloud["id"] = np.cumsum(unzigzag_array(steps), dtype=np.int64).view(np.uint64)
    cloud["length"] = from_byte_planes(planes, point_count, dtype="u4", first_plane=PLANE_TRACK_LENGTHS)
    image_rows = from_byte_planes(planes, link_count, dtype="u2", first_plane=PLANE_TRACK_IMAGES).astype(np.int64)
    if int(cloud["length"].astype(np.int64).sum()) != link_count or np.any(image_rows >= len(image_file.image_ids)):
        raise fields.damaged("tracks of 3D points do not add up")
    for axis in range(3):
        bits = from_byte_planes(planes, point_count, dtype="u8", first_plane=PLANE_XYZ + 8 * axis)
        cloud["xyz"][:, axis] = bits.view(np.float64)
    red, green, blue = (np.frombuffer(planes.take(PLANE_RGB + channel, point_count), np.uint8) for channel in range(3))
    cloud["rgb"] = np.stack([red + green, green, blue + green], axis=1)
    rows = _rows_of_links(cloud)
    expected = expected_pixels(cloud["xyz"][rows], image_rows, image_file=image_file, camera_file=camera_file)
    key_points = _unpack_ranks(fields, planes, expected, image_rows, image_file)
    places = image_file.starts[image_rows] + key_points
    errors = expected_errors(expected, image_file.key_points[places], rows, point_count=point_count)
    cloud["error"] = _unpack_errors(planes, errors)
    image_file.key_points["id"] = -1
    image_file.key_points["id"][places] = cloud["id"].astype(np.int64)[rows]
    links = np.zeros(link_count, LINK)
    links["image"], links["key_point"] = image_file.image_ids[image_rows], key_points
    point_data = point_file_bytes(PointFile(cloud, links))
    return image_file_bytes(image_file), point_data, PointCloud(cloud["xyz"], cloud["rgb"])


def _pack_coordinates(image_file: ImageFile, sizes: Collection[int]) -> Packed:
    key_points = image_file.key_points
    x_bits, y_bits = _float_bits(key_points["x"]), _float_bits(key_points["y"])
    # One place with two orientations is two key points in a row.
    repeated = np.zeros(len(key_points), bool)
    repeated[1:] = (x_bits[1:] == x_bits[:-1]) & (y_bits[1:] == y_bits[:-1])
    fields = varint(len(image_file.headers))
    planes = [(PLANE_RECORDS, image_file.headers), (PLANE_REPEATED, np.packbits(repeated).tobytes())]
    for axis, plane in (("x", PLANE_X), ("y", PLANE_Y)):
        scale, bits = _scaled_bits(key_points[axis][~repeated], sizes)
        fields += b"".join(varint(number) for number in scale)
        if axis == "y":  # key points come in rows, so each y is near the one before
            signed = bits.view(f"i{bits.itemsize}")
            bits = zigzag_array(np.diff(signed, prepend=signed.dtype.type(0)))
        planes += byte_planes(bits, first_plane=plane)
    return fields, planes


def _unpack_coordinates(fields: FieldReader, planes: PlaneReader, *, size: int) -> ImageFile:
    image_file = parse_image_headers(planes.take(PLANE_RECORDS, fields.varint(limit=size)), size=size)
    if image_file is None:
        raise fields.damaged("headers of COLMAP images do not fit together")
    key_points = image_file.key_points
    repeated = _bits(planes.take(PLANE_REPEATED, (len(key_points) + 7) // 8), len(key_points))
    if len(repeated) and repeated[0]:
        raise fields.damaged("its first key point repeats none")
    kept = int(np.count_nonzero(~repeated))
    source = np.cumsum(~repeated) - 1
    for axis, plane in (("x", PLANE_X), ("y", PLANE_Y)):
        scale = [fields.varint(limit=MAX_RATIO) for _ in range(3)]
        if scale[0] > SCALE_RATIO or not scale[2]:
            raise fields.damaged("an unknown scale of key points")
        bits = from_byte_planes(planes, kept, dtype="u8" if scale[0] == SCALE_DOUBLE else "u4", first_plane=plane)
        if axis == "y":
            signed = unzigzag_array(bits)
            bits = np.cumsum(signed, dtype=signed.dtype).view(bits.dtype)
        key_points[axis] = _coordinates(scale, bits)[source]
    return image_file


def _pack_ranks(
    expected: np.ndarray, image_rows: np.ndarray, wanted: np.ndarray, image_file: ImageFile
) -> list[tuple[int, bytes]]:
    ranks = np.full(len(wanted), FAR, np.int64)
    for near in near_key_points(expected, image_rows, image_file=image_file):
        owners = np.repeat(np.arange(len(near.starts) - 1), np.diff(near.starts))
        hits = np.flatnonzero(near.key_points == wanted[near.links][owners])
        ranks[near.links][owners[hits]] = hits - near.starts[owners[hits]]
    ranks[ranks > MAX_RANK] = FAR
    far = wanted[ranks == FAR].astype("<u4")
    return [(PLANE_RANKS, ranks.astype(np.uint8).tobytes()), (PLANE_FAR_KEY_POINTS, far.tobytes())]


def _unpack_ranks(
    fields: FieldReader, planes: PlaneReader, expected: np.ndarray, image_rows: np.ndarray, image_file: ImageFile
) -> np.ndarray:
    ranks = np.frombuffer(planes.take(PLANE_RANKS, len(image_rows)), np.uint8).astype(np.int64)
    far = ranks == FAR
    key_points = np.empty(len(image_rows), np.int64)
    for near in near_key_points(expected, image_rows, image_file=image_file):
        close = ~far[near.links]
        wanted = ranks[near.links][close]
        if np.any(wanted >= np.diff(near.starts)[close]):
            raise fields.damaged("a key point of a track that is not there")
        key_points[near.links][close] = near.key_points[near.starts[:-1][close] + wanted]
    key_points[far] = np.frombuffer(planes.take(PLANE_FAR_KEY_POINTS, 4 * int(np.count_nonzero(far))), "<u4")
    if np.any(key_points >= np.diff(image_file.starts)[image_rows]):
        raise fields.damaged("a key point of a track that is not there")
    return key_points


def _pack_errors(errors: np.ndarray, expected: np.ndarray) -> list[tuple[int, bytes]]:
    bits = _float_bits(errors)
    steps = bits.view(np.int64) - _float_bits(expected).view(np.int64)
    as_expected = np.isfinite(expected) & (steps >= -MAX_ERROR_STEP) & (steps <= MAX_ERROR_STEP)
    small = steps[as_expected].astype(np.int8).tobytes()
    planes = [(PLANE_EXPECTED_ERRORS, np.packbits(as_expected).tobytes()), (PLANE_ERROR_STEPS, small)]
    return [*planes, *byte_planes(bits[~as_expected], first_plane=PLANE_ERROR)]


def _unpack_errors(planes: PlaneReader, expected: np.ndarray) -> np.ndarray:
    as_expected = _bits(planes.take(PLANE_EXPECTED_ERRORS, (len(expected) + 7) // 8), len(expected))
    count = int(np.count_nonzero(as_expected))
    bits = _float_bits(expected).copy()
    steps = np.frombuffer(planes.take(PLANE_ERROR_STEPS, count), np.int8).astype(np.int64)
    bits[as_expected] = (bits[as_expected].view(np.int64) + steps).view(np.uint64)
    bits[~as_expected] = from_byte_planes(planes, len(expected) - count, dtype="u8", first_plane=PLANE_ERROR)
    return bits.view(np.float64)


def _rows_of_links(points: np.ndarray) -> np.ndarray:
    return np.repeat(np.arange(len(points)), points["length"].astype(np.int64))


def _float_bits(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values, dtype=np.float64).view(np.uint64)


def _bits(packed: bytes, count: int) -> np.ndarray:
    return np.unpackbits(np.frombuffer(packed, np.uint8), count=count).astype(bool)


def _scaled_bits(values: np.ndarray, sizes: Collection[int]) -> tuple[tuple[int, int, int], np.ndarray]:
    """How coordinates are scaled (kind, numerator, denominator), and the bits that remain."""
    with np.errstate(over="ignore", invalid="ignore"):
        single = values.astype(np.float32)
    if np.array_equal(_float_bits(single), _float_bits(values)):
        return (SCALE_NONE, 1, 1), single.view(np.uint32)
    ratio = _find_ratio(values, sizes)
    if ratio is not None:
        return (SCALE_RATIO, *ratio), (values * (ratio[1] / ratio[0])).astype(np.float32).view(np.uint32)
    return (SCALE_DOUBLE, 1, 1), _float_bits(values)


def _coordinates(scale: list[int], bits: np.ndarray) -> np.ndarray:
    if scale[0] == SCALE_DOUBLE:
        return bits.view(np.float64)
    single = bits.view(np.float32).astype(np.float64)
    return single * (scale[1] / scale[2]) if scale[0] == SCALE_RATIO else single


def _find_ratio(values: np.ndarray, sizes: Collection[int]) -> tuple[int, int] | None:
    """The resize that explains all values: from an image of `denominator` pixels across to one of `numerator`."""
    if not np.all(np.abs(values) < MAX_COORDINATE):
        return None
    denominators = np.arange(1, MAX_RATIO + 1)
    for numerator in sorted(size for size in sizes if 0 < size <= MAX_RATIO):
        fits = _resized_exactly(values[:PROBED], numerator, denominators[:, None]).all(1)
        for denominator in denominators[fits].tolist():
            if _resized_exactly(values, numerator, denominator).all():
                return numerator, denominator
    return None


def _resized_exactly(values: np.ndarray, numerator: int, denominator: int | np.ndarray) -> np.ndarray:
    single = (values * (denominator / numerator)).astype(np.float32).astype(np.float64)
    return single * (numerator / denominator) == values
