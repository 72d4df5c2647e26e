"""Grey levels of photographs on smaller grids: what the encoder's searches compare."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)  # BT.601


def luma_levels(pixels: Tensor, *, height: int, width: int) -> Tensor:
    """Grey levels 0..255 of a photograph [3, H, W], in 8 bits or 0..1. [height, width]"""
    if pixels.dtype == torch.uint8:
        # One colour at a time: a large photograph is many bytes as floats.
        grey = sum(plane.float() * weight for plane, weight in zip(pixels, LUMA, strict=True))
    else:
        grey = torch.einsum("c,chw->hw", torch.tensor(LUMA, dtype=pixels.dtype), pixels) * 255
    return reduced(grey, height=height, width=width)


def reduced(values: Tensor, *, height: int, width: int) -> Tensor:
    """A map on a grid of about its own resolution or less. [H, W] -> [height, width]

    Means over whole pixels ("area") would stand up to half a pixel beside the places they are meant for, differently in
    every view; a triangle around each place does not.
    """
    return F.interpolate(values[None, None], size=(height, width), mode="bilinear", antialias=True)[0, 0]
