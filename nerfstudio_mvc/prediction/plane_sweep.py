"""Compiled loops of `depth_refinement`: the differences of all candidates sample by sample, and the sums over paths.

A map of every candidate in every cell has the candidates last, [h, w, K]: those of a cell are one run of floats. A
kernel works on rows or columns first .. last - 1 of cells; what it computes for one does not depend on which those are.
"""

from __future__ import annotations

import numpy as np
from numba import float32 as f4

from nerfstudio_mvc.compiling import kernel, loop

NO_RAY = 1e12
"""What stands for the ray of a pixel that has none; compiled loops know no NaN."""


@kernel
def sweep_rows(first, last, luma, rays, inverse, bends, layers, offsets, camera, differences, lost):
    """Sum over each cell's samples how much a reference differs from the view at every candidate.

    Args:
        luma: of the view. [H, W]
        rays: of the samples, x and y; huge where there is none. [H, W, 2]
        inverse: inverse depth of the prior. [H, W]
        bends: what the lens adds to where an offset lands, in pixels of `layers`: constant, slope and curvature, x then
            y. [H, W, 6], or [0, 0, 6] for a lens that does not bend.
        layers: luma of the reference and its inverse depth, 0 where it has none; the border twice. [Hr + 2, Wr + 2, 2]
        offsets: 0, then what each candidate adds to `inverse`. [1 + K]
        camera: the pose, three rows of four; focal lengths and principal point in pixels of `layers`; smallest inverse
            depth, smallest ratio of depths, square of the longest ray, slack of the occlusion test. [20]
        differences: filled; where the reference does not show a sample, it counts 0. [h, w, K]
        lost: filled; how many samples the reference shows at the prior but not at the candidate. [h, w, K]
    """
    side = luma.shape[0] // differences.shape[0]
    pixels, shape = layers.reshape(-1), np.array(layers.shape[:2], np.uint32)
    straight = np.zeros(6, np.float32)
    landings, far = np.empty((3, len(offsets)), np.float32), np.empty(3, np.float32)
    for row in range(first, last):
        for column in range(differences.shape[1]):
            difference, gone = differences[row, column], lost[row, column]
            difference[:] = f4(0)
            gone[:] = f4(0)
            for sample in range(side * side):
                y, x = row * side + sample // side, column * side + sample % side
                for axis in range(3):
                    r = camera[4 * axis : 4 * axis + 4]
                    far[axis] = rays[y, x, 0] * r[0] + rays[y, x, 1] * r[1] + r[2]
                prior = inverse[y, x]
                here = max(prior, camera[16])
                ratio = far[2] + here * camera[11]
                ray_x, ray_y = far[0] + here * camera[3], far[1] + here * camera[7]
                ray_ends = ratio * ratio * camera[18]
                if rays[y, x, 0] >= NO_RAY or ratio <= camera[17] or ray_x * ray_x + ray_y * ray_y > ray_ends:
                    continue
                bend = bends[y, x] if bends.shape[0] else straight
                _land(far, prior, bend, offsets, camera, landings[0], landings[1], landings[2])
                _compare(luma[y, x], prior, pixels, shape, offsets, camera, landings, difference, gone)


@loop
def _land(far, prior, bend, offsets, camera, ratios, across, down):
    """Where a sample lands at every candidate, in pixels of the bordered layers, and its ratio of depths."""
    far_x, far_y, far_z, tx, ty, tz = far[0], far[1], far[2], camera[3], camera[7], camera[11]
    fx, fy, cx, cy, smallest, nearest = camera[12], camera[13], camera[14], camera[15], camera[16], camera[17]
    b0, b1, b2, b3, b4, b5 = bend[0] + cx, bend[1], bend[2], bend[3] + cy, bend[4], bend[5]
    for k in range(len(offsets)):
        offset = offsets[k]
        here = max(prior + offset, smallest)
        ratio = far_z + here * tz
        scale = f4(1) / max(ratio, nearest)
        ratios[k] = ratio
        across[k] = (far_x + here * tx) * scale * fx + b0 + offset * (b1 + offset * b2)
        down[k] = (far_y + here * ty) * scale * fy + b3 + offset * (b4 + offset * b5)


@loop
def _compare(own, prior, pixels, shape, offsets, camera, landings, difference, gone):
    height, width = shape[0], shape[1]
    right, bottom = f4(width) - f4(1.5), f4(height) - f4(1.5)
    for k in range(len(offsets)):
        ratio, u, v = landings[0, k], landings[1, k], landings[2, k]
        inside = (u >= f4(0.5)) & (u <= right) & (v >= f4(0.5)) & (v <= bottom) & (ratio > camera[17])
        if not inside:
            if k == 0:
                return
            gone[k - 1] += f4(1)
            continue
        j, i = np.uint32(u), np.uint32(v)
        u, v = u - f4(j), v - f4(i)
        at = np.uintp(np.uint32(2) * (i * width + j))
        below = np.uintp(at + np.uint32(2) * width)
        upper = pixels[at + np.uintp(1)] + u * (pixels[at + np.uintp(3)] - pixels[at + np.uintp(1)])
        lower = pixels[below + np.uintp(1)] + u * (pixels[below + np.uintp(3)] - pixels[below + np.uintp(1)])
        shown = ratio * (upper + v * (lower - upper)) < max(prior + offsets[k], camera[16]) * camera[19]
        if k == 0:
            if not shown:
                return
            continue
        upper = pixels[at] + u * (pixels[at + np.uintp(2)] - pixels[at])
        lower = pixels[below] + u * (pixels[below + np.uintp(2)] - pixels[below])
        if shown:
            difference[k - 1] += abs(upper + v * (lower - upper) - own)
        else:
            gone[k - 1] += f4(1)


@kernel
def smooth_rows(first, last, samples, alone, differences, lost, costs):
    """Take mean differences over 3 x 3 cells into `costs`, where they are lower.

    Args:
        samples: of one cell.
        alone: what a cell costs without any prediction, and at most; a lost sample costs its share of it. [h, w]
        differences, lost: as `sweep_rows` filled them, also beside these rows. [h, w, K]
        costs: changed. [h, w, K]
    """
    height, width, count = costs.shape
    difference, gone = np.empty(count, np.float32), np.empty(count, np.float32)
    for row in range(first, last):
        top, bottom = max(row - 1, 0), min(row + 2, height)
        for column in range(width):
            left, right = max(column - 1, 0), min(column + 2, width)
            difference[:] = f4(0)
            gone[:] = f4(0)
            for y in range(top, bottom):
                for x in range(left, right):
                    _add(difference, differences[y, x])
                    _add(gone, lost[y, x])
            share = f4(1) / f4((bottom - top) * (right - left) * samples)
            _take_lower(costs[row, column], difference, gone, share, alone[row, column])


@loop
def _add(total, more):
    for k in range(len(total)):
        total[k] += more[k]


@loop
def _take_lower(costs, difference, gone, share, alone):
    for k in range(len(costs)):
        costs[k] = min(costs[k], min(difference[k] * share, alone) + gone[k] * share * alone)


@kernel
def paths_along_rows(first, last, cost, jump, total):
    """Add to `total` the costs of the best paths to each cell from its left and from its right, itself included.

    Args:
        cost: of every candidate. [h, w, K]
        jump: of candidate k beside candidate l, symmetric. [K, K]
        total: changed. [h, w, K]
    """
    width = cost.shape[1]
    sums = np.empty((2, cost.shape[2]), cost.dtype)
    for row in range(first, last):
        for direction in range(2):
            for step in range(width):
                column = width - 1 - step if direction else step
                now, before = sums[step % 2], sums[1 - step % 2]
                if step:
                    _best_path(now, before, jump)
                else:
                    now[:] = 0
                _add(now, cost[row, column])
                _add(total[row, column], now)


@kernel
def paths_along_columns(first, last, cost, jump, total):
    """The same from above and from below."""
    height = cost.shape[0]
    sums = np.empty((2, last - first, cost.shape[2]), cost.dtype)
    for direction in range(2):
        for step in range(height):
            row = height - 1 - step if direction else step
            for column in range(first, last):
                now, before = sums[step % 2, column - first], sums[1 - step % 2, column - first]
                if step:
                    _best_path(now, before, jump)
                else:
                    now[:] = 0
                _add(now, cost[row, column])
                _add(total[row, column], now)


@loop
def _best_path(arriving, before, jump):
    """Least cost of coming from the cell before, less the least of all there."""
    least = before[0]
    for k in range(1, len(before)):
        least = min(least, before[k])
    for k in range(len(before)):
        arriving[k] = before[0] + jump[0, k]
    for l in range(1, len(before)):  # noqa: E741
        here = before[l]
        for k in range(len(before)):
            arriving[k] = min(arriving[k], here + jump[l, k])
    for k in range(len(before)):
        arriving[k] -= least
