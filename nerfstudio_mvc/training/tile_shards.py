"""Training pictures in few bytes, readable with NumPy alone: square tiles through a quantised transform and LZMA.

For machines that get little data and have no imaging library. Tiles are lossy, about as a good JPEG; training scales
and crops them. What is packed, and how it is trained on, is the business of `burst_packing` and `burst`.
"""

from __future__ import annotations

import itertools
import json
import lzma
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from nerfstudio_mvc.errors import CaptureError
from nerfstudio_mvc.training.crops import draw_crops, split_stacked

BLOCK = 8
QUANTISER_STEP = 8.0  # of orthonormal coefficients on 0..255: about 40 dB
CHROMA_COARSER = 1.4
TO_YCC = np.array([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]], np.float32)
FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 6, "lc": 0, "lp": 1, "pb": 1}]


def write_shard(path: Path, tiles: Sequence[np.ndarray]) -> int:
    """Write tiles of one shape, uint8 [S, S, 3] or [S, S, 11] (see `warped_views`); returns the bytes of the file."""
    stacked = np.stack(tiles)
    pictures = stacked.shape[-1] // 3
    coded = [_encode(stacked[..., 3 * index : 3 * index + 3]) for index in range(pictures)]
    coded.append(np.packbits(stacked[..., 3 * pictures :] >= 255).tobytes())
    parts = [lzma.compress(part, lzma.FORMAT_RAW, filters=FILTERS) for part in coded]
    head = json.dumps({"shape": stacked.shape, "parts": [len(part) for part in parts]}).encode() + b"\n"
    path.write_bytes(head + b"".join(parts))
    return path.stat().st_size


def read_shard(path: Path) -> np.ndarray:
    """The tiles of a shard. uint8 [N, S, S, C]

    Raises:
        CaptureError: the file is missing or no shard.
    """
    try:
        head, content = path.read_bytes().split(b"\n", 1)
        fields = json.loads(head)
        shape = tuple(fields["shape"])
        ends = np.cumsum([0, *fields["parts"]])
        parts = [
            lzma.decompress(content[first:last], lzma.FORMAT_RAW, filters=FILTERS)
            for first, last in itertools.pairwise(ends)
        ]
        pictures = [_decode(part, (*shape[:3], 3)) for part in parts[:-1]]
        masks = (*shape[:3], shape[3] - 3 * len(pictures))
        bits = np.unpackbits(np.frombuffer(parts[-1], np.uint8), count=math.prod(masks))
        return np.concatenate([*pictures, bits.reshape(masks) * np.uint8(255)], -1)
    except (OSError, ValueError, KeyError, TypeError, lzma.LZMAError) as error:
        raise CaptureError(f"{path} holds no training tiles ({error}): pack them again") from error


class TilePictures:
    """Crops of single views, as `pictures.Pictures` gives them, from tiles in memory.

    Args:
        tiles: uint8 [N, S, S, 3]
    """

    def __init__(self, tiles: np.ndarray) -> None:
        self._tiles = tiles

    def batch(self, count: int, crop_px: int, rng: np.random.Generator) -> Tensor:
        """`count` random crops. float32 [count, 3, crop_px, crop_px], 0..1"""
        return draw_crops(self._tiles.__getitem__, len(self._tiles), count, crop_px, rng)


class TileViews:
    """Crops of views with their warped neighbours, as `warped_views.WarpedViews` gives them, from tiles in memory.

    Args:
        tiles: uint8 [N, S, S, 11]
    """

    def __init__(self, tiles: np.ndarray) -> None:
        self._tiles = tiles

    def batch(self, count: int, crop_px: int, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """View [B, 3, H, W], its two warped neighbours [2, B, 3, H, W], their validity [2, B, 1, H, W]."""
        return split_stacked(draw_crops(self._tiles.__getitem__, len(self._tiles), count, crop_px, rng))


def _cosines() -> np.ndarray:
    index = np.arange(BLOCK)
    basis = np.cos(np.pi * (index + 0.5) * index[:, None] / BLOCK) * math.sqrt(2 / BLOCK)
    basis[0] /= math.sqrt(2)
    return basis.astype(np.float32)


def _steps() -> np.ndarray:
    return np.array([QUANTISER_STEP, QUANTISER_STEP * CHROMA_COARSER, QUANTISER_STEP * CHROMA_COARSER], np.float32)


def _encode(pictures: np.ndarray) -> bytes:
    """uint8 [N, S, S, 3] -> int16 coefficients, low byte plane first, equal frequencies side by side."""
    count, side = pictures.shape[:2]
    planes = (pictures.astype(np.float32) - 128) @ TO_YCC.T
    blocks = planes.reshape(count, side // BLOCK, BLOCK, side // BLOCK, BLOCK, 3)
    basis = _cosines()
    coefficients = np.einsum("ui,vj,nyixjp->uvpnyx", basis, basis, blocks, optimize=True)
    symbols = np.ascontiguousarray(np.rint(coefficients / _steps()[:, None, None, None]), "<i2")
    return symbols.view(np.uint8).reshape(-1, 2).T.tobytes()


def _decode(content: bytes, shape: tuple[int, ...]) -> np.ndarray:
    count, side = shape[:2]
    grid = side // BLOCK
    symbols = np.ascontiguousarray(np.frombuffer(content, np.uint8).reshape(2, -1).T).view("<i2")
    coefficients = symbols.reshape(BLOCK, BLOCK, 3, count, grid, grid) * _steps()[:, None, None, None]
    basis = _cosines()
    planes = np.einsum("ui,vj,uvpnyx->nyixjp", basis, basis, coefficients.astype(np.float32), optimize=True)
    pixels = planes.reshape(shape) @ np.linalg.inv(TO_YCC).T.astype(np.float32) + 128
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
