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
CHANNEL_WORTH_BITS, BLOCK_WORTH_BITS = 30.0, 90.0
"""What a shift must gain on the sample to be believed. Saying it costs a few bits, and a sample finds more than there
is: with 6 and 25 bits a photograph at quality 1 or 2 took 1 % more."""
# Steps of two: a table is within 14 % of its neighbour's scale, and half of that costs nothing.
_CANDIDATES = np.arange(-LARGEST_SHIFT, LARGEST_SHIFT + 1, 2)
_MAGNITUDES = 64
_NOT_CODED = -LARGEST_SHIFT  # stands below every row that a channel's shift can lead to


@dataclass(frozen=True, eq=False)
class RowShifts:
    """Added to every row of a channel, int64 [M], and of a part of the picture, int64 [ceil(h / 4), ceil(w / 4)]."""

    channels: np.ndarray
    blocks: np.ndarray

    def spread(self, height: int, width: int) -> np.ndarray:
        """The shifts of the parts at every position of a latent. int64 [height, width]"""
        return self.blocks.repeat(BLOCK, 0).repeat(BLOCK, 1)[:height, :width]

    def apply(self, rows: np.ndarray) -> np.ndarray:
        """Rows [M, h, w] moved; row 0 (not coded) stays, others stay within 1 .. 63."""
        return moved_rows(rows, self.channels[:, None, None] + self.spread(*rows.shape[1:]))


def block_grid(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of parts for a latent of `height` x `width`."""
    return -(-height // BLOCK), -(-width // BLOCK)


def best_shifts(symbols: np.ndarray, rows: np.ndarray, tables: TableSet) -> RowShifts:
    """Shifts that code `symbols` in few bits: those of the channels first, then of the parts. int [M, h, w] both"""
    costs = _magnitude_costs(tables)
    magnitudes = np.minimum(np.abs(symbols), _MAGNITUDES - 1)
    some = (slice(None), slice(None, None, 3), slice(None, None, 3))
    owner = np.broadcast_to(np.arange(len(rows))[:, None, None], rows[some].shape)
    seen = np.where(rows[some] > 0, rows[some], _NOT_CODED)
    bits = _bits_by_shift(owner, len(rows), seen, magnitudes[some], costs)
    channels = _choose(SPARSENESS * bits, CHANNEL_WORTH_BITS)

    grid = block_grid(*rows.shape[1:])
    # Groups of the four steps are channels modulo 4: a stride of 9 takes from all of them.
    few = slice(None, None, SPARSENESS)
    moved = np.where(rows[few] > 0, rows[few] + channels[few, None, None], _NOT_CODED)
    column = np.broadcast_to(np.arange(rows.shape[2]) // BLOCK, moved[:, :BLOCK].shape)
    strips = []
    for top in range(0, rows.shape[1], BLOCK):
        own = moved[:, top : top + BLOCK]
        strips.append(
            _bits_by_shift(column[:, : own.shape[1]], grid[1], own, magnitudes[few, top : top + BLOCK], costs)
        )
    return RowShifts(channels, _choose(SPARSENESS * np.stack(strips, 1), BLOCK_WORTH_BITS))


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


def moved_rows(rows: np.ndarray, shifts: np.ndarray | int) -> np.ndarray:
    """Rows moved by shifts of any fitting shape: row 0 stays, others stay within 1 .. 63."""
    return np.where(rows > 0, np.clip(rows + shifts, 1, 63), 0)


def _bits_by_shift(
    owner: np.ndarray, owners: int, rows: np.ndarray, magnitudes: np.ndarray, costs: np.ndarray
) -> np.ndarray:
    """Bits of the symbols of each owner at every candidate shift: counted first, weighed after. [K, owners]

    Args:
        owner: 0 .. owners - 1; rows: up to `LARGEST_SHIFT` outside 1 .. 63, or `_NOT_CODED`. All of one shape.
    """
    reached = np.arange(_NOT_CODED, 64 + LARGEST_SHIFT)
    key = (owner * len(reached) + rows - _NOT_CODED) * _MAGNITUDES + magnitudes
    counts = np.bincount(key.ravel(), minlength=owners * len(reached) * _MAGNITUDES).astype(np.float32)
    weights = np.stack([costs[np.clip(reached + shift, 1, 63)] for shift in _CANDIDATES])
    weights[:, 0] = 0
    return weights.reshape(len(_CANDIDATES), -1) @ counts.reshape(owners, -1).T


def _choose(bits: np.ndarray, worth_bits: float) -> np.ndarray:
    """Candidate of the fewest bits [K, ...], or none where it hardly matters."""
    gain = bits[len(_CANDIDATES) // 2] - bits.min(0)
    return np.where(gain > worth_bits, _CANDIDATES[bits.argmin(0)], 0)


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
