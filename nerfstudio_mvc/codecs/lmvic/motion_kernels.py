"""Compiled loops of `motion_costs`: what cells of 8x8 pixels would about cost, each moved in its own way.

What a cell costs does not depend on which cells a call is given, so threads may share them.
"""

from __future__ import annotations

import math

import numpy as np
from numba import float32 as f4

from nerfstudio_mvc.compiling import kernel, loop

SIDE = 8
"""Of a cell, in pixels."""
_C1, _C2, _C3, _C4, _C5, _C6, _C7 = (f4(0.5 * math.cos(k * math.pi / 16)) for k in range(1, SIDE))
GREY_STEPS = 64
"""Steps of a grey level in which pixels are kept."""


@kernel
def cell_bits(first, last, target, planes, stride, starts, scale, least_bits, smallest, error_worth, bits):
    """Bits of cells first .. last - 1: of the DCT of their difference from what they would show.

    A coefficient of size s costs error_worth * s^2 where it is left out, and least_bits + 2 log2(s / smallest) where it
    is coded, whichever is less.

    Args:
        target: pixels of the cells, in `GREY_STEPS`. int16 [N, 64]
        planes: pictures that cells may show parts of, in `GREY_STEPS`, flat. int16
        stride: of a row of a picture.
        starts: where in `planes` the upper left pixel lies that a cell would show. int64 [N]
        scale: of the square of a coefficient, to quantiser steps.
        bits: filled. float32 [N]
    """
    rows, turned = np.empty((SIDE, SIDE), np.float32), np.empty((SIDE, SIDE), np.float32)
    found = np.empty((SIDE, SIDE), np.float32)
    squares = np.empty(SIDE * SIDE, np.float32)
    # log2 of a square, to a twelfth of a bit: its exponent, and its fraction as if it were straight.
    patterns, exponent, bias = squares.view(np.int32), f4(1 / (1 << 23)), f4(127 + 2 * math.log2(smallest))
    scale = f4(scale)
    for cell in range(first, last):
        start = starts[cell]
        for row in range(SIDE):
            begin = start + row * stride
            for k in range(SIDE):
                rows[row, k] = f4(target[cell, row * SIDE + k] - planes[begin + k])
        _transform_columns(rows, found)
        for row in range(SIDE):
            for k in range(SIDE):
                turned[row, k] = found[k, row]
        _transform_columns(turned, found)
        for row in range(SIDE):
            for k in range(SIDE):
                squares[row * SIDE + k] = found[row, k] * found[row, k] * scale
        bits[cell] = _sum_of_bits(squares, patterns, f4(error_worth), f4(least_bits), exponent, bias)


@loop
def _transform_columns(values, found):
    """Orthonormal DCT of each column; even frequencies of sums, odd ones of differences of opposite places."""
    for k in range(SIDE):
        s0, d0 = values[0, k] + values[7, k], values[0, k] - values[7, k]
        s1, d1 = values[1, k] + values[6, k], values[1, k] - values[6, k]
        s2, d2 = values[2, k] + values[5, k], values[2, k] - values[5, k]
        s3, d3 = values[3, k] + values[4, k], values[3, k] - values[4, k]
        outer, inner = s0 + s3, s1 + s2
        found[0, k] = _C4 * (outer + inner)
        found[4, k] = _C4 * (outer - inner)
        outer, inner = s0 - s3, s1 - s2
        found[2, k] = _C2 * outer + _C6 * inner
        found[6, k] = _C6 * outer - _C2 * inner
        found[1, k] = _C1 * d0 + _C3 * d1 + _C5 * d2 + _C7 * d3
        found[3, k] = _C3 * d0 - _C7 * d1 - _C1 * d2 - _C5 * d3
        found[5, k] = _C5 * d0 - _C1 * d1 + _C7 * d2 + _C3 * d3
        found[7, k] = _C7 * d0 - _C5 * d1 + _C3 * d2 - _C1 * d3


@loop
def _sum_of_bits(squares, patterns, error_worth, least_bits, exponent, bias):
    total = f4(0)
    for k in range(SIDE * SIDE):
        size = f4(patterns[k]) * exponent - bias
        total += min(error_worth * squares[k], least_bits + max(size, f4(0)))
    return total
