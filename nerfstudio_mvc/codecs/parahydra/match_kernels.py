"""Compiled loops of `matching` and `merging`: whole numbers in, whole numbers out, so that all machines agree.

A kernel works on rows first .. last - 1; what it computes for one does not depend on which those are.
"""

from __future__ import annotations

import numpy as np
from numba import int32 as i4

from nerfstudio_mvc.compiling import kernel, loop

CELL = 4
"""Samples a side that share a displacement, on every level."""
FAR = 1 << 30
_TAPS = np.array([[0, 128, 0, 0], [-9, 111, 29, -3], [-8, 72, 72, -8], [-3, 29, 111, -9]], np.int32)
"""Catmull-Rom at quarters of a sample, in 128ths."""


@kernel
def quarter_rows(first, last, luma, planes):
    """Fill rows of `planes` uint8 [4, 4, H, W]: plane i, j is luma uint8 [H, W] moved by i, j quarters of a sample."""
    height, width = luma.shape
    mixed = np.empty(width, np.int32)
    for i in range(4):
        for y in range(first, last):
            r0, r1 = luma[max(y - 1, 0)], luma[y]
            r2, r3 = luma[min(y + 1, height - 1)], luma[min(y + 2, height - 1)]
            a, b, c, d = _TAPS[i, 0], _TAPS[i, 1], _TAPS[i, 2], _TAPS[i, 3]
            for x in range(width):
                mixed[x] = a * r0[x] + b * r1[x] + c * r2[x] + d * r3[x]
            for j in range(4):
                e, f, g, h = _TAPS[j, 0], _TAPS[j, 1], _TAPS[j, 2], _TAPS[j, 3]
                out = planes[i, j, y]
                for x in range(width):
                    total = e * mixed[max(x - 1, 0)] + f * mixed[x]
                    total += g * mixed[min(x + 1, width - 1)] + h * mixed[min(x + 2, width - 1)]
                    out[x] = min(max((total + 8192) >> 14, 0), 255)


@loop
def difference(main, plane, cy, cx, oy, ox, half, bound):
    """Sum of absolute differences of a patch of `main` and one of `plane`, moved by whole samples; `FAR` at `bound`."""
    height, width = main.shape
    total = i4(0)
    top, left = cy - half, cx - half
    inside = top >= 0 and top + 2 * half <= height and left >= 0 and left + 2 * half <= width
    inside = inside and top + oy >= 0 and top + oy + 2 * half <= height
    inside = inside and left + ox >= 0 and left + ox + 2 * half <= width
    for i in range(2 * half):
        if inside:
            one, other = main[top + i, left : left + 2 * half], plane[top + oy + i, left + ox : left + ox + 2 * half]
            for j in range(2 * half):
                total += abs(i4(one[j]) - i4(other[j]))
        else:
            y = min(max(top + i, 0), height - 1)
            there = min(max(top + i + oy, 0), height - 1)
            for j in range(2 * half):
                x = min(max(left + j, 0), width - 1)
                total += abs(i4(main[y, x]) - i4(plane[there, min(max(left + j + ox, 0), width - 1)]))
        if total >= bound:
            return FAR
    return total


@kernel
def refine_rows(first, last, main, planes, shift, half, reach, smooth, field, out):
    """Every cell takes its own or a neighbour's displacement, then searches around it.

    Args:
        main: uint8 [H, W].
        planes: the side at 2**shift phases a sample, uint8 [2**shift, 2**shift, H, W].
        half: of the side of the patches that are compared, samples.
        reach: first step of the search, in parts of a sample; halved down to 1.
        smooth: price of a part that a displacement differs from the mean of its surroundings, in quarters.
        field: displacements in parts of a sample, y then x. int32 [h, w, 2]
        out: filled with the better ones.
    """
    rows, columns = field.shape[:2]
    mask, most = (1 << shift) - 1, 8 << shift
    for a in range(first, last):
        for b in range(columns):
            cy, cx = a * CELL + CELL // 2, b * CELL + CELL // 2
            up, down, left, right = max(a - 1, 0), min(a + 2, rows), max(b - 1, 0), min(b + 2, columns)
            sum_y, sum_x, count = 0, 0, (down - up) * (right - left)
            for i in range(up, down):
                for j in range(left, right):
                    sum_y += field[i, j, 0]
                    sum_x += field[i, j, 1]
            best, by, bx = FAR, field[a, b, 0], field[a, b, 1]
            for turn in range(-1, (down - up) * (right - left)):
                if turn < 0:
                    dy, dx = field[a, b, 0], field[a, b, 1]
                else:
                    i, j = up + turn // (right - left), left + turn % (right - left)
                    dy, dx = field[i, j, 0], field[i, j, 1]
                    if dy == field[a, b, 0] and dx == field[a, b, 1]:
                        continue
                bent = min(abs(count * dy - sum_y) + abs(count * dx - sum_x), count * most) * smooth // (4 * count)
                if bent < best:
                    found = difference(
                        main, planes[dy & mask, dx & mask], cy, cx, dy >> shift, dx >> shift, half, best - bent
                    )
                    if found + bent < best:
                        best, by, bx = found + bent, dy, dx
            step = reach
            while step >= 1:
                y0, x0 = by, bx
                for turn in range(9):
                    if turn == 4:
                        continue
                    dy, dx = y0 + (turn // 3 - 1) * step, x0 + (turn % 3 - 1) * step
                    bent = min(abs(count * dy - sum_y) + abs(count * dx - sum_x), count * most) * smooth // (4 * count)
                    if bent < best:
                        found = difference(
                            main, planes[dy & mask, dx & mask], cy, cx, dy >> shift, dx >> shift, half, best - bent
                        )
                        if found + bent < best:
                            best, by, bx = found + bent, dy, dx
                step //= 2
            out[a, b, 0], out[a, b, 1] = by, bx


@kernel
def cycle_rows(first, last, there, back, error):
    """By how many quarters of a pixel a cell misses itself after the way there and back; capped at 400.

    there, back: fields in quarters of a pixel, int32 [h, w, 2]; error: filled, int32 [h, w].
    """
    rows, columns = there.shape[:2]
    for a in range(first, last):
        for b in range(columns):
            dy, dx = there[a, b, 0], there[a, b, 1]
            i, j = (a * 16 + 8 + dy) >> 4, (b * 16 + 8 + dx) >> 4
            best = 400
            if 0 <= i < rows and 0 <= j < columns:
                for ii in range(max(i - 1, 0), min(i + 2, rows)):
                    for jj in range(max(j - 1, 0), min(j + 2, columns)):
                        best = min(best, abs(dy + back[ii, jj, 0]) + abs(dx + back[ii, jj, 1]))
            error[a, b] = best


@kernel
def move_rows(first, last, side, field, moved):
    """Fill rows of cells of `moved` uint8 [H, W, 3]: `side` [H, W, 3] as the field, in quarters of a pixel, says.

    Around each cell of 4x4 pixels stands a block of 8x8, weighed 1 3 5 7 7 5 3 1, and blocks overlap.
    """
    height, width = side.shape[:2]
    rows, columns = field.shape[:2]
    window = np.array([1, 3, 5, 7, 7, 5, 3, 1], np.int32)
    for y in range(first * CELL, min(last * CELL, height)):
        near = (y + 2) // CELL  # the block below the seam; the one above is near - 1
        for x in range(width):
            beside = (x + 2) // CELL
            red, green, blue, total = 0, 0, 0, 0
            for a in range(max(near - 1, 0), min(near + 1, rows)):
                for b in range(max(beside - 1, 0), min(beside + 1, columns)):
                    share = window[y - a * CELL + 2] * window[x - b * CELL + 2]
                    ty, tx = y * 4 + field[a, b, 0], x * 4 + field[a, b, 1]
                    py, px, fy, fx = ty >> 2, tx >> 2, ty & 3, tx & 3
                    one, two, three = 0, 0, 0
                    for i in range(4):
                        if _TAPS[fy, i] == 0:
                            continue
                        yy = min(max(py + i - 1, 0), height - 1)
                        for j in range(4):
                            tap = _TAPS[fy, i] * _TAPS[fx, j]
                            if tap != 0:
                                xx = min(max(px + j - 1, 0), width - 1)
                                one += tap * side[yy, xx, 0]
                                two += tap * side[yy, xx, 1]
                                three += tap * side[yy, xx, 2]
                    red += share * (one >> 7)
                    green += share * (two >> 7)
                    blue += share * (three >> 7)
                    total += share
            half = total * 64
            moved[y, x, 0] = min(max((red + half) // (total * 128), 0), 255)
            moved[y, x, 1] = min(max((green + half) // (total * 128), 0), 255)
            moved[y, x, 2] = min(max((blue + half) // (total * 128), 0), 255)


@kernel
def merge_rows(first, last, main, sides, trust, unit, edges, weights, reach, merged, classes):
    """Fill rows of `merged` and `classes`: main + sum over sides of weight(class) * (side - main).

    Args:
        main: uint8 [H, W, 3].
        sides: on its grid. uint8 [S, H, W, 3]
        trust: class of cycle consistency of each cell. uint8 [S, h, w]
        unit: square of the main picture's own error, 256ths of a squared grey level. int32 [H / 8, W / 8]
        edges: of disagreement, squared, in 256ths. int32 [E]
        weights: in 256ths, of each side by class: trust * (E + 1) + disagreement. int32 [S, 3 * (E + 1)]
        reach: rows and columns around a pixel that disagreement is taken over.
    """
    height, width = main.shape[:2]
    count, steps = len(sides), len(edges) + 1
    column = np.empty((count, width), np.int32)
    for s in range(count):
        column[s] = 0
        for y in range(max(first - reach - 1, 0), min(first + reach, height)):
            _add_row(column[s], main[y], sides[s, y], 1)
    for y in range(first, last):
        for s in range(count):
            if y + reach < height:
                _add_row(column[s], main[y + reach], sides[s, y + reach], 1)
            if y - reach - 1 >= 0:
                _add_row(column[s], main[y - reach - 1], sides[s, y - reach - 1], -1)
        tall = min(y + reach, height - 1) - max(y - reach, 0) + 1
        for x in range(width):
            for c in range(3):
                merged[y, x, c] = main[y, x, c]
        red, green, blue = np.zeros(width, np.int32), np.zeros(width, np.int32), np.zeros(width, np.int32)
        for s in range(count):
            running = 0
            for x in range(min(reach, width)):
                running += column[s, x]
            for x in range(width):
                if x + reach < width:
                    running += column[s, x + reach]
                if x - reach - 1 >= 0:
                    running -= column[s, x - reach - 1]
                wide = min(x + reach, width - 1) - max(x - reach, 0) + 1
                # Mean square of the difference against edge * unit, all in whole numbers.
                disagreement = np.int64(running) * 65536
                own = np.int64(unit[y >> 3, x >> 3]) * (3 * tall * wide)
                step = 0
                while step < steps - 1 and disagreement >= own * edges[step]:
                    step += 1
                kind = trust[s, y // CELL, x // CELL] * steps + step
                classes[s, y, x] = kind
                weight = weights[s, kind]
                if weight != 0:
                    red[x] += weight * (i4(sides[s, y, x, 0]) - i4(main[y, x, 0]))
                    green[x] += weight * (i4(sides[s, y, x, 1]) - i4(main[y, x, 1]))
                    blue[x] += weight * (i4(sides[s, y, x, 2]) - i4(main[y, x, 2]))
        for x in range(width):
            merged[y, x, 0] = min(max((i4(main[y, x, 0]) * 256 + red[x] + 128) >> 8, 0), 255)
            merged[y, x, 1] = min(max((i4(main[y, x, 1]) * 256 + green[x] + 128) >> 8, 0), 255)
            merged[y, x, 2] = min(max((i4(main[y, x, 2]) * 256 + blue[x] + 128) >> 8, 0), 255)


@loop
def _add_row(column, main, side, sign):
    for x in range(len(column)):
        total = i4(0)
        for c in range(3):
            apart = i4(main[x, c]) - i4(side[x, c])
            total += apart * apart
        column[x] += sign * total
