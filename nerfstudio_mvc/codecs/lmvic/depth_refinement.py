"""Encoder side: the depth that predicts best for its bits, found around a prior; 3D-GP-LMVIC codes the prior as it is.

    prior + K offsets --look into every reference--> difference of every cell [K, h, w] --smooth choice--> inverse depth

A plane sweep along epipolar lines with a semi-global choice (Hirschmueller 2008): the cost of a jump between
neighbouring cells stands for the bits it takes. What is left out again because its bits do not pay is
`depth_quantisation`'s business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from nerfstudio_mvc.capture.views import View
from nerfstudio_mvc.codecs.lmvic.depth_precision import pixels_per_inverse_depth
from nerfstudio_mvc.geometry.cameras import Lens, pixels_from_rays
from nerfstudio_mvc.geometry.flow import OCCLUSION_SLACK, land, sample, view_pair
from nerfstudio_mvc.geometry.projection import NEAREST_RATIO
from nerfstudio_mvc.geometry.resampling import linear_rows

SAMPLES_PER_CELL = 3  # along a side: a cell of 6.3 pixels is compared at about half resolution
OFFSETS_PX = (0.4, 1.0, 1.8, 3.0, 4.5, 6.5, 9.0, 13.0)  # to either side, pixels of the photograph
ALONE_COST = 2.0  # grey levels that a cell without any prediction leaves over beyond its own texture
TRUST = 0.04  # grey levels per pixel away from the prior: where the picture is flat, depth still tells what hides what
JUMP_COST = 4.0  # grey levels per pixel of flow between neighbouring cells
JUMP_LIMIT_PX = 4.0  # farther jumps are edges and cost no more
LUMA = (0.299, 0.587, 0.114)
_CONTEXT_SAMPLES = 9  # window whose mean stands for what a view knows of itself
_FARTHEST = 1e-3  # of the prior's smallest inverse depth: candidates stay in front of the camera


@dataclass(frozen=True)
class SeenView:
    """A view that predicts: camera, pixels [3, H, W] 0..1, and z-depth on any grid (None: it hides nothing)."""

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
        pixels: the current photograph, 0..1. [3, H, W]
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
    height, width = (SAMPLES_PER_CELL * size for size in prior.shape)
    luma = _luma(pixels, height, width)
    surroundings = F.avg_pool2d(luma[None], _CONTEXT_SAMPLES, 1, _CONTEXT_SAMPLES // 2, count_include_pad=False)[0]
    alone = _cell_means((luma - surroundings).abs()) + ALONE_COST
    costs = torch.full((len(offsets), *prior.shape), torch.inf)
    for reference in references:
        looks = _looks(prior, offsets, height, width, current=current, reference=reference)
        for cost, (seen, valid, lost) in zip(costs, looks, strict=True):
            difference = _cell_means(torch.where(valid, (seen - luma).abs_(), 0.0))
            difference = torch.minimum(difference, alone, out=difference)
            # What the reference does not show at the prior either costs the same whatever the depth: left out.
            if lost.any():
                difference.addcmul_(alone, _cell_means(lost.float()))
            torch.minimum(cost, difference, out=cost)
    return costs


def _looks(
    prior: Tensor, offsets: Sequence[float], height: int, width: int, *, current: View, reference: SeenView
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """For each offset: luma of the reference where the samples land, whether they do, whether only the prior's do."""
    scale = max(height, width) / max(current.height, current.width)
    size = (max(1, round(reference.view.height * scale)), max(1, round(reference.view.width * scale)))
    everything = slice(0, height)
    pair = view_pair(
        1.0 / prior,
        current=current,
        reference=reference.view,
        reference_depth=reference.depth,
        height=height,
        width=width,
    )
    visible = land(pair, everything).valid
    layers = [_luma(reference.pixels, *size)]
    if pair.reference_inverse_depth is not None:
        layers.append(_resized(pair.reference_inverse_depth, *size))
    layers = torch.stack(layers)
    # As in `geometry.flow.land`, with all that does not depend on the candidate done once.
    x, y = pair.rays.rows(everything)
    far_points = [x * r[0] + y * r[1] + r[2] for r in pair.rotation]
    inverse = linear_rows(pair.inverse_depth, rows=everything, row_taps=pair.row_taps, column_taps=pair.column_taps)
    nearest_to_zero = _FARTHEST * float(prior.min())

    def seen_at(candidate: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        across, down, ratio = (
            torch.add(far, candidate, alpha=t) for far, t in zip(far_points, pair.translation, strict=True)
        )
        in_front = ratio.clamp_min(NEAREST_RATIO)
        return across.div_(in_front), down.div_(in_front), ratio

    def candidate_at(offset: float) -> Tensor:
        return (inverse + offset).clamp_min_(nearest_to_zero)

    curve = _LensCurve(pair.reference, lambda offset: seen_at(candidate_at(offset))[:2], offsets)
    for offset in offsets:
        candidate = candidate_at(offset)
        across, down, ratio = seen_at(candidate)
        u, v = curve.pixels(across, down, offset)
        landing_x = u.mul_(2.0 / pair.reference_width).sub_(1.0)
        landing_y = v.mul_(2.0 / pair.reference_height).sub_(1.0)
        valid = visible & (ratio > NEAREST_RATIO)
        valid &= torch.maximum(landing_x.abs(), landing_y.abs()) <= 1.0
        found = sample(layers, landing_x, landing_y, valid)
        if len(found) > 1:
            valid &= ratio * found[1] < candidate * OCCLUSION_SLACK
        yield found[0], valid, visible & ~valid


class _LensCurve:
    """`pixels_from_rays` along the candidates of every sample, the bend of the lens drawn as a parabola.

    Bends are a few pixels and smooth: through the outer candidates and the prior itself the parabola is right to a
    small part of a pixel, and takes a fifth of the time.
    """

    def __init__(self, lens: Lens, rays_at: Callable[[float], tuple[Tensor, Tensor]], offsets: Sequence[float]) -> None:
        self._lens = lens
        self._parabolas: list[tuple[Tensor, Tensor, Tensor]] = []
        if not lens.bends:
            return
        reach = max(map(abs, offsets)) or 1.0
        bends = []
        for offset in (-reach, 0.0, reach):
            x, y = rays_at(offset)
            u, v = pixels_from_rays(lens, x, y)
            bends.append((u - (x * lens.fx + lens.cx), v - (y * lens.fy + lens.cy)))
        for below, here, above in zip(*bends, strict=True):
            self._parabolas.append((here, (above - below) / (2 * reach), (above + below - 2 * here) / (2 * reach**2)))

    def pixels(self, x: Tensor, y: Tensor, offset: float) -> tuple[Tensor, Tensor]:
        """Where rays that belong to an offset of inverse depth land. Changes `x` and `y`."""
        lens = self._lens
        landings = x.mul_(lens.fx).add_(lens.cx), y.mul_(lens.fy).add_(lens.cy)
        for landing, (here, slope, curvature) in zip(landings, self._parabolas, strict=bool(self._parabolas)):
            landing.add_(here).add_(torch.add(slope, curvature, alpha=offset), alpha=offset)
        return landings


def aggregate(cost: Tensor, jump: Tensor) -> Tensor:
    """Semi-global sums: for each cell and candidate its cost and that of the best paths that lead to it.

    Args:
        cost: of each candidate in each cell. [K, h, w]
        jump: of candidate k beside candidate l. [K, K]

    Returns:
        Sums over the paths from four directions; the cell itself counts once. [K, h, w]
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


def _cell_means(samples: Tensor) -> Tensor:
    cells = F.avg_pool2d(samples[None], SAMPLES_PER_CELL)
    return F.avg_pool2d(cells, 3, stride=1, padding=1, count_include_pad=False)[0]


def _luma(pixels: Tensor, height: int, width: int) -> Tensor:
    """Grey levels 0..255 on a smaller grid. [height, width]"""
    grey = torch.einsum("c,chw->hw", torch.tensor(LUMA, dtype=pixels.dtype), pixels) * 255
    return _resized(grey, height, width)


def _resized(values: Tensor, height: int, width: int) -> Tensor:
    return F.interpolate(values[None, None], size=(height, width), mode="area")[0, 0]
