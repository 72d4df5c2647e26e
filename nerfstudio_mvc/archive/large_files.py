"""Attached files too large for the solid pack: each in an entry of its own, as a plain .xz, piece by piece.

Which files these are is decided by the writer.
"""

from __future__ import annotations

import lzma
import zipfile
from hashlib import sha256
from pathlib import PurePosixPath
from typing import BinaryIO

from nerfstudio_mvc.archive import layout
from nerfstudio_mvc.archive.byte_fields import FieldReader, varint
from nerfstudio_mvc.archive.container import CHUNK_BYTES, Container, new_entry
from nerfstudio_mvc.archive.packing import COMPRESSED_SUFFIXES, KIND_LARGE_FILE, RECIPE_PLAIN, IndexLine
from nerfstudio_mvc.xz import MEMORY_LIMIT

PRESET = 9
PRESET_COMPRESSED = 0  # films and the like: nothing to gain, so at least fast


def write_large_file(
    archive: zipfile.ZipFile, source: BinaryIO, path: str, *, file_idx: int, kind: int = KIND_LARGE_FILE
) -> IndexLine:
    """Add a file, which is restored as `path`; returns its line for the pack's index."""
    suffix = PurePosixPath(path).suffix.lower()
    compressor = lzma.LZMACompressor(preset=PRESET_COMPRESSED if suffix in COMPRESSED_SUFFIXES else PRESET)
    digest, size = sha256(), 0
    entry = new_entry(layout.large_file_entry(file_idx), packed=False)
    with archive.open(entry, "w", force_zip64=True) as target:
        while chunk := source.read(CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
            target.write(compressor.compress(chunk))
        target.write(compressor.flush())
    return IndexLine(kind, path, size, digest.digest(), RECIPE_PLAIN, varint(file_idx))


def entry_of(line: IndexLine, *, what: str) -> str:
    """Name of the ZIP entry that holds the file of an index line; `what` names the archive in messages."""
    return layout.large_file_entry(FieldReader(line.fields, what=what).varint(limit=1 << 32))


def read_large_file(container: Container, line: IndexLine) -> bytes:
    """The file of an index line, checked against its size and SHA-256.

    Raises:
        ArchiveError: damaged.
    """
    name = entry_of(line, what=str(container.path))
    decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MEMORY_LIMIT)
    pieces, size, digest = [], 0, sha256()
    try:
        for chunk in container.chunks(name):
            while True:
                piece = decompressor.decompress(chunk, min(CHUNK_BYTES, line.size - size + 1))
                size += len(piece)
                digest.update(piece)
                pieces.append(piece)
                if decompressor.needs_input or decompressor.eof or size > line.size:
                    break
                chunk = b""
            if decompressor.eof or size > line.size:
                break
    except (lzma.LZMAError, EOFError, MemoryError) as error:
        raise container.damaged(f'attached file "{line.path}" cannot be unpacked ({error})') from error
    if size != line.size or digest.digest() != line.digest:
        raise container.damaged(f'attached file "{line.path}" is not what was packed (SHA-256 mismatch)')
    return b"".join(pieces)
