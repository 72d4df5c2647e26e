"""Smooth values for the cells that a warp or a splat left empty, by a push-pull pyramid.

Which cells are empty is decided in `flow` and `depth_splat`.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from nerfstudio_mvc.errors import ShapeError
from nerfstudio_mvc.geometry.filling_kernels import double_rows, halve_rows
from nerfstudio_mvc.kernel_threads import in_parts

WORTH_A_THREAD = 1 << 16
"""Cells of a level of the pyramid; fewer are done before a thread has begun."""


def fill_invalid(warped: Tensor, valid: Tensor) -> Tensor:
    """`warped` where valid, elsewhere the average of the nearest valid surroundings, smoothly.

    Going down, each level averages the valid cells of 2 x 2; coming up, empty cells take the level below, bilinearly.

    Args:
        warped: any number of channels; gradients reach what is valid. [C, H, W]
        valid: 1 or True where `warped` holds a value. [1, H, W]

    Returns:
        float32 [C, H, W]; equal to `warped` where valid; 0 everywhere when nothing is valid.

    Raises:
        ShapeError: the two do not fit together.
    """
    if warped.ndim != 3 or valid.shape != (1, *warped.shape[1:]):
        raise ShapeError(f"valid has shape {tuple(valid.shape)}, expected [1, H, W] for values {tuple(warped.shape)}")
    known = valid[0] > 0.5
    if bool(known.all()):
        return warped
    values = warped.detach().permute(1, 2, 0).to("cpu", torch.float32, copy=True, memory_format=torch.contiguous_format)
    _fill(values.numpy(), known.cpu().numpy())
    filled = values.permute(2, 0, 1).to(warped.device)
    return torch.where(known, warped, filled) if warped.requires_grad else filled


def _fill(values: np.ndarray, known: np.ndarray) -> None:
    """In place. float32 [H, W, C], bool [H, W]"""
    height, width, channels = values.shape
    if known.all():
        return
    if max(height, width) == 1:
        values[:] = 0
        return
    size = ((height + 1) // 2, (width + 1) // 2)
    coarse, coarse_known = np.empty((*size, channels), np.float32), np.empty(size, np.bool_)
    in_parts(halve_rows, size[0], values, known, coarse, coarse_known, least=-(-WORTH_A_THREAD // (4 * size[1])))
    _fill(coarse, coarse_known)
    in_parts(double_rows, height, coarse, values, known, least=-(-WORTH_A_THREAD // width))
