"""Which splats touch which tile of a frame: one list per tile, nearest splat first.

Drawing them is the business of `rasterizer`.
"""

from __future__ import annotations

import math

import numpy as np
from numba import float32 as f4

from nerfstudio_mvc.compiling import inlined, kernel
from nerfstudio_mvc.errors import CaptureError
from nerfstudio_mvc.splatting.projection import EXTENT_X, EXTENT_Y, LEVEL, XX, XY, YY, X, Y
from nerfstudio_mvc.splatting.workers import PARTS, Workers

TILE_WIDTH, TILE_HEIGHT = 8, 16
MAX_LIST_ENTRIES = 1 << 28  # 1 GB of tile lists; a million Gaussians at 320 px have some ten million

_HALF, _ZERO = f4(0.5), f4(0)


def tile_lists(
    splats: np.ndarray, nearest_first: np.ndarray, *, height: int, width: int, workers: Workers
) -> tuple[np.ndarray, np.ndarray]:
    """Which splats touch each tile of a frame, nearest first.

    Args:
        splats: as `projection.project` returned them. float32 [N, 16]
        nearest_first: visible splats by z-depth. int32 [n]

    Returns:
        Starts of each tile's list, one more than tiles (int64), and the lists end to end (int32).

    Raises:
        CaptureError: the lists would fill a gigabyte.
    """
    rows, columns = -(-height // TILE_HEIGHT), -(-width // TILE_WIDTH)
    boxes = np.empty((len(nearest_first), 4), np.int32)
    workers.run(_box_part, splats, nearest_first, rows, columns, boxes)
    filled = np.zeros((rows, columns), np.int64)
    workers.run(_list_part, splats, nearest_first, boxes, filled, np.empty(0, np.int32), False)
    starts = np.concatenate([[0], np.cumsum(filled)])
    if starts[-1] > MAX_LIST_ENTRIES:
        raise CaptureError(
            f"{len(nearest_first)} Gaussians cover each other {starts[-1]} times; give Gaussians that are fitted well"
        )
    filled = starts[:-1].reshape(rows, columns).copy()
    tile_splats = np.empty(starts[-1], np.int32)
    workers.run(_list_part, splats, nearest_first, boxes, filled, tile_splats, True)
    return starts, tile_splats


@kernel
def _box_part(part, splats, nearest_first, rows, columns, boxes):
    """First and last tile row and column of each splat's bounding box, nearest splat first."""
    count = len(nearest_first)
    for j in range(count * part // PARTS, count * (part + 1) // PARTS):
        i = nearest_first[j]
        x, y, extent_x, extent_y = splats[i, X], splats[i, Y], splats[i, EXTENT_X], splats[i, EXTENT_Y]
        boxes[j, 0] = max(0, math.floor((y - extent_y - _HALF) / f4(TILE_HEIGHT)))
        boxes[j, 1] = min(rows - 1, math.floor((y + extent_y - _HALF) / f4(TILE_HEIGHT)))
        boxes[j, 2] = max(0, math.floor((x - extent_x - _HALF) / f4(TILE_WIDTH)))
        boxes[j, 3] = min(columns - 1, math.floor((x + extent_x - _HALF) / f4(TILE_WIDTH)))


@inlined
def _reaches(x0, x1, y0, y1, xx, xy, yy, level):
    """Whether the ellipse of a splat touches the rectangle, given relative to its centre."""
    nearest_x, nearest_y = min(max(_ZERO, x0), x1), min(max(_ZERO, y0), y1)
    # Of the rectangle's edges only those facing the centre can hold the least of the quadratic form.
    y_on_edge = min(max(-xy * nearest_x / yy, y0), y1)
    x_on_edge = min(max(-xy * nearest_y / xx, x0), x1)
    on_vertical = xx * nearest_x * nearest_x + f4(2) * xy * nearest_x * y_on_edge + yy * y_on_edge * y_on_edge
    on_horizontal = xx * x_on_edge * x_on_edge + f4(2) * xy * x_on_edge * nearest_y + yy * nearest_y * nearest_y
    return min(on_vertical, on_horizontal) <= level * f4(1.0001)  # a little more than the ellipse, against rounding


@kernel
def _list_part(part, splats, nearest_first, boxes, filled, tile_splats, writing):
    """Counts (or, when `writing`, lists) the splats of a band of tile rows; `filled` moves on as they come."""
    rows = len(filled)
    first_row, end_row = rows * part // PARTS, rows * (part + 1) // PARTS
    if first_row == end_row:
        return
    for j in range(len(boxes)):
        top, bottom = max(first_row, boxes[j, 0]), min(end_row - 1, boxes[j, 1])
        if top > bottom:
            continue
        i = nearest_first[j]
        x, y, level = splats[i, X], splats[i, Y], splats[i, LEVEL]
        xx, xy, yy = splats[i, XX], splats[i, XY], splats[i, YY]
        for row in range(top, bottom + 1):
            y0 = f4(row * TILE_HEIGHT) + _HALF - y
            for column in range(boxes[j, 2], boxes[j, 3] + 1):
                x0 = f4(column * TILE_WIDTH) + _HALF - x
                if _reaches(x0, x0 + f4(TILE_WIDTH - 1), y0, y0 + f4(TILE_HEIGHT - 1), xx, xy, yy, level):
                    if writing:
                        tile_splats[filled[row, column]] = i
                    filled[row, column] += 1
