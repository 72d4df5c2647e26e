"""Pictures as data URIs of PNG files, for pages that stand alone; written without an imaging library.

Pillow's own PNG writer must not meet the zlib that camera estimation brings into the process.
"""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
SUB_FILTER = 1  # each sample minus the one to its left


def png_bytes(pixels: np.ndarray) -> bytes:
    """A PNG file of uint8 [H, W, 3]."""
    height, width = pixels.shape[:2]
    differences = pixels.copy()
    differences[:, 1:] -= pixels[:, :-1]
    rows = np.concatenate([np.full((height, 1), SUB_FILTER, np.uint8), differences.reshape(height, -1)], 1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b""))
    return SIGNATURE + b"".join(_chunk(kind, content) for kind, content in chunks)


def data_uri(pixels: np.ndarray) -> str:
    """``data:image/png;base64,...`` of uint8 [H, W, 3]."""
    return "data:image/png;base64," + base64.b64encode(png_bytes(pixels)).decode("ascii")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
