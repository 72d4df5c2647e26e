"""Encoder side: the depth that predicts best for its bits, found around a prior; 3D-GP-LMVIC codes the prior as it is.

    prior + K offsets --look into every reference--> difference of every cell [K, h, w] --smooth choice--> inverse depth

A plane sweep along epipolar lines with a semi-global choice (Hirschmueller 2008): the cost of a jump between
neighbouring cells stands for the bits it takes. What is left out again because its bits do not pay is
`depth_quantisation`'s business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from nerfstudio_mvc.capture.views import View
from nerfstudio_mvc.geometry.cameras import Lens, lens_of, longest_ray, pixels_from_rays
from nerfstudio_mvc.geometry.flow import OCCLUSION_SLACK
from nerfstudio_mvc.geometry.projection import NEAREST_RATIO, relative_pose
from nerfstudio_mvc.geometry.ray_grids import ray_rows
from nerfstudio_mvc.kernel_threads import in_parts
from nerfstudio_mvc.prediction.depth_precision import pixels_per_inverse_depth
from nerfstudio_mvc.prediction.luma import luma_levels, reduced

SAMPLES_PER_CELL = 3  # along a side: a cell of 6.3 pixels is compared at about half resolution
OFFSETS_PX = (0.4, 1.0, 1.8, 3.0, 4.5, 6.5, 9.0, 13.0)  # to either side, pixels of the photograph
ALONE_COST = 2.0  # grey levels that a cell without any prediction leaves over beyond its own texture
TRUST = 0.04  # grey levels per pixel away from the prior: where the picture is flat, depth still tells what hides what
JUMP_COST = 4.0  # grey levels per pixel of flow between neighbouring cells
JUMP_LIMIT_PX = 4.0  # farther jumps are edges and cost no more
_CONTEXT_SAMPLES = 9  # window whose mean stands for what a view knows of itself
_ANY_LENGTH = 1e20  # of a ray, squared: compiled loops know no infinity
_FARTHEST = 1e-3  # of the prior's smallest inverse depth: candidates stay in front of the camera


@dataclass(frozen=True)
class SeenView:
    """A view that predicts: camera, pixels [3, H, W] in 8 bits or 0..1, z-depth on any grid (None: hides nothing)."""

    view: View
    pixels: Tensor
    depth: Tensor | None


@dataclass(frozen=True)
class Refinement:
    """What a sweep found.

    Attributes:
        inverse_depth: the choice, positive. [h, w]
        pixels_per_inverse_depth: how far a unit of it moves a pixel, in pixels of the current photograph; 0 where no
            reference sees anything, and nothing was swept.
        offsets_px: the candidates, rising. [K]
        cost: `matching_cost` of each candidate, a little more away from the prior. [K, h, w]
        chosen_px: the choice as an offset from the prior. [h, w]
    """

    inverse_depth: Tensor
    pixels_per_inverse_depth: float
    offsets_px: Tensor
    cost: Tensor
    chosen_px: Tensor

    def cost_at(self, offset_px: Tensor) -> Tensor:
        """The cost at any offset of every cell, linearly between candidates. [h, w] -> [h, w]"""
        offset_px = offset_px.clamp(float(self.offsets_px[0]), float(self.offsets_px[-1])).contiguous()
        right = torch.searchsorted(self.offsets_px, offset_px, right=True).clamp_max(len(self.offsets_px) - 1)
        left_px, right_px = self.offsets_px[right - 1], self.offsets_px[right]
        share = (offset_px - left_px) / (right_px - left_px)
        left_cost, right_cost = (self.cost.gather(0, index[None])[0] for index in (right - 1, right))
        return left_cost + (right_cost - left_cost) * share


@torch.no_grad()
def refine_inverse_depth(
    prior: Tensor, *, current: View, pixels: Tensor, references: Sequence[SeenView], jump_cost: float = JUMP_COST
) -> Refinement:
    """Inverse depth near `prior` through which `references` look most like `pixels`, as smooth as they allow.

    Args:
        prior: inverse depth of the current view on its coded grid, positive. [h, w]
        pixels: the current photograph, in 8 bits or 0..1. [3, H, W]
        references: nearest first, at least one.
        jump_cost: see `JUMP_COST`; more gives a smoother map.
    """
    sides = torch.tensor(OFFSETS_PX)
    offsets_px = torch.cat([-sides.flip(0), torch.zeros(1), sides])
    speed = pixels_per_inverse_depth(prior, current=current, reference=references[0].view)
    if speed <= 0:
        return Refinement(prior, 0.0, offsets_px, torch.zeros(len(offsets_px), *prior.shape), torch.zeros_like(prior))
    offsets = (offsets_px / speed).tolist()
    cost = matching_cost(prior, offsets, current=current, pixels=pixels, references=references)
    cost += TRUST * offsets_px.abs()[:, None, None]
    jump = jump_cost * (offsets_px[:, None] - offsets_px).abs().clamp_max(JUMP_LIMIT_PX)
    chosen_px = _vertex(offsets_px, aggregate(cost, jump))
    inverse_depth = (prior + chosen_px / speed).clamp_min(_FARTHEST * float(prior.min()))
    return Refinement(inverse_depth, speed, offsets_px, cost, chosen_px)


def matching_cost(
    prior: Tensor, offsets: Sequence[float], *, current: View, pixels: Tensor, references: Sequence[SeenView]
) -> Tensor:
    """Mean luma difference around every cell for every offset of inverse depth, in the reference that fits best.

    Grey levels of 255, means over 3 x 3 cells, at most about what the view's own surroundings would leave over;
    arguments as in `refine_inverse_depth`. [K, h, w]
    """
    # numba is imported here: only encoding needs it.
    from nerfstudio_mvc.prediction.plane_sweep import NO_RAY, smooth_rows, sweep_rows

    height, width = (SAMPLES_PER_CELL * size for size in prior.shape)
    luma = luma_levels(pixels, height=height, width=width)
    surroundings = F.avg_pool2d(luma[None], _CONTEXT_SAMPLES, 1, _CONTEXT_SAMPLES // 2, count_include_pad=False)[0]
    alone = (_cell_means((luma - surroundings).abs()) + ALONE_COST).numpy()
    rays = torch.stack(ray_rows(current.camera, height, width).rows(slice(0, height)), -1).nan_to_num_(nan=NO_RAY)
    inverse, scale = _on_samples(prior), max(height, width) / max(current.height, current.width)
    costs = np.full((*prior.shape, len(offsets)), np.inf, np.float32)
    differences, lost = np.empty_like(costs), np.empty_like(costs)
    for reference in references:
        arrays = _reference_arrays(prior, offsets, current=current, reference=reference, scale=scale)
        in_parts(sweep_rows, len(costs), luma.numpy(), rays.numpy(), inverse.numpy(), *arrays, differences, lost)
        # What the reference does not show at the prior either costs the same whatever the depth: left out.
        in_parts(smooth_rows, len(costs), SAMPLES_PER_CELL**2, alone, differences, lost, costs)
    return torch.from_numpy(costs).permute(2, 0, 1)


def _reference_arrays(
    prior: Tensor, offsets: Sequence[float], *, current: View, reference: SeenView, scale: float
) -> tuple[np.ndarray, ...]:
    """What `plane_sweep.sweep_rows` reads of a reference: everything that samples and candidates share."""
    view, lens = reference.view, lens_of(reference.view.camera)
    rows, columns = (max(1, round(side * scale)) for side in (view.height, view.width))
    layers = torch.zeros(2, rows, columns)
    layers[0] = luma_levels(reference.pixels, height=rows, width=columns)
    if reference.depth is not None:
        layers[1] = reduced(1.0 / reference.depth, height=rows, width=columns)
    layers = F.pad(layers[None], (1, 1, 1, 1), mode="replicate")[0].permute(1, 2, 0).contiguous()
    pose = relative_pose(current=current, reference=view)
    smallest = _FARTHEST * float(prior.min())
    across, down = columns / view.width, rows / view.height
    bends = torch.empty(0, 0, 6)
    if lens.bends:
        bends = _bends(prior, max(map(abs, offsets)) or 1.0, current=current, pose=pose, lens=lens, smallest=smallest)
        bends = (
            _on_samples(bends * torch.tensor([across] * 3 + [down] * 3)[:, None, None]).permute(1, 2, 0).contiguous()
        )
    camera = [*pose[:3].ravel(), lens.fx * across, lens.fy * down, lens.cx * across + 0.5, lens.cy * down + 0.5]
    camera += [smallest, NEAREST_RATIO, min(longest_ray(view.camera) ** 2, _ANY_LENGTH), OCCLUSION_SLACK]
    return (
        bends.numpy(),
        layers.numpy(),
        np.array([0.0, *offsets], np.float32),
        np.array(camera, np.float32),
    )


def _bends(prior: Tensor, reach: float, *, current: View, pose: np.ndarray, lens: Lens, smallest: float) -> Tensor:
    """What a lens adds to where each cell lands in the reference, as parabolas of the offset, x then y. [6, h, w]

    Bends are a few pixels and smooth: through the outer candidates and the prior itself the parabola is right to a
    small part of a pixel, and so is what lies between cells.
    """
    x, y = (rays.nan_to_num_(nan=0.0) for rays in ray_rows(current.camera, *prior.shape).rows(slice(0, prior.shape[0])))
    bends = []
    for offset in (-reach, 0.0, reach):
        inverse = (prior + offset).clamp_min_(smallest)
        a, b, ratio = (x * r[0] + y * r[1] + r[2] + inverse * r[3] for r in pose[:3].tolist())
        ratio = ratio.clamp_min_(NEAREST_RATIO)
        a, b = a / ratio, b / ratio
        u, v = pixels_from_rays(lens, a, b)
        bends.append((u - (a * lens.fx + lens.cx), v - (b * lens.fy + lens.cy)))
    parabolas = [
        (here, (above - below) / (2 * reach), (above + below - 2 * here) / (2 * reach**2))
        for below, here, above in zip(*bends, strict=True)
    ]
    return torch.stack([part for parabola in parabolas for part in parabola])


def _on_samples(cells: Tensor) -> Tensor:
    """Linearly between cell centres. [..., h, w] -> [..., H, W]"""
    return F.interpolate(cells.reshape(1, -1, *cells.shape[-2:]), scale_factor=SAMPLES_PER_CELL, mode="bilinear")[
        0
    ].reshape(*cells.shape[:-2], *(SAMPLES_PER_CELL * size for size in cells.shape[-2:]))


def aggregate(cost: Tensor, jump: Tensor) -> Tensor:
    """Semi-global sums: for each cell and candidate its cost and that of the best paths that lead to it.

    Args:
        cost: of each candidate in each cell. [K, h, w]
        jump: of candidate k beside candidate l, symmetric. [K, K]

    Returns:
        Sums over the paths from four directions; the cell itself counts once. [K, h, w]
    """
    from nerfstudio_mvc.prediction.plane_sweep import paths_along_columns, paths_along_rows

    own = cost.permute(1, 2, 0).contiguous().numpy()
    total, jump = -3 * own, jump.contiguous().numpy()
    in_parts(paths_along_rows, own.shape[0], own, jump, total)
    in_parts(paths_along_columns, own.shape[1], own, jump, total)
    return torch.from_numpy(total).permute(2, 0, 1)


def _vertex(offsets: Tensor, cost: Tensor) -> Tensor:
    """Offset of the smallest cost, between candidates by the parabola through the three around it. [h, w]"""
    best = cost.argmin(0).clamp(1, len(offsets) - 2)
    x0, x1, x2 = (offsets[best + shift] for shift in (-1, 0, 1))
    y0, y1, y2 = (cost.gather(0, (best + shift)[None])[0] for shift in (-1, 0, 1))
    left, right = (y1 - y0) / (x1 - x0), (y2 - y1) / (x2 - x1)
    curvature = right - left
    vertex = (x0 + x1) / 2 - left * (x2 - x0) / 2 / curvature.clamp_min(1e-6)
    return torch.where(curvature > 1e-6, vertex.clamp(x0, x2), x1)


def _cell_means(samples: Tensor) -> Tensor:
    cells = F.avg_pool2d(samples[None], SAMPLES_PER_CELL)
    return F.avg_pool2d(cells, 3, stride=1, padding=1, count_include_pad=False)[0]
