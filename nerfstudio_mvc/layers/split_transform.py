"""Four 8x8 transforms in place of one 16x16 transform, as a rotation of its coefficients.

What changes in one corner of a block, or along a thin line, is spread by a 16x16 transform over many coefficients. Both
transforms are orthonormal, so turning one's coefficients into the other's is a rotation, and works on anything that is
counted in them: the latent of a learned codec too, that started from the 16x16 one.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nerfstudio_mvc.errors import ShapeError
from nerfstudio_mvc.layers.block_transform import BLOCK, dct_basis, zigzag

HALVES = 2


def split_rotation(luma: int, chroma: int) -> Tensor:
    """Coefficients of a block, channels as in `block_transform` -> those of its quarters. [M, M], orthonormal

    Frequency f of half s, in each direction, takes the place of frequency 2 f + s: whatever expects high channels to be
    quieter than low ones finds that still. Colour, half of whose frequencies no channel holds, stays as it is.

    Raises:
        ShapeError: `luma` channels are not all frequencies of a block.
    """
    if luma != BLOCK * BLOCK:
        raise ShapeError(f"{luma} luma channels cannot be split: that needs all {BLOCK * BLOCK} frequencies of a block")
    halves = torch.zeros(BLOCK, BLOCK, dtype=torch.float64)
    small = dct_basis(BLOCK // HALVES)
    for half in range(HALVES):
        halves[half::HALVES, half * len(small) : (half + 1) * len(small)] = small
    along = halves @ dct_basis(BLOCK).t()
    rows, columns = (torch.tensor(part) for part in zip(*zigzag(), strict=True))
    rotation = torch.eye(luma + 2 * chroma, dtype=torch.float64)
    rotation[:luma, :luma] = along[rows][:, rows] * along[columns][:, columns]
    return rotation.float()
