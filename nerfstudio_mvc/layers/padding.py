"""Pictures and maps grown to whole blocks of the latent's stride, and cut again."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

STRIDE = 16
"""Pixels per cell of the latent."""


def pad_to_blocks(x: Tensor, *, block: int = STRIDE, mode: str = "replicate") -> Tensor:
    """Grow [B, C, H, W] to multiples of `block`, bottom and right.

    The border is repeated, not mirrored as in the released code, which fails on pictures smaller than the padding;
    "constant" pads with zeros.
    """
    height, width = x.shape[-2:]
    if height % block == 0 and width % block == 0:
        return x
    return F.pad(x, (0, -width % block, 0, -height % block), mode=mode)


def crop(x: Tensor, size: tuple[int, int]) -> Tensor:
    """The top left `size` (H, W) of [B, C, ..]."""
    return x[..., : size[0], : size[1]]
