"""Encoder side: the motion that makes a reference look like the view, for the bits it takes.

    best of areas of 8 to 64 pixels --> tree of areas --> few edges between cells --> as the coder's walk has it

The tree takes large areas where small ones save too little. Edges: where two cells that touch move differently, that
costs bits (a Potts model, minimised by iterated conditional modes). The walk knows what moving like which neighbour
takes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from nerfstudio_mvc.codecs.lmvic.block_motion import STEPS_PER_PX
from nerfstudio_mvc.codecs.lmvic.image_model import Reference
from nerfstudio_mvc.codecs.lmvic.interlaced_scans import interlaced_scans
from nerfstudio_mvc.codecs.lmvic.motion_coding import kind_bits, rank_neighbours
from nerfstudio_mvc.codecs.lmvic.motion_costs import MotionCosts

MOTION_WORTH = {1: 0.6, 2: 0.2}
"""Of what an error is worth when coded, by the number of references: the network makes something of one that lies
beside the view too, and more of two."""
REACH_PX = 2
"""Of the search in whole pixels; what is farther off is the refined depth's to find."""
AREAS = (1, 2, 4, 8)
"""Sides of areas that are tried, in cells."""
AREA_BITS, EDGE_BITS = 40.0, 6.0
"""What an area of the tree costs, and later two cells that touch and move differently. 30 to 60 and 4 to 7 were within
a percent of a view's bytes or two (single views of desk, lund_door and sceaux)."""
ROUNDS = 2
"""Of both colours of a chessboard; four did not save more."""
_AROUND = [(down, across) for down in (-1, 0, 1) for across in (-1, 0, 1) if down or across]


def find_motions(x: Tensor, references: Sequence[Reference], *, rd_lambda: float) -> np.ndarray:
    """`find_motion` for each of the references that predict x together. int64 [R, 2, h, w]

    Args:
        references: of the same size as x, holes filled.
        rd_lambda: of the quality x is to be coded at.
    """
    worth = MOTION_WORTH[len(references)] * rd_lambda
    return np.stack([find_motion(x, reference, rd_lambda=worth) for reference in references])


@torch.no_grad()
def find_motion(x: Tensor, reference: Reference, *, rd_lambda: float) -> np.ndarray:
    """Motion through which `reference` predicts x [1, 3, H, W] best. int64 [2, h, w], quarter pixels

    Args:
        rd_lambda: what errors are worth against bits, as in `rate_distortion`.
    """
    costs = MotionCosts(x, reference.picture, rd_lambda=rd_lambda)
    by_area = _best_of_areas(costs)
    zero = torch.zeros_like(by_area[0])
    return _as_coded(costs, _with_few_edges(costs, _tree(costs, by_area), torch.stack([zero, *by_area])))


def _best_of_areas(costs: MotionCosts) -> list[Tensor]:
    """For each size of area, how every cell moves if all of an area move alike. [2, h, w] each"""
    whole = range(-REACH_PX * STEPS_PER_PX, REACH_PX * STEPS_PER_PX + 1, STEPS_PER_PX)
    candidates = torch.tensor([(down, across) for down in whole for across in whole])
    by_candidate = [costs.of(candidate[:, None, None].expand(2, *costs.grid)) for candidate in candidates]
    found = []
    for side in AREAS:
        least, chosen = torch.stack([_area_sums(cost, side) for cost in by_candidate]).min(0)
        motion = candidates[chosen].permute(2, 0, 1)
        for step in (STEPS_PER_PX // 2, STEPS_PER_PX // 4):
            center = motion
            for offset in _AROUND:
                tried = center + step * torch.tensor(offset)[:, None, None]
                cost = _area_sums(costs.of(tried), side)
                better = cost < least
                least, motion = torch.where(better, cost, least), torch.where(better, tried, motion)
        found.append(motion)
    return found


def _tree(costs: MotionCosts, by_area: Sequence[Tensor]) -> Tensor:
    """Larger areas in place of smaller ones where that is cheaper. [2, h, w]"""
    motion = by_area[0]
    least = costs.of(motion) + AREA_BITS
    for side, alike in zip(AREAS[1:], by_area[1:], strict=True):
        together, apart = _area_sums(costs.of(alike), side) + AREA_BITS, _area_sums(least, side)
        motion = torch.where(together < apart, alike, motion)
        # Every cell bears its part.
        least = torch.minimum(together, apart) / side**2
    return motion


def _with_few_edges(costs: MotionCosts, motion: Tensor, seeds: Tensor) -> Tensor:
    """Cell by cell the cheapest of seeds [S, 2, h, w] and neighbours, edges counted. [2, h, w]"""
    rows, columns = costs.grid
    color = (torch.arange(rows)[:, None] + torch.arange(columns)) % 2
    cost, of_seeds = costs.of(motion), torch.stack([costs.of(seed) for seed in seeds])
    for turn in range(2 * ROUNDS):
        around = _neighbours(motion)
        tried = torch.cat([motion[None], seeds, around])
        tried_cost = torch.cat([cost[None], of_seeds, torch.stack([costs.of(neighbour) for neighbour in around])])
        edges = (tried[:, None] != around).any(2).sum(1)
        chosen = torch.where(color == turn % 2, (tried_cost + EDGE_BITS * edges).argmin(0), 0)[None]
        motion = tried.gather(0, chosen[:, None].expand(1, 2, -1, -1))[0]
        cost = tried_cost.gather(0, chosen)[0]
    return motion


def _as_coded(costs: MotionCosts, motion: Tensor) -> np.ndarray:
    """Every cell again in the order of the coder. int64 [2, h, w]"""
    flat = motion.flatten(1).numpy()
    bits = kind_bits(flat, costs.grid)
    for scan in interlaced_scans(*costs.grid):
        known = rank_neighbours(flat, scan)
        tried = np.concatenate([known.motion, flat[None, :, scan.cells]])
        cost = np.stack([costs.of_cells(scan.cells, choice) for choice in tried])
        cost += bits[known.class_idx].T
        flat[:, scan.cells] = np.take_along_axis(tried, cost.argmin(0)[None, None], 0)[0]
    return flat.reshape(2, *costs.grid)


def _neighbours(motion: Tensor) -> Tensor:
    """Motion of the cells above, below, left and right; beyond the rim a cell's own. [4, 2, h, w]"""
    rows, columns = motion.shape[1:]
    padded = F.pad(motion[None].float(), (1, 1, 1, 1), mode="replicate")[0].long()
    places = ((0, 1), (2, 1), (1, 0), (1, 2))
    return torch.stack([padded[:, row : row + rows, column : column + columns] for row, column in places])


def _area_sums(cost: Tensor, side: int) -> Tensor:
    """Sums over areas of side x side cells, at each of their cells. [h, w]"""
    rows, columns = cost.shape
    sums = F.avg_pool2d(cost[None], side, ceil_mode=True, divisor_override=1)[0]
    return sums.repeat_interleave(side, 0).repeat_interleave(side, 1)[:rows, :columns]
