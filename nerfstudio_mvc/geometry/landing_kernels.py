"""Compiled loops of `warping`: where rows of a view land in its reference, and what the reference shows there.

The formulas are those of `flow.land`, which is for whole grids, other devices and gradients. Each row is computed
alone, stage by stage over a line that stays in the processor's nearest cache; stages that gather are apart from those
that compute, which become vector code. Arithmetic is exact: all machines see the same pixels. Cameras and depths come
from files: where they lead to no number, nothing is seen, and no index leaves its array.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import float32 as f4

from nerfstudio_mvc.compiling import exact_kernel, exact_loop

NO_RAY = 1e30
"""What stands for the ray of a node that has none; what is mixed with it is longer than `LONGEST_RAY`."""
LONGEST_RAY = 1e6
CUBIC = -0.75
"""Of bicubic interpolation, as in torch and OpenCV; against bilinear it took 0.2 to 3 % fewer bytes (quality 5, five
views each of three captures)."""
MARGIN = 2  # samples around a picture that bicubic interpolation reads
LENS = ("fx", "fy", "cx", "cy", "slant", "omega", "p1", "p2", "sx1", "sy1", "n1", "n2", "n3", "n4", "d1", "d2", "d3")
"""What stands where in the array of a lens, as in `cameras.Lens`. Rays of length r are first shortened to
atan(r slant) / omega, not at all where omega is 0."""


class PairArrays(NamedTuple):
    """What landing reads of two views.

    Attributes:
        nodes: rays on nodes, x then y. float64 [2, rows, columns]
        first_row, row_weights, first_column, column_weights: see `ray_grids.RayGrid`.
        layers: inverse depth, 0 where there is none, and 1 where there is one. float32 [2, h, w]
        top, bottom, row_share, left, right, column_share: see `resampling.linear_taps`.
        pose: reference from current, three rows of four. float32 [12]
        limits: smallest ratio of depths, square of the longest ray, slack of the occlusion test. float32 [3]
        lens: of the reference, see `LENS`; its pixels are shares of the frame. float32 [17]
        hiding: inverse depth of the reference, 0 where it has none. float32 [hr, wr]
    """

    nodes: np.ndarray
    first_row: np.ndarray
    row_weights: np.ndarray
    first_column: np.ndarray
    column_weights: np.ndarray
    layers: np.ndarray
    top: np.ndarray
    bottom: np.ndarray
    row_share: np.ndarray
    left: np.ndarray
    right: np.ndarray
    column_share: np.ndarray
    pose: np.ndarray
    limits: np.ndarray
    lens: np.ndarray
    hiding: np.ndarray


@exact_kernel
def land_rows(first, last, pair, x, y, seen):
    """Where pixels of rows `first` .. `last` - 1 are seen in the reference.

    Args:
        pair: `PairArrays`.
        x, y: filled; in shares of the reference's frame, whatever they are where not seen. float32 [rows, W]
        seen: filled. bool [rows, W]
    """
    nodes = np.empty((2, pair.nodes.shape[2]), np.float32)
    coarse = np.empty((2, pair.layers.shape[2]), np.float32)
    lines = np.empty((3, x.shape[1]), np.float32)
    inverse, ratio, hiding = lines[0], lines[1], lines[2]
    for row in range(first, last):
        for axis in range(2):
            for i in range(nodes.shape[1]):
                mixed = 0.0
                for tap in range(4):
                    mixed += pair.nodes[axis, pair.first_row[row] + tap, i] * pair.row_weights[tap, row]
                nodes[axis, i] = f4(mixed)
            for i in range(coarse.shape[1]):
                upper, lower = pair.layers[axis, pair.top[row], i], pair.layers[axis, pair.bottom[row], i]
                coarse[axis, i] = upper + (lower - upper) * pair.row_share[row]
        here = row - first
        _spread(coarse, pair.left, pair.right, pair.column_share, inverse)
        _rays(nodes, pair.first_column, pair.column_weights, x[here], y[here])
        _project(pair.pose, pair.limits, inverse, x[here], y[here], ratio)
        if pair.lens[5] != f4(0):
            _bend_by_angle(pair.lens[4], pair.lens[5], x[here], y[here])
        _bend_by_polynomials(pair.lens, x[here], y[here])
        _read_linear(pair.hiding, x[here], y[here], hiding)
        _see(pair.limits[2], inverse, ratio, hiding, x[here], y[here], seen[here])


@exact_loop
def _spread(coarse, left, right, share, inverse):
    """Inverse depth where the nearest depth sample exists, or most of the neighbours do."""
    for i in range(len(inverse)):
        value, seen = coarse[0, left[i]], coarse[1, left[i]]
        value += (coarse[0, right[i]] - value) * share[i]
        seen += (coarse[1, right[i]] - seen) * share[i]
        inverse[i] = value / seen if seen >= f4(0.5) else f4(0)


@exact_loop
def _rays(nodes, first, weights, x, y):
    """Apart from `_project`: what gathers does not become vector code."""
    for i in range(len(x)):
        at = first[i]
        second, third, last = at + np.uint32(1), at + np.uint32(2), at + np.uint32(3)
        w0, w1, w2, w3 = weights[0, i], weights[1, i], weights[2, i], weights[3, i]
        x[i] = nodes[0, at] * w0 + nodes[0, second] * w1 + nodes[0, third] * w2 + nodes[0, last] * w3
        y[i] = nodes[1, at] * w0 + nodes[1, second] * w1 + nodes[1, third] * w2 + nodes[1, last] * w3


@exact_loop
def _project(pose, limits, inverse, x, y, ratio):
    """Rays of the reference camera, and its depth over that of the current one; 0 where nothing can be seen.

    Everything is divided by the current depth: R ray + t / z needs no division and holds for far points as well.
    """
    r00, r01, r02, tx, r10, r11, r12, ty = pose[0], pose[1], pose[2], pose[3], pose[4], pose[5], pose[6], pose[7]
    r20, r21, r22, tz = pose[8], pose[9], pose[10], pose[11]
    nearest, longest = limits[0], limits[1]
    for i in range(len(x)):
        a, b, there = x[i], y[i], inverse[i]
        known = (abs(a) + abs(b) < f4(LONGEST_RAY)) & (there > f4(0))
        a, b = (a if known else f4(0)), (b if known else f4(0))
        away = a * r20 + b * r21 + there * tz + r22
        scale = f4(1) / max(away, nearest)
        across = (a * r00 + b * r01 + there * tx + r02) * scale
        down = (a * r10 + b * r11 + there * ty + r12) * scale
        x[i], y[i] = across, down
        ratio[i] = away if known & (away > nearest) & (across * across + down * down <= longest) else f4(0)


@exact_loop
def _bend_by_angle(slant, omega, x, y):
    for i in range(len(x)):
        length = np.sqrt(x[i] * x[i] + y[i] * y[i])
        scale = math.atan(length * slant) / (length * omega) if length > f4(1e-6) else slant / omega
        x[i] *= scale
        y[i] *= scale


@exact_loop
def _bend_by_polynomials(lens, x, y):
    fx, fy, cx, cy, p1, p2, sx1, sy1 = lens[0], lens[1], lens[2], lens[3], lens[6], lens[7], lens[8], lens[9]
    n1, n2, n3, n4, d1, d2, d3 = lens[10], lens[11], lens[12], lens[13], lens[14], lens[15], lens[16]
    one, two = f4(1), f4(2)
    for i in range(len(x)):
        a, b = x[i], y[i]
        r2, ab2 = a * a + b * b, two * a * b
        radial = (one + r2 * (n1 + r2 * (n2 + r2 * (n3 + r2 * n4)))) / (one + r2 * (d1 + r2 * (d2 + r2 * d3)))
        x[i] = (a * radial + ab2 * p1 + (r2 + two * a * a) * p2 + r2 * sx1) * fx + cx
        y[i] = (b * radial + ab2 * p2 + (r2 + two * b * b) * p1 + r2 * sy1) * fy + cy


@exact_loop
def _read_linear(image, x, y, out):
    """`image` at shares of its frame, the border value beyond the outermost centres."""
    rows, columns = np.uint32(image.shape[0]), np.uint32(image.shape[1])
    bottom_row, right_column, values = rows - np.uint32(1), columns - np.uint32(1), image.reshape(-1)
    for i in range(len(x)):
        u = min(max(x[i] * f4(columns) - f4(0.5), f4(0)), f4(right_column))
        v = min(max(y[i] * f4(rows) - f4(0.5), f4(0)), f4(bottom_row))
        left, top = min(np.uint32(u), right_column), min(np.uint32(v), bottom_row)
        right = np.uint32(min(left + np.uint32(1), right_column))
        above, below = top * columns, np.uint32(min(top + np.uint32(1), bottom_row)) * columns
        u, v = u - f4(left), v - f4(top)
        upper = values[above + left] + u * (values[above + right] - values[above + left])
        lower = values[below + left] + u * (values[below + right] - values[below + left])
        out[i] = upper + v * (lower - upper)


@exact_loop
def _see(slack, inverse, ratio, hiding, x, y, seen):
    """What leaves the frame or is hidden is not seen. No depth in the reference reads as 0, infinitely far."""
    half = f4(0.5)
    for i in range(len(x)):
        inside = (abs(x[i] - half) <= half) & (abs(y[i] - half) <= half) & (ratio[i] > f4(0))
        seen[i] = inside & (ratio[i] * hiding[i] < slack * inverse[i])


@exact_kernel
def read_rows(first, last, picture, x, y, seen, warped, valid):
    """A picture at places of its frame, bicubically.

    Args:
        picture: red, green, blue and anything; `MARGIN` samples more on each side. float32 [Hr + 4, Wr + 4, 4]
        x, y: see `land_rows`. [rows, W]
        seen: where it is read. [rows, W]
        warped: filled in rows `first` .. `last` - 1, within 0 .. 1; 0 where not seen. float32 [H, W, 3]
        valid: filled; 1 or 0. float32 [H, W]
    """
    for row in range(first, last):
        here = row - first
        _read_line(picture, x[here], y[here], seen[here], warped[row], valid[row])


@exact_loop
def _read_line(picture, x, y, seen, warped, valid):
    rows, columns = picture.shape[0] - 2 * MARGIN, picture.shape[1] - 2 * MARGIN
    width, values = np.uintp(picture.shape[1] * 4), picture.reshape(-1)
    right, bottom = np.uint32(columns + 1), np.uint32(rows + 1)
    for i in range(len(x)):
        if not seen[i]:
            valid[i] = f4(0)
            warped[i, 0], warped[i, 1], warped[i, 2] = f4(0), f4(0), f4(0)
            continue
        u, v = x[i] * f4(columns) + f4(MARGIN - 0.5), y[i] * f4(rows) + f4(MARGIN - 0.5)
        j, k = max(min(np.uint32(u), right), np.uint32(1)), max(min(np.uint32(v), bottom), np.uint32(1))
        u0, u1, u2, u3 = _cubic(u - f4(j))
        v0, v1, v2, v3 = _cubic(v - f4(k))
        at = np.uintp(k - np.uint32(1)) * width + np.uintp(4) * np.uintp(j - np.uint32(1))
        r0, g0, b0 = _colours(values, at, u0, u1, u2, u3)
        r1, g1, b1 = _colours(values, at + width, u0, u1, u2, u3)
        r2, g2, b2 = _colours(values, at + width + width, u0, u1, u2, u3)
        r3, g3, b3 = _colours(values, at + width + width + width, u0, u1, u2, u3)
        valid[i] = f4(1)
        # Bicubic interpolation overshoots at edges.
        warped[i, 0] = min(max(r0 * v0 + r1 * v1 + r2 * v2 + r3 * v3, f4(0)), f4(1))
        warped[i, 1] = min(max(g0 * v0 + g1 * v1 + g2 * v2 + g3 * v3, f4(0)), f4(1))
        warped[i, 2] = min(max(b0 * v0 + b1 * v1 + b2 * v2 + b3 * v3, f4(0)), f4(1))


@exact_loop
def _cubic(t):
    """Weights of the four samples around a place t beyond the second of them."""
    s, a = f4(1) - t, f4(CUBIC)
    return (
        a * t * s * s,
        ((a + f4(2)) * t - (a + f4(3))) * t * t + f4(1),
        ((a + f4(2)) * s - (a + f4(3))) * s * s + f4(1),
        a * s * t * t,
    )


@exact_loop
def _colours(values, at, u0, u1, u2, u3):
    one, step = np.uintp(1), np.uintp(4)
    second, third, last = at + step, at + step + step, at + step + step + step
    r = values[at] * u0 + values[second] * u1 + values[third] * u2 + values[last] * u3
    at, second, third, last = at + one, second + one, third + one, last + one
    g = values[at] * u0 + values[second] * u1 + values[third] * u2 + values[last] * u3
    at, second, third, last = at + one, second + one, third + one, last + one
    return r, g, values[at] * u0 + values[second] * u1 + values[third] * u2 + values[last] * u3
