"""Symbols of a few kinds in classes, with probabilities from what was found so far: both sides count as they go.

Nothing is said about probabilities, and nothing but integers decides them. What the classes are is the caller's.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nerfstudio_mvc.entropy.tables import TOTAL, TableSet

_FIRST_PART = 64  # cells of a scan coded before what they were is counted; every later part is twice as long
# Scans get denser and neighbours more alike: what earlier scans found counts half, and never more than these cells.
_FOUND = 16
_REMEMBERED = 24 * _FOUND


class CountedSymbols:
    """Counts of one map, scan by scan.

    Args:
        expected: weights before anything is found, in sixteenths of a find. int64 [classes, kinds]
        possible: bool [kinds]; what is impossible has the least count, which costs nothing.
    """

    def __init__(self, expected: np.ndarray, possible: np.ndarray | None = None) -> None:
        self._expected, self._found = expected, np.zeros_like(expected)
        self._possible = np.ones(expected.shape[1], bool) if possible is None else possible

    def scan(self, cells: int) -> Iterator[slice]:
        """In which parts the next scan, of so many cells, is coded; each is to be counted before the one after it."""
        found = self._found
        self._found = found * _REMEMBERED // (2 * _REMEMBERED + found.sum(1, keepdims=True))
        start, length = 0, _FIRST_PART
        while start < cells:
            yield slice(start, start + length)
            start, length = start + length, 2 * length

    def count(self, kinds: np.ndarray, class_idx: np.ndarray) -> None:
        found = np.bincount(self._found.shape[1] * class_idx + kinds, minlength=self._found.size)
        self._found += _FOUND * found.reshape(self._found.shape)

    def tables(self) -> TableSet:
        """One table per class; kind k is symbol k - limit. The number of kinds must be odd."""
        weights = np.where(self._possible, self._found + self._expected, 0)
        classes, kinds = weights.shape
        # The last entry of a table is its escape, which never comes.
        counts = 1 + np.pad(weights, ((0, 0), (0, 1))) * (TOTAL - kinds - 1) // weights.sum(1, keepdims=True)
        counts[:, 0] += TOTAL - counts.sum(1)  # what rounding down left over
        return TableSet(np.full(classes, kinds // 2, np.int64), counts.astype(np.uint32).ravel())
