"""Byte planes and their compression: columns of numbers taken apart so that like bytes stand together.

Which columns a file has is the business of `colmap_packing.py` and `ply_packing.py`; this module turns named byte runs
("planes") into compressed streams and back, never unpacking more than was declared and allowed.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Iterable, Mapping

import numpy as np

from nerfstudio_mvc.archive import layout
from nerfstudio_mvc.archive.byte_fields import FieldReader, varint
from nerfstudio_mvc.errors import ArchiveError

STORED = 0
CONSTANT = 1
DEFLATE = 2
BZIP2 = 3
LZMA2 = 16  # + lc * 5 + pb, with lp always 0

LZMA_CHOICES = ((3, 0), (4, 0), (0, 0), (3, 2))  # (lc, pb)
NOISE_GAIN = 0.99  # deflate must get a plane below this share of its size before slower methods are tried
THOROUGH_BYTES = 8 << 20  # larger planes get one way of LZMA only
MIN_DICTIONARY = 4096
MAX_DICTIONARY = 64 << 20


class PlaneWriter:
    """Collects bytes by plane number."""

    def __init__(self) -> None:
        self._planes: dict[int, bytearray] = {}

    def add(self, plane: int, data: bytes) -> None:
        self._planes.setdefault(plane, bytearray()).extend(data)

    def compressed(self) -> bytes:
        """All planes: a table (plane, method, raw length, packed length), then the packed bytes."""
        streams = [(plane, bytes(raw), *compress(bytes(raw))) for plane, raw in sorted(self._planes.items()) if raw]
        table = b"".join(
            varint(plane) + bytes([method]) + varint(len(raw)) + varint(len(packed))
            for plane, raw, method, packed in streams
        )
        return varint(len(streams)) + table + b"".join(packed for _, _, _, packed in streams)


class PlaneReader:
    """Hands out the bytes of each plane from its front; a plane is unpacked when it is first asked for.

    Args:
        data: from `PlaneWriter.compressed`.
        what: names the entry in messages.

    Raises:
        ArchiveError: the table is damaged, or declares more than `layout` allows.
    """

    def __init__(self, data: bytes, *, what: str) -> None:
        reader = FieldReader(data, what=what)
        self._what = what
        self._planes: dict[int, bytes] = {}
        self._packed: dict[int, tuple[int, int, bytes]] = {}
        self._positions: dict[int, int] = {}
        budget = layout.MAX_PLANE_BYTES
        table = []
        for _ in range(reader.varint(limit=reader.remaining)):
            plane = reader.varint(limit=255)
            method = reader.take(1)[0]
            raw_bytes = reader.varint(limit=budget)
            budget -= raw_bytes
            table.append((plane, method, raw_bytes, reader.varint(limit=reader.remaining)))
        for plane, method, raw_bytes, packed_bytes in table:
            if plane in self._packed:
                raise reader.damaged(f"plane {plane} stands there twice")
            self._packed[plane] = (method, raw_bytes, reader.take(packed_bytes))
        reader.finish()

    @classmethod
    def from_planes(cls, planes: Iterable[tuple[int, bytes]], *, what: str) -> PlaneReader:
        """A reader of planes that were never compressed, to try a recipe."""
        collected: dict[int, bytearray] = {}
        for plane, data in planes:
            collected.setdefault(plane, bytearray()).extend(data)
        reader = cls(varint(0), what=what)
        reader._planes = {plane: bytes(data) for plane, data in collected.items()}
        return reader

    def packed_bytes(self, plane: int) -> int:
        """Bytes that a plane takes in the file, before anything of it was taken."""
        return len(self._packed[plane][2]) if plane in self._packed else 0

    def take(self, plane: int, count: int) -> bytes:
        """The next `count` bytes of a plane.

        Raises:
            ArchiveError: the plane is damaged or shorter.
        """
        if plane in self._packed:
            method, raw_bytes, packed = self._packed.pop(plane)
            self._planes[plane] = decompress(packed, method=method, raw_bytes=raw_bytes, what=self._what)
        position = self._positions.get(plane, 0)
        data = self._planes.get(plane, b"")[position : position + count]
        if count < 0 or len(data) != count:
            raise ArchiveError(f"{self._what} is damaged: plane {plane} ends too early. Fetch or make it again.")
        self._positions[plane] = position + count
        return data


def byte_planes(values: np.ndarray, *, first_plane: int) -> Iterable[tuple[int, bytes]]:
    """Unsigned integers, byte by byte: plane `first_plane` gets the lowest byte of every value, and so on."""
    columns = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"))).view(np.uint8)
    columns = columns.reshape(-1, values.dtype.itemsize)
    return [(first_plane + column, columns[:, column].tobytes()) for column in range(values.dtype.itemsize)]


def from_byte_planes(planes: PlaneReader, count: int, *, dtype: str, first_plane: int) -> np.ndarray:
    """Inverse of `byte_planes` for `count` values."""
    size = np.dtype(dtype).itemsize
    columns = [np.frombuffer(planes.take(first_plane + column, count), np.uint8) for column in range(size)]
    stacked = np.stack(columns, axis=1) if count else np.zeros((0, size), np.uint8)
    return np.ascontiguousarray(stacked).reshape(-1).view(np.dtype(dtype).newbyteorder("<")).astype(dtype)


def zigzag_array(values: np.ndarray) -> np.ndarray:
    """Signed to unsigned of the same width, small magnitudes staying small."""
    bits = values.dtype.itemsize * 8
    unsigned = np.dtype(f"u{values.dtype.itemsize}")
    return (values << 1).view(unsigned) ^ (values >> (bits - 1)).view(unsigned)


def unzigzag_array(values: np.ndarray) -> np.ndarray:
    """Inverse of `zigzag_array`."""
    signed = np.dtype(f"i{values.dtype.itemsize}")
    return (values >> 1).view(signed) ^ -((values & 1).view(signed))


def compress(raw: bytes) -> tuple[int, bytes]:
    """The smallest of the methods above: (method, packed bytes)."""
    if len(set(raw[:64])) == 1 and raw.count(raw[:1]) == len(raw):
        return CONSTANT, raw[:1]
    best = (STORED, raw)
    for method, packed in _candidates(raw):
        if len(packed) < len(best[1]):
            best = (method, packed)
    return best


def _candidates(raw: bytes) -> Iterable[tuple[int, bytes]]:
    deflated = _deflate(raw, zlib.Z_DEFAULT_STRATEGY)
    huffman = _deflate(raw, zlib.Z_HUFFMAN_ONLY)
    yield DEFLATE, min(deflated, huffman, key=len)
    if len(deflated) > NOISE_GAIN * len(raw) and len(huffman) > NOISE_GAIN * len(raw):
        return
    thorough = len(raw) <= THOROUGH_BYTES
    if thorough:
        yield BZIP2, bz2.compress(raw)
    for lc, pb in LZMA_CHOICES if thorough else LZMA_CHOICES[:1]:
        yield LZMA2 + 5 * lc + pb, lzma.compress(raw, lzma.FORMAT_RAW, filters=_lzma_filters(lc, pb, len(raw)))


def _deflate(raw: bytes, strategy: int) -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15, 9, strategy)
    return compressor.compress(raw) + compressor.flush()


def _lzma_filters(lc: int, pb: int, raw_bytes: int) -> list[Mapping[str, int]]:
    dictionary = min(MAX_DICTIONARY, max(MIN_DICTIONARY, 1 << (raw_bytes - 1).bit_length() if raw_bytes else 0))
    preset = 9 | lzma.PRESET_EXTREME
    return [{"id": lzma.FILTER_LZMA2, "preset": preset, "dict_size": dictionary, "lc": lc, "lp": 0, "pb": pb}]


def decompress(packed: bytes, *, method: int, raw_bytes: int, what: str) -> bytes:
    """Inverse of `compress`; never makes more than `raw_bytes` bytes.

    Raises:
        ArchiveError: unknown method, damaged stream, or one of another length.
    """
    try:
        if method == STORED:
            raw = packed
        elif method == CONSTANT:
            raw = packed[:1] * raw_bytes
        elif method == DEFLATE:
            raw = zlib.decompressobj(-15).decompress(packed, raw_bytes + 1)
        elif method == BZIP2:
            raw = bz2.BZ2Decompressor().decompress(packed, raw_bytes + 1)
        elif LZMA2 <= method < LZMA2 + 25:
            filters = _lzma_filters(*divmod(method - LZMA2, 5), raw_bytes)
            raw = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters).decompress(packed, raw_bytes + 1)
        else:
            raise ArchiveError(f"{what} uses packing method {method}, unknown here; update nerfstudio_mvc.")
    except (zlib.error, lzma.LZMAError, OSError, ValueError, EOFError) as error:
        raise ArchiveError(
            f"{what} is damaged: a packed stream is broken ({error}). Fetch or make it again."
        ) from error
    if len(raw) != raw_bytes:
        raise ArchiveError(
            f"{what} is damaged: a packed stream has another length than the {raw_bytes} bytes declared. "
            "Fetch or make it again."
        )
    return raw
