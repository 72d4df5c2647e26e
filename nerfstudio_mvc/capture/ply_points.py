"""Sparse points as PLY files: read, ASCII or binary, with other elements and properties skipped over; and written.

Gaussians in a PLY file are `splatting`'s business.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from colmap_io.regular_files import read_regular
from nerfstudio_mvc.errors import CaptureError

_TYPES = {
    **dict.fromkeys(("char", "int8"), "i1"),
    **dict.fromkeys(("uchar", "uint8"), "u1"),
    **dict.fromkeys(("short", "int16"), "i2"),
    **dict.fromkeys(("ushort", "uint16"), "u2"),
    **dict.fromkeys(("int", "int32"), "i4"),
    **dict.fromkeys(("uint", "uint32"), "u4"),
    **dict.fromkeys(("float", "float32"), "f4"),
    **dict.fromkeys(("double", "float64"), "f8"),
}
_ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": "="}
_HEADER_LIMIT = 65536
MAX_POINTS_BYTES = 1 << 30
_SMALL_SCENE = 0.1
"""Largest side of a scene, world units, of which six decimals are too few."""


def read_ply_points(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Finite vertices of a PLY file.

    Returns:
        points: float64 [P, 3]
        colors: RGB; zero where the file has none. uint8 [P, 3]

    Raises:
        CaptureError: missing, truncated or not a PLY file that begins with vertices.
    """
    try:
        data = read_regular(path, limit=MAX_POINTS_BYTES)
        vertices = parse_vertices(data)
        points = np.stack([vertices[name].astype(np.float64) for name in "xyz"], axis=1)
        colors = np.zeros((len(points), 3), np.uint8)
        if {"red", "green", "blue"} <= set(vertices.dtype.names or ()):
            channels = [vertices[name] for name in ("red", "green", "blue")]
            colors = np.stack([np.clip(channel, 0, 255).astype(np.uint8) for channel in channels], axis=1)
    except OSError as error:
        raise CaptureError(
            f"{path}: cannot be read ({error.strerror}); put it back or take ply_file_path out"
        ) from None
    except (ValueError, KeyError, OverflowError) as error:
        raise CaptureError(f"{path}: damaged point file ({error}); put it back or take ply_file_path out") from None
    kept = np.isfinite(points).all(1)
    return points[kept], colors[kept]


def ply_of_points(points: np.ndarray, colors: np.ndarray) -> bytes:
    """A PLY file as nerfstudio's ns-process-data writes it.

    Args:
        points: float64 [P, 3]
        colors: RGB. uint8 [P, 3]
    """
    names = "".join(f"property float {name}\n" for name in "xyz")
    names += "".join(f"property uint8 {name}\n" for name in ("red", "green", "blue"))
    decimals = 6 if len(points) == 0 or np.ptp(points, axis=0).max() > _SMALL_SCENE else 8
    line = f"%.{decimals}f %.{decimals}f %.{decimals}f %d %d %d\n"
    rows = zip(points.tolist(), colors.tolist(), strict=True)
    body = "".join(line % (*position, *color) for position, color in rows)
    return f"ply\nformat ascii 1.0\nelement vertex {len(points)}\n{names}end_header\n{body}".encode()


def parse_vertices(data: bytes) -> np.ndarray:
    """The vertices of a PLY file with all their properties, as a structured array. [V]

    Raises:
        ValueError: not a PLY file, one that does not begin with vertices, or a truncated one.
        KeyError: a property of unknown type.
    """
    end = data.find(b"end_header", 0, _HEADER_LIMIT)
    if not data.startswith(b"ply") or end < 0:
        raise ValueError("it has no PLY header")
    body = data.index(b"\n", end) + 1 if b"\n" in data[end : end + 16] else len(data)
    lines = [line.split() for line in data[:end].decode("ascii", "replace").splitlines()]
    formats = [line[1] for line in lines if line[:1] == ["format"] and len(line) > 1]
    if not formats or formats[0] not in _ORDERS:
        raise ValueError("its format is unknown")
    order = _ORDERS[formats[0]]
    elements = [index for index, line in enumerate(lines) if line[:1] == ["element"]]
    if not elements or len(lines[elements[0]]) != 3 or lines[elements[0]][1] != "vertex":
        raise ValueError("it does not begin with vertices")
    count = int(lines[elements[0]][2])
    following = elements[1] if len(elements) > 1 else len(lines)
    properties = [line[1:] for line in lines[elements[0] : following] if line[:1] == ["property"]]
    if any(len(words) != 2 for words in properties):
        raise ValueError("a property of its vertices is a list")
    dtype = np.dtype([(name, order + _TYPES[kind]) for kind, name in properties])
    # An ASCII number takes two bytes or more, so a count is believed only if the file could hold it.
    smallest = 2 * len(properties) if formats[0] == "ascii" else dtype.itemsize
    if count < 0 or smallest == 0 or count * smallest > len(data) - body + 1:
        raise ValueError(f"it announces {count} vertices and ends before")
    if formats[0] != "ascii":
        return np.frombuffer(data, dtype, count, body)
    words = data[body:].split()[: count * len(properties)]
    table = np.array(words, dtype=np.float64).reshape(count, len(properties))
    vertices = np.zeros(count, dtype)
    with np.errstate(invalid="ignore", over="ignore"):
        for column, (_, name) in enumerate(properties):
            vertices[name] = table[:, column]
    return vertices
