"""Encoder side: which positions of a view are split, and at which nothing is coded; see `block_modes`.

What a coefficient will cost is not known before it is coded: the mean it is coded against comes from networks that read
what was coded before. Its distance from the reference, or from zero, tells most of it. Training goes by that, real
coding measures (`image_coding`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nerfstudio_mvc.codecs.lmvic.learned.block_modes import KEPT, SPLIT, mode_likelihoods

ERROR_WORTH = 13.0
"""Bits that an error of one squared quantiser step is worth; with 8, views of desk and sceaux took half a percent
more."""
LEAST_BITS, LEAST_SIZE = 4.0, 0.8
"""Of a coefficient that is coded, and up to which size; each doubling of that takes two more, as one that is larger
also tells where others are."""
SPLIT_GAIN = 3.0
"""Bits a split must promise, so that hardly any are chosen by chance."""
SPLIT_BITS = 1.0
"""About what it takes to say that a position is split, where the gain has been measured."""
KEPT_LOSS_SHARE = 0.18
"""Of what the error of the reference is worth, accepted for coding nothing: the decoder's own picture of an uncoded
position is worse than the reference."""


@dataclass(frozen=True)
class ModeMaps:
    """Positions that are split, positions where the reference is kept; never both. bool, positions of a latent each"""

    split: Tensor
    kept: Tensor

    def codes(self) -> np.ndarray:
        """As `block_modes` numbers them. int64"""
        return (SPLIT * self.split + KEPT * self.kept).cpu().numpy()

    def likelihoods(self) -> Tensor:
        """Probability with which each mode is coded, of maps [B, 1, h, w]; no gradient. float64, the same shape"""
        return torch.from_numpy(np.stack([mode_likelihoods(codes) for codes in self.codes()[:, 0]]))[:, None]

    @staticmethod
    def of_codes(codes: np.ndarray, device: torch.device) -> ModeMaps:
        numbers = torch.from_numpy(codes).to(device)
        return ModeMaps(numbers == SPLIT, numbers == KEPT)


def choose_modes(whole: Tensor, split: Tensor, *, may_keep: Tensor | None) -> ModeMaps:
    """Modes by what coding a position in either way would about cost.

    Args:
        whole: distance of y from what predicts it, in quantiser steps; `split` the same by quarters. [.., M] both
        may_keep: where a reference shows everything; None without a reference. bool [..]
    """
    whole_bits, split_bits = coding_bits(whole), coding_bits(split)
    chosen = split_bits + SPLIT_GAIN < whole_bits
    if may_keep is None:
        return ModeMaps(chosen, torch.zeros_like(chosen))
    error = ERROR_WORTH * whole.square().sum(-1)
    kept = (error * (1 - KEPT_LOSS_SHARE) <= torch.minimum(whole_bits, split_bits)) & may_keep
    return ModeMaps(chosen & ~kept, kept)


def coding_bits(distance: Tensor) -> Tensor:
    """Bits of the coefficients of every position, errors of those that are left out included. [.., M] -> [..]"""
    size = distance.abs()
    coded = LEAST_BITS + 2 * torch.log2(size.clamp_min(0.5) / LEAST_SIZE).clamp_min(0)
    return torch.minimum(ERROR_WORTH * size.square(), coded).sum(-1)
