"""8-bit RGB photographs <-> YCbCr planes of 10 bits, the way back in integers, so that it is the same everywhere.

BT.709 matrix, full range. White is `levels`, at most 1023: fewer levels under the same quantiser of the encoder are a
coarser photograph, which is how qualities between the encoder's whole steps come about. Coding planes is `sequence`'s.
"""

from __future__ import annotations

import struct

import numpy as np

MIN_LEVELS, MAX_LEVELS, MIDDLE = 256, 1023, 512
LEVELS_FIELD = struct.Struct("<H")
RED, BLUE = 2126, 722  # BT.709 luma weights in ten-thousandths; green is the rest
GREEN = 10_000 - RED - BLUE
SHIFT = 20  # 1023 * 255 / 256 levels * 1.86 * 2**20 stays below 2**31


def pack_levels(levels: int) -> bytes:
    """As strings hold them."""
    return LEVELS_FIELD.pack(levels)


def unpack_levels(field: bytes) -> int | None:
    """What `pack_levels` wrote; None where it is no number of levels."""
    if len(field) != LEVELS_FIELD.size:
        return None
    (levels,) = LEVELS_FIELD.unpack(field)
    return levels if MIN_LEVELS <= levels <= MAX_LEVELS else None


def planes_from_rgb(pixels: np.ndarray, *, levels: int) -> np.ndarray:
    """Planes Y, Cb, Cr of a photograph.

    Args:
        pixels: uint8 [H, W, 3], or float32, 0 to 255.
        levels: value of white in Y; 256 to 1023.

    Returns:
        uint16 [3, H, W]
    """
    red, green, blue = (pixels[..., channel].astype(np.float32) * np.float32(levels / 255) for channel in range(3))
    luma = (RED * red + GREEN * green + BLUE * blue) / np.float32(10_000)
    planes = np.empty((3, *pixels.shape[:2]), np.uint16)
    planes[0] = np.floor(luma + 0.5)
    for plane, colour, weight in ((1, blue, BLUE), (2, red, RED)):
        difference = (colour - luma) * np.float32(10_000 / (2 * (10_000 - weight)))
        planes[plane] = np.clip(np.floor(difference + (MIDDLE + 0.5)), 0, MAX_LEVELS)
    return planes


def rgb_from_planes(planes: np.ndarray, *, levels: int) -> np.ndarray:
    """The photograph in planes: uint16 [3, H, W], 0 to 1023 -> uint8 [H, W, 3]."""
    half = 1 << (SHIFT - 1)
    colours = ((colour + half) >> SHIFT for colour in _colours(planes, levels=levels))
    return np.stack([np.clip(colour, 0, 255).astype(np.uint8) for colour in colours], axis=-1)


def unrounded_from_planes(planes: np.ndarray, *, levels: int) -> np.ndarray:
    """The same before it is rounded to whole grey levels: float32 [H, W, 3], 0 to 255."""
    colours = (colour.astype(np.float32) * np.float32(2.0**-SHIFT) for colour in _colours(planes, levels=levels))
    return np.stack([np.clip(colour, 0, 255) for colour in colours], axis=-1)


def _colours(planes: np.ndarray, *, levels: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Red, green, blue of planes, in grey levels times 2**SHIFT. int32 [H, W] each"""
    luma = planes[0].astype(np.int32)
    blue_difference = planes[1].astype(np.int32) - MIDDLE
    red_difference = planes[2].astype(np.int32) - MIDDLE
    base = luma * _factor(10_000, 10_000, levels)
    blue_weight, red_weight = 2 * (10_000 - BLUE), 2 * (10_000 - RED)
    return (
        base + red_difference * _factor(red_weight, 10_000, levels),
        base
        - blue_difference * _factor(blue_weight * BLUE, GREEN * 10_000, levels)
        - red_difference * _factor(red_weight * RED, GREEN * 10_000, levels),
        base + blue_difference * _factor(blue_weight, 10_000, levels),
    )


def _factor(numerator: int, denominator: int, levels: int) -> int:
    """255 / levels * numerator / denominator in units of 2**-SHIFT, to the nearest; no float in it."""
    divisor = denominator * levels
    return (((255 * numerator) << SHIFT) * 2 + divisor) // (2 * divisor)
