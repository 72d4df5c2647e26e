"""A point list in ASCII PLY that repeats the points of a points3D.bin, as nerfstudio writes it: their order suffices.

Any other PLY is left to the general packing.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from nerfstudio_mvc.archive.byte_fields import FieldReader, varint
from nerfstudio_mvc.archive.colmap_files import PointCloud
from nerfstudio_mvc.archive.colmap_packing import Packed
from nerfstudio_mvc.archive.planes import PlaneReader, byte_planes, from_byte_planes, unzigzag_array, zigzag_array

PLANE_PLY_HEADER = 6 << 4
PLANE_PLY_ROWS = 7 << 4

END_OF_HEADER = b"end_header\n"
DECIMALS = (6, 8)
PRECISIONS = (np.float64, np.float32)
MAX_COORDINATE = 1e15
TRANSFORM = struct.Struct("<12d")


def pack_ply(data: bytes, *, cloud: PointCloud, transforms: Sequence[np.ndarray]) -> Packed | None:
    """The PLY as rows of `cloud` under one of `transforms` (float64 [3, 4]); None when it holds anything else."""
    header, marker, body = data.partition(END_OF_HEADER)
    if not marker or not header.startswith(b"ply\nformat ascii") or not body.endswith(b"\n"):
        return None
    lines = body[:-1].split(b"\n")
    for transform in transforms:
        for precision_idx in range(len(PRECISIONS)):
            for decimals in DECIMALS:
                known = _lines(cloud, transform, precision_idx, decimals)
                rows = None if known is None else _rows(lines, known)
                if rows is None:
                    continue
                fields = varint(len(header)) + varint(len(lines)) + bytes([precision_idx, decimals])
                fields += TRANSFORM.pack(*transform.ravel().tolist())
                steps = zigzag_array(np.diff(rows, prepend=np.int32(0)).astype(np.int32))
                return fields, [(PLANE_PLY_HEADER, header), *byte_planes(steps, first_plane=PLANE_PLY_ROWS)]
    return None


def unpack_ply(fields: FieldReader, planes: PlaneReader, *, cloud: PointCloud, size: int) -> bytes:
    """Inverse of `pack_ply`; `size` bounds what may come out."""
    header = planes.take(PLANE_PLY_HEADER, fields.varint(limit=size))
    count = fields.varint(limit=size)
    precision_idx, decimals = fields.take(2)
    if precision_idx >= len(PRECISIONS) or decimals not in DECIMALS:
        raise fields.damaged("an unknown way to print numbers")
    transform = np.array(TRANSFORM.unpack(fields.take(TRANSFORM.size))).reshape(3, 4)
    steps = unzigzag_array(from_byte_planes(planes, count, dtype="u4", first_plane=PLANE_PLY_ROWS))
    rows = np.cumsum(steps, dtype=np.int64)
    if np.any(rows < 0) or np.any(rows >= len(cloud.xyz)):
        raise fields.damaged("a row of the point list that is not there")
    lines = _lines(cloud, transform, precision_idx, decimals)
    if lines is None or len(header) + len(END_OF_HEADER) + _joined_bytes(lines, rows) != size:
        raise fields.damaged("a point list that would have another length")
    body = b"\n".join([lines[row] for row in rows.tolist()])
    return header + END_OF_HEADER + body + b"\n"


def _joined_bytes(lines: list[bytes], rows: np.ndarray) -> int:
    return int(np.array([len(line) + 1 for line in lines], np.int64)[rows].sum()) if len(rows) else 1


def _lines(cloud: PointCloud, transform: np.ndarray, precision_idx: int, decimals: int) -> list[bytes] | None:
    """Every point of the cloud as its line would read; products and sums one at a time, in this order.

    None where a number would be longer than any that a scene has.
    """
    with np.errstate(all="ignore"):
        x, y, z = (cloud.xyz[:, axis].astype(PRECISIONS[precision_idx]) for axis in range(3))
        matrix = transform.astype(PRECISIONS[precision_idx])
        columns = [((row[0] * x + row[1] * y) + row[2] * z) + row[3] for row in matrix]
    if not all(np.all(np.abs(column) < MAX_COORDINATE) for column in columns):
        return None
    number = f"%.{decimals}f"
    pattern = f"{number} {number} {number} %d %d %d".encode()
    coordinates = np.stack(columns, axis=1).astype(np.float64).tolist()
    colors = cloud.rgb.tolist()
    return [pattern % (*position, *color) for position, color in zip(coordinates, colors, strict=True)]


def _rows(lines: list[bytes], known: list[bytes]) -> np.ndarray | None:
    """For every line the row of the same text, near the one before where several read alike; None when one is new."""
    rows_of = defaultdict(list)
    for row, line in enumerate(known):
        rows_of[line].append(row)
    rows, previous = np.zeros(len(lines), np.int32), 0
    for idx, line in enumerate(lines):
        candidates = rows_of.get(line)
        if candidates is None:
            return None
        above = bisect_left(candidates, previous)
        previous = min(candidates[max(0, above - 1) : above + 1], key=lambda row: abs(row - previous))
        rows[idx] = previous
    return rows
