"""Encoder side: the residual flow that makes a reference look like the view, where its bits pay.

    warp + candidates, coarse to fine --differences of every cell--> smooth choice --walk of the coder--> offsets

As `depth_refinement` and `depth_quantisation` do for depth, in two dimensions.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from nerfstudio_mvc.capture.views import View
from nerfstudio_mvc.codecs.lmvic.depth_refinement import SeenView, aggregate
from nerfstudio_mvc.codecs.lmvic.field_coding import FIELD_LIMIT
from nerfstudio_mvc.codecs.lmvic.interlaced_scans import Scan, interlaced_scans, predict_cells
from nerfstudio_mvc.codecs.lmvic.luma import luma_levels
from nerfstudio_mvc.codecs.lmvic.residual_flow import STEPS_PER_PX, flow_grid, moved
from nerfstudio_mvc.geometry.flow import FlowField, flow_to_reference
from nerfstudio_mvc.geometry.warping import warp

SAMPLES_PER_CELL = 8  # along a side: half resolution for cells of 16 pixels
FIRST_OFFSETS_PX = (-2.0, 0.0, 2.0)  # what is farther off is the refined depth's to find
LATER_STEPS_PX = (1.0, 0.5, 0.25)
JUMP_BITS, JUMP_BITS_PER_PX, JUMP_LIMIT_PX = 3.0, 1.5, 6.0
"""What a neighbour's other offset costs: any difference, each pixel of it, up to a limit."""
ZERO_BITS, NONZERO_BITS, DOUBLING_BITS = 0.1, 4.0, 1.5
"""What a coded residual costs: zero, one step, and each doubling above that."""
_DISTANCES_PX = (0.5, 1.0, 2.0)
_WIDEST_SPACING = 8  # beyond it losses grow with the area alone
_CONTEXT_SAMPLES = 9  # window whose mean stands for what a view knows of itself


@torch.no_grad()
def find_residual_flow(
    depth: Tensor, *, current: View, pixels: Tensor, reference: SeenView, bits_per_grey_level: float
) -> tuple[np.ndarray, float]:
    """Offsets through which `reference` looks most like `pixels` for their bits.

    Args:
        depth: z-depth of `current`, as the decoder knows it. [h, w]
        pixels: the current photograph, 0..1. [3, H, W]
        bits_per_grey_level: what a cell's mean difference costs the picture.

    Returns:
        offsets in steps, int64 [2, h, w], and the bits they save the picture.
    """
    differences = _Differences(depth, current=current, pixels=pixels, reference=reference)
    offsets_px = torch.zeros(2, *differences.grid)
    for axis in (FIRST_OFFSETS_PX, *((-step, 0.0, step) for step in LATER_STEPS_PX)):
        candidates = torch.tensor([(across, down) for down in axis for across in axis])
        distance = (candidates[:, None] - candidates).abs().sum(-1)
        jump = torch.where(distance > 0, JUMP_BITS + JUMP_BITS_PER_PX * distance.clamp_max(JUMP_LIMIT_PX), 0.0)
        cost = torch.stack([differences.of(offsets_px + candidate[:, None, None]) for candidate in candidates])
        offsets_px = offsets_px + candidates[aggregate(cost * bits_per_grey_level, jump).argmin(0)].permute(2, 0, 1)
    offsets = _worth_coding(offsets_px, _lost_bits(differences, offsets_px, bits_per_grey_level))
    start, end = (differences.of(field) for field in (torch.zeros_like(offsets_px), offsets / STEPS_PER_PX))
    return offsets.to(torch.int64).numpy(), float((start - end).sum()) * bits_per_grey_level


class _Differences:
    """Mean luma differences of cells between a view and a reference warped with given offsets."""

    def __init__(self, depth: Tensor, *, current: View, pixels: Tensor, reference: SeenView) -> None:
        self.grid = flow_grid(current.height, current.width)
        height, width = (SAMPLES_PER_CELL * size for size in self.grid)
        self._current = current
        self._field: FlowField = flow_to_reference(
            depth,
            current=current,
            reference=reference.view,
            reference_depth=reference.depth,
            height=height,
            width=width,
        )
        self._target = luma_levels(pixels, height=height, width=width)
        rows, columns = self._field.reference_size
        self._source = luma_levels(reference.pixels, height=rows, width=columns)[None]
        half = _CONTEXT_SAMPLES // 2
        surroundings = F.avg_pool2d(self._target[None], _CONTEXT_SAMPLES, 1, half, count_include_pad=False)[0]
        self._alone = _cell_means((self._target - surroundings).abs())

    def of(self, offsets_px: Tensor) -> Tensor:
        """Grey levels, at most about what the view's own surroundings would leave over. [2, h, w] -> [h, w]"""
        seen = warp(self._source, moved(self._field, offsets_px, current=self._current))[0]
        difference = torch.where(self._field.valid, (seen - self._target).abs_(), 0.0)
        return torch.minimum(_cell_means(difference), self._alone)


def _lost_bits(differences: _Differences, offsets_px: Tensor, bits_per_grey_level: float) -> dict[int, np.ndarray]:
    """For each spacing of the scans, what it costs to be off by each of `_DISTANCES_PX`, by cell. float64 [D + 1, N]"""
    best = differences.of(offsets_px)
    lost = [torch.zeros_like(best)]
    for distance_px in _DISTANCES_PX:
        sides = [(distance_px, 0.0), (-distance_px, 0.0), (0.0, distance_px), (0.0, -distance_px)]
        around = [differences.of(offsets_px + torch.tensor(side)[:, None, None]) for side in sides]
        lost.append((torch.stack(around).mean(0) - best).clamp_min(0) * bits_per_grey_level)
    stacked, by_spacing, spacing = torch.stack(lost), {}, 1
    while spacing <= _WIDEST_SPACING:
        window = 2 * (spacing // 2) + 1
        area = F.avg_pool2d(stacked[None], window, 1, window // 2, count_include_pad=False)[0] * spacing**2
        by_spacing[spacing] = area.flatten(1).double().numpy()
        spacing *= 2
    return by_spacing


def _worth_coding(offsets_px: Tensor, lost: dict[int, np.ndarray]) -> Tensor:
    """Walk the cells as the coder does and keep what the picture saves more with than it costs. [2, h, w], steps"""
    grid = offsets_px.shape[1:]
    wanted = (offsets_px * STEPS_PER_PX).round().clamp(-FIELD_LIMIT, FIELD_LIMIT).double().numpy().reshape(2, -1)
    levels = np.zeros(wanted.shape, np.int64)
    distances = np.array([0.0, *_DISTANCES_PX]) * STEPS_PER_PX
    for scan in interlaced_scans(*grid):
        predicted = np.stack([predict_cells(scan.neighbors(channel)) for channel in levels])
        error = wanted[:, scan.cells] - predicted
        best, least = np.zeros_like(error), np.full(error.shape[1], np.inf)
        for keep in np.array([(0, 0), (1, 1), (1, 0), (0, 1)])[:, :, None]:
            candidate = keep * error
            missing = np.hypot(*(error - candidate))
            bits = _interpolated(lost, scan, missing, distances) + _residual_bits(candidate).sum(0)
            best, least = np.where(bits < least, candidate, best), np.minimum(bits, least)
        levels[:, scan.cells] = predicted + best.astype(np.int64)
    return torch.from_numpy(np.clip(levels, -FIELD_LIMIT, FIELD_LIMIT).reshape(2, *grid)).float()


def _interpolated(lost: dict[int, np.ndarray], scan: Scan, missing: np.ndarray, distances: np.ndarray) -> np.ndarray:
    spacing = min(scan.spacing, _WIDEST_SPACING)
    missing = np.minimum(missing, distances[-1])
    right = np.clip(np.searchsorted(distances, missing, side="right"), 1, len(distances) - 1)
    share = (missing - distances[right - 1]) / (distances[right] - distances[right - 1])
    table = lost[spacing]
    found = (1 - share) * table[right - 1, scan.cells] + share * table[right, scan.cells]
    return found * (scan.spacing / spacing) ** 2


def _residual_bits(residuals: np.ndarray) -> np.ndarray:
    magnitude = np.abs(residuals)
    return np.where(magnitude > 0, NONZERO_BITS + DOUBLING_BITS * np.log2(np.maximum(magnitude, 1)), ZERO_BITS)


def _cell_means(samples: Tensor) -> Tensor:
    """Means around cells, weighted as bilinear interpolation spreads an offset. [h, w]"""
    cells = F.pad(F.avg_pool2d(samples[None, None], SAMPLES_PER_CELL), (1, 1, 1, 1), mode="replicate")
    kernel = torch.tensor([0.125, 0.75, 0.125])
    return F.conv2d(F.conv2d(cells, kernel.view(1, 1, 3, 1)), kernel.view(1, 1, 1, 3))[0, 0]
