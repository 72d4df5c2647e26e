"""8-bit RGB photographs <-> planes of 10 bits, the way back in integers, so that it is the same everywhere.

Planes are those of axes at right angles (`colour_axes`); in older files Y, Cb, Cr of BT.709, full range. White is
`levels`, at most 1023: fewer levels under the same quantiser of the encoder are a coarser photograph, which is how
qualities between the encoder's whole steps come about. Coding planes is `sequence`'s.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nerfstudio_mvc.video.colour_axes import Turn, turned_axes

MIN_LEVELS, MAX_LEVELS, MIDDLE = 256, 1023, 512
RED, BLUE = 2126, 722  # BT.709 luma weights in ten-thousandths; green is the rest
GREEN = 10_000 - RED - BLUE
SHIFT = 20
BAND_PIXELS = 1 << 14
_MARK = 1 << 15  # of the field of levels: for whoever writes the string
_TURNED = 1 << 14  # of the field of levels: a turn follows, planes are not BT.709's
_LEVELS_FIELD, _TURN_FIELD = struct.Struct("<H"), struct.Struct("<3b")


@dataclass(frozen=True)
class PlaneFormat:
    """What planes stand for: the value of white, and the turn of their axes; None: BT.709."""

    levels: int
    turn: Turn | None


def pack_format(planes: PlaneFormat, *, mark: bool = False) -> bytes:
    """As strings hold it; `mark` is for whoever writes the string."""
    field = planes.levels | (_MARK if mark else 0)
    if planes.turn is None:
        return _LEVELS_FIELD.pack(field)
    return _LEVELS_FIELD.pack(field | _TURNED) + _TURN_FIELD.pack(*planes.turn)


def read_format(string: bytes) -> tuple[PlaneFormat, bool, bytes] | None:
    """What `pack_format` wrote, whether it is marked, and what follows; None where it is not that."""
    if len(string) < _LEVELS_FIELD.size:
        return None
    (field,) = _LEVELS_FIELD.unpack_from(string)
    rest, turn = string[_LEVELS_FIELD.size :], None
    levels = field & ~(_MARK | _TURNED)
    if not MIN_LEVELS <= levels <= MAX_LEVELS:
        return None
    if field & _TURNED:
        if len(rest) < _TURN_FIELD.size:
            return None
        turn, rest = _TURN_FIELD.unpack_from(rest), rest[_TURN_FIELD.size :]
    return PlaneFormat(levels, turn), bool(field & _MARK), rest


def planes_from_rgb(pixels: np.ndarray, planes: PlaneFormat) -> np.ndarray:
    """Planes of a photograph.

    Args:
        pixels: uint8 [H, W, 3], or float32, 0..1.

    Returns:
        uint16 [3, H, W]
    """
    found = np.empty((3, *pixels.shape[:2]), np.uint16)
    rows = np.array(_to_planes(planes, white=255 if pixels.dtype == np.uint8 else 1), np.float32)
    for band in _bands(pixels.shape[:2]):
        colours = [pixels[band, :, channel].astype(np.float32) for channel in range(3)]
        value, part = np.empty_like(colours[0]), np.empty_like(colours[0])
        for plane, (red, green, blue) in enumerate(rows):
            np.multiply(colours[0], red, out=value)
            value += np.multiply(colours[1], green, out=part)
            value += np.multiply(colours[2], blue, out=part)
            value += np.float32((MIDDLE if plane else 0) + 0.5)
            found[plane, band] = np.clip(value, 0, MAX_LEVELS, out=value)
    return found


def rgb_from_planes(values: np.ndarray, planes: PlaneFormat) -> np.ndarray:
    """The photograph in planes: uint16 [3, H, W], 0 to 1023 -> uint8 [H, W, 3]."""
    half, factors = 1 << (SHIFT - 1), colour_factors(planes)
    found = np.empty((*values.shape[1:], 3), np.uint8)
    for band in _bands(values.shape[1:]):
        grey, *colours = values[:, band].astype(np.int64)
        parts = (grey, *(plane - MIDDLE for plane in colours))
        for channel in range(3):
            colour = sum(part * factor for part, factor in zip(parts, factors[channel], strict=True))
            found[band, :, channel] = np.clip((colour + half) >> SHIFT, 0, 255)
    return found


def _bands(size: tuple[int, int]) -> Iterator[slice]:
    """Ranges of rows: what lies between planes and colours exists for one band at a time."""
    height, width = size
    rows = max(1, BAND_PIXELS // max(width, 1))
    return (slice(top, top + rows) for top in range(0, height, rows))


def _to_planes(planes: PlaneFormat, *, white: int) -> list[list[float]]:
    """Factors [plane][colour] of colours from 0 to `white`."""
    if planes.turn is not None:
        rows, divisor = turned_axes(planes.turn)
        return [[planes.levels * value / (3 * white * divisor) for value in row] for row in rows]
    luma = [weight / 10_000 for weight in (RED, GREEN, BLUE)]
    rows = [luma]
    for channel, weight in ((2, BLUE), (0, RED)):
        own = [float(colour == channel) for colour in range(3)]
        rows.append([(one - part) * 10_000 / (2 * (10_000 - weight)) for one, part in zip(own, luma, strict=True)])
    return [[value * planes.levels / white for value in row] for row in rows]


def colour_factors(planes: PlaneFormat) -> np.ndarray:
    """Of colour and plane, in grey levels of units of 2**-SHIFT. int64 [3, 3]"""
    if planes.turn is not None:
        rows, divisor = turned_axes(planes.turn)
        return np.array(
            [[_factor(row[colour], divisor, planes.levels) for row in rows] for colour in range(3)], np.int64
        )
    grey = _factor(10_000, 10_000, planes.levels)
    blue_weight, red_weight = 2 * (10_000 - BLUE), 2 * (10_000 - RED)
    return np.array(
        [
            [grey, 0, _factor(red_weight, 10_000, planes.levels)],
            [
                grey,
                -_factor(blue_weight * BLUE, GREEN * 10_000, planes.levels),
                -_factor(red_weight * RED, GREEN * 10_000, planes.levels),
            ],
            [grey, _factor(blue_weight, 10_000, planes.levels), 0],
        ],
        np.int64,
    )


def _factor(numerator: int, denominator: int, levels: int) -> int:
    """255 / levels * numerator / denominator in units of 2**-SHIFT, to the nearest; no float in it."""
    divisor = denominator * levels
    return (((255 * numerator) << SHIFT) * 2 + divisor) // (2 * divisor)
