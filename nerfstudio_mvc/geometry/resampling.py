"""Separable interpolation of coarse maps onto rows of a finer grid; each output row is computed alone.

So a map may be produced in bands of any height with the same result. Sampling at arbitrary points is `warping`'s.
"""

from __future__ import annotations

import torch
from torch import Tensor


def linear_taps(out_size: int, in_size: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Bilinear resampling along one axis, cell centres at + 0.5, the border value kept outside the outermost centres.

    Returns:
        first, second: cells mixed for each output cell. int64 [out_size]
        weight: share of `second`. float32 [out_size]
    """
    position = (torch.arange(out_size, dtype=torch.float64, device=device) + 0.5) * (in_size / out_size) - 0.5
    position = position.clamp(0, in_size - 1)
    first = position.floor().long()
    return first, (first + 1).clamp_max(in_size - 1), (position - first).float()


def linear_rows(coarse: Tensor, *, rows: slice, row_taps: tuple, column_taps: tuple) -> Tensor:
    """Rows `rows` of `coarse` [h, w] resampled with taps made by `linear_taps`. [R, W]"""
    top, bottom, row_weight = (tap[rows] for tap in row_taps)
    left, right, column_weight = column_taps
    upper, lower = coarse.index_select(0, top), coarse.index_select(0, bottom)
    mixed = upper + (lower - upper) * row_weight[:, None]
    value = mixed.index_select(1, left)
    return value + (mixed.index_select(1, right) - value) * column_weight


def cubic_taps(position: Tensor, node_count: int) -> tuple[Tensor, Tensor]:
    """Lagrange interpolation through four neighbouring nodes, one-sided at the ends; exact for cubics, error O(step^4).

    Args:
        position: in units of the node step, 0 at the first node. float64 [N]
        node_count: at least 4.

    Returns:
        first: the first of the four nodes. int64 [N]
        weights: float64 [4, N]
    """
    first = (position.floor().long() - 1).clamp(0, node_count - 4)
    s = position - first
    weights = torch.stack(
        [
            -(s - 1) * (s - 2) * (s - 3) / 6,
            s * (s - 2) * (s - 3) / 2,
            -s * (s - 1) * (s - 3) / 2,
            s * (s - 1) * (s - 2) / 6,
        ]
    )
    return first, weights
