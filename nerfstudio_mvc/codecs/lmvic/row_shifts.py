"""Per view, shifts of the table rows: what the scale network could not know about this picture.

The network is trained on other photographs. A channel that is louder than it expects all over a view, or a part of the
picture that is, costs bits at every symbol; the encoder measures both and says so once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nerfstudio_mvc.entropy.range_coder import SymbolDecoder, SymbolEncoder
from nerfstudio_mvc.entropy.tables import TableSet
from nerfstudio_mvc.errors import ArchiveError

BLOCK = 4
"""Side of a part of the picture, in latent positions: 64 pixels."""
LARGEST_SHIFT = 12
SPARSENESS = 9
"""Every third row and column tells a channel's statistics well enough, every ninth channel those of a part."""
CHANNEL_WORTH_BITS, BLOCK_WORTH_BITS = 6.0, 25.0
"""What a shift must gain on the sample to be believed; saying it costs a few bits."""
# Steps of two: a table is within 14 % of its neighbour's scale, and half of that costs nothing.
_CANDIDATES = np.arange(-LARGEST_SHIFT, LARGEST_SHIFT + 1, 2)
_MAGNITUDES = 64


@dataclass(frozen=True, eq=False)
class RowShifts:
    """Added to every row of a channel, int64 [M], and of a part of the picture, int64 [ceil(h / 4), ceil(w / 4)]."""

    channels: np.ndarray
    blocks: np.ndarray

    def apply(self, rows: np.ndarray) -> np.ndarray:
        """Rows [M, h, w] moved; row 0 (not coded) stays, others stay within 1 .. 63."""
        spread = self.blocks.repeat(BLOCK, 0).repeat(BLOCK, 1)[: rows.shape[1], : rows.shape[2]]
        return _moved(rows, self.channels[:, None, None] + spread)


def block_grid(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of parts for a latent of `height` x `width`."""
    return -(-height // BLOCK), -(-width // BLOCK)


def best_shifts(symbols: np.ndarray, rows: np.ndarray, tables: TableSet) -> RowShifts:
    """Shifts that code `symbols` in few bits: those of the channels first, then of the parts. int [M, h, w] both"""
    costs = _magnitude_costs(tables)
    magnitudes = np.minimum(np.abs(symbols), _MAGNITUDES - 1)
    some = (slice(None), slice(None, None, 3), slice(None, None, 3))
    bits = np.stack([costs[_moved(rows[some], shift), magnitudes[some]].sum((1, 2)) for shift in _CANDIDATES])
    channels = _choose(SPARSENESS * bits, CHANNEL_WORTH_BITS)

    grid = block_grid(*rows.shape[1:])
    # Groups of the four steps are channels modulo 4: a stride of 9 takes from all of them.
    few = slice(None, None, SPARSENESS)
    moved = rows[few] + channels[few, None, None]
    coded = rows[few] > 0
    bits = np.stack(
        [
            _sum_blocks(np.where(coded, costs[np.clip(moved + shift, 1, 63), magnitudes[few]], 0).sum(0), grid)
            for shift in _CANDIDATES
        ]
    )
    return RowShifts(channels, _choose(SPARSENESS * bits, BLOCK_WORTH_BITS))


def put_shifts(encoder: SymbolEncoder, shifts: RowShifts, tables: TableSet) -> None:
    """Code the shifts, channels then parts, each with whichever table suits them."""
    for values in (shifts.channels, shifts.blocks.ravel()):
        bits = [tables.bits(values, np.full(len(values), row)) for row in range(1, len(tables))]
        row = 1 + int(np.argmin(bits))
        encoder.put_uniform(np.array([row]), len(tables))
        encoder.put(values, np.full(len(values), row), tables)


def get_shifts(decoder: SymbolDecoder, channels: int, grid: tuple[int, int], tables: TableSet) -> RowShifts:
    """What `put_shifts` coded for a latent of `channels` and a `block_grid`.

    Raises:
        ArchiveError: the string holds no shifts.
    """
    parts = []
    for count in (channels, grid[0] * grid[1]):
        row = int(decoder.get_uniform(1, len(tables))[0])
        parts.append(decoder.get(np.full(count, row), tables))
        if row == 0 or np.abs(parts[-1]).max(initial=0) > LARGEST_SHIFT:
            raise ArchiveError("a coded string holds impossible table rows: the archive is damaged")
    return RowShifts(parts[0], parts[1].reshape(grid))


def _moved(rows: np.ndarray, shifts: np.ndarray | int) -> np.ndarray:
    return np.where(rows > 0, np.clip(rows + shifts, 1, 63), 0)


def _choose(bits: np.ndarray, worth_bits: float) -> np.ndarray:
    """Candidate of the fewest bits [K, ...], or none where it hardly matters."""
    gain = bits[len(_CANDIDATES) // 2] - bits.min(0)
    return np.where(gain > worth_bits, _CANDIDATES[bits.argmin(0)], 0)


def _sum_blocks(values: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Sums over the parts of a map. [h, w] -> [grid rows, grid columns]"""
    down = np.add.reduceat(values, np.arange(grid[0]) * BLOCK, axis=0)
    return np.add.reduceat(down, np.arange(grid[1]) * BLOCK, axis=1)


def _magnitude_costs(tables: TableSet) -> np.ndarray:
    """Bits of a magnitude in every table; row 0 costs nothing, it is never coded. float32 [T, 64]"""
    costs = np.zeros((len(tables), _MAGNITUDES), np.float32)
    for row in range(1, len(tables)):
        bits = -np.log2(tables.probabilities(row))
        limit = int(tables.limits[row])
        costs[row] = bits[-1] + 24  # escape: two parts of 12 bits
        inside = min(limit + 1, _MAGNITUDES)
        costs[row, :inside] = bits[limit : limit + inside]
    return costs
