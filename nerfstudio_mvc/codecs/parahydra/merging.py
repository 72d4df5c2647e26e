"""A view and aligned side views to the picture that is shown: a weighted mean whose weights were fitted, not learned.

    shown = main + sum over sides of weight(error of the picture, number of sides, rank of side, class) * (side - main)

The class of a pixel says whether the way there and back closes, and how far side and main differ around it in units of
the main picture's own error. Whole numbers, so that all machines show the same. `tools/fit_parahydra_merge.py` fits.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from nerfstudio_mvc.codecs.parahydra.error_map import own_error
from nerfstudio_mvc.codecs.parahydra.match_kernels import merge_rows, move_rows
from nerfstudio_mvc.kernel_threads import in_parts

MOST_SIDES = 2
"""Side views that are merged at most; a third adds a tenth of what the first does, and too few of the captures that the
weights were fitted on have one."""
REACH = 4
"""Pixels around a pixel that its disagreement is taken over: 9x9."""
EDGES = (0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0)
"""Of disagreement, in units of the own error."""
CLASSES = 3 * (len(EDGES) + 1)
_EDGES = np.rint(np.square(EDGES) * 256).astype(np.int32)
ERROR_EDGES = (2.2, 3.6, 5.5)
"""RMS in grey levels between the levels of error of whole pictures. What is nearer to its photograph than the first has
nothing to gain: it is left as it is."""
_ERROR_EDGES = np.rint(np.square(ERROR_EDGES) * 256).astype(np.int64)
STEPS = 256
"""Steps of a weight."""


@dataclass(frozen=True, eq=False)
class AlignedSide:
    """A side view on the main view's grid: pixels uint8 [H, W, 3], classes of consistency of its cells uint8 [h, w]."""

    pixels: np.ndarray
    trust: np.ndarray


@dataclass(frozen=True, eq=False)
class Merged:
    """The shown picture uint8 [H, W, 3], the class of each pixel for each side uint8 [S, H, W], and the weight of each
    side by class, in 256ths, int32 [S, CLASSES]."""

    pixels: np.ndarray
    classes: np.ndarray
    weights: np.ndarray


@cache
def fitted_weights() -> np.ndarray:
    """Weights [level of error - 1, number of sides - 1, rank of the side, class], in 256ths. int32"""
    return np.array(json.loads((Path(__file__).parent / "merge_weights.json").read_text()), np.int32)


def moved(pixels: np.ndarray, field: np.ndarray) -> np.ndarray:
    """A side view as the field of the main view says. uint8 [H, W, 3] -> the same"""
    out = np.empty_like(pixels)
    in_parts(move_rows, -(-len(pixels) // 4), pixels, field, out)
    return out


def level_of(unit: np.ndarray) -> int:
    """Which of the levels of error a picture has, by its `own_error`; 0: too fine for others to help."""
    return int(np.searchsorted(_ERROR_EDGES, int(unit.astype(np.int64).mean()), side="right"))


def merge(
    main: np.ndarray, levels: np.ndarray, sides: Sequence[AlignedSide], *, weights: np.ndarray | None = None
) -> Merged:
    """The main view uint8 [H, W, 3], whose error map is `levels`, helped by `sides`, the best first.

    `weights` [sides, CLASSES] stand in the place of those that are fitted.
    """
    if not sides:
        return Merged(main, np.zeros((0, *main.shape[:2]), np.uint8), np.zeros((0, CLASSES), np.int32))
    unit = own_error(levels, main.shape[:2])
    if weights is None:
        weights = fitted_weights()[level_of(unit) - 1, len(sides) - 1, : len(sides)]
    merged, classes = np.empty_like(main), np.empty((len(sides), *main.shape[:2]), np.uint8)
    in_parts(
        merge_rows,
        len(main),
        main,
        np.stack([side.pixels for side in sides]),
        np.stack([side.trust for side in sides]),
        unit,
        _EDGES,
        np.ascontiguousarray(weights),
        REACH,
        merged,
        classes,
    )
    return Merged(merged, classes, weights)
