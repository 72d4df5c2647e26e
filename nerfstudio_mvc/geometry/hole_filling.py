"""Smooth values for the cells that a warp or a splat left empty, by a push-pull pyramid.

Which cells are empty is decided in `flow` and `depth_splat`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nerfstudio_mvc.errors import ShapeError


def fill_invalid(warped: Tensor, valid: Tensor) -> Tensor:
    """`warped` where valid, elsewhere the average of the nearest valid surroundings, smoothly.

    Going down, each level averages the valid cells of 2 x 2; coming up, empty cells take the level below, bilinearly.

    Args:
        warped: any number of channels. [C, H, W]
        valid: 1 or True where `warped` holds a value. [1, H, W]

    Returns:
        [C, H, W]; equal to `warped` where valid; 0 everywhere when nothing is valid.

    Raises:
        ShapeError: the two do not fit together.
    """
    if warped.ndim != 3 or valid.shape != (1, *warped.shape[1:]):
        raise ShapeError(f"valid has shape {tuple(valid.shape)}, expected [1, H, W] for values {tuple(warped.shape)}")
    known = valid > 0.5
    return _fill(torch.where(known, warped, 0.0)[None], known[None])[0]


def _fill(values: Tensor, known: Tensor) -> Tensor:
    """In place: a photograph costs more to copy than most that is done with it here."""
    height, width = values.shape[-2:]
    if max(height, width) == 1 or bool(known.all()):
        return values
    weight = _means_of_four(_even(known.to(values.dtype)))
    coarse = _means_of_four(_even(values)) / weight.clamp_min(0.25)
    coarse = _fill(coarse, weight > 0)
    # Only where it is wanted: most of a picture is known.
    empty = known.flatten().logical_not().nonzero()[:, 0]
    values.flatten(2).index_copy_(2, empty, _doubled(coarse, empty // width, empty % width))
    return values


def _even(values: Tensor) -> Tensor:
    """With even sides. The padding is unknown, so odd sizes need no special weights."""
    padding = (0, values.shape[-1] % 2, 0, values.shape[-2] % 2)
    return F.pad(values, padding) if any(padding) else values


def _means_of_four(values: Tensor) -> Tensor:
    """As `avg_pool2d` over 2 x 2, in a third of the time. [..., 2 h, 2 w] -> [..., h, w]"""
    upper, lower = values[..., ::2, :], values[..., 1::2, :]
    return (upper[..., ::2] + upper[..., 1::2] + lower[..., ::2] + lower[..., 1::2]) * 0.25


def _doubled(coarse: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Cells of a grid twice as fine, between the centres of the coarse one, bilinearly. [1, C, h, w] -> [1, C, N]"""
    height, width = coarse.shape[-2:]
    cells = coarse.flatten(2)

    def along(at: Tensor, size: int) -> tuple[Tensor, Tensor]:
        near = at // 2
        return near, (near + 2 * (at % 2) - 1).clamp(0, size - 1)

    (top, other_row), (left, other_column) = along(row, height), along(column, width)
    here, beyond = (
        0.75 * cells[..., start + left] + 0.25 * cells[..., start + other_column]
        for start in (top * width, other_row * width)
    )
    return 0.75 * here + 0.25 * beyond
