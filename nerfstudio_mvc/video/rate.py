"""Qualities between the whole steps of an AV1 encoder: its quantiser, and how many levels white has (`colour`)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nerfstudio_mvc.video.colour import MAX_LEVELS

STEP = 1.06  # one step of crf makes the quantiser coarser by about this factor


@dataclass(frozen=True)
class Rate:
    """`crf` of the encoder, a whole number; `levels` of the planes, `MAX_LEVELS` or a little fewer."""

    crf: int
    levels: int


def rate_of_crf(crf: float) -> Rate:
    """The next finer whole step of the encoder, with as many levels fewer as make up for it."""
    crf = min(max(crf, 0.0), 63.0)
    whole = math.floor(crf)
    return Rate(whole, round(MAX_LEVELS * STEP ** (whole - crf)))
