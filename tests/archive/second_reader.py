"""A reader of `.mvc` files written from FORMAT.md alone, on the standard library and NumPy alone.

It gives views with their cameras, pictures as coded strings, what belongs to the photographs besides, and attached
files; of lossless archives (`codecs/lossless/STRINGS.md`) the photographs' files, JPEG files as JPEG XL.
"""

from __future__ import annotations

import bz2
import json
import lzma
import math
import struct
import zipfile
import zlib
from collections import defaultdict
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from second_reader_of_colmap import ColmapModel, images_alone, model_of, point_list


class Bytes:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        assert self.at + count <= len(self.data), "ends too early"
        self.at += count
        return self.data[self.at - count : self.at]

    def fixed(self, kind: str) -> tuple:
        return struct.unpack("<" + kind, self.take(struct.calcsize("<" + kind)))

    def varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise AssertionError("more than ten bytes")

    def signed(self) -> int:
        value = self.varint()
        return value // 2 if value % 2 == 0 else -(value + 1) // 2

    def text(self) -> str:
        return self.take(self.varint()).decode()


@dataclass
class Camera:
    camera_id: int
    model: str
    width: int
    height: int
    params: tuple[float, ...]


@dataclass
class ViewOfFile:
    name: str
    size: tuple[int, int]
    camera: Camera | None
    cam_from_world: np.ndarray | None
    pixel_check: int
    strings: list[tuple[str, bytes]]


def read(path: Path) -> tuple[list[ViewOfFile], dict[str, bytes]]:
    """Views in capture order, and attached files by path."""
    with zipfile.ZipFile(path) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        assert (manifest["format"], manifest["version"]) == ("mvc", 2)
        sizes = [(width, height) for width, height, count in manifest["sizes"] for _ in range(count)]
        cameras = _cameras(Bytes(archive.read("cameras.bin")))
        coded = {}
        for group_idx, group in enumerate(manifest["groups"]):
            found = _group(archive.read(f"groups/{group_idx:05d}.mvg"), group_idx)
            assert list(found) == group
            coded |= found
        views = [
            ViewOfFile(name, size, *camera, *coded[view_idx])
            for view_idx, (name, size, camera) in enumerate(zip(manifest["names"], sizes, cameras, strict=True))
        ]
        contents = _contents(archive) if "attachments/pack.bin" in archive.namelist() else []
        files = {path: content for kind, path, content in contents if kind in (0, 3)}
        assert len(files) == manifest["attached"][0]
    return views, files


def image_metadata(path: Path) -> dict[int, dict]:
    """What is said of the photographs' files, by view_idx, bytes in their places."""
    with zipfile.ZipFile(path) as archive:
        found = _contents(archive) if "attachments/pack.bin" in archive.namelist() else []
    blobs = {name: content for kind, name, content in found if kind in (2, 4)}
    documents = [json.loads(content) for kind, _, content in found if kind == 1]
    return {
        view_idx: {
            name: blobs[f"{value['blob']:08d}"] if isinstance(value, dict) else value for name, value in fields.items()
        }
        for document in documents
        for view_idx, fields in document
    }


def other_bytes(payload: bytes) -> tuple[bytes, bytes]:
    """Of a string `file`: segments of the JPEG file, and what follows the picture."""
    data = Bytes(payload)
    (method,), sizes = data.take(1), (data.varint(), data.varint())
    content = Bytes(_stored_or_xz(method, data.take(len(payload) - data.at)))
    segments, behind = map(content.take, sizes)
    assert content.at == len(content.data)
    return segments, behind


def original(payload: bytes) -> tuple[bytes | None, bytes]:
    """Of a string `original`: the photograph's file and b"", or None and the JPEG XL file that it is made from."""
    data = Bytes(payload)
    (method,), (size,), digest = data.take(1), data.fixed("Q"), data.take(32)
    content = data.take(len(payload) - data.at)
    if method == 2:
        assert content[4:8] == b"JXL "
        assert b"jbrd" in content
        return None, content
    content = _stored_or_xz(method, content)
    assert (len(content), sha256(content).digest()) == (size, digest)
    return content, b""


def _stored_or_xz(method: int, content: bytes) -> bytes:
    assert method in (0, 1)
    return lzma.decompress(content) if method else content


def _cameras(data: Bytes) -> list[tuple[Camera | None, np.ndarray | None]]:
    assert data.take(5) == b"MVCC\x02"
    cameras = []
    for _ in range(data.varint()):
        head = data.signed(), data.text(), data.varint(), data.varint()
        cameras.append(Camera(*head, data.fixed(f"{data.varint()}d")))
    views = []
    for _ in range(data.varint()):
        row = data.varint()
        views.append((cameras[row - 1], _pose(data)) if row else (None, None))
    assert data.at == len(data.data)
    return views


def _pose(data: Bytes) -> np.ndarray:
    (kind,) = data.take(1)
    if kind == 0:
        rotation = data.fixed("9d")
    else:
        a, b, c = (int.from_bytes(data.take(7), "little", signed=True) / 2**55 for _ in range(3))
        components = [a, b, c]
        components.insert(kind - 1, math.sqrt(max(0.0, 1 - (a * a + b * b + c * c))))
        w, x, y, z = components
        guesses = (
            *(1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
            *(2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
            *(2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
        )
        rotation = [_float(_number(guess) + data.signed()) for guess in guesses]
    pose = np.eye(4)
    pose[:3, :3] = np.reshape(rotation, (3, 3))
    pose[:3, 3] = data.fixed("3d")
    return pose


def _number(value: float) -> int:
    (bits,) = struct.unpack("<q", struct.pack("<d", value))
    return bits if bits >= 0 else -(bits & (2**63 - 1)) - 1


def _float(number: int) -> float:
    return struct.unpack("<d", struct.pack("<Q", number if number >= 0 else 2**63 | -(number + 1)))[0]


def _group(entry: bytes, group_idx: int) -> dict[int, tuple[int, list[tuple[str, bytes]]]]:
    data = Bytes(entry)
    assert data.take(5) == b"MVCG\x01"
    length, check = data.fixed("II")
    assert zlib.crc32(entry[13 : 13 + length]) == check
    assert data.varint() == group_idx
    names = [data.text() for _ in range(data.varint())]
    headers = []
    for _ in range(data.varint()):
        view_idx, (pixel_check,) = data.varint(), data.fixed("I")
        headers.append(
            (
                view_idx,
                pixel_check,
                [(names[data.varint()], data.varint(), *data.fixed("H")) for _ in range(data.varint())],
            )
        )
    assert data.at == 13 + length
    views = {}
    for view_idx, pixel_check, lines in headers:
        strings = []
        for name, size, check in lines:
            payload = data.take(size)
            assert zlib.crc32(payload) & 0xFFFF == check
            strings.append((name, payload))
        views[view_idx] = (pixel_check, strings)
    assert data.at == len(entry)
    return views


def _contents(archive: zipfile.ZipFile) -> list[tuple[int, str, bytes]]:
    """Kind, path and content of each line of the index."""
    data = Bytes(archive.read("attachments/pack.bin"))
    assert data.take(5) == b"MVCA\x01"
    data.varint()
    table = [(data.varint(), data.take(1)[0], data.varint(), data.varint()) for _ in range(data.varint())]
    planes = defaultdict(lambda: Bytes(b""))  # those without bytes are not there
    for plane, method, size, packed in table:
        planes[plane] = Bytes(_unpacked(method, size, data.take(packed)))
    assert data.at == len(data.data)
    index, lines = planes[0], []
    for _ in range(index.varint()):
        kind, path, size, digest = index.take(1)[0], index.text(), index.varint(), index.take(32)
        recipe, fields = index.take(1)[0], Bytes(index.take(index.varint()))
        lines.append((kind, path, size, digest, recipe, fields))
    contents: list[bytes] = []
    models: dict[int, ColmapModel] = {}
    for kind, _, size, digest, recipe, fields in lines:
        if kind in (3, 4):
            content = lzma.decompress(archive.read(f"attachments/{fields.varint():05d}.xz"))
        elif recipe == 0:
            content = planes[fields.varint()].take(size)
        elif recipe == 1:
            content = images_alone(planes, fields)
        elif recipe == 2:
            models[len(contents)] = model_of(planes, contents[fields.varint()], fields)
            content = models[len(contents)].images
        elif recipe == 3:
            content = models[fields.varint()].points
        elif recipe == 4:
            content = point_list(planes, models[fields.varint()], fields)
        elif recipe == 5:
            content = contents[fields.varint()]
        else:
            assert recipe == 6
            content = _rows(planes, fields)
        assert (len(content), sha256(content).digest()) == (size, digest)
        contents.append(content)
    return [(kind, path, content) for (kind, path, *_), content in zip(lines, contents, strict=True)]


def _rows(planes: dict[int, Bytes], fields: Bytes) -> bytes:
    header_bytes, rows, row_bytes, rest = (fields.varint() for _ in range(4))
    header = planes[96].take(header_bytes)
    columns = [np.frombuffer(planes[160 + column % 96].take(rows), np.uint8) for column in range(row_bytes)]
    return header + b"end_header\n" + np.stack(columns, axis=1).tobytes() + planes[129].take(rest)


def _unpacked(method: int, size: int, packed: bytes) -> bytes:
    if method == 1:
        packed = packed * size
    elif method == 2:
        packed = zlib.decompress(packed, -15)
    elif method == 3:
        packed = bz2.decompress(packed)
    elif method >= 16:
        lc, pb = divmod(method - 16, 5)
        dictionary = min(max(4096, 1 << max(0, size - 1).bit_length()), 64 << 20)
        filters = [{"id": lzma.FILTER_LZMA2, "dict_size": dictionary, "lc": lc, "lp": 0, "pb": pb}]
        packed = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters).decompress(packed)
    assert len(packed) == size
    return packed
