"""Many files as one solid pack: what is known of COLMAP and PLY files is used, all else is compressed as it is.

Which files go in is decided by `attachments.py`. Every pack is unpacked once before it is accepted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import PurePosixPath

import numpy as np

from nerfstudio_mvc.archive import layout
from nerfstudio_mvc.archive.byte_fields import FieldReader, text_field, varint
from nerfstudio_mvc.archive.colmap_files import CameraFile, PointCloud, parse_cameras
from nerfstudio_mvc.archive.colmap_packing import Packed, pack_images, pack_model, unpack_images, unpack_model
from nerfstudio_mvc.archive.planes import PlaneReader, PlaneWriter
from nerfstudio_mvc.archive.ply_packing import pack_ply, unpack_ply
from nerfstudio_mvc.archive.row_packing import pack_rows, unpack_rows
from nerfstudio_mvc.errors import ArchiveError

KIND_FILE = 0  # a file of the capture folder
KIND_METADATA = 1  # JSON: what image files hold besides pixels
KIND_BLOB = 2  # bytes that the metadata refers to
KIND_LARGE_FILE = 3  # a file of the capture folder in a ZIP entry of its own
KIND_LARGE_BLOB = 4  # bytes that the metadata refers to, in one of their own
IN_OWN_ENTRY = (KIND_LARGE_FILE, KIND_LARGE_BLOB)

RECIPE_PLAIN = 0
RECIPE_IMAGES = 1
RECIPE_MODEL = 2  # images.bin and the points3D.bin beside it
RECIPE_SECOND = 3  # the points3D.bin of such a pair
RECIPE_PLY = 4
RECIPE_SAME = 5  # the bytes of an earlier file
RECIPE_ROWS = 6  # binary PLY

PLANE_INDEX = 0
PLANE_RECORDS = 1  # small binary files that repeat numbers of images.bin stand beside its records
PLANE_TEXT = 128
PLANE_BINARY = 129
PLANE_COMPRESSED = 130
PLANE_METADATA = 131
MAX_PLANE = 255

COMPRESSED_SUFFIXES = frozenset(
    [
        ".7z",
        ".avif",
        ".bz2",
        ".gif",
        ".gz",
        ".heic",
        ".heif",
        ".jp2",
        ".jpeg",
        ".jpg",
        ".jxl",
        ".mov",
        ".mp4",
        ".npz",
        ".png",
        ".splat",
        ".spz",
        ".webp",
        ".xz",
        ".zip",
        ".zst",
    ]
)
TEXT_SUFFIXES = frozenset(
    [".json", ".txt", ".csv", ".yaml", ".yml", ".md", ".ply", ".xml", ".xmp", ".ini", ".html", ".log"]
)
RECORD_NAMES = frozenset(["cameras.bin", "rigs.bin", "frames.bin"])

NERFSTUDIO_AXES = np.array([[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [-0.0, -1.0, -0.0, -0.0]])
"""The transform `ns-process-data` applies to COLMAP's points."""


@dataclass(frozen=True)
class Item:
    """Bytes in a pack: a file with its path, or a part of the image metadata."""

    kind: int
    path: str
    data: bytes


@dataclass(frozen=True)
class IndexLine:
    """What the index says of one item; `fields` belong to its recipe."""

    kind: int
    path: str
    size: int
    digest: bytes
    recipe: int
    fields: bytes


@dataclass
class _Known:
    """What the files handled so far say about later ones, by position in the index."""

    paths: dict[str, int] = field(default_factory=dict)
    digests: dict[bytes, int] = field(default_factory=dict)
    repeated: dict[int, bytes] = field(default_factory=dict)
    cameras: dict[int, CameraFile] = field(default_factory=dict)
    seconds: dict[int, bytes] = field(default_factory=dict)
    clouds: dict[int, PointCloud] = field(default_factory=dict)
    transforms: list[np.ndarray] = field(default_factory=list)

    def beside(self, path: str, name: str) -> int | None:
        """Position of the file called `name` in the folder of `path`."""
        return self.paths.get(str(PurePosixPath(path).with_name(name)))


def pack(items: Sequence[Item], *, large: Sequence[IndexLine] = ()) -> bytes:
    """Items as the bytes of one entry; `large` are lines of files that have entries of their own."""
    planes, known, lines = PlaneWriter(), _Known(transforms=_transforms(items)), []
    contents = {item.path: item.data for item in items if item.kind == KIND_FILE}
    for item in sorted(items, key=_packing_order):
        digest = sha256(item.data).digest()
        if item.kind == KIND_FILE and item.data and digest in known.digests:
            recipe, fields, item_planes = RECIPE_SAME, varint(known.digests[digest]), []
        else:
            recipe, fields, item_planes = _pack_item(item, len(lines), known, contents)
            known.digests[digest] = len(lines)
        known.paths[item.path] = len(lines)
        lines.append(IndexLine(item.kind, item.path, len(item.data), digest, recipe, fields))
        for plane, data in item_planes:
            planes.add(plane, data)
    lines += large
    index = varint(len(lines)) + b"".join(_index_line(line) for line in lines)
    planes.add(PLANE_INDEX, index)
    return layout.PACK_MAGIC + varint(len(index)) + planes.compressed()


class PackReader:
    """A pack's index at once, its items one after the other.

    Raises:
        ArchiveError: damaged, or larger when unpacked than `layout` allows.
    """

    def __init__(self, data: bytes, *, what: str) -> None:
        reader = FieldReader(data, what=what)
        if reader.take(len(layout.PACK_MAGIC)) != layout.PACK_MAGIC:
            raise reader.damaged("it does not start as a pack of attachments")
        index_bytes = reader.varint(limit=layout.MAX_PACK_BYTES)
        self._what = what
        self._planes = PlaneReader(reader.take(reader.remaining), what=what)
        self.lines = _read_index(FieldReader(self._planes.take(PLANE_INDEX, index_bytes), what=what))

    @property
    def metadata_bytes(self) -> int:
        """Packed bytes of the image metadata."""
        return self._planes.packed_bytes(PLANE_METADATA)

    def items(self) -> Iterator[Item]:
        """All items that are in the pack itself, each checked against its SHA-256."""
        known = _Known()
        repeated = {_referred(line, self._what) for line in self.lines if line.recipe == RECIPE_SAME}
        for idx, line in enumerate(self.lines):
            if line.kind in IN_OWN_ENTRY:
                continue
            data = _restore(line, idx, self._planes, known, what=self._what)
            if idx in repeated:
                known.repeated[idx] = data
            if len(data) != line.size or sha256(data).digest() != line.digest:
                raise ArchiveError(
                    f'{self._what}: attached file "{line.path}" is not what was packed (SHA-256 mismatch). '
                    "Fetch or make the archive again."
                )
            yield Item(line.kind, line.path, data)


def _packing_order(item: Item) -> tuple[int, str, str]:
    """Files that explain others first, then like beside like."""
    name = PurePosixPath(item.path).name
    ranks = {"cameras.bin": 0, "rigs.bin": 1, "frames.bin": 2, "images.bin": 3, "points3D.bin": 4}
    rank = ranks.get(name, 5) if item.kind == KIND_FILE else 6 + item.kind
    return rank, PurePosixPath(item.path).suffix.lower(), item.path


def _pack_item(
    item: Item, item_idx: int, known: _Known, contents: Mapping[str, bytes]
) -> tuple[int, bytes, list[tuple[int, bytes]]]:
    """Recipe, its fields and planes; a recipe is taken only when it gives the very bytes back."""
    for recipe, found in _attempts(item, known, contents):
        if found is not None and _gives_back(item, item_idx, recipe, *found, known, contents):
            return recipe, *found
    _remember(item.kind, item.path, item.data, item_idx, known)
    plane = _plain_plane(item.kind, item.path)
    return RECIPE_PLAIN, varint(plane), [(plane, item.data)]


def _attempts(item: Item, known: _Known, contents: Mapping[str, bytes]) -> Iterator[tuple[int, Packed | None]]:
    path = PurePosixPath(item.path)
    if item.kind != KIND_FILE:
        return
    if path.name == "images.bin":
        camera_idx = known.beside(item.path, "cameras.bin")
        camera_file = known.cameras.get(camera_idx) if camera_idx is not None else None
        points = contents.get(str(path.with_name("points3D.bin")))
        if camera_idx is not None and camera_file is not None and points is not None:
            yield RECIPE_MODEL, _referring(camera_idx, pack_model(item.data, points, camera_file=camera_file))
        yield RECIPE_IMAGES, pack_images(item.data, sizes=camera_file.sizes if camera_file is not None else ())
    elif path.name == "points3D.bin":
        image_idx = known.beside(item.path, "images.bin")
        if image_idx in known.seconds:
            yield RECIPE_SECOND, (varint(image_idx), [])
    elif path.suffix == ".ply":
        for cloud_idx, cloud in known.clouds.items():
            yield RECIPE_PLY, _referring(cloud_idx, pack_ply(item.data, cloud=cloud, transforms=known.transforms))
        yield RECIPE_ROWS, pack_rows(item.data)


def _referring(item_idx: int, found: Packed | None) -> Packed | None:
    return None if found is None else (varint(item_idx) + found[0], found[1])


def _gives_back(
    item: Item,
    item_idx: int,
    recipe: int,
    fields: bytes,
    planes: list[tuple[int, bytes]],
    known: _Known,
    contents: Mapping[str, bytes],
) -> bool:
    line = IndexLine(item.kind, item.path, len(item.data), b"", recipe, fields)
    try:
        data = _restore(line, item_idx, PlaneReader.from_planes(planes, what=item.path), known, what=item.path)
    except ArchiveError:
        return False
    second = known.seconds.get(item_idx)
    expected_second = contents.get(str(PurePosixPath(item.path).with_name("points3D.bin")))
    if data == item.data and (second is None or second == expected_second):
        return True
    known.seconds.pop(item_idx, None)
    known.clouds.pop(item_idx, None)
    return False


def _restore(line: IndexLine, idx: int, planes: PlaneReader, known: _Known, *, what: str) -> bytes:
    """The bytes of one item; remembers in `known` what later items refer to."""
    fields = FieldReader(line.fields, what=what)
    if line.recipe == RECIPE_PLAIN:
        data = planes.take(fields.varint(limit=MAX_PLANE), line.size)
        _remember(line.kind, line.path, data, idx, known)
        return data
    if line.recipe == RECIPE_IMAGES:
        return unpack_images(fields, planes, size=line.size)
    if line.recipe == RECIPE_ROWS:
        return unpack_rows(fields, planes, size=line.size)
    referred = fields.varint(limit=layout.MAX_ATTACHMENT_FILES)
    if line.recipe == RECIPE_MODEL and referred in known.cameras:
        data, known.seconds[idx], known.clouds[idx] = unpack_model(
            fields, planes, size=line.size, limit=layout.MAX_PACK_BYTES, camera_file=known.cameras[referred]
        )
        return data
    if line.recipe == RECIPE_SAME and referred in known.repeated:
        return known.repeated[referred]
    if line.recipe == RECIPE_SECOND and referred in known.seconds:
        return known.seconds[referred]
    if line.recipe == RECIPE_PLY and referred in known.clouds:
        return unpack_ply(fields, planes, cloud=known.clouds[referred], size=line.size)
    raise fields.damaged(f'"{line.path}" has recipe {line.recipe}, unknown here or without the file it refers to')


def _referred(line: IndexLine, what: str) -> int:
    return FieldReader(line.fields, what=what).varint(limit=layout.MAX_ATTACHMENT_FILES)


def _remember(kind: int, path: str, data: bytes, idx: int, known: _Known) -> None:
    if kind == KIND_FILE and PurePosixPath(path).name == "cameras.bin":
        camera_file = parse_cameras(data)
        if camera_file is not None:
            known.cameras[idx] = camera_file


def _plain_plane(kind: int, path: str) -> int:
    name = PurePosixPath(path)
    if kind != KIND_FILE:
        return PLANE_METADATA
    if name.name in RECORD_NAMES:
        return PLANE_RECORDS
    if name.suffix.lower() in COMPRESSED_SUFFIXES:
        return PLANE_COMPRESSED
    return PLANE_TEXT if name.suffix.lower() in TEXT_SUFFIXES else PLANE_BINARY


def _transforms(items: Sequence[Item]) -> list[np.ndarray]:
    """Transforms that a point list may have undergone: those that a transforms.json names, the usual one, none."""
    found = []
    for item in items:
        if item.kind == KIND_FILE and PurePosixPath(item.path).name == "transforms.json":
            try:
                matrix = np.array(json.loads(item.data)["applied_transform"], dtype=np.float64)
            except (ValueError, KeyError, TypeError, RecursionError):
                continue
            if matrix.shape in ((3, 4), (4, 4)):
                found.append(matrix[:3])
    return [*found, NERFSTUDIO_AXES, np.eye(3, 4)]


def _index_line(line: IndexLine) -> bytes:
    return (
        bytes([line.kind])
        + text_field(line.path)
        + varint(line.size)
        + line.digest
        + bytes([line.recipe])
        + varint(len(line.fields))
        + line.fields
    )


def _read_index(reader: FieldReader) -> tuple[IndexLine, ...]:
    lines, room = [], layout.MAX_PACK_BYTES
    for _ in range(reader.varint(limit=min(layout.MAX_ATTACHMENT_FILES, reader.remaining))):
        kind = reader.take(1)[0]
        path = reader.text(limit=layout.MAX_NAME_BYTES)
        size = reader.varint(limit=layout.MAX_LARGE_FILE_BYTES if kind in IN_OWN_ENTRY else room)
        room -= 0 if kind in IN_OWN_ENTRY else size
        digest, recipe = reader.take(32), reader.take(1)[0]
        lines.append(IndexLine(kind, path, size, digest, recipe, reader.take(reader.varint(limit=reader.remaining))))
    reader.finish()
    return tuple(lines)
