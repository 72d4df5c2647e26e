"""Which quantiser a quality means, so that its PSNR is about what LMVIC's is at the same quality.

Encoder side only: the strings say what a decoder needs.
"""

from __future__ import annotations

import numpy as np

QUALITIES = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0)
CRF_AT_QUALITY = (49.0, 44.2, 39.3, 34.1, 28.8, 24.6, 20.5, 16.7)
"""Where AV1 has LMVIC's PSNR, mean over crops of four captures of the training set; they are up to 2 steps apart.
All 2 steps coarser than fitted: by so much the PSNR of every quality fell when symbols were rounded by their cost."""


def crf_of_quality(quality: float) -> float:
    """The quantiser of a quality from 1 to 8, not necessarily a whole step."""
    return float(np.interp(quality, QUALITIES, CRF_AT_QUALITY))
