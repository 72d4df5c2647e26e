"""Block motion to bytes and back with integers alone.

    (0, 0) --> `interlaced_scans`: moves like a neighbour, and which, or in its own way: by how much more than expected

A cell's four known neighbours, those that most of them agree with first, are what it may move like. Where they agree is
the class in which that is counted (`counted_symbols`), so that areas that move as one take next to nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nerfstudio_mvc.codecs.lmvic.block_motion import MOTION_LIMIT
from nerfstudio_mvc.codecs.lmvic.counted_symbols import CountedSymbols
from nerfstudio_mvc.codecs.lmvic.interlaced_scans import Scan, interlaced_scans
from nerfstudio_mvc.entropy.range_coder import SymbolDecoder, SymbolEncoder
from nerfstudio_mvc.entropy.tables import TableSet
from nerfstudio_mvc.errors import ArchiveError

_OWN = 4
"""Kind of a cell that moves like none of its neighbours; kinds below are places in their ranking."""
_KINDS = _OWN + 1
# Classes: how many neighbours agree with the first (1 .. 4) and with the second (0 .. 2), apart for the finest cells.
_CLASSES = 2 * 15
_EXPECTED = np.tile([[4 + 12 * first, 2 + 8 * second, 2, 1, 6] for first in range(5) for second in range(3)], (2, 1))
OWN_BITS = 8.0
"""About what a cell's own motion takes beyond saying that it has one."""
_SPAN = 2 * MOTION_LIMIT + 1


def encode_motion(motion: np.ndarray, tables: TableSet) -> bytes:
    """Motion of every reference, within -31 .. 31. int64 [R, 2, h, w]

    `tables` are logistic tables of rising scale, row 0 unused.
    """
    encoder = SymbolEncoder()
    for own in motion:
        _put(encoder, own, tables)
    return encoder.finish()


def decode_motion(payload: bytes, references: int, grid: tuple[int, int], tables: TableSet) -> np.ndarray:
    """What `encode_motion` wrote. int64 [references, 2, *grid]

    Raises:
        ArchiveError: the bytes hold no such motion.
    """
    decoder = SymbolDecoder(payload)
    return np.stack([_get(decoder, grid, tables) for _ in range(references)])


def _put(encoder: SymbolEncoder, motion: np.ndarray, tables: TableSet) -> None:
    grid = motion.shape[1:]
    flat = motion.reshape(2, -1).astype(np.int64)
    scans = interlaced_scans(*grid)
    ranked = [rank_neighbours(flat, scan) for scan in scans]
    kinds = [_kinds(flat[:, scan.cells], own.motion) for scan, own in zip(scans, ranked, strict=True)]
    residuals = [
        (flat[:, scan.cells] - own.expected)[:, kind == _OWN]
        for scan, own, kind in zip(scans, ranked, kinds, strict=True)
    ]
    rows = np.array([_cheapest_row(_of_fineness(residuals, scans, finest), tables) for finest in (False, True)])
    encoder.put_uniform(flat[:, 0] + MOTION_LIMIT, _SPAN)
    encoder.put_uniform(rows, len(tables))
    counted = CountedSymbols(_EXPECTED)
    for scan, own, kind, residual in zip(scans, ranked, kinds, residuals, strict=True):
        for part in counted.scan(len(scan.cells)):
            encoder.put(kind[part] - _KINDS // 2, own.class_idx[part], counted.tables())
            counted.count(kind[part], own.class_idx[part])
        row = rows[int(scan.spacing == 1)]
        encoder.put(residual.ravel(), np.full(residual.size, row), tables)


def _get(decoder: SymbolDecoder, grid: tuple[int, int], tables: TableSet) -> np.ndarray:
    flat = np.zeros((2, grid[0] * grid[1]), np.int64)
    flat[:, 0] = decoder.get_uniform(2, _SPAN) - MOTION_LIMIT
    rows = decoder.get_uniform(2, len(tables))
    if not rows.all():
        raise _damaged()
    counted = CountedSymbols(_EXPECTED)
    for scan in interlaced_scans(*grid):
        ranked = rank_neighbours(flat, scan)
        kinds = np.zeros(len(scan.cells), np.int64)
        for part in counted.scan(len(kinds)):
            kinds[part] = decoder.get(ranked.class_idx[part], counted.tables()) + _KINDS // 2
            if kinds[part].max() > _OWN:
                raise _damaged()
            counted.count(kinds[part], ranked.class_idx[part])
        own = kinds == _OWN
        residual = decoder.get(np.full(2 * own.sum(), rows[int(scan.spacing == 1)]), tables).reshape(2, -1)
        found = np.take_along_axis(ranked.motion, np.minimum(kinds, _OWN - 1)[None, None], 0)[0]
        found[:, own] = ranked.expected[:, own] + residual
        if np.abs(found).max() > MOTION_LIMIT:
            raise _damaged()
        flat[:, scan.cells] = found
    return flat.reshape(2, *grid)


@dataclass(frozen=True, eq=False)
class RankedNeighbours:
    """What is known of the cells of a scan before they are coded.

    Attributes:
        motion: of their neighbours, ranked; one that is the same as one before it never counts. int64 [4, 2, N]
        expected: of a cell that moves in its own way. int64 [2, N]
        class_idx: int64 [N]
    """

    motion: np.ndarray
    expected: np.ndarray
    class_idx: np.ndarray


def rank_neighbours(flat: np.ndarray, scan: Scan) -> RankedNeighbours:
    """What is known of the cells of `scan` from cells before it. `flat` is motion, int64 [2, h * w]"""
    known = flat[:, scan.nearest].transpose(1, 0, 2)
    alike = (known[:, None] == known).all(2)
    left = alike.sum(1)
    order, agreeing = [], []
    for _ in range(len(known)):
        # The first of those that most agree with.
        best = np.argmax(left, 0)[None]
        order.append(best)
        agreeing.append(np.take_along_axis(left, best, 0)[0])
        left = np.where(np.take_along_axis(alike, best[None], 0)[0], 0, left)
    motion = np.take_along_axis(known, np.concatenate(order)[:, None], 0)
    middle = np.sort(known, 0)[1:3].sum(0) // 2
    return RankedNeighbours(motion, middle, 3 * agreeing[0] + agreeing[1] + _CLASSES // 2 * int(scan.spacing == 1))


def kind_bits(flat: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """What each kind would about cost in each class if other cells were coded as they are. float64 [classes, kinds]"""
    found = _EXPECTED / 16
    for scan in interlaced_scans(*grid):
        known = rank_neighbours(flat, scan)
        np.add.at(found, (known.class_idx, _kinds(flat[:, scan.cells], known.motion)), 1)
    bits = -np.log2(found / found.sum(1, keepdims=True))
    bits[:, _OWN] += OWN_BITS
    return bits


def _kinds(motion: np.ndarray, ranked: np.ndarray) -> np.ndarray:
    """The first rank that a cell moves like. [2, N], [4, 2, N] -> int64 [N]"""
    like = (ranked == motion).all(1)
    return np.where(like.any(0), like.argmax(0), _OWN)


def _of_fineness(residuals: list[np.ndarray], scans: tuple[Scan, ...], finest: bool) -> np.ndarray:
    chosen = [part.ravel() for part, scan in zip(residuals, scans, strict=True) if (scan.spacing == 1) == finest]
    return np.concatenate([*chosen, np.zeros(0, np.int64)])


def _cheapest_row(residuals: np.ndarray, tables: TableSet) -> int:
    # Neighbouring tables differ by less than a percent in bits: every other one is enough.
    return min(range(1, len(tables), 2), key=lambda row: tables.bits(residuals, np.full(len(residuals), row)))


def _damaged() -> ArchiveError:
    return ArchiveError("a view holds impossible motion: the archive is damaged")
