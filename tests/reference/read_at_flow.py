"""A map over the reference where a flow field points, by torch's `grid_sample`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def read_at(image: Tensor, field, mode: str = "bilinear") -> Tensor:
    """`image` [..., Hr, Wr] seen from the current view, 0 where not valid. [..., H, W]"""
    rows, columns = field.valid.shape
    x = (field.flow[0] + torch.arange(columns) + 0.5) * (2 / field.reference_size[1]) - 1
    y = (field.flow[1] + torch.arange(rows)[:, None] + 0.5) * (2 / field.reference_size[0]) - 1
    maps = image.reshape(1, -1, *image.shape[-2:])
    values = F.grid_sample(maps, torch.stack([x, y], -1)[None], mode=mode, padding_mode="border", align_corners=False)
    return (values[0] * field.valid).reshape(*image.shape[:-2], rows, columns)
