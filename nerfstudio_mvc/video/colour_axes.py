"""The axes along which colours become planes: grey and two more, at right angles, turned to suit the picture.

An encoder weighs the errors of all planes alike and adds them up. On axes at right angles that sum is the error of red,
green and blue; on those of YCbCr it is not, since their errors add up or cancel out. Which axes at right angles have
the least in common the picture itself tells: the directions in which neighbouring pixels differ (Karhunen-Loeve
transform of their differences). Measured: docs/training-log.md, "Colour at right angles".

A turn is told as a quaternion of whole numbers, (WHOLE, i, j, k), so that every machine turns alike.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import numpy as np

Turn = tuple[int, int, int]
STRAIGHT: Turn = (0, 0, 0)
WHOLE = 128
LARGEST = 127  # of i, j, k: they are stored in a byte each
_HALF = 127.0  # of 8 bits, either side of the middle
AXES_STEPS = 1 << 20
AXES = ((1 << 20, 1 << 20, 1 << 20), (1_284_238, 0, -1_284_238), (741_455, -1_482_910, 741_455))
"""Grey, red against blue, both against green: square root of 3 times unit vectors, in units of 1 / AXES_STEPS."""


def turned_axes(turn: Turn) -> tuple[list[list[int]], int]:
    """`AXES` after a turn: whole numbers [plane][colour], and what to divide them by."""
    rotation, divisor = _rotation(turn)
    rows = [[sum(row[k] * AXES[k][colour] for k in range(3)) for colour in range(3)] for row in rotation]
    return rows, divisor * AXES_STEPS


def best_turn(pixels: np.ndarray, others: Iterable[np.ndarray] = ()) -> Turn:
    """The turn after which the planes of a photograph, uint8 [H, W, 3], have the least in common, if the planes hold
    its colours and those of `others`."""
    values = pixels.astype(np.float32)
    covariance = np.zeros((3, 3))
    for difference in (values[1:] - values[:-1], values[:, 1:] - values[:, :-1]):
        flat = difference.reshape(-1, 3)
        covariance += flat.T @ flat
    if not np.trace(covariance):
        return STRAIGHT
    _, vectors = np.linalg.eigh(covariance)
    turn = _quaternion(_nearest_rotation(vectors.T[::-1]))
    return turn if all(_fits(picture, turn) for picture in (pixels, *others)) else STRAIGHT


def _fits(pixels: np.ndarray, turn: Turn) -> bool:
    """Whether planes hold all colours of a photograph; those of `STRAIGHT` always do."""
    rows, divisor = turned_axes(turn)
    colours = pixels.reshape(-1, 3).astype(np.float32)
    grey, *others = (colours @ (np.array(rows) / (3 * divisor)).astype(np.float32).T).T
    return grey.min() >= 0 and all(np.abs(other).max() <= _HALF for other in others)


def _rotation(turn: Turn) -> tuple[list[list[int]], int]:
    w, (x, y, z) = WHOLE, turn
    rows = [
        [w * w + x * x - y * y - z * z, 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), w * w - x * x + y * y - z * z, 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), w * w - x * x - y * y + z * z],
    ]
    return rows, w * w + x * x + y * y + z * z


def _nearest_rotation(vectors: np.ndarray) -> np.ndarray:
    """What turns `AXES` onto unit vectors [3, 3], the first of them luma, with the smallest angle: their signs and the
    order of the last two are free."""
    axes = np.array(AXES) / (AXES_STEPS * np.sqrt(3))
    found = []
    for order in ((0, 1, 2), (0, 2, 1)):
        for signs in itertools.product((1, -1), repeat=3):
            rotation = (vectors[list(order)] * np.array(signs)[:, None]) @ axes.T
            if np.linalg.det(rotation) > 0:
                found.append(rotation)
    return max(found, key=np.trace)


def _quaternion(rotation: np.ndarray) -> Turn:
    """The nearest one in whole numbers; the angle is below 180 degrees."""
    scale = WHOLE / (1 + np.trace(rotation))
    parts = np.array(
        [rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1]]
    )
    i, j, k = np.clip(np.rint(parts * scale), -LARGEST, LARGEST).astype(int).tolist()
    return i, j, k
