"""What the small model is trained on to do without one of its parts; the codec has a switch for the same.

A model that was trained with everything loses more than the part when the part is taken away; one that has learnt to do
without shows what the part is worth.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from nerfstudio_mvc.codecs.lmvic.switches import LmvicSwitches
from nerfstudio_mvc.training.loop import PredictedViews, fill_batch

SmallAblation = Literal["none", "separate", "concatenate", "no-mask"]
SWITCHES: dict[SmallAblation, LmvicSwitches] = {
    "none": LmvicSwitches(),
    "separate": LmvicSwitches(predict=False),
    "concatenate": LmvicSwitches(align=False),
    "no-mask": LmvicSwitches(mask=False),
}
"""The paper's ablations. Neighbours that are not aligned are not moved either: that would align them."""


class ValidEverywhere:
    """Neighbours that claim to show all of a view, with something smooth where they show nothing.

    Args:
        views: where they come from.
    """

    def __init__(self, views: PredictedViews) -> None:
        self.views = views

    def batch(self, count: int, crop_px: int, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """View [B, 3, H, W], its two neighbours [2, B, 3, H, W], their validity [2, B, 1, H, W]: ones."""
        views, neighbours, valid = self.views.batch(count, crop_px, rng)
        filled = [fill_batch(picture, mask) for picture, mask in zip(neighbours, valid, strict=True)]
        return views, torch.stack(filled), torch.ones_like(valid)
