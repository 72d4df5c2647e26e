"""Encoder side: which of a refined depth's details are worth their bits.

Walks the cells as `depth_coding` does; a residual is kept where the picture saves more bits than it costs.
What a wrong depth costs the picture comes from `depth_refinement`'s sweep.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from nerfstudio_mvc.entropy.interlaced_scans import Scan
from nerfstudio_mvc.prediction.depth_coding import CodedDepth, walk_cells
from nerfstudio_mvc.prediction.depth_refinement import Refinement

BITS_PER_GREY_LEVEL = 2.5  # of a cell of the picture, per grey level of difference to its prediction; about 34 dB
ZERO_BITS, NONZERO_BITS, DOUBLING_BITS = 0.3, 4.5, 1.5  # of a residual: zero, one, and for each doubling above that
SHIFTS_PX = (0.6, 1.2, 2.0, 3.0, 5.0, 8.0, 12.0)  # to either side of the refined depth, where its cost is looked up
WIDEST_SPACING = 8  # beyond it costs grow with the area alone


class PictureLoss:
    """Bits that the picture loses where the depth of a cell, and of those drawn from it, is off by some pixels."""

    def __init__(self, refinement: Refinement, *, bits_per_grey_level: float = BITS_PER_GREY_LEVEL) -> None:
        sides = torch.tensor(SHIFTS_PX)
        shifts = torch.cat([-sides.flip(0), torch.zeros(1), sides])
        lost = torch.stack([refinement.cost_at(refinement.chosen_px + shift) for shift in shifts])
        lost = (lost - lost[len(SHIFTS_PX)]).clamp_min(0) * bits_per_grey_level
        self._shifts = shifts.numpy()
        self._by_spacing, spacing = {}, 1
        while spacing <= WIDEST_SPACING:
            window = 2 * (spacing // 2) + 1
            # Every cell at this spacing stands for spacing^2 of the finest.
            area = F.avg_pool2d(lost[None], window, 1, window // 2, count_include_pad=False)[0] * spacing**2
            self._by_spacing[spacing] = area.flatten(1).double().numpy()
            spacing *= 2

    def bits(self, scan: Scan, error_px: np.ndarray) -> np.ndarray:
        """Bits lost for the cells of `scan` when each is off by `error_px`. [N]"""
        spacing = min(scan.spacing, WIDEST_SPACING)
        lost, area = self._by_spacing[spacing], (scan.spacing / spacing) ** 2
        error_px = np.clip(error_px, self._shifts[0], self._shifts[-1])
        right = np.clip(np.searchsorted(self._shifts, error_px, side="right"), 1, len(self._shifts) - 1)
        share = (error_px - self._shifts[right - 1]) / (self._shifts[right] - self._shifts[right - 1])
        return area * ((1 - share) * lost[right - 1, scan.cells] + share * lost[right, scan.cells])


def quantise_for_prediction(refinement: Refinement, step: float, *, loss: PictureLoss) -> CodedDepth:
    """Like `depth_coding.quantise_depth`, leaving out what does not pay."""

    def residuals(error: np.ndarray, scan: Scan) -> np.ndarray:
        px = step * refinement.pixels_per_inverse_depth
        nearest = np.copysign(np.floor(np.abs(error) / scan.residual_step + 0.5), error)
        best = np.zeros_like(nearest)
        least = loss.bits(scan, -error * px) + ZERO_BITS
        for candidate in (nearest, np.trunc(nearest / 2)):
            magnitude = np.abs(candidate)
            bits = loss.bits(scan, (candidate * scan.residual_step - error) * px)
            bits += NONZERO_BITS + DOUBLING_BITS * np.log2(np.maximum(magnitude, 1))
            pays = (magnitude > 0) & (bits < least)
            best, least = np.where(pays, candidate, best), np.where(pays, bits, least)
        return best.astype(np.int64)

    return walk_cells(refinement.inverse_depth.double().numpy(), step, residuals)


def lost_bits(refinement: Refinement, coded: CodedDepth, *, bits_per_grey_level: float = BITS_PER_GREY_LEVEL) -> float:
    """What the picture costs with `coded` more than with the refined depth, by the sweep's cost."""
    inverse_depth = torch.from_numpy(coded.inverse_depth()).float()
    error_px = (inverse_depth - refinement.inverse_depth) * refinement.pixels_per_inverse_depth
    more = refinement.cost_at(refinement.chosen_px + error_px) - refinement.cost_at(refinement.chosen_px)
    return float(more.sum()) * bits_per_grey_level
