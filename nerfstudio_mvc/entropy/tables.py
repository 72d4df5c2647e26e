"""Integer probability tables: made once, stored with the weights, never recomputed when decoding.

A table covers the symbols -limit .. limit, one entry each, and an escape entry for everything beyond. Entries are
counts that sum to 2**20; as float64 fractions they are exact, so the range coder builds the same intervals everywhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nerfstudio_mvc.errors import WeightsError

TOTAL = 1 << 20
_TAIL_SCALES = 11.0
_MAX_LIMIT = 2047


@dataclass(frozen=True, eq=False)
class TableSet:
    """Tables of different length, stored end to end.

    Attributes:
        limits: largest magnitude with an entry of its own. int64 [T]
        counts: for each table its 2 * limit + 2 entries (symbols -limit .. limit, then escape). uint32
    """

    limits: np.ndarray
    counts: np.ndarray

    def __post_init__(self) -> None:
        starts = np.concatenate([[0], np.cumsum(2 * self.limits + 2)])
        if self.limits.min(initial=0) < 0 or starts[-1] != len(self.counts):
            raise WeightsError("the weights file's probability tables are damaged; install the package again")
        sums = np.add.reduceat(self.counts.astype(np.int64), starts[:-1])
        if (sums != TOTAL).any() or (self.counts < 1).any():
            raise WeightsError("the weights file's probability tables do not add up; install the package again")
        object.__setattr__(self, "_starts", starts)

    def __len__(self) -> int:
        return len(self.limits)

    def probabilities(self, table: int) -> np.ndarray:
        """Exact fractions of the entries of one table. float64 [2 * limit + 2]"""
        entries = self.counts[self._starts[table] : self._starts[table + 1]]
        return entries.astype(np.float64) / TOTAL

    def bits(self, symbols: np.ndarray, table_idx: np.ndarray) -> float:
        """What the tables say the symbols cost, escapes without their raw part."""
        limit = self.limits[table_idx]
        entry = np.where(np.abs(symbols) <= limit, symbols + limit, 2 * limit + 1)
        return float(-np.log2(self.counts[self._starts[table_idx] + entry] / TOTAL).sum())


def counts_from_weights(weights: np.ndarray) -> np.ndarray:
    """Non-negative weights -> counts of at least 1 that sum to 2**20, largest remainders rounded up. uint32"""
    share = weights / weights.sum() * (TOTAL - len(weights))
    counts = np.floor(share).astype(np.int64)
    missing = TOTAL - len(weights) - counts.sum()
    counts[np.argsort(counts - share, kind="stable")[:missing]] += 1
    return (counts + 1).astype(np.uint32)


def logistic_mass(limit: int, scale: float, center: float = 0.0) -> np.ndarray:
    """Mass of a logistic on the unit intervals around -limit .. limit, then the rest. float64 [2 * limit + 2]"""
    edges = (np.arange(-limit, limit + 2) - 0.5 - center) / scale
    # The mass of [a, b] right of the centre equals that of [-b, -a]; there the difference does not cancel.
    low, high = np.where(edges[:-1] > 0, -edges[1:], edges[:-1]), np.where(edges[:-1] > 0, -edges[:-1], edges[1:])
    inside = _sigmoid(high) - _sigmoid(low)
    return np.append(inside, _sigmoid(edges[0]) + _sigmoid(-edges[-1]))


def logistic_limit(scale: float) -> int:
    """Largest magnitude worth an entry: beyond it the escape is cheaper than the table is long."""
    return min(max(math.ceil(_TAIL_SCALES * scale), 2), _MAX_LIMIT)


def tables_from_histograms(
    scales: np.ndarray, histograms: list[np.ndarray], *, prior_symbols: float = 400.0
) -> TableSet:
    """Tables for logistic `scales`, bent towards what was really counted.

    Args:
        scales: logistic scale of each table. [T]
        histograms: per table the counts of -limit .. limit and escapes, limit = `logistic_limit(scale)`.
        prior_symbols: how many symbols the logistic itself counts for.
    """
    limits, parts = [], []
    for scale, histogram in zip(scales, histograms, strict=True):
        limit = logistic_limit(float(scale))
        mirrored = histogram.astype(np.float64).copy()
        # Signs carry nothing: averaging both halves makes a small histogram twice as sure.
        mirrored[:-1] = (mirrored[:-1] + mirrored[:-1][::-1]) / 2
        parts.append(counts_from_weights(mirrored + prior_symbols * logistic_mass(limit, float(scale))))
        limits.append(limit)
    return TableSet(np.asarray(limits, np.int64), np.concatenate(parts))


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1.0 + np.tanh(0.5 * x))
