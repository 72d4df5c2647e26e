"""How each 16x16 position of a view is coded, as a map of small integers, to bytes and back with integers alone.

    which modes occur --> (0, 0) --> `interlaced_scans`, each in parts of 64, 128, 256, .. cells

A cell's probabilities follow from how many of its four known neighbours are SPLIT and how many KEPT, and from what was
found so far where the neighbours were alike: both sides count as they go, so nothing is said about probabilities.
Which mode a position should have is the encoder's choice, and what a mode means the transforms'; neither is known here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from nerfstudio_mvc.entropy.counted_symbols import CountedSymbols
from nerfstudio_mvc.entropy.interlaced_scans import interlaced_scans
from nerfstudio_mvc.entropy.tables import TOTAL, TableSet
from nerfstudio_mvc.errors import ArchiveError, ShapeError

if TYPE_CHECKING:  # training counts the bits of modes on machines that have no range coder
    from nerfstudio_mvc.entropy.range_coder import SymbolDecoder, SymbolEncoder

WHOLE = 0
"""One 16x16 transform."""
SPLIT = 1
"""Four 8x8 transforms."""
KEPT = 2
"""Nothing coded: the warped reference is shown as it is."""

_MODES = 3
# In sixteenths of a cell found. Before any is found, a mode that all four neighbours have is eleven times as likely as
# each other one.
_PER_NEIGHBOR, _ANYWAY = 13, 5
# Class of a cell: 5 * SPLIT neighbours + KEPT neighbours.
_CLASSES = 25
_SPLITS, _KEPTS = np.divmod(np.arange(_CLASSES), 5)
_NEIGHBOR_WEIGHTS = _ANYWAY + _PER_NEIGHBOR * np.stack([np.maximum(4 - _SPLITS - _KEPTS, 0), _SPLITS, _KEPTS], 1)


def put_modes(encoder: SymbolEncoder, modes: np.ndarray) -> None:
    """Code a map of modes; one of a single mode costs three bits. int [h, w]

    Raises:
        ShapeError: not such a map.
    """
    if modes.ndim != 2 or not modes.size or not 0 <= modes.min() <= modes.max() < _MODES:
        raise ShapeError(f"block modes must be a map of integers from 0 to {_MODES - 1}, one per latent position")
    flat = modes.astype(np.int64).ravel()
    occurring = np.unique(flat)
    encoder.put_uniform(np.array([(1 << occurring).sum() - 1]), (1 << _MODES) - 1)
    if len(occurring) == 1:
        return
    encoder.put_uniform(np.searchsorted(occurring, flat[:1]), len(occurring))

    def put(cells: np.ndarray, class_idx: np.ndarray, tables: TableSet) -> None:
        encoder.put(flat[cells] - 1, class_idx, tables)

    _walk(flat, modes.shape, occurring, put)


def get_modes(decoder: SymbolDecoder, size: tuple[int, int]) -> np.ndarray:
    """What `put_modes` coded for a map of `size`. int64 [*size]

    Raises:
        ArchiveError: the bytes hold no such map.
    """
    said = int(decoder.get_uniform(1, (1 << _MODES) - 1)[0]) + 1
    occurring = np.flatnonzero(said >> np.arange(_MODES) & 1)
    flat = np.full(size[0] * size[1], occurring[0], np.int64)
    if len(occurring) == 1:
        return flat.reshape(size)
    flat[0] = occurring[decoder.get_uniform(1, len(occurring))[0]]

    def get(cells: np.ndarray, class_idx: np.ndarray, tables: TableSet) -> None:
        flat[cells] = decoder.get(class_idx, tables) + 1
        if not np.isin(flat[cells], occurring).all():
            raise ArchiveError("a view holds impossible block modes: the archive is damaged")

    _walk(flat, size, occurring, get)
    return flat.reshape(size)


def mode_likelihoods(modes: np.ndarray) -> np.ndarray:
    """With which probability each mode of a map is coded; -log2 of them adds up to its bits. float64 [h, w]

    What is said before the map counts for position (0, 0).
    """
    flat = modes.astype(np.int64).ravel()
    occurring = np.unique(flat)
    likelihoods = np.ones(len(flat))
    likelihoods[0] = 1 / ((1 << _MODES) - 1) / len(occurring)

    def take(cells: np.ndarray, class_idx: np.ndarray, tables: TableSet) -> None:
        entries = tables.counts.reshape(_CLASSES, _MODES + 1)
        likelihoods[cells] = entries[class_idx, flat[cells]] / TOTAL

    if len(occurring) > 1:
        _walk(flat, modes.shape, occurring, take)
    return likelihoods.reshape(modes.shape)


def _walk(
    modes: np.ndarray,
    size: tuple[int, int],
    occurring: np.ndarray,
    code: Callable[[np.ndarray, np.ndarray, TableSet], None],
) -> None:
    """Call `code(cells, class_idx, tables)` for every cell but the first; after it, `modes` must know these cells."""
    counted = CountedSymbols(_NEIGHBOR_WEIGHTS, np.isin(np.arange(_MODES), occurring))
    for scan in interlaced_scans(*size):
        known = modes[scan.nearest]
        class_idx = 5 * (known == SPLIT).sum(0) + (known == KEPT).sum(0)
        for part in counted.scan(len(scan.cells)):
            code(scan.cells[part], class_idx[part], counted.tables())
            counted.count(modes[scan.cells[part]], class_idx[part])
