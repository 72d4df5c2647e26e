"""Draws Gaussians into a pinhole view on the CPU, forward and backward, tile by tile.

Each tile is 8 wide (one vector of floats per row) and 16 high, with a list of the splats that touch it, nearest first.
The backward pass walks the same lists front to back: what a pixel still has to receive is its final colour minus what
has passed, so nothing needs to be stored per pixel and splat.

The projection is in `projection`; what is made of a drawing is the business of `fitting` and `median_depth`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import float32 as f4
from numba import int32 as i4
from numba import njit

from nerfstudio_mvc.splatting.gaussians import Gaussians
from nerfstudio_mvc.splatting.projection import (
    ABS_X,
    ABS_Y,
    BLUE,
    D_BLUE,
    D_GREEN,
    D_OPACITY,
    D_RED,
    D_X,
    D_XX,
    D_XY,
    D_Y,
    D_YY,
    EXTENT_X,
    EXTENT_Y,
    GRADIENT_COLUMNS,
    GREEN,
    LEVEL,
    MIN_ALPHA,
    OPACITY,
    RED,
    XX,
    XY,
    YY,
    PinholeCamera,
    X,
    Y,
    Z,
    project,
    project_backward,
)
from nerfstudio_mvc.splatting.workers import PARTS, Workers

TILE_WIDTH, TILE_HEIGHT = 8, 16
TILE_PIXELS = TILE_WIDTH * TILE_HEIGHT
MAX_ALPHA = 0.999
MIN_TRANSMITTANCE = 1e-4  # behind this a pixel is finished
EXIT_INTERVAL = 8  # splats between two looks at whether the whole tile is finished
MEDIAN_TRANSMITTANCE = 0.5

_jit = njit(nogil=True, fastmath=True, error_model="numpy", cache=True)
_inline = njit(nogil=True, fastmath=True, error_model="numpy", inline="always")

# float32 constants: a float64 one would turn the vector loops into double precision.
_ONE, _HALF, _ZERO, _MINUS_HALF = f4(1), f4(0.5), f4(0), f4(-0.5)
_MIN_ALPHA, _MAX_ALPHA, _MIN_TRANSMITTANCE = f4(MIN_ALPHA), f4(MAX_ALPHA), f4(MIN_TRANSMITTANCE)
_MEDIAN = f4(MEDIAN_TRANSMITTANCE)
# exp(x) = p(x / 8)^8 with p of degree 5, interpolating at Chebyshev nodes: relative error 1e-6 on [-6, 0].
# Below log(MIN_ALPHA) = -5.54 no splat is drawn, whatever its opacity.
_MIN_EXPONENT = f4(-6)
_EIGHTH = f4(1 / 8)
_EXP = np.polynomial.Chebyshev.interpolate(np.exp, 5, domain=(-0.75, 0)).convert(kind=np.polynomial.Polynomial).coef
_E0, _E1, _E2, _E3, _E4, _E5 = (f4(coefficient) for coefficient in _EXP)


@dataclass(frozen=True, eq=False)
class Drawing:
    """What `draw` made, and what `draw_backward` needs again.

    Attributes:
        image: colour over the background. float32 [H, W, 3]
        transmittance: share of the background in each pixel. float32 [H, W]
        median_depth: z-depth of the splat at which transmittance falls through one half; 0 where none. float32 [H, W]
        summed_depth: sum of weight times z-depth; over ``1 - transmittance`` it is the expected depth. float32 [H, W]
        visible: Gaussians that may touch the frame. bool [N]
    """

    image: np.ndarray
    transmittance: np.ndarray
    median_depth: np.ndarray
    summed_depth: np.ndarray
    visible: np.ndarray
    splats: np.ndarray
    tile_starts: np.ndarray
    tile_splats: np.ndarray
    tile_ends: np.ndarray


def draw(
    gaussians: Gaussians,
    camera: PinholeCamera,
    *,
    workers: Workers,
    near: float,
    background: tuple[float, float, float] = (0.0, 0.0, 0.0),
    with_depth: bool = True,
) -> Drawing:
    """Draw `gaussians` as `camera` sees them.

    Args:
        near: Gaussians nearer than this z-depth are left out, world units.
        background: RGB, 0..1.
        with_depth: False leaves both depth maps at 0 and saves a third of the time.
    """
    height, width = camera.height, camera.width
    splats, visible = project(gaussians, camera, near=near, workers=workers)
    seen = np.flatnonzero(visible)
    nearest_first = seen[np.argsort(splats[seen, Z], kind="stable")].astype(np.int32)
    tile_starts, tile_splats = _tile_lists(splats, nearest_first, height=height, width=width, workers=workers)
    image = np.empty((height, width, 3), np.float32)
    transmittance = np.empty((height, width), np.float32)
    median, summed = np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)
    tile_ends = np.empty(len(tile_starts) - 1, np.int64)
    workers.run(
        _draw_part,
        splats,
        tile_starts,
        tile_splats,
        np.asarray(background, np.float32),
        image,
        transmittance,
        median,
        summed,
        tile_ends,
        with_depth,
    )
    return Drawing(image, transmittance, median, summed, visible, splats, tile_starts, tile_splats, tile_ends)


def draw_backward(
    drawing: Drawing, image_gradient: np.ndarray, gaussians: Gaussians, camera: PinholeCamera, *, workers: Workers
) -> tuple[Gaussians, np.ndarray]:
    """Gradients of all parameters, and the absolute gradient of each splat's centre (AbsGS).

    Args:
        drawing: of these Gaussians and this camera.
        image_gradient: gradient of the loss in `drawing.image`. float32 [H, W, 3]

    Returns:
        Gradients in the shape of the Gaussians; sums over pixels of the absolute gradient in (x, y). float32 [N, 2]
    """
    partial = np.empty((PARTS, len(gaussians), GRADIENT_COLUMNS), np.float32)
    workers.run(
        _draw_backward_part,
        drawing.splats,
        drawing.tile_starts,
        drawing.tile_splats,
        drawing.tile_ends,
        drawing.image,
        image_gradient,
        partial,
    )
    return project_backward(
        gaussians,
        camera,
        splats=drawing.splats,
        visible=drawing.visible,
        partial_gradients=partial,
        workers=workers,
    )


def _tile_lists(
    splats: np.ndarray, nearest_first: np.ndarray, *, height: int, width: int, workers: Workers
) -> tuple[np.ndarray, np.ndarray]:
    """Starts of each tile's list, one more than tiles (int64), and the lists end to end (int32)."""
    rows, columns = -(-height // TILE_HEIGHT), -(-width // TILE_WIDTH)
    filled = np.zeros((rows, columns), np.int64)
    nothing = np.empty(0, np.int32)
    workers.run(_list_part, splats, nearest_first, filled, nothing, False)
    starts = np.concatenate([[0], np.cumsum(filled)])
    filled = starts[:-1].reshape(rows, columns).copy()
    tile_splats = np.empty(starts[-1], np.int32)
    workers.run(_list_part, splats, nearest_first, filled, tile_splats, True)
    return starts, tile_splats


@_inline
def _reaches(splat, x0, x1, y0, y1):
    """Whether the ellipse of a splat touches the rectangle, given relative to its centre."""
    inside_x, inside_y = x0 <= _ZERO and x1 >= _ZERO, y0 <= _ZERO and y1 >= _ZERO
    if inside_x and inside_y:
        return True
    least = f4(1e30)
    if not inside_x:
        x = x0 if x0 > _ZERO else x1
        y = min(max(-splat[XY] * x / splat[YY], y0), y1)
        least = splat[XX] * x * x + f4(2) * splat[XY] * x * y + splat[YY] * y * y
    if not inside_y:
        y = y0 if y0 > _ZERO else y1
        x = min(max(-splat[XY] * y / splat[XX], x0), x1)
        least = min(least, splat[XX] * x * x + f4(2) * splat[XY] * x * y + splat[YY] * y * y)
    return least <= splat[LEVEL] * f4(1.0001)  # a little more than the ellipse, against rounding


@_jit
def _list_part(part, splats, nearest_first, filled, tile_splats, writing):
    """Counts (or, when `writing`, lists) the splats of a band of tile rows; `filled` moves on as they come."""
    rows, columns = filled.shape
    first_row, end_row = rows * part // PARTS, rows * (part + 1) // PARTS
    if first_row == end_row:
        return
    for i in nearest_first:
        splat = splats[i]
        x, y, extent_x, extent_y = splat[X], splat[Y], splat[EXTENT_X], splat[EXTENT_Y]
        top = max(first_row, math.floor((y - extent_y - _HALF) / f4(TILE_HEIGHT)))
        bottom = min(end_row - 1, math.floor((y + extent_y - _HALF) / f4(TILE_HEIGHT)))
        if top > bottom:
            continue
        left = max(0, math.floor((x - extent_x - _HALF) / f4(TILE_WIDTH)))
        right = min(columns - 1, math.floor((x + extent_x - _HALF) / f4(TILE_WIDTH)))
        for row in range(top, bottom + 1):
            y0 = f4(row * TILE_HEIGHT) + _HALF - y
            for column in range(left, right + 1):
                x0 = f4(column * TILE_WIDTH) + _HALF - x
                if _reaches(splat, x0, x0 + f4(TILE_WIDTH - 1), y0, y0 + f4(TILE_HEIGHT - 1)):
                    if writing:
                        tile_splats[filled[row, column]] = i
                    filled[row, column] += 1


@_inline
def _exp(x):
    y = x * _EIGHTH
    p = _E0 + y * (_E1 + y * (_E2 + y * (_E3 + y * (_E4 + y * _E5))))
    p = p * p
    p = p * p
    return p * p


@_inline
def _rows_touched(splat, tile_y):
    """First and last row of the tile the splat touches."""
    first = max(0, math.ceil(splat[Y] - splat[EXTENT_Y] - _HALF - f4(tile_y)))
    last = min(TILE_HEIGHT - 1, math.floor(splat[Y] + splat[EXTENT_Y] - _HALF - f4(tile_y)))
    return first, last


# The two loops below stand in functions of their own, count from 0 and have single conditions only:
# each of these is what lets LLVM turn them into vector code.
@njit(nogil=True, fastmath=True, error_model="numpy")
def _add_splat(through, red, green, blue, median, summed, pixels, splat, left, top, with_depth):
    center_x, center_y, z = splat[X] - left, splat[Y] - top, splat[Z]
    xx, xy, yy, opacity = splat[XX], splat[XY], splat[YY], splat[OPACITY]
    splat_red, splat_green, splat_blue = splat[RED], splat[GREEN], splat[BLUE]
    if with_depth:
        for k in range(pixels):
            dx, dy = f4(i4(k) & i4(7)) - center_x, f4(i4(k) >> i4(3)) - center_y
            exponent = _MINUS_HALF * (xx * dx * dx + yy * dy * dy) - xy * dx * dy
            exponent = max(min(exponent, _ZERO), _MIN_EXPONENT)
            alpha = min(opacity * _exp(exponent), _MAX_ALPHA)
            before = through[k]
            alpha = alpha if alpha >= _MIN_ALPHA else _ZERO
            alpha = alpha if before >= _MIN_TRANSMITTANCE else _ZERO
            weight = alpha * before
            red[k] += weight * splat_red
            green[k] += weight * splat_green
            blue[k] += weight * splat_blue
            summed[k] += weight * z
            after = before - weight
            through[k] = after
            median[k] = z if (before > _MEDIAN) & (after <= _MEDIAN) else median[k]
    else:
        for k in range(pixels):
            dx, dy = f4(i4(k) & i4(7)) - center_x, f4(i4(k) >> i4(3)) - center_y
            exponent = _MINUS_HALF * (xx * dx * dx + yy * dy * dy) - xy * dx * dy
            exponent = max(min(exponent, _ZERO), _MIN_EXPONENT)
            alpha = min(opacity * _exp(exponent), _MAX_ALPHA)
            before = through[k]
            alpha = alpha if alpha >= _MIN_ALPHA else _ZERO
            alpha = alpha if before >= _MIN_TRANSMITTANCE else _ZERO
            weight = alpha * before
            red[k] += weight * splat_red
            green[k] += weight * splat_green
            blue[k] += weight * splat_blue
            through[k] = before - weight


@njit(nogil=True, fastmath=True, error_model="numpy")
def _add_splat_gradient(through, coming, d_red, d_green, d_blue, pixels, splat, left, top, gradient):
    center_x, center_y = splat[X] - left, splat[Y] - top
    xx, xy, yy, opacity = splat[XX], splat[XY], splat[YY], splat[OPACITY]
    splat_red, splat_green, splat_blue = splat[RED], splat[GREEN], splat[BLUE]
    s, s_x, s_y, s_xx, s_xy, s_yy = _ZERO, _ZERO, _ZERO, _ZERO, _ZERO, _ZERO
    s_red, s_green, s_blue, abs_x, abs_y = _ZERO, _ZERO, _ZERO, _ZERO, _ZERO
    for k in range(pixels):
        dx, dy = f4(i4(k) & i4(7)) - center_x, f4(i4(k) >> i4(3)) - center_y
        exponent = _MINUS_HALF * (xx * dx * dx + yy * dy * dy) - xy * dx * dy
        exponent = max(min(exponent, _ZERO), _MIN_EXPONENT)
        free_alpha = opacity * _exp(exponent)
        alpha = min(free_alpha, _MAX_ALPHA)
        before = through[k]
        alpha = alpha if alpha >= _MIN_ALPHA else _ZERO
        alpha = alpha if before >= _MIN_TRANSMITTANCE else _ZERO
        weight = alpha * before
        own = splat_red * d_red[k] + splat_green * d_green[k] + splat_blue * d_blue[k]
        behind = coming[k] - weight * own
        coming[k] = behind
        through[k] = before - weight
        d_exponent = (before * own - behind / (_ONE - alpha)) * alpha
        d_exponent = d_exponent if free_alpha < _MAX_ALPHA else _ZERO
        s_red += weight * d_red[k]
        s_green += weight * d_green[k]
        s_blue += weight * d_blue[k]
        d_exponent_x = d_exponent * dx
        s += d_exponent
        s_x += d_exponent_x
        s_xx += d_exponent_x * dx
        s_y += d_exponent * dy
        s_xy += d_exponent_x * dy
        s_yy += d_exponent * dy * dy
        abs_x += abs(d_exponent * (xx * dx + xy * dy))
        abs_y += abs(d_exponent * (xy * dx + yy * dy))
    gradient[D_X] += xx * s_x + xy * s_y
    gradient[D_Y] += xy * s_x + yy * s_y
    gradient[D_XX] -= _HALF * s_xx
    gradient[D_XY] -= s_xy
    gradient[D_YY] -= _HALF * s_yy
    gradient[D_OPACITY] += s / opacity
    gradient[D_RED] += s_red
    gradient[D_GREEN] += s_green
    gradient[D_BLUE] += s_blue
    gradient[ABS_X] += abs_x
    gradient[ABS_Y] += abs_y


@_jit
def _draw_part(
    part, splats, starts, tile_splats, background, image, transmittance, median_out, summed_out, ends, with_depth
):
    height, width = transmittance.shape
    columns = (width + TILE_WIDTH - 1) // TILE_WIDTH
    state = np.empty((6, TILE_PIXELS), np.float32)
    through, red, green, blue, median, summed = state[0], state[1], state[2], state[3], state[4], state[5]
    for tile in range(part, len(starts) - 1, PARTS):
        left, top = (tile % columns) * TILE_WIDTH, (tile // columns) * TILE_HEIGHT
        inner_width, inner_height = min(TILE_WIDTH, width - left), min(TILE_HEIGHT, height - top)
        state[:] = _ZERO
        for row in range(inner_height):
            for column in range(inner_width):
                through[row * TILE_WIDTH + column] = _ONE
        j = starts[tile]
        while j < starts[tile + 1]:
            splat = splats[tile_splats[j]]
            first, last = _rows_touched(splat, top)
            if last >= first:
                k = first * TILE_WIDTH
                _add_splat(
                    through[k:],
                    red[k:],
                    green[k:],
                    blue[k:],
                    median[k:],
                    summed[k:],
                    (last - first + 1) * TILE_WIDTH,
                    splat,
                    f4(left) + _HALF,
                    f4(top + first) + _HALF,
                    with_depth,
                )
            j += 1
            if (j - starts[tile]) % EXIT_INTERVAL == 0:
                brightest = _ZERO
                for k in range(TILE_PIXELS):
                    brightest = max(brightest, through[k])
                if brightest < _MIN_TRANSMITTANCE:
                    break
        ends[tile] = j
        for row in range(inner_height):
            for column in range(inner_width):
                k, y, x = row * TILE_WIDTH + column, top + row, left + column
                image[y, x, 0] = red[k] + through[k] * background[0]
                image[y, x, 1] = green[k] + through[k] * background[1]
                image[y, x, 2] = blue[k] + through[k] * background[2]
                transmittance[y, x] = through[k]
                if with_depth:
                    median_out[y, x] = median[k]
                    summed_out[y, x] = summed[k]


@_jit
def _draw_backward_part(part, splats, starts, tile_splats, ends, image, image_gradient, partial):
    height, width = image.shape[0], image.shape[1]
    columns = (width + TILE_WIDTH - 1) // TILE_WIDTH
    gradients = partial[part]
    gradients[:] = _ZERO
    state = np.empty((5, TILE_PIXELS), np.float32)
    through, coming, d_red, d_green, d_blue = state[0], state[1], state[2], state[3], state[4]
    for tile in range(part, len(starts) - 1, PARTS):
        left, top = (tile % columns) * TILE_WIDTH, (tile // columns) * TILE_HEIGHT
        state[:] = _ZERO
        for row in range(min(TILE_HEIGHT, height - top)):
            for column in range(min(TILE_WIDTH, width - left)):
                k, y, x = row * TILE_WIDTH + column, top + row, left + column
                through[k] = _ONE
                d_red[k] = image_gradient[y, x, 0]
                d_green[k] = image_gradient[y, x, 1]
                d_blue[k] = image_gradient[y, x, 2]
                coming[k] = d_red[k] * image[y, x, 0] + d_green[k] * image[y, x, 1] + d_blue[k] * image[y, x, 2]
        for j in range(starts[tile], ends[tile]):
            i = tile_splats[j]
            splat = splats[i]
            first, last = _rows_touched(splat, top)
            if last >= first:
                k = first * TILE_WIDTH
                _add_splat_gradient(
                    through[k:],
                    coming[k:],
                    d_red[k:],
                    d_green[k:],
                    d_blue[k:],
                    (last - first + 1) * TILE_WIDTH,
                    splat,
                    f4(left) + _HALF,
                    f4(top + first) + _HALF,
                    gradients[i],
                )
