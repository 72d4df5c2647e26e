"""A view by itself: a photograph to its strings and back, knowing nothing of other views. Loads no torch.

    photograph --AV1, one intra frame--> string "av1"
    photograph, what is shown --RMS of blocks--> string "errors"

The decoder has to know how wrong its own picture is to weigh others against it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nerfstudio_mvc.codecs.parahydra.error_map import error_levels, read_levels, write_levels
from nerfstudio_mvc.coded import Substream
from nerfstudio_mvc.effort import Effort
from nerfstudio_mvc.errors import ArchiveError
from nerfstudio_mvc.video import still
from nerfstudio_mvc.video.colour import PlaneFormat, pack_format, planes_from_rgb, read_format, rgb_from_planes
from nerfstudio_mvc.video.colour_axes import best_turn
from nerfstudio_mvc.video.rate import rate_of_crf
from nerfstudio_mvc.video.speeds import SPEEDS

PROFILE = "parahydra-2"
"""Stands where other codecs name their weights: what a decoder of the strings must know."""
PICTURE, ERRORS = "av1", "errors"
QUALITIES = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0)
CRF_AT_QUALITY = (49.0, 44.3, 39.5, 34.6, 29.3, 23.6, 17.6, 12.7)
"""As LMVIC's pictures have it."""


@dataclass(frozen=True, eq=False)
class Still:
    """A decoded view before other views help: pixels uint8 [H, W, 3], levels of error of its blocks uint8 [h, w]."""

    pixels: np.ndarray
    levels: np.ndarray


def encode_still(
    pixels: np.ndarray, *, quality: float, effort: Effort = "default"
) -> tuple[tuple[Substream, ...], Still]:
    """The strings of a photograph uint8 [H, W, 3], and what they decode to.

    Raises:
        MvcError: AV1 failed.
    """
    rate = rate_of_crf(float(np.interp(quality, QUALITIES, CRF_AT_QUALITY)))
    form = PlaneFormat(rate.levels, best_turn(pixels))
    payload = still.encode_still(planes_from_rgb(pixels, form), quantizer=rate.crf, speed=SPEEDS[effort].still)
    picture = Substream(PICTURE, pack_format(form) + payload)
    shown = _decoded(picture.payload, pixels.shape[:2])
    levels = error_levels(pixels, shown)
    return (picture, Substream(ERRORS, write_levels(levels))), Still(shown, levels)


def decode_still(substreams: tuple[Substream, ...], size: tuple[int, int]) -> Still:
    """The view of (H, W) in its strings.

    Raises:
        ArchiveError: a string is missing or does not hold what such a view needs.
    """
    strings = {substream.name: substream.payload for substream in substreams}
    for name in (PICTURE, ERRORS):
        if name not in strings:
            raise ArchiveError(f'a view has no "{name}" string: the archive is damaged')
    return Still(_decoded(strings[PICTURE], size), read_levels(strings[ERRORS], size))


def _decoded(string: bytes, size: tuple[int, int]) -> np.ndarray:
    found = read_format(string)
    if found is None or found[1]:
        raise ArchiveError("an AV1 picture does not say what its planes stand for: the archive is damaged")
    form, _, payload = found
    return rgb_from_planes(still.decode_still(payload, width=size[1], height=size[0]), form)
