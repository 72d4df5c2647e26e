"""Compiled loops of `hole_filling`: a step down and a step up of the pyramid."""

from __future__ import annotations

from numba import float32 as f4

from nerfstudio_mvc.compiling import exact_kernel


@exact_kernel
def halve_rows(first, last, values, known, coarse, coarse_known):
    """Means of what is known of 2 x 2 cells; 0 where nothing is.

    Args:
        values: float32 [H, W, C]
        known: bool [H, W]
        coarse, coarse_known: filled in rows `first` .. `last` - 1; half the size, rounded up.
    """
    height, width, channels = values.shape
    for row in range(first, last):
        top, bottom = 2 * row, min(2 * row + 1, height - 1)
        for column in range(coarse.shape[1]):
            left, right = 2 * column, min(2 * column + 1, width - 1)
            # Beyond the border nothing is known.
            a, b = known[top, left], known[top, right] & (right > left)
            c, d = known[bottom, left] & (bottom > top), known[bottom, right] & (right > left) & (bottom > top)
            count = f4(a) + f4(b) + f4(c) + f4(d)
            coarse_known[row, column] = count > f4(0)
            share = f4(1) / max(count, f4(1))
            for channel in range(channels):
                total = values[top, left, channel] if a else f4(0)
                total += values[top, right, channel] if b else f4(0)
                total += values[bottom, left, channel] if c else f4(0)
                total += values[bottom, right, channel] if d else f4(0)
                coarse[row, column, channel] = total * share


@exact_kernel
def double_rows(first, last, coarse, values, known):
    """Where cells are not known: between the centres of the coarse ones, bilinearly.

    Args:
        coarse: float32 [h, w, C]
        values: filled where not known in rows `first` .. `last` - 1. float32 [H, W, C]
        known: bool [H, W]
    """
    height, width, channels = coarse.shape
    for row in range(first, last):
        near, other = row // 2, min(max(row // 2 + 2 * (row % 2) - 1, 0), height - 1)
        for column in range(values.shape[1]):
            if not known[row, column]:
                here, beside = column // 2, min(max(column // 2 + 2 * (column % 2) - 1, 0), width - 1)
                for channel in range(channels):
                    upper = f4(0.75) * coarse[near, here, channel] + f4(0.25) * coarse[near, beside, channel]
                    lower = f4(0.75) * coarse[other, here, channel] + f4(0.25) * coarse[other, beside, channel]
                    values[row, column, channel] = f4(0.75) * upper + f4(0.25) * lower
