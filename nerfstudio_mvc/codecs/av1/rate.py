"""Which quantiser and how many levels a quality means, so that its PSNR is about what LMVIC's is at the same quality.

Encoder side only: the strings say what a decoder needs. `colour` explains levels, `sequence` the quantiser.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nerfstudio_mvc.codecs.av1.colour import MAX_LEVELS

QUALITIES = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0)
CRF_AT_QUALITY = (49.0, 44.2, 39.3, 34.1, 28.8, 24.6, 20.5, 16.7)
"""Where AV1 has LMVIC's PSNR, mean over crops of four captures of the training set; they are up to 2 steps apart.
All 2 steps coarser than fitted: by so much the PSNR of every quality fell when symbols were rounded by their cost."""
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


def crf_of_quality(quality: float) -> float:
    """The quantiser of a quality from 1 to 8, not necessarily a whole step."""
    return float(np.interp(quality, QUALITIES, CRF_AT_QUALITY))
