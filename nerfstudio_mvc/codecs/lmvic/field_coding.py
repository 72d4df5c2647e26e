"""Small fields of integers on a coarse grid, mostly zero or smooth, to bytes and back with integers alone.

Cells are walked in the `interlaced_scans`, channel after channel. What the numbers mean, and which are
worth coding, is the business of `residual_flow` and `photometric`.
"""

from __future__ import annotations

import numpy as np

from nerfstudio_mvc.codecs.lmvic.interlaced_scans import Scan, interlaced_scans, predict_cells
from nerfstudio_mvc.entropy.range_coder import SymbolDecoder, SymbolEncoder
from nerfstudio_mvc.entropy.tables import TableSet
from nerfstudio_mvc.errors import ArchiveError

FIELD_LIMIT = 511
"""Largest magnitude of a value."""
# Classes: how much the known neighbours disagree, apart for the finest cells, which are three quarters of all.
_ACTIVITY_BOUNDS = np.array([0, 2, 6])
_CLASSES = 2 * (len(_ACTIVITY_BOUNDS) + 1)


def put_field(encoder: SymbolEncoder, field: np.ndarray, tables: TableSet) -> None:
    """Code integers within -511 .. 511; a channel of zeros costs a bit. [C, h, w]

    `tables` are logistic tables of rising scale, row 0 unused.
    """
    channels, *grid = field.shape
    levels = field.astype(np.int64).reshape(channels, -1)
    beside = np.zeros(levels.shape[1], np.int64)
    for channel in levels:
        present = bool(channel.any())
        encoder.put_uniform(np.array([present]), 2)
        if not present:
            beside = np.zeros_like(beside)
            continue
        residuals, classes, magnitudes = [], [], np.zeros_like(channel)
        for scan in interlaced_scans(*grid):
            classes.append(_classify(channel, magnitudes, beside, scan))
            residuals.append(channel[scan.cells] - predict_cells(scan.neighbors(channel)))
            magnitudes[scan.cells] = np.abs(residuals[-1])
        rows = _cheapest_rows(residuals, classes, tables)
        encoder.put_uniform(channel[:1] + FIELD_LIMIT, 2 * FIELD_LIMIT + 1)
        encoder.put_uniform(rows, len(tables))
        for residual, class_idx in zip(residuals, classes, strict=True):
            table_idx = rows[class_idx]
            said = table_idx > 0
            encoder.put(residual[said], table_idx[said], tables)
        beside = magnitudes


def get_field(decoder: SymbolDecoder, channels: int, grid: tuple[int, int], tables: TableSet) -> np.ndarray:
    """What `put_field` coded. int64 [channels, *grid]

    Raises:
        ArchiveError: the bytes hold no such field.
    """
    levels = np.zeros((channels, grid[0] * grid[1]), np.int64)
    beside = np.zeros(levels.shape[1], np.int64)
    for channel in levels:
        magnitudes = np.zeros_like(channel)
        if decoder.get_uniform(1, 2)[0]:
            channel[0] = decoder.get_uniform(1, 2 * FIELD_LIMIT + 1)[0] - FIELD_LIMIT
            rows = decoder.get_uniform(_CLASSES, len(tables))
            for scan in interlaced_scans(*grid):
                table_idx = rows[_classify(channel, magnitudes, beside, scan)]
                said = table_idx > 0
                residual = np.zeros(len(table_idx), np.int64)
                residual[said] = decoder.get(table_idx[said], tables)
                channel[scan.cells] = predict_cells(scan.neighbors(channel)) + residual
                magnitudes[scan.cells] = np.abs(residual)
                if np.abs(channel[scan.cells]).max() > FIELD_LIMIT:
                    raise ArchiveError("a correction field of a view leaves its range: the archive is damaged")
        beside = magnitudes
    return levels.reshape(channels, *grid)


def field_bytes(field: np.ndarray, tables: TableSet) -> int:
    """What `put_field` takes."""
    encoder = SymbolEncoder()
    put_field(encoder, field, tables)
    return len(encoder.finish())


def _classify(levels: np.ndarray, magnitudes: np.ndarray, beside: np.ndarray, scan: Scan) -> np.ndarray:
    """Class of each cell from what is known around it and, in the channel before, of itself. int64 [N]"""
    known = scan.neighbors(levels)
    activity = known.max(0) - known.min(0) + magnitudes[scan.nearest].sum(0) // 2 + beside[scan.cells]
    return np.searchsorted(_ACTIVITY_BOUNDS, activity) + (len(_ACTIVITY_BOUNDS) + 1) * (scan.spacing == 1)


def _cheapest_rows(residuals: list[np.ndarray], classes: list[np.ndarray], tables: TableSet) -> np.ndarray:
    """For each class the table that codes its residuals in the fewest bits; 0 where all of them are zero."""
    residual = np.concatenate([*residuals, np.zeros(0, np.int64)])
    class_idx = np.concatenate([*classes, np.zeros(0, np.int64)])
    rows = np.zeros(_CLASSES, np.int64)
    for chosen in np.unique(class_idx[residual != 0]):
        values = residual[class_idx == chosen]
        # Neighbouring tables differ by less than a percent in bits: every other one is enough.
        rows[chosen] = min(range(1, len(tables), 2), key=lambda table: tables.bits(values, np.full(len(values), table)))
    return rows
