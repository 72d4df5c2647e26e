"""Bytes made smaller by .xz where that helps, and back within the length they should have."""

from __future__ import annotations

import lzma

from nerfstudio_mvc.errors import ArchiveError

STORED, XZ = 0, 1
MEMORY_LIMIT = 192 << 20
_PRESET = 6


def packed(data: bytes) -> tuple[int, bytes]:
    """(`XZ`, packed) or (`STORED`, as they are), whichever is less."""
    content = lzma.compress(data, preset=_PRESET)
    return (XZ, content) if len(content) < len(data) else (STORED, data)


def unpacked(method: int, content: bytes, *, size: int, what: str) -> bytes:
    """Inverse of `packed`; no more than `size` bytes are unpacked.

    Raises:
        ArchiveError: these are other than `size` bytes, or no .xz; names `what`.
    """
    if method == XZ:
        try:
            decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MEMORY_LIMIT)
            content = decompressor.decompress(content, size + 1)
        except (lzma.LZMAError, MemoryError) as error:
            raise ArchiveError(f"{what} cannot be unpacked ({error})") from error
    if method not in (STORED, XZ) or len(content) != size:
        raise ArchiveError(f"{what} is damaged: it has another length than it says")
    return content
