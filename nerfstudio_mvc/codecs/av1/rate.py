"""Which quantiser a quality means, so that its PSNR is about what LMVIC's is at the same quality.

Encoder side only: the strings say what a decoder needs.
"""

from __future__ import annotations

import numpy as np

QUALITIES = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0)
CRF_AT_QUALITY = (48.0, 43.2, 38.3, 33.1, 27.8, 23.6, 19.5, 15.7)
"""Where AV1 has LMVIC's PSNR, mean over crops of four captures of the training set; they are up to 2 steps apart.
All a step coarser than fitted: the PSNR of every quality fell by two steps when symbols were rounded by their cost, and
rose by about one when AV1 came to code LMVIC's pictures."""


def crf_of_quality(quality: float) -> float:
    """The quantiser of a quality from 1 to 8, not necessarily a whole step."""
    return float(np.interp(quality, QUALITIES, CRF_AT_QUALITY))
