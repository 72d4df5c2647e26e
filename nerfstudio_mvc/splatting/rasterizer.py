"""Draws Gaussians into a pinhole view on the CPU, forward and backward, tile by tile.

Each tile is 8 wide (one vector of floats per row) and 16 high, with a list of the splats that touch it, nearest first.
The backward pass walks the same lists front to back: what a pixel still has to receive is its final colour minus what
has passed, so nothing needs to be stored per pixel and splat.

The projection is in `projection`, the lists in `tile_lists`; what is made of a drawing is the business of `fitting` and
`median_depth`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import float32 as f4
from numba import int32 as i4

from nerfstudio_mvc.compiling import inlined, kernel, loop
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
    EXTENT_Y,
    GRADIENT_COLUMNS,
    GREEN,
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
from nerfstudio_mvc.splatting.tile_lists import TILE_HEIGHT, TILE_WIDTH, tile_lists
from nerfstudio_mvc.splatting.workers import PARTS, Workers

TILE_PIXELS = TILE_WIDTH * TILE_HEIGHT
MAX_ALPHA = 0.999
MIN_TRANSMITTANCE = 1e-4  # behind this a pixel is finished
EXIT_INTERVAL = 8  # splats between two looks at whether the whole tile is finished
MEDIAN_TRANSMITTANCE = 0.5


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
    tile_starts, tile_splats = tile_lists(splats, nearest_first, height=height, width=width, workers=workers)
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


@inlined
def _exp(x):
    y = x * _EIGHTH
    p = _E0 + y * (_E1 + y * (_E2 + y * (_E3 + y * (_E4 + y * _E5))))
    p = p * p
    p = p * p
    return p * p


@inlined
def _rows_touched(y, extent_y, tile_y):
    """First and last row of the tile a splat touches; none when the first is greater."""
    first = max(0, math.ceil(y - extent_y - _HALF - f4(tile_y)))
    last = min(TILE_HEIGHT - 1, math.floor(y + extent_y - _HALF - f4(tile_y)))
    return first, last


# The state of a tile is one flat array of planes; a pixel of row r and column c is at 8 r + c of each. One array at
# constant offsets and a fixed count of 8 lanes are what lets LLVM make a vector of each row without overlap checks;
# for the same reason what a pixel contributes is stored by one loop and summed up by another.
_RED, _GREEN, _BLUE, _MEDIAN_DEPTH, _SUMMED_DEPTH = (TILE_PIXELS * plane for plane in range(1, 6))
_COMING, _D_RED, _D_GREEN, _D_BLUE, _D_EXPONENT, _WEIGHT = (TILE_PIXELS * plane for plane in range(1, 7))
_DRAW_PLANES, _BACKWARD_PLANES = 6, 7


@loop
def _add_splat(state, rows, x, y, xx, xy, yy, opacity, red, green, blue):
    """Blends a splat into the first `rows` rows of `state`; (x, y) is its centre relative to the first pixel's."""
    for row in range(rows):
        dy = f4(row) - y
        constant, slope, curve = _MINUS_HALF * yy * dy * dy, -xy * dy, _MINUS_HALF * xx
        start = row * TILE_WIDTH
        for lane in range(TILE_WIDTH):
            dx = f4(lane) - x
            exponent = constant + dx * (slope + curve * dx)
            alpha = min(opacity * _exp(max(min(exponent, _ZERO), _MIN_EXPONENT)), _MAX_ALPHA)
            before = state[start + lane]
            alpha = alpha if alpha >= _MIN_ALPHA else _ZERO
            alpha = alpha if before >= _MIN_TRANSMITTANCE else _ZERO
            weight = alpha * before
            state[_RED + start + lane] += weight * red
            state[_GREEN + start + lane] += weight * green
            state[_BLUE + start + lane] += weight * blue
            state[start + lane] = before - weight


@loop
def _add_splat_depth(state, rows, x, y, xx, xy, yy, opacity, z):
    """The depths of a splat; to be called before `_add_splat` moves the transmittance on."""
    for row in range(rows):
        dy = f4(row) - y
        constant, slope, curve = _MINUS_HALF * yy * dy * dy, -xy * dy, _MINUS_HALF * xx
        start = row * TILE_WIDTH
        for lane in range(TILE_WIDTH):
            dx = f4(lane) - x
            exponent = constant + dx * (slope + curve * dx)
            alpha = min(opacity * _exp(max(min(exponent, _ZERO), _MIN_EXPONENT)), _MAX_ALPHA)
            before = state[start + lane]
            alpha = alpha if alpha >= _MIN_ALPHA else _ZERO
            alpha = alpha if before >= _MIN_TRANSMITTANCE else _ZERO
            weight = alpha * before
            state[_SUMMED_DEPTH + start + lane] += weight * z
            crossed = z if before - weight <= _MEDIAN else _ZERO
            # The first crossing stays: transmittance only falls, so before it the plane is 0 and after it is not.
            old = state[_MEDIAN_DEPTH + start + lane]
            state[_MEDIAN_DEPTH + start + lane] = old if old > _ZERO else crossed


@loop
def _splat_contributions(state, rows, x, y, xx, xy, yy, opacity, red, green, blue):
    """As `_add_splat`, and leaves each pixel's weight and gradient of the exponent in the state."""
    for row in range(rows):
        dy = f4(row) - y
        constant, slope, curve = _MINUS_HALF * yy * dy * dy, -xy * dy, _MINUS_HALF * xx
        start = row * TILE_WIDTH
        for lane in range(TILE_WIDTH):
            dx = f4(lane) - x
            exponent = constant + dx * (slope + curve * dx)
            free_alpha = opacity * _exp(max(min(exponent, _ZERO), _MIN_EXPONENT))
            alpha = min(free_alpha, _MAX_ALPHA)
            before = state[start + lane]
            alpha = alpha if alpha >= _MIN_ALPHA else _ZERO
            alpha = alpha if before >= _MIN_TRANSMITTANCE else _ZERO
            weight = alpha * before
            own = (
                red * state[_D_RED + start + lane]
                + green * state[_D_GREEN + start + lane]
                + blue * state[_D_BLUE + start + lane]
            )
            behind = state[_COMING + start + lane] - weight * own
            d_exponent = (before * own - behind / (_ONE - alpha)) * alpha
            state[_COMING + start + lane] = behind
            state[start + lane] = before - weight
            state[_D_EXPONENT + start + lane] = d_exponent if free_alpha < _MAX_ALPHA else _ZERO
            state[_WEIGHT + start + lane] = weight


@loop
def _sum_contributions(state, pixels, x, y, xx, xy, yy, opacity, gradient):
    """Adds up what `_splat_contributions` left in `pixels` pixels from the start of `state`."""
    s, s_x, s_y, s_xx, s_xy, s_yy = _ZERO, _ZERO, _ZERO, _ZERO, _ZERO, _ZERO
    s_red, s_green, s_blue, abs_x, abs_y = _ZERO, _ZERO, _ZERO, _ZERO, _ZERO
    for k in range(pixels):
        dx, dy = f4(i4(k) & i4(7)) - x, f4(i4(k) >> i4(3)) - y
        d_exponent, weight = state[_D_EXPONENT + k], state[_WEIGHT + k]
        s_red += weight * state[_D_RED + k]
        s_green += weight * state[_D_GREEN + k]
        s_blue += weight * state[_D_BLUE + k]
        along_x, along_y = d_exponent * dx, d_exponent * dy
        s += d_exponent
        s_x += along_x
        s_y += along_y
        s_xx += along_x * dx
        s_xy += along_x * dy
        s_yy += along_y * dy
        abs_x += abs(xx * along_x + xy * along_y)
        abs_y += abs(xy * along_x + yy * along_y)
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


@kernel
def _draw_part(
    part, splats, starts, tile_splats, background, image, transmittance, median_depth, summed_depth, ends, with_depth
):
    height, width = transmittance.shape
    columns = (width + TILE_WIDTH - 1) // TILE_WIDTH
    state = np.empty(_DRAW_PLANES * TILE_PIXELS, np.float32)
    for tile in range(part, len(starts) - 1, PARTS):
        left, top = (tile % columns) * TILE_WIDTH, (tile // columns) * TILE_HEIGHT
        inner_width, inner_height = min(TILE_WIDTH, width - left), min(TILE_HEIGHT, height - top)
        state[:] = _ZERO  # pixels outside the frame stay finished
        for row in range(inner_height):
            for column in range(inner_width):
                state[row * TILE_WIDTH + column] = _ONE
        j = starts[tile]
        while j < starts[tile + 1]:
            i = tile_splats[j]
            first, last = _rows_touched(splats[i, Y], splats[i, EXTENT_Y], top)
            rows, touched = last - first + 1, state[first * TILE_WIDTH :]
            x, y = splats[i, X] - (f4(left) + _HALF), splats[i, Y] - (f4(top + first) + _HALF)
            xx, xy, yy, opacity = splats[i, XX], splats[i, XY], splats[i, YY], splats[i, OPACITY]
            if with_depth:
                _add_splat_depth(touched, rows, x, y, xx, xy, yy, opacity, splats[i, Z])
            _add_splat(touched, rows, x, y, xx, xy, yy, opacity, splats[i, RED], splats[i, GREEN], splats[i, BLUE])
            j += 1
            if (j - starts[tile]) % EXIT_INTERVAL == 0:
                brightest = _ZERO
                for k in range(TILE_PIXELS):
                    brightest = max(brightest, state[k])
                if brightest < _MIN_TRANSMITTANCE:
                    break
        ends[tile] = j
        for row in range(inner_height):
            for column in range(inner_width):
                k, y, x = row * TILE_WIDTH + column, top + row, left + column
                image[y, x, 0] = state[_RED + k] + state[k] * background[0]
                image[y, x, 1] = state[_GREEN + k] + state[k] * background[1]
                image[y, x, 2] = state[_BLUE + k] + state[k] * background[2]
                transmittance[y, x] = state[k]
                if with_depth:
                    median_depth[y, x] = state[_MEDIAN_DEPTH + k]
                    summed_depth[y, x] = state[_SUMMED_DEPTH + k]


@kernel
def _draw_backward_part(part, splats, starts, tile_splats, ends, image, image_gradient, partial):
    height, width = image.shape[0], image.shape[1]
    columns = (width + TILE_WIDTH - 1) // TILE_WIDTH
    gradients = partial[part]
    gradients[:] = _ZERO
    state = np.empty(_BACKWARD_PLANES * TILE_PIXELS, np.float32)
    for tile in range(part, len(starts) - 1, PARTS):
        left, top = (tile % columns) * TILE_WIDTH, (tile // columns) * TILE_HEIGHT
        state[:] = _ZERO
        for row in range(min(TILE_HEIGHT, height - top)):
            for column in range(min(TILE_WIDTH, width - left)):
                k, y, x = row * TILE_WIDTH + column, top + row, left + column
                red, green, blue = image_gradient[y, x, 0], image_gradient[y, x, 1], image_gradient[y, x, 2]
                state[k] = _ONE
                state[_D_RED + k], state[_D_GREEN + k], state[_D_BLUE + k] = red, green, blue
                state[_COMING + k] = red * image[y, x, 0] + green * image[y, x, 1] + blue * image[y, x, 2]
        for j in range(starts[tile], ends[tile]):
            i = tile_splats[j]
            first, last = _rows_touched(splats[i, Y], splats[i, EXTENT_Y], top)
            rows, touched = last - first + 1, state[first * TILE_WIDTH :]
            x, y = splats[i, X] - (f4(left) + _HALF), splats[i, Y] - (f4(top + first) + _HALF)
            xx, xy, yy, opacity = splats[i, XX], splats[i, XY], splats[i, YY], splats[i, OPACITY]
            _splat_contributions(
                touched, rows, x, y, xx, xy, yy, opacity, splats[i, RED], splats[i, GREEN], splats[i, BLUE]
            )
            _sum_contributions(touched, rows * TILE_WIDTH, x, y, xx, xy, yy, opacity, gradients[i])
