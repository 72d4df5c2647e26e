"""8-bit RGB photographs <-> 10-bit YCbCr planes, as video encoders want them.

BT.709 over the full range: with two bits more than the photographs, going there and back costs at most
one level in a sample. Coding the planes is `ffmpeg_pipe`'s business.
"""

from __future__ import annotations

import numpy as np

PEAK, MIDDLE = 1023.0, 512.0
RED, GREEN, BLUE = 0.2126, 0.7152, 0.0722
SIDE_MULTIPLE = 8  # the smallest block of the encoders; they would pad to it themselves, each in its own way

TO_PLANES = np.array(
    [
        [RED, GREEN, BLUE],
        [-RED / (2 - 2 * BLUE), -GREEN / (2 - 2 * BLUE), 0.5],
        [0.5, -GREEN / (2 - 2 * RED), -BLUE / (2 - 2 * RED)],
    ]
)
TO_COLOURS = np.linalg.inv(TO_PLANES)


def planes_from_rgb(pixels: np.ndarray, *, width: int, height: int) -> np.ndarray:
    """Planes Y, Cb, Cr of a photograph, its last row and column repeated to fill the frame.

    Args:
        pixels: uint8 [H, W, 3]
        width, height: of the frame, at least those of the photograph.

    Returns:
        uint16 [3, height, width], 0..1023
    """
    planes = np.einsum("pc,hwc->phw", (TO_PLANES * (PEAK / 255)).astype(np.float32), pixels.astype(np.float32))
    planes[1:] += MIDDLE
    rounded = np.clip(np.floor(planes + 0.5), 0, PEAK).astype(np.uint16)
    missing = ((0, 0), (0, height - pixels.shape[0]), (0, width - pixels.shape[1]))
    return np.pad(rounded, missing, mode="edge")


def rgb_from_planes(planes: np.ndarray, *, width: int, height: int) -> np.ndarray:
    """The photograph in the upper left corner of a frame: uint8 [height, width, 3]."""
    cut = planes[:, :height, :width].astype(np.float32)
    cut[1:] -= MIDDLE
    pixels = np.einsum("cp,phw->hwc", (TO_COLOURS * (255 / PEAK)).astype(np.float32), cut)
    return np.clip(np.floor(pixels + 0.5), 0, 255).astype(np.uint8)


def frame_size(sizes: list[tuple[int, int]]) -> tuple[int, int]:
    """(width, height) of the frame that photographs of these (width, height) fit into; sides a multiple of 8."""
    return tuple(-(-max(side) // SIDE_MULTIPLE) * SIDE_MULTIPLE for side in zip(*sizes, strict=True))
