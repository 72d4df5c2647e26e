"""Multi-scale structural similarity of photographs, also as a differentiable objective; plain error is `psnr`'s."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from nerfstudio_mvc.errors import ShapeError
from nerfstudio_mvc.quality.psnr import check_pair

SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang, Simoncelli, Bovik 2003, section 3.2
WINDOW_SIZE, WINDOW_SIGMA = 11, 1.5
K1, K2 = 0.01, 0.03
BAND_PIXELS = 1 << 17  # rows are taken together up to this many pixels, so that their maps stay in the cache
SMALLEST_SIDE = (WINDOW_SIZE - 1) * 2 ** (len(SCALE_WEIGHTS) - 1) + 1  # 161: the window still fits at the last scale


def ms_ssim(original: np.ndarray, restored: np.ndarray) -> float:
    """MS-SSIM of two photographs on 0..255, mean over the three channels.

    Args:
        original, restored: uint8 [H, W, 3], both sides at least `SMALLEST_SIDE`.

    Returns:
        1 for equal images, towards 0 the less they share.

    Raises:
        ShapeError: not 8-bit, of different shape, or too small for five scales.
    """
    check_pair(original, restored)
    if original.ndim != 3:
        raise ShapeError(f"images of shape {original.shape} given, expected [H, W, 3]")
    _check_size(original.shape[0], original.shape[1])
    values = []
    # One channel at a time: the maps of a 12 MP photograph would take 3 GB together.
    for channel in range(original.shape[2]):
        x, x_hat = (
            torch.from_numpy(np.ascontiguousarray(image[None, None, ..., channel])).float()
            for image in (original, restored)
        )
        with torch.no_grad():
            values.append(float(ms_ssim_index(x, x_hat, peak=255.0)))
    return sum(values) / len(values)


def ms_ssim_index(x: Tensor, x_hat: Tensor, *, peak: float = 1.0) -> Tensor:
    """MS-SSIM of a batch, differentiable.

    Wang, Simoncelli, Bovik, "Multi-scale structural similarity for image quality assessment", 2003, Eq. 7, with a
    Gaussian window of 11 pixels, sigma 1.5, applied where it fits inside the picture. Between scales 2 x 2 pixels are
    averaged, at an odd border those that exist (some implementations pad with zeros there: the third decimal of odd
    sizes differs). Negative structure counts as 0, so that the weights can be exponents.

    Args:
        x, x_hat: 0..peak. [B, C, H, W], both sides at least `SMALLEST_SIDE`.

    Returns:
        mean over channels. [B]

    Raises:
        ShapeError: of different shape, or too small for five scales.
    """
    if x.shape != x_hat.shape or x.ndim != 4:
        raise ShapeError(f"batches of shape {tuple(x.shape)} and {tuple(x_hat.shape)} given, expected two [B, C, H, W]")
    _check_size(x.shape[2], x.shape[3])
    product = torch.ones(x.shape[:2], dtype=x.dtype, device=x.device)
    for scale, weight in enumerate(SCALE_WEIGHTS):
        last = scale == len(SCALE_WEIGHTS) - 1
        structure, whole = _similarity(x, x_hat, peak)
        product = product * (whole if last else structure).clamp_min(0) ** weight
        if not last:
            x, x_hat = (F.avg_pool2d(image, 2, ceil_mode=True) for image in (x, x_hat))
    return product.mean(1)


def _check_size(height: int, width: int) -> None:
    if min(height, width) < SMALLEST_SIDE:
        raise ShapeError(
            f"MS-SSIM with five scales needs at least {SMALLEST_SIDE} pixels per side, the image has {width}x{height}; "
            "use PSNR for it"
        )


def _similarity(x: Tensor, x_hat: Tensor, peak: float) -> tuple[Tensor, Tensor]:
    """Structure, and structure times luminance, averaged over all windows; each [B, C]."""
    rows = x.shape[2] - (WINDOW_SIZE - 1)
    step = max(1, BAND_PIXELS // x.shape[3])
    sums = torch.zeros(2, *x.shape[:2], dtype=x.dtype, device=x.device)
    for top in range(0, rows, step):
        band = slice(top, min(top + step, rows) + WINDOW_SIZE - 1)
        sums = sums + torch.stack(_similarity_maps(x[:, :, band], x_hat[:, :, band], peak)).sum((3, 4))
    structure, whole = sums / (rows * (x.shape[3] - (WINDOW_SIZE - 1)))
    return structure, whole


def _similarity_maps(x: Tensor, x_hat: Tensor, peak: float) -> tuple[Tensor, Tensor]:
    c1, c2 = (K1 * peak) ** 2, (K2 * peak) ** 2
    mean_x, mean_x_hat = _blur(x), _blur(x_hat)
    variance_x = _blur(x * x) - mean_x * mean_x
    variance_x_hat = _blur(x_hat * x_hat) - mean_x_hat * mean_x_hat
    covariance = _blur(x * x_hat) - mean_x * mean_x_hat
    structure = (2 * covariance + c2) / (variance_x + variance_x_hat + c2)
    luminance = (2 * mean_x * mean_x_hat + c1) / (mean_x * mean_x + mean_x_hat * mean_x_hat + c1)
    return structure, structure * luminance


def _blur(image: Tensor) -> Tensor:
    # Shifted sums: a convolution of one channel takes torch ten times as long on the CPU.
    return _blur_along(_blur_along(image, 3), 2)


def _blur_along(image: Tensor, dim: int) -> Tensor:
    half = WINDOW_SIZE // 2
    weights = [math.exp(-(offset**2) / (2 * WINDOW_SIGMA**2)) for offset in range(-half, 1)]
    total = 2 * sum(weights) - weights[half]
    length = image.shape[dim] - 2 * half
    blurred = image.narrow(dim, half, length) * (weights[half] / total)
    for tap in range(half):
        pair = image.narrow(dim, tap, length) + image.narrow(dim, 2 * half - tap, length)
        blurred.add_(pair, alpha=weights[tap] / total)
    return blurred
