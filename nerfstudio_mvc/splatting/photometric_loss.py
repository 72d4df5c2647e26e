"""The fitting loss, 0.8 L1 + 0.2 D-SSIM, and its gradient in three fused passes over bands of rows.

SSIM as in Wang et al. 2004: 11-tap Gaussian of sigma 1.5 per channel, zeros outside the frame, images in 0..1.
"""

from __future__ import annotations

import numpy as np
from numba import float32 as f4

from nerfstudio_mvc.compiling import kernel, loop
from nerfstudio_mvc.splatting.workers import PARTS, Workers

SSIM_WEIGHT = 0.2
RADIUS = 5
_TAPS = np.exp(-(np.arange(-RADIUS, RADIUS + 1) ** 2) / (2 * 1.5**2))
_TAPS = tuple(f4(tap) for tap in (_TAPS / _TAPS.sum())[RADIUS:])  # centre outwards
_C1, _C2 = f4(0.01**2), f4(0.03**2)
_TWO = f4(2)


class PhotometricLoss:
    """Loss and gradient for images of one size; holds the scratch memory."""

    def __init__(self, height: int, width: int) -> None:
        self._across = np.empty((5, height, width * 3), np.float32)
        self._back = np.empty((3, height, width * 3), np.float32)
        self._row_losses = np.empty(height, np.float64)

    def gradient(
        self, image: np.ndarray, target: np.ndarray, mask: np.ndarray, *, workers: Workers
    ) -> tuple[float, np.ndarray]:
        """Mean loss and its gradient in `image`.

        Args:
            image: drawn. float32 [H, W, 3]
            target: photograph, 0 where `mask` is 0. float32 [H, W, 3]
            mask: 1 where the photograph covers the frame, 0 elsewhere: both images count as 0 there. float32 [H, W]
        """
        height, width = mask.shape
        masked = (image * mask[:, :, None]).reshape(height, width * 3)
        flat_target = target.reshape(height, width * 3)
        gradient = np.empty_like(masked)
        workers.run(_blur_across_part, masked, flat_target, self._across)
        workers.run(_compare_part, masked, flat_target, self._across, self._back, self._row_losses)
        workers.run(_collect_part, masked, flat_target, self._back, gradient)
        gradient = gradient.reshape(height, width, 3)
        gradient *= mask[:, :, None]
        return float(self._row_losses.sum()) / gradient.size, gradient


@loop
def _blur_row(row, out):
    """11 taps along a row of interleaved RGB."""
    length = len(row)
    for k in range(length):
        out[k] = _TAPS[0] * row[k]
    for distance in range(1, RADIUS + 1):
        tap, shift = _TAPS[distance], 3 * distance
        if shift >= length:
            break
        ahead, behind = row[shift:], out[shift:]
        for k in range(length - shift):
            out[k] += tap * ahead[k]
        for k in range(length - shift):
            behind[k] += tap * row[k]


@loop
def _blur_down(rows, y, out):
    """Row `y` of the vertical 11-tap blur of `rows`."""
    center = rows[y]
    for k in range(len(out)):
        out[k] = _TAPS[0] * center[k]
    for distance in range(1, RADIUS + 1):
        tap = _TAPS[distance]
        for neighbor in (y - distance, y + distance):
            if 0 <= neighbor < len(rows):
                row = rows[neighbor]
                for k in range(len(out)):
                    out[k] += tap * row[k]


@kernel
def _blur_across_part(part, image, target, across):
    height, length = image.shape
    product = np.empty(length, np.float32)
    for y in range(height * part // PARTS, height * (part + 1) // PARTS):
        x_row, y_row = image[y], target[y]
        _blur_row(x_row, across[0, y])
        _blur_row(y_row, across[1, y])
        for k in range(length):
            product[k] = x_row[k] * x_row[k]
        _blur_row(product, across[2, y])
        for k in range(length):
            product[k] = x_row[k] * y_row[k]
        _blur_row(product, across[3, y])
        for k in range(length):
            product[k] = y_row[k] * y_row[k]
        _blur_row(product, across[4, y])


@kernel
def _compare_part(part, image, target, across, back, row_losses):
    """Second moments of each row to the loss, and its derivatives in them, blurred across again."""
    height, length = image.shape
    moments = np.empty((5, length), np.float32)
    derivatives = np.empty((3, length), np.float32)
    mean_x, mean_y, mean_xx, mean_xy, mean_yy = moments[0], moments[1], moments[2], moments[3], moments[4]
    d_mean, d_xx, d_xy = derivatives[0], derivatives[1], derivatives[2]
    for y in range(height * part // PARTS, height * (part + 1) // PARTS):
        for moment in range(5):
            _blur_down(across[moment], y, moments[moment])
        similarity_sum, difference_sum = f4(0), f4(0)
        x_row, y_row = image[y], target[y]
        for k in range(length):
            mx, my = mean_x[k], mean_y[k]
            a1, b1 = _TWO * mx * my + _C1, mx * mx + my * my + _C1
            a2 = _TWO * (mean_xy[k] - mx * my) + _C2
            b2 = (mean_xx[k] - mx * mx) + (mean_yy[k] - my * my) + _C2
            inverse = f4(1) / (b1 * b2)
            similarity = a1 * a2 * inverse
            along_xx, along_xy = -similarity / b2, _TWO * a1 * inverse
            d_xx[k], d_xy[k] = along_xx, along_xy
            d_mean[k] = _TWO * my * a2 * inverse - _TWO * mx * similarity / b1 - _TWO * mx * along_xx - my * along_xy
            similarity_sum += similarity
            difference_sum += abs(x_row[k] - y_row[k])
        row_losses[y] = SSIM_WEIGHT * (length - similarity_sum) + (1 - SSIM_WEIGHT) * difference_sum
        for derivative in range(3):
            _blur_row(derivatives[derivative], back[derivative, y])


@kernel
def _collect_part(part, image, target, back, gradient):
    height, length = image.shape
    sums = np.empty((3, length), np.float32)
    d_mean, d_xx, d_xy = sums[0], sums[1], sums[2]
    share = f4(1 / (height * length))
    ssim_share, l1_share = f4(-SSIM_WEIGHT) * share, f4(1 - SSIM_WEIGHT) * share
    for y in range(height * part // PARTS, height * (part + 1) // PARTS):
        for derivative in range(3):
            _blur_down(back[derivative], y, sums[derivative])
        x_row, y_row, out = image[y], target[y], gradient[y]
        for k in range(length):
            difference = x_row[k] - y_row[k]
            sign = f4(1) if difference > f4(0) else (f4(-1) if difference < f4(0) else f4(0))
            out[k] = ssim_share * (d_mean[k] + _TWO * x_row[k] * d_xx[k] + y_row[k] * d_xy[k]) + l1_share * sign
