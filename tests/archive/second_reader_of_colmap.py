"""What `second_reader.py` makes of COLMAP's files: recipes 1 to 4 of FORMAT.md, mostly one number at a time."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

import numpy as np

PARAMETERS = (3, 4, 4, 5, 8, 8, 12, 5, 4, 5, 12)
AS_OPENCV = {0: (0, 0, 1, 2), 1: (0, 1, 2, 3), 2: (0, 0, 1, 2, 3), 3: (0, 0, 1, 2, 3, 4), 4: (0, 1, 2, 3, 4, 5, 6, 7)}


@dataclass
class ColmapModel:
    """Bytes of images.bin and points3D.bin, and of the points x, y, z, red, green, blue."""

    images: bytes
    points: bytes
    cloud: list[tuple]


@dataclass
class Images:
    heads: list[bytes]
    count: bytes
    places: list[list[tuple[float, float]]]

    def written(self, ids: list[list[int]]) -> bytes:
        parts = [self.count]
        for head, places, ids_of_image in zip(self.heads, self.places, ids, strict=True):
            parts += [
                head,
                *(struct.pack("<ddq", *place, idx) for place, idx in zip(places, ids_of_image, strict=True)),
            ]
        return b"".join(parts)


def images_alone(planes, fields) -> bytes:
    images = _images(planes, fields)
    lengths = [len(places) for places in images.places]
    linked = _bits(planes[3], sum(lengths))
    found = iter(_integers(planes[4], sum(linked), "<i4"))
    ids = iter([next(found) if bit else -1 for bit in linked])
    return images.written([[next(ids) for _ in range(length)] for length in lengths])


def model_of(planes, cameras: bytes, fields) -> ColmapModel:
    images = _images(planes, fields)
    fields.varint()  # bytes of points3D.bin
    point_count, link_count = fields.varint(), fields.varint()
    ids = np.cumsum(_zigzag(_columns(planes, 48, 8, point_count)), dtype=np.int64).tolist()
    lengths = _columns(planes, 8, 4, point_count).tolist()
    rows = _columns(planes, 16, 2, link_count).tolist()
    xyz = [_columns(planes, 56 + 8 * axis, 8, point_count).view("<f8").tolist() for axis in range(3)]
    red, green, blue = (planes[88 + channel].take(point_count) for channel in range(3))
    colours = [((r + g) % 256, g, (b + g) % 256) for r, g, b in zip(red, green, blue, strict=True)]
    points = list(zip(*xyz, strict=True))
    opencv = _opencv_cameras(cameras)
    poses, owners = [], []
    for head in images.heads:
        image_id, *pose, camera_id = struct.unpack_from("<I7dI", head)
        poses.append((pose, opencv.get(camera_id, [math.nan] * 8)))
        owners.append(image_id)
    of_links = [point for point, length in zip(points, lengths, strict=True) for _ in range(length)]
    expected = [_expected(point, *poses[row]) for point, row in zip(of_links, rows, strict=True)]
    ranks = list(planes[12].take(link_count))
    far = iter(_integers(planes[13], ranks.count(255), "<u4"))
    cells = [_by_cell(places) for places in images.places]
    wanted = [
        next(far) if rank == 255 else _near(at, images.places[row], cells[row])[rank]
        for rank, at, row in zip(ranks, expected, rows, strict=True)
    ]
    id_of = [[-1] * len(places) for places in images.places]
    errors, link = [], 0
    for point_id, length in zip(ids, lengths, strict=True):
        total = 0.0
        for at in range(link, link + length):
            id_of[rows[at]][wanted[at]] = point_id
            total = total + math.sqrt(_squared(expected[at], images.places[rows[at]][wanted[at]]))
        errors.append(total / length if length else math.nan)
        link += length
    as_expected = _bits(planes[14], point_count)
    steps = iter(_integers(planes[15], sum(as_expected), "<i1"))
    others = iter(_columns(planes, 80, 8, point_count - sum(as_expected)).view("<f8").tolist())
    errors = [
        _moved(error, next(steps)) if bit else next(others) for error, bit in zip(errors, as_expected, strict=True)
    ]
    out, link = [struct.pack("<Q", point_count)], 0
    for point_id, point, colour, error, length in zip(ids, points, colours, errors, lengths, strict=True):
        out.append(struct.pack("<q3d3BdQ", point_id, *point, *colour, error, length))
        out += [struct.pack("<II", owners[rows[at]], wanted[at]) for at in range(link, link + length)]
        link += length
    cloud = [(*point, *colour) for point, colour in zip(points, colours, strict=True)]
    return ColmapModel(images.written(id_of), b"".join(out), cloud)


def point_list(planes, model: ColmapModel, fields) -> bytes:
    header = planes[96].take(fields.varint())
    count, (precision, decimals) = fields.varint(), fields.take(2)
    number = (np.float64, np.float32)[precision]
    matrix = np.array(fields.fixed("12d")).reshape(3, 4).astype(number)
    lines, row = [], 0
    for step in _zigzag(_columns(planes, 112, 4, count)).tolist():
        row += step
        x, y, z = (number(value) for value in model.cloud[row][:3])
        at = [((m[0] * x + m[1] * y) + m[2] * z) + m[3] for m in matrix]
        lines.append(" ".join([*(f"{float(value):.{decimals}f}" for value in at), *map(str, model.cloud[row][3:])]))
    return header + b"end_header\n" + "\n".join(lines).encode() + b"\n"


def _images(planes, fields) -> Images:
    data = planes[1].take(fields.varint())
    heads, counts, at = [], [], 8
    while at < len(data):
        stop = data.index(0, at + 64) + 9
        heads.append(data[at:stop])
        counts.append(*struct.unpack("<Q", data[stop - 8 : stop]))
        at = stop
    repeated = _bits(planes[2], sum(counts))
    columns = []
    for first, of_differences in ((32, False), (40, True)):
        kind, numerator, denominator = fields.varint(), fields.varint(), fields.varint()
        bits = _columns(planes, first, 8 if kind == 1 else 4, repeated.count(False))
        if of_differences:
            bits = np.cumsum(_zigzag(bits), dtype=f"i{bits.itemsize}")
        values = bits.view(f"<f{bits.itemsize}").astype(float)
        columns.append((values * (numerator / denominator) if kind == 2 else values).tolist())
    kept, all_places = iter(zip(*columns, strict=True)), []
    for again in repeated:
        all_places.append(all_places[-1] if again else next(kept))
    places = iter(all_places)
    return Images(heads, data[:8], [[next(places) for _ in range(count)] for count in counts])


def _opencv_cameras(data: bytes) -> dict[int, list[float]]:
    (count,), at, found = struct.unpack_from("<Q", data), 8, {}
    for _ in range(count):
        camera_id, model, _, _ = struct.unpack_from("<IiQQ", data, at)
        values = struct.unpack_from(f"<{PARAMETERS[model]}d", data, at + 24)
        at += 24 + 8 * PARAMETERS[model]
        if model in AS_OPENCV:
            taken = [values[place] for place in AS_OPENCV[model]]
            found[camera_id] = taken + [0.0] * (8 - len(taken))
    return found


def _expected(point, pose, camera) -> tuple[float, float]:
    fx, fy, cx, cy, k1, k2, p1, p2 = camera
    w, axis, shift = pose[0], pose[1:4], pose[4:]
    once = _cross(axis, point)
    twice = [value + value for value in once]
    turned = _cross(axis, twice)
    c = [((point[i] + w * twice[i]) + turned[i]) + shift[i] for i in range(3)]
    u, v = np.float64(c[0]) / c[2], np.float64(c[1]) / c[2]
    uu, vv, uv = u * u, v * v, u * v
    rr = uu + vv
    radial = k1 * rr + k2 * rr * rr
    return (
        float(fx * (u + (u * radial + 2 * p1 * uv + p2 * (rr + 2 * uu))) + cx),
        float(fy * (v + (v * radial + 2 * p2 * uv + p1 * (rr + 2 * vv))) + cy),
    )


def _cross(p, q) -> list[float]:
    return [p[1] * q[2] - p[2] * q[1], p[2] * q[0] - p[0] * q[2], p[0] * q[1] - p[1] * q[0]]


def _cell(value: float) -> int:
    return math.floor(value / 4) if -4 < value < 2**22 else 2**20


def _by_cell(places) -> dict[tuple[int, int], list[int]]:
    found: dict[tuple[int, int], list[int]] = {}
    for idx, (x, y) in enumerate(places):
        found.setdefault((_cell(y), _cell(x)), []).append(idx)
    return found


def _near(at, places, cells) -> list[int]:
    column, row, near = _cell(at[0]), _cell(at[1]), []
    for line in (row - 1, row, row + 1):
        near += [idx for cell in (column - 1, column, column + 1) for idx in cells.get((line, cell), [])][:32]
    distance = {idx: _squared(at, places[idx]) for idx in near}
    return sorted(near, key=lambda idx: (math.isnan(distance[idx]), distance[idx], idx))


def _squared(first, second) -> float:
    dx, dy = first[0] - second[0], first[1] - second[1]
    return dx * dx + dy * dy


def _moved(value: float, step: int) -> float:
    (bits,) = struct.unpack("<q", struct.pack("<d", value))
    return struct.unpack("<d", struct.pack("<q", bits + step))[0]


def _bits(plane, count: int) -> list[bool]:
    data = plane.take(-(-count // 8))
    return [bool(data[idx // 8] >> (7 - idx % 8) & 1) for idx in range(count)]


def _integers(plane, count: int, kind: str) -> list[int]:
    return np.frombuffer(plane.take(count * np.dtype(kind).itemsize), kind).tolist()


def _columns(planes, first: int, size: int, count: int) -> np.ndarray:
    columns = [np.frombuffer(planes[first + place].take(count), np.uint8) for place in range(size)]
    return np.stack(columns, axis=1).reshape(-1).view(f"<u{size}")


def _zigzag(values: np.ndarray) -> np.ndarray:
    signed = f"i{values.itemsize}"
    return (values >> 1).view(signed) ^ -((values & 1).view(signed))
