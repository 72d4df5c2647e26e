"""Encoder side: the depth that predicts best for its bits, found around a prior; 3D-GP-LMVIC codes the prior as it is.

    prior + K offsets --warp every reference--> |difference| per cell [K, h, w] --smooth choice--> offset of every cell

A plane sweep along epipolar lines with semi-global choice (Hirschmueller 2008): the cost of a jump between neighbouring
cells stands for the bits it takes. Quantising and coding the result is `depth_coding`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from nerfstudio_mvc.capture.views import View
from nerfstudio_mvc.codecs.lmvic.depth_precision import pixels_per_inverse_depth
from nerfstudio_mvc.geometry.flow import land, sample, view_pair

SAMPLES_PER_CELL = 3  # along a side: a cell of 6.3 pixels is compared at about half resolution
OFFSETS_PX = (0.35, 0.8, 1.4, 2.2, 3.2, 4.5, 6.0, 8.0, 11.0, 15.0)  # to either side, pixels of the photograph
UNSEEN_COST = 16.0  # grey levels of 255: what filling a hole leaves over, roughly
JUMP_COST = 1.2  # grey levels per pixel of flow between neighbouring cells
JUMP_LIMIT_PX = 4.0  # farther jumps are edges and cost no more
LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class SeenView:
    """A view that predicts: camera, pixels [3, H, W] 0..1, and z-depth on any grid (None: it hides nothing)."""

    view: View
    pixels: Tensor
    depth: Tensor | None


@torch.no_grad()
def refine_inverse_depth(
    prior: Tensor,
    *,
    current: View,
    pixels: Tensor,
    references: Sequence[SeenView],
    offsets_px: Sequence[float] = OFFSETS_PX,
) -> Tensor:
    """Inverse depth near `prior` through which `references` look most like `pixels`, as smooth as they allow.

    Args:
        prior: inverse depth of the current view, positive. [h, w]
        pixels: the current photograph, 0..1. [3, H, W]
        references: nearest first.
        offsets_px: candidates to either side of the prior, in pixels of flow in the nearest reference, rising.

    Returns:
        float32 [h, w], positive; the prior where no reference sees anything.
    """
    speed = pixels_per_inverse_depth(prior, current=current, reference=references[0].view)
    if speed <= 0:
        return prior
    sides = torch.tensor(offsets_px, dtype=torch.float32)
    offsets = torch.cat([-sides.flip(0), torch.zeros(1), sides])
    cost = matching_cost(prior, offsets / speed, current=current, pixels=pixels, references=references)
    jump = JUMP_COST * (offsets[:, None] - offsets[None]).abs().clamp_max(JUMP_LIMIT_PX)
    chosen = _vertex(offsets, aggregate(cost, jump))
    return (prior + chosen / speed).clamp_min(float(prior.min()) * 0.5)


def matching_cost(
    prior: Tensor, offsets: Tensor, *, current: View, pixels: Tensor, references: Sequence[SeenView]
) -> Tensor:
    """Mean absolute luma difference of every cell, grey levels, for every offset of inverse depth. [K, h, w]"""
    height, width = (SAMPLES_PER_CELL * size for size in prior.shape)
    luma = _luma(pixels, height, width)
    total = torch.full((len(offsets), *prior.shape), UNSEEN_COST)
    for reference in references:
        scale = min(1.0, max(height, width) / max(current.height, current.width))
        size = (round(reference.view.height * scale), round(reference.view.width * scale))
        seen = _luma(reference.pixels, max(1, size[0]), max(1, size[1]))[None]
        pair = view_pair(
            1.0 / prior,
            current=current,
            reference=reference.view,
            reference_depth=reference.depth,
            height=height,
            width=width,
        )
        visible = land(pair, slice(0, height)).valid
        pair = replace(pair, reference_inverse_depth=None)
        for index, offset in enumerate(offsets.tolist()):
            moved = replace(pair, inverse_depth=(pair.inverse_depth + offset).clamp_min(1e-3 * float(prior.min())))
            landing = land(moved, slice(0, height))
            valid = landing.valid & visible
            difference = (sample(seen, landing.x, landing.y, valid)[0] - luma).abs_().clamp_max(48)
            difference = torch.where(valid, difference, UNSEEN_COST)
            cell = F.avg_pool2d(difference[None], SAMPLES_PER_CELL)[0]
            total[index] = torch.minimum(total[index], cell)
    return F.avg_pool2d(total[None], 3, stride=1, padding=1, count_include_pad=False)[0]


def aggregate(cost: Tensor, jump: Tensor) -> Tensor:
    """Semi-global sums: for each cell and candidate its cost and that of the best paths that lead to it.

    Args:
        cost: of each candidate in each cell. [K, h, w]
        jump: of candidate k beside candidate l. [K, K]

    Returns:
        Sums over four directions, less three times the own cost, so that equal paths count once. [K, h, w]
    """
    along_rows = _both_ways(cost.permute(2, 1, 0), jump).permute(2, 1, 0)
    along_columns = _both_ways(cost.permute(1, 2, 0), jump).permute(2, 0, 1)
    return along_rows + along_columns - 3 * cost


def _both_ways(cost: Tensor, jump: Tensor) -> Tensor:
    """Paths along the first axis, forwards and backwards at once. [length, lines, K]"""
    pairs = torch.stack([cost, cost.flip(0)], 1)
    sums = torch.empty_like(pairs)
    sums[0] = pairs[0]
    for at in range(1, len(pairs)):
        before = sums[at - 1]
        arriving = (before[..., None, :] + jump).amin(-1) - before.amin(-1, keepdim=True)
        sums[at] = pairs[at] + arriving
    return sums[:, 0] + sums[:, 1].flip(0)


def _vertex(offsets: Tensor, cost: Tensor) -> Tensor:
    """Offset of the smallest cost, between candidates by the parabola through the three around it. [h, w]"""
    best = cost.argmin(0).clamp(1, len(offsets) - 2)
    x0, x1, x2 = (offsets[best + shift] for shift in (-1, 0, 1))
    y0, y1, y2 = (cost.gather(0, (best + shift)[None])[0] for shift in (-1, 0, 1))
    left, right = (y1 - y0) / (x1 - x0), (y2 - y1) / (x2 - x1)
    curvature = right - left
    vertex = (x0 + x1) / 2 - left * (x2 - x0) / 2 / curvature.clamp_min(1e-6)
    return torch.where(curvature > 1e-6, vertex.clamp(x0, x2), x1)


def _luma(pixels: Tensor, height: int, width: int) -> Tensor:
    """Grey levels 0..255 on a smaller grid. [height, width]"""
    grey = torch.einsum("c,chw->hw", torch.tensor(LUMA, dtype=pixels.dtype), pixels) * 255
    return F.interpolate(grey[None, None], size=(height, width), mode="area")[0, 0]
