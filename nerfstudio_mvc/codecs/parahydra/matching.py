"""Where another view shows what a view shows: attention with fixed descriptors, coarse to fine, on decoded pictures.

    coarse    every cell of 16 pixels against every patch of the other view; the best one (2-D attention, ever so sharp)
    fine      the neighbours' displacements and a search around them, on every level up to quarters of a pixel

Nothing is learned, and everything is whole numbers: decoders on other machines and threads find the same. A field holds
for every cell of 4x4 pixels a displacement in quarters of a pixel, y then x. int32 [H/4, W/4, 2]
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nerfstudio_mvc.codecs.parahydra.match_kernels import CELL, cycle_rows, quarter_rows, refine_rows
from nerfstudio_mvc.kernel_threads import in_parts

WHOLE = 16
"""Sides of what is matched are multiples of this."""
COARSE_PIXELS = 1_500_000
"""Pictures with more pixels are halved until they have fewer before the coarse match."""
WINDOW, QUERY_STEP, KEY_STEP = 12, 4, 2
"""Of the coarse match, in samples of a quarter of the picture: windows of 48 pixels, every 16 and every 8 pixels."""
AT_ONCE = 256
"""Queries that are compared with all keys at once."""
_FLAT = 8.0  # grey levels, times the window's side; a window that varies by less says little
DESCRIPTOR_SCALE, _DESCRIPTOR_MAX = 400.0, 127.0  # 144 * 127^2 < 2^24: float32 adds such products up exactly


@dataclass(frozen=True, eq=False)
class Pyramid:
    """Grey levels of a picture, uint8, sides multiples of 16: whole, halves, quarters, ..; and its coarse descriptors.

    Attributes:
        levels: level k is 2^k times smaller.
        coarse: the level whose quarter the coarse match compares.
        queries, keys: descriptors. float32 [n, 144] whole numbers, and the shapes of their grids
    """

    levels: tuple[np.ndarray, ...]
    coarse: int
    queries: np.ndarray
    query_grid: tuple[int, int]
    keys: np.ndarray
    key_grid: tuple[int, int]


def pyramid(pixels: np.ndarray) -> Pyramid:
    """uint8 [H, W, 3] -> its pyramid; sides grow to multiples of 16 by repeating the border."""
    grey = (pixels.astype(np.uint32) @ np.array([77, 150, 29], np.uint32) + 128) >> 8
    coarse = 0
    while grey.size >> (2 * coarse) > COARSE_PIXELS:
        coarse += 1
    block = WHOLE << coarse
    height, width = grey.shape
    grey = np.pad(grey, ((0, -height % block), (0, -width % block)), mode="edge").astype(np.uint8)
    levels = [np.ascontiguousarray(grey)]
    for _ in range(coarse + 2):
        levels.append(_halved(levels[-1]))
    queries, query_grid = _descriptors(levels[-1], QUERY_STEP)
    keys, key_grid = _descriptors(levels[-1], KEY_STEP)
    return Pyramid(tuple(levels), coarse, queries, query_grid, keys, key_grid)


def coarse_match(main: Pyramid, side: Pyramid) -> np.ndarray:
    """For every query of `main` the best key of `side`, the first of equals: displacement in samples of the coarse
    level's quarter. int32 [h, w, 2]"""
    best = np.concatenate(
        [
            (main.queries[start : start + AT_ONCE] @ side.keys.T).argmax(1)
            for start in range(0, len(main.queries), AT_ONCE)
        ]
    )
    rows, columns = np.divmod(best.reshape(main.query_grid), side.key_grid[1])
    own_rows, own_columns = np.indices(main.query_grid)
    moved = (rows * KEY_STEP - own_rows * QUERY_STEP, columns * KEY_STEP - own_columns * QUERY_STEP)
    return np.stack(moved, -1).astype(np.int32)


def closed_share(there: np.ndarray, back: np.ndarray) -> float:
    """Share of the coarse matches that come back to within a cell: how much of a view another one shows, 0..1."""
    rows, columns = np.indices(there.shape[:2])
    i, j = ((own * QUERY_STEP + there[..., axis]) // QUERY_STEP for axis, own in enumerate((rows, columns)))
    inside = (i >= 0) & (i < back.shape[0]) & (j >= 0) & (j < back.shape[1])
    returned = there[inside] + back[i[inside], j[inside]]
    return float((np.abs(returned).max(1) <= QUERY_STEP).sum() / there[..., 0].size)


def fine_match(main: Pyramid, side: Pyramid, coarse: np.ndarray, quarters: np.ndarray) -> np.ndarray:
    """The field of `main` in `side`, which must be of one size.

    Args:
        coarse: of `coarse_match`.
        quarters: of `side`, see `quarter_planes`.
    """
    top = len(main.levels) - 1
    field = _to_cells(coarse, main.levels[top].shape)
    for level in range(top, -1, -1):
        own, other = main.levels[level], side.levels[level][None, None]
        if level < top:
            field = _grown(field, own.shape)
        half, rounds, reach = (6, 3, 2) if level == top else (5, 2, 1) if level else (6, 2, 1)
        for _ in range(rounds):
            field = _refined(own, other, 0, half, reach, 12, field)
    return _refined(main.levels[0], quarters, 2, 6, 2, 3, field * 4)


def quarter_planes(luma: np.ndarray) -> np.ndarray:
    """A picture at quarters of a sample. uint8 [H, W] -> [4, 4, H, W]"""
    planes = np.empty((4, 4, *luma.shape), np.uint8)
    in_parts(quarter_rows, len(luma), luma, planes)
    return planes


def consistency(there: np.ndarray, back: np.ndarray) -> np.ndarray:
    """Class of every cell by how the way there and back closes: 0 closed, 1 nearly, 2 open. uint8 [h, w]

    A cell's trust is the mean of its own and its neighbours', 1 up to a pixel and 0 from four on.
    """
    error = np.empty(there.shape[:2], np.int32)
    in_parts(cycle_rows, len(error), there, back, error)
    trust = np.clip(16 - error, 0, 12)  # twelfths; errors are quarters of a pixel
    padded = np.pad(trust, 1)
    ones = np.pad(np.ones_like(trust), 1)
    total, count = (
        sum(values[i : i + len(trust), j : j + trust.shape[1]] for i in range(3) for j in range(3))
        for values in (padded, ones)
    )
    # Mean trust of .95 and .33 of twelve twelfths.
    return ((total * 20 < count * 12 * 19).astype(np.uint8) + (total * 3 < count * 12)).astype(np.uint8)


def _halved(values: np.ndarray) -> np.ndarray:
    height, width = values.shape
    blocks = values.reshape(height // 2, 2, width // 2, 2).astype(np.uint16)
    return ((blocks.sum((1, 3)) + 2) >> 2).astype(np.uint8)


def _descriptors(values: np.ndarray, step: int) -> tuple[np.ndarray, tuple[int, int]]:
    """Windows without their mean, of one length, in whole numbers: products are exact in float32 in any order."""
    padded = np.pad(values, WINDOW // 2, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (WINDOW, WINDOW))[:-1:step, :-1:step]
    grid = windows.shape[:2]
    size = WINDOW * WINDOW
    flat = windows.reshape(-1, size).astype(np.int64)
    # Times their number, values less their mean are whole, and so is the square of their length.
    centred = flat * size - flat.sum(1, keepdims=True)
    length = np.sqrt((centred * centred).sum(1, keepdims=True)) + _FLAT * size
    scaled = np.rint(np.clip(centred / length * DESCRIPTOR_SCALE, -_DESCRIPTOR_MAX, _DESCRIPTOR_MAX))
    return scaled.astype(np.float32), (grid[0], grid[1])


def _to_cells(coarse: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    return np.ascontiguousarray(coarse[: shape[0] // CELL, : shape[1] // CELL])


def _grown(field: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The field for a picture of twice the size."""
    doubled = (field * 2).repeat(2, 0).repeat(2, 1)
    return np.ascontiguousarray(doubled[: shape[0] // CELL, : shape[1] // CELL])


def _refined(
    main: np.ndarray, planes: np.ndarray, shift: int, half: int, reach: int, smooth: int, field: np.ndarray
) -> np.ndarray:
    out = np.empty_like(field)
    in_parts(refine_rows, len(field), main, planes, shift, half, reach, smooth, np.ascontiguousarray(field), out)
    return out
