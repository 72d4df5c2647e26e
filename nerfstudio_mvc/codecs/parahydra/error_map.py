"""How far a decoded view is from its photograph, block by block, in some forty bytes."""

from __future__ import annotations

import numpy as np

from nerfstudio_mvc.entropy.range_coder import SymbolDecoder, SymbolEncoder
from nerfstudio_mvc.entropy.tables import TableSet, counts_from_weights
from nerfstudio_mvc.errors import ArchiveError

BLOCK = 64
"""Pixels a side; of blocks of 16 the map takes up to 1 % of the bits, and helps little more."""
LEVELS = 16
"""Level l stands for a mean square of 2**l / 4: an RMS of half a grey level, and 3 dB more each."""
UNIT_STEP = 8
"""Pixels between the values that `own_error` spreads the map over."""
_OF_UNIT = UNIT_STEP * 16 // BLOCK  # sixteenths of a block
_LIMIT = LEVELS - 1
_SHARES = np.array([4000, 1600, 260, 50, 14, 6, 3, 2, 1, 1, 1, 1, 1, 1, 1, 1])  # of differences 0, 1, ..
_TABLE = TableSet(np.array([_LIMIT]), counts_from_weights(np.concatenate([_SHARES[:0:-1], _SHARES, [1]])))


def error_levels(pixels: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Levels of the blocks of a photograph and what is shown of it, uint8 [H, W, 3] both. uint8 [h, w]"""
    squares = np.square(pixels.astype(np.int32) - shown).sum(-1) / 3
    rows, columns = map_size(squares.shape)
    padded = np.pad(squares, ((0, rows * BLOCK - len(squares)), (0, columns * BLOCK - squares.shape[1])), mode="edge")
    means = padded.reshape(rows, BLOCK, columns, BLOCK).mean((1, 3))
    return np.clip(np.rint(np.log2(np.maximum(means * 4, 1))), 0, _LIMIT).astype(np.uint8)


def write_levels(levels: np.ndarray) -> bytes:
    """Differences to the block on the left, at the edge to the one above."""
    encoder = SymbolEncoder()
    apart = np.diff(levels.astype(np.int64), axis=1, prepend=0)
    apart[1:, 0] -= levels[:-1, 0]
    encoder.put(apart.ravel(), np.zeros(apart.size, np.int64), _TABLE)
    return encoder.finish()


def read_levels(payload: bytes, size: tuple[int, int]) -> np.ndarray:
    """What `write_levels` wrote of a view of (H, W).

    Raises:
        ArchiveError: it holds no levels of so many blocks.
    """
    rows, columns = map_size(size)
    apart = SymbolDecoder(payload).get(np.zeros(rows * columns, np.int64), _TABLE).reshape(rows, columns)
    apart[:, 0] = np.cumsum(apart[:, 0])
    levels = np.cumsum(apart, axis=1)
    if levels.min() < 0 or levels.max() > _LIMIT:
        raise ArchiveError("the errors of a view are out of range: the archive is damaged")
    return levels.astype(np.uint8)


def map_size(size: tuple[int, int]) -> tuple[int, int]:
    """Blocks of a view of (H, W)."""
    return -(-size[0] // BLOCK), -(-size[1] // BLOCK)


def own_error(levels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Mean square errors of a view of (H, W) every 8 pixels, in 256ths, linearly between the middles of blocks.

    int32 [ceil(H / 8), ceil(W / 8)]
    """
    squares = np.int64(64) << levels.astype(np.int64)
    for axis in (0, 1):
        place = np.arange(-(-size[axis] // UNIT_STEP)) * _OF_UNIT + _OF_UNIT // 2 - 8
        first, share = place >> 4, place & 15
        share = share[:, None] if axis == 0 else share
        low, high = (np.take(squares, first + more, axis=axis, mode="clip") for more in (0, 1))
        squares = (low * (16 - share) + high * share) >> 4
    return squares.astype(np.int32)
