"""Binary PLY files, whose points are rows of the same layout: packed column by column, byte by byte.

What the columns mean does not matter here. ASCII point lists are `ply_packing.py`'s.
"""

from __future__ import annotations

import re

import numpy as np

from nerfstudio_mvc.archive.byte_fields import FieldReader, varint
from nerfstudio_mvc.archive.colmap_packing import Packed
from nerfstudio_mvc.archive.planes import PlaneReader
from nerfstudio_mvc.archive.ply_packing import END_OF_HEADER, PLANE_PLY_HEADER

PLANE_AFTER_ROWS = 129
PLANE_COLUMNS = 160  # column c stands in plane 160 + c mod 96
COLUMN_PLANES = 96
MAX_ROW_BYTES = 4096

FIRST_ELEMENT = re.compile(
    rb"\Aply\s+format binary_\w+ 1\.0\s(?:(?:comment|obj_info)[^\n]*\n)*"
    rb"element \w+ (\d{1,12})\s+((?:property \w+ \w+\s+)+)(?:element|\Z)"
)
SIZES = {
    **dict.fromkeys([b"char", b"uchar", b"int8", b"uint8"], 1),
    **dict.fromkeys([b"short", b"ushort", b"int16", b"uint16"], 2),
    **dict.fromkeys([b"int", b"uint", b"float", b"int32", b"uint32", b"float32"], 4),
    **dict.fromkeys([b"double", b"float64"], 8),
}


def pack_rows(data: bytes) -> Packed | None:
    """A binary PLY as columns of its first element; None when it is none or has lists in it."""
    header, marker, body = data.partition(END_OF_HEADER)
    element = FIRST_ELEMENT.match(header) if marker else None
    if element is None:
        return None
    types = re.findall(rb"^property (\w+)", element[2], re.M)
    count, row_bytes = int(element[1]), sum(SIZES.get(name, 1 << 40) for name in types)
    if not count or row_bytes > MAX_ROW_BYTES or count * row_bytes > len(body):
        return None
    columns = np.frombuffer(body, np.uint8, count * row_bytes).reshape(count, row_bytes)
    planes = [(PLANE_COLUMNS + idx % COLUMN_PLANES, columns[:, idx].tobytes()) for idx in range(row_bytes)]
    rest = body[count * row_bytes :]
    fields = b"".join(map(varint, (len(header), count, row_bytes, len(rest))))
    return fields, [(PLANE_PLY_HEADER, header), *planes, (PLANE_AFTER_ROWS, rest)]


def unpack_rows(fields: FieldReader, planes: PlaneReader, *, size: int) -> bytes:
    """Inverse of `pack_rows`; `size` bounds what may come out."""
    header = planes.take(PLANE_PLY_HEADER, fields.varint(limit=size))
    count = fields.varint(limit=size)
    row_bytes = fields.varint(limit=min(MAX_ROW_BYTES, size // max(count, 1)))
    columns = [planes.take(PLANE_COLUMNS + idx % COLUMN_PLANES, count) for idx in range(row_bytes)]
    rows = np.frombuffer(b"".join(columns), np.uint8).reshape(row_bytes, count).T.tobytes()
    return header + END_OF_HEADER + rows + planes.take(PLANE_AFTER_ROWS, fields.varint(limit=size))
