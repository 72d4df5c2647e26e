"""Depth maps as files: what nerfstudio's depth datasets read, and pictures for people.

nerfstudio multiplies what it reads by a unit scale, 0.001 unless told otherwise, and takes 0 as unknown; unseen pixels
are therefore written as 0, although `DepthMap` fills them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from nerfstudio_mvc.splatting.depth_map import DepthMap

DEFAULT_UNIT = 0.001
LARGEST = 65535
MIN_STEPS = 500  # a median depth of fewer units than this would be coarser than 0.2 %

# Near to far, RGB: dark red, orange, pale yellow, green, blue, dark violet.
_PALETTE = np.array(
    [[120, 10, 20], [235, 120, 30], [250, 240, 160], [90, 190, 130], [40, 100, 180], [45, 15, 80]], np.float64
)


def unit_of(maps: Sequence[DepthMap | None]) -> float:
    """World units per step of a 16-bit picture that holds all `maps`: nerfstudio's default where it serves."""
    seen = np.concatenate([depth_map.depth[depth_map.valid] for depth_map in maps if depth_map] or [np.ones(1)])
    if len(seen) == 0:
        return DEFAULT_UNIT
    if np.quantile(seen, 0.999) <= DEFAULT_UNIT * LARGEST and np.median(seen) >= DEFAULT_UNIT * MIN_STEPS:
        return DEFAULT_UNIT
    # One digit, rounded up: a number that can be typed.
    exact = float(np.quantile(seen, 0.999)) / LARGEST
    digit = 10.0 ** math.floor(math.log10(exact))
    return float(f"{math.ceil(exact / digit) * digit:.0e}")


def write_depth(path: Path, depth_map: DepthMap, *, unit: float = DEFAULT_UNIT) -> None:
    """Write a depth map in steps of `unit`: 16-bit grey for ``.png``, float32 for ``.npy``; 0 where not valid."""
    steps = np.where(depth_map.valid, depth_map.depth / unit, 0).astype(np.float32)
    if path.suffix == ".npy":
        np.save(path, steps)
    else:
        # Too far for 16 bits counts as unknown; a seen pixel never becomes 0 by rounding.
        whole = np.where((steps > 0) & (steps <= LARGEST), np.maximum(np.round(steps), 1), 0)
        Image.fromarray(whole.astype(np.uint16)).save(path)


def write_preview(path: Path, depth_map: DepthMap) -> None:
    """Write inverse depth in colours, near red and far violet; what was not seen is darkened."""
    inverse = 1 / depth_map.depth.astype(np.float64)
    far, near = np.quantile(inverse[depth_map.valid] if depth_map.valid.any() else inverse, (0.02, 0.98))
    position = np.clip((near - inverse) / max(near - far, 1e-12), 0, 1) * (len(_PALETTE) - 1)
    left = np.minimum(position.astype(np.int64), len(_PALETTE) - 2)
    share = (position - left)[..., None]
    colors = _PALETTE[left] * (1 - share) + _PALETTE[left + 1] * share
    colors *= np.where(depth_map.valid, 1.0, 0.4)[..., None]
    Image.fromarray(np.round(colors).astype(np.uint8)).save(path)
