"""Compiled loops of `restoration`: planes to what the network sees, and what it says to pixels.

The network works on cells of 2 x 2 pixels; a channel of a cell is 4 * channel of a pixel + 2 * row + column, as
`PixelUnshuffle` has them. Pixels are on a scale of 0..1.
"""

from __future__ import annotations

import numpy as np
from numba import float32 as f4
from numba import int64 as i8

from nerfstudio_mvc.compiling import inlined, kernel
from nerfstudio_mvc.video.colour import MIDDLE, SHIFT


@kernel
def see_rows(top, first, last, planes, factors, reference, valid, scales, seen):
    """What the network sees of cells in rows `first` .. `last` - 1 after `top`; beyond the picture its border.

    Args:
        planes: as decoded. uint16 [3, H, W]
        factors: see `colour.colour_factors`.
        reference, valid: what the picture was predicted from, and where that shows anything; of no pixels where it
            was from nothing. float32 [H, W, 3], [H, W]
        scales: contrast; difference per error unit, and its limit; level of the error unit. float32 [4]
        seen: filled. float32 [rows, w, 29]
    """
    height, width = planes.shape[1:]
    contrast, unit, limit, half = scales[0], scales[1], scales[2], f4(0.5)
    for row in range(first, last):
        for i in range(seen.shape[1]):
            cell = seen[row, i]
            cell[28] = scales[3]
            for part in range(4):
                y, x = min(2 * (top + row) + part // 2, height - 1), min(2 * i + part % 2, width - 1)
                shown = valid[y, x] if valid.shape[0] else f4(0)
                cell[24 + part] = shown
                for colour in range(3):
                    value = _grey(planes, factors, colour, y, x)
                    cell[4 * colour + part] = (value - half) * contrast
                    difference = f4(0)
                    if valid.shape[0]:
                        difference = (reference[y, x, colour] - value) * unit
                    cell[12 + 4 * colour + part] = min(max(difference, -limit), limit) * shown


@kernel
def restore_rows(first, last, planes, factors, correction, luma, strengths, pixels):
    """Pixels of rows `first` .. `last` - 1 with their correction.

    Args:
        planes, factors: see `see_rows`.
        correction: what the network says, in the scale of pixels. float32 [h, w, 12]
        luma: weights of the colours in luma. float32 [3]
        strengths: of the correction's luma, and of the rest of it. float32 [2]
        pixels: filled. uint8 [H, W, 3]
    """
    for row in range(first, last):
        for i in range(planes.shape[2]):
            cell, part = correction[row // 2, i // 2], 2 * (row % 2) + i % 2
            grey = cell[part] * luma[0] + cell[4 + part] * luma[1] + cell[8 + part] * luma[2]
            for colour in range(3):
                value = _grey(planes, factors, colour, row, i) + grey * strengths[0]
                value += (cell[4 * colour + part] - grey) * strengths[1]
                pixels[row, i, colour] = np.uint8(min(max(value, f4(0)), f4(1)) * f4(255) + f4(0.5))


@kernel
def multiply_rows(first, last, planes, factors, correction, luma, photograph, products):
    """Sums over each row of the products that strengths are fitted with.

    Args:
        planes, factors, correction, luma: see `restore_rows`.
        photograph: uint8 [H, W, 3]
        products: filled; of luma with itself, with the rest, the rest with itself, luma and the rest with what the
            planes lack. float64 [H, 5]
    """
    for row in range(first, last):
        a, b, c, d, e = 0.0, 0.0, 0.0, 0.0, 0.0
        for i in range(planes.shape[2]):
            cell, part = correction[row // 2, i // 2], 2 * (row % 2) + i % 2
            grey = cell[part] * luma[0] + cell[4 + part] * luma[1] + cell[8 + part] * luma[2]
            for colour in range(3):
                rest = cell[4 * colour + part] - grey
                error = f4(photograph[row, i, colour]) * f4(1 / 255) - _grey(planes, factors, colour, row, i)
                a += grey * grey
                b += grey * rest
                c += rest * rest
                d += grey * error
                e += rest * error
        products[row, 0], products[row, 1], products[row, 2], products[row, 3], products[row, 4] = a, b, c, d, e


@inlined
def _grey(planes, factors, colour, row, i):
    first, second = i8(planes[1, row, i]) - i8(MIDDLE), i8(planes[2, row, i]) - i8(MIDDLE)
    value = i8(planes[0, row, i]) * factors[colour, 0] + first * factors[colour, 1] + second * factors[colour, 2]
    return min(max(f4(value) * f4(2.0**-SHIFT / 255), f4(0)), f4(1))
