"""Compiled loops of `blend`: warped pictures to cells of 4 x 4 pixels, neighbouring cells mixed, shares to colours."""

from __future__ import annotations

import math

from numba import float32 as f4

from nerfstudio_mvc.compiling import kernel, loop

STRIDE = 4


@kernel
def gather_rows(first, last, pictures, valid, cells):
    """Cells of rows `first` .. `last` - 1; beyond the pictures their border.

    Args:
        pictures: a pair of float32 0..1 [H, W, 3]
        valid: where they show anything; a pair of float32 [H, W]
        cells: filled; channels as `PixelUnshuffle` has them: of the pictures around grey, then of both validities.
            float32 [last - first, w, 128]
    """
    height, width = valid[0].shape
    for row in range(first, last):
        for i in range(cells.shape[1]):
            cell = cells[row - first, i]
            for part in range(STRIDE * STRIDE):
                y = min(STRIDE * row + part // STRIDE, height - 1)
                x = min(STRIDE * i + part % STRIDE, width - 1)
                for picture in range(2):
                    for colour in range(3):
                        cell[48 * picture + 16 * colour + part] = pictures[picture][y, x, colour] - f4(0.5)
                    cell[96 + 16 * picture + part] = valid[picture][y, x]


@kernel
def convolve_rows(first, last, x, weight, bias, out):
    """A depthwise 3 x 3 convolution of rows `first` .. `last` - 1, zeros around the map.

    Args:
        x: float32 [h, w, C]
        weight, bias: float32 [3, 3, C], [C]
        out: filled. float32 [last - first, w, C]
    """
    height, width = x.shape[:2]
    for row in range(first, last):
        for i in range(width):
            # Arrays assigned at once take seconds to compile, since the error of their shapes is a string.
            for channel in range(len(bias)):
                out[row - first, i, channel] = bias[channel]
            for dy in range(-1, 2):
                for dx in range(-1, 2):
                    if 0 <= row + dy < height and 0 <= i + dx < width:
                        _add_product(out[row - first, i], x[row + dy, i + dx], weight[dy + 1, dx + 1])


@loop
def _add_product(out, x, weight):
    for channel in range(len(out)):
        out[channel] += x[channel] * weight[channel]


@kernel
def blend_rows(first, last, pictures, valid, logits, blended, blended_valid):
    """The blend in cells of rows `first` .. `last` - 1.

    Args:
        pictures, valid: see `gather_rows`.
        logits: of the first picture's share. float32 [last - first, w, 16]
        blended, blended_valid: filled. float32 [H, W, 3], [H, W]
    """
    one = f4(1)
    for row in range(STRIDE * first, min(STRIDE * last, blended.shape[0])):
        for i in range(blended.shape[1]):
            logit = logits[row // STRIDE - first, i // STRIDE, STRIDE * (row % STRIDE) + i % STRIDE]
            odds = one / (one + f4(math.exp(-logit - f4(0.5))))
            of_first, of_second = odds * valid[0][row, i], (one - odds) * valid[1][row, i]
            share = of_first / max(of_first + of_second, f4(1e-6))
            for colour in range(3):
                other = pictures[1][row, i, colour]
                blended[row, i, colour] = other + share * (pictures[0][row, i, colour] - other)
            blended_valid[row, i] = max(valid[0][row, i], valid[1][row, i])
