"""Peak signal-to-noise ratio of 8-bit photographs; structure is `ms_ssim`'s."""

from __future__ import annotations

import math

import numpy as np

from nerfstudio_mvc.errors import ShapeError

PEAK = 255.0


def psnr_db(original: np.ndarray, restored: np.ndarray) -> float:
    """10 log10(255^2 / mean squared error), the mean over all pixels and the three channels together.

    Args:
        original, restored: uint8 [H, W, 3]

    Returns:
        decibel; infinite when the two are equal.

    Raises:
        ShapeError: not 8-bit, of different shape, or empty.
    """
    check_pair(original, restored)
    # float32 rows: exact differences, and a photograph of 12 MP needs no 300 MB of float64.
    squared = sum(
        float(np.square(a.astype(np.float32) - b.astype(np.float32)).sum(dtype=np.float64))
        for a, b in zip(original, restored, strict=True)
    )
    if squared == 0:
        return math.inf
    return 10.0 * math.log10(PEAK**2 * original.size / squared)


def check_pair(original: np.ndarray, restored: np.ndarray) -> None:
    """Raise ShapeError unless both are uint8, of the same shape and not empty."""
    for name, image in (("original", original), ("restored", restored)):
        if image.dtype != np.uint8:
            raise ShapeError(f"the {name} image is {image.dtype}; quality is measured on uint8")
    if original.shape != restored.shape or original.size == 0:
        raise ShapeError(f"images of shape {original.shape} and {restored.shape} cannot be compared")
