"""Aligning one photograph to another by looking at the two alone: what there is without cameras and depth.

Every aligner sees the photograph it predicts, so a decoder would need what it found: `side_bits` says how much that is.
The aligners of this project, through depth, are `alignment`'s business.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

BLOCK_PX = 16
SEARCH_SHARE = 0.25  # of the longer side, in every direction
COARSE_LONG_SIDE = 240  # blocks are searched on photographs about this large, then refined
COARSE_MARGIN_PX = 2  # blocks made small are matched with a little of their surroundings
RATIO_TEST = 0.75  # Lowe 2004: a match has to be this much nearer than the next best
RANSAC_PX = 3.0
FEWEST_MATCHES = 8
HOMOGRAPHY_BITS = 8 * 32


@dataclass(frozen=True, eq=False)
class Aligned:
    """A photograph as another one predicts it.

    Attributes:
        pixels: uint8 [H, W, 3]
        valid: where the reference shows the pixel; elsewhere `pixels` is a guess. bool [H, W]
        side_bits: about what a decoder needs beside the reference to make `pixels`; None where that is not measured.
    """

    pixels: np.ndarray
    valid: np.ndarray
    side_bits: float | None


Aligner = Callable[[np.ndarray, np.ndarray], Aligned]
"""(current, reference), uint8 [H, W, 3] and [Hr, Wr, 3] -> the current one as the reference predicts it."""


def not_aligned(current: np.ndarray, reference: np.ndarray) -> Aligned:
    """The reference as it is; cut, or its border repeated, where sizes differ."""
    pixels = _on_canvas(reference, current.shape[:2])
    return Aligned(pixels, np.ones(current.shape[:2], bool), 0.0)


def by_homography(current: np.ndarray, reference: np.ndarray) -> Aligned:
    """One projective map for the whole photograph: SIFT matches, RANSAC; as it is where no map is found."""
    features = cv2.SIFT_create(nfeatures=4000)
    (points, descriptors), (reference_points, reference_descriptors) = (
        features.detectAndCompute(_grey(image), None) for image in (current, reference)
    )
    homography = None
    if descriptors is not None and reference_descriptors is not None and len(reference_descriptors) > 1:
        pairs = cv2.BFMatcher().knnMatch(descriptors, reference_descriptors, k=2)
        good = [first for first, second in pairs if first.distance < RATIO_TEST * second.distance]
        if len(good) >= FEWEST_MATCHES:
            here = np.float32([points[match.queryIdx].pt for match in good])
            there = np.float32([reference_points[match.trainIdx].pt for match in good])
            cv2.setRNGSeed(0)
            homography, _ = cv2.findHomography(here, there, cv2.RANSAC, RANSAC_PX)
    if homography is None:
        return not_aligned(current, reference)
    rows, columns = np.indices(current.shape[:2], np.float32)
    positions = np.stack([columns, rows], -1).reshape(1, -1, 2)
    x, y = np.moveaxis(cv2.perspectiveTransform(positions, homography).reshape(*rows.shape, 2), -1, 0)
    return _fetch(reference, x, y, HOMOGRAPHY_BITS)


def by_blocks(current: np.ndarray, reference: np.ndarray) -> Aligned:
    """Blocks of 16 x 16, each with the shift that leaves the least squared error, to a quarter of a pixel."""
    height, width = current.shape[:2]
    rows, columns = -(-height // BLOCK_PX), -(-width // BLOCK_PX)
    current = _on_canvas(current, (rows * BLOCK_PX, columns * BLOCK_PX))
    shifts = np.zeros((rows, columns, 2), np.float32)
    coarse = _CoarseSearch(current, reference)
    for row in range(rows):
        for column in range(columns):
            top, left = row * BLOCK_PX, column * BLOCK_PX
            block = current[top : top + BLOCK_PX, left : left + BLOCK_PX]
            candidates = [(0.0, 0.0), coarse.shift(left, top)]
            candidates += [tuple(shifts[row, column - 1])] if column else []
            candidates += [tuple(shifts[row - 1, column])] if row else []
            start = min(candidates, key=lambda shift: _block_error(block, reference, left + shift[0], top + shift[1]))
            shifts[row, column] = _refined(block, reference, left, top, start, reach=coarse.scale)
    dense = np.repeat(np.repeat(shifts, BLOCK_PX, 0), BLOCK_PX, 1)[:height, :width]
    y, x = np.indices((height, width), np.float32)
    return _fetch(reference, x + dense[..., 0], y + dense[..., 1], _vector_bits(shifts))


def by_dense_flow(current: np.ndarray, reference: np.ndarray) -> Aligned:
    """A shift for every pixel: dense inverse search (Kroeger et al. 2016)."""
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    shifts = flow.calc(_grey(current), _grey(_on_canvas(reference, current.shape[:2])), None)
    y, x = np.indices(current.shape[:2], np.float32)
    return _fetch(reference, x + shifts[..., 0], y + shifts[..., 1], _vector_bits(shifts))


class _CoarseSearch:
    """Shifts of blocks within a window, found on small photographs."""

    def __init__(self, current: np.ndarray, reference: np.ndarray) -> None:
        self.scale = max(1, round(max(current.shape[:2]) / COARSE_LONG_SIDE))
        self._current, self._reference = (
            cv2.copyMakeBorder(_smaller(_grey(image), self.scale), *(COARSE_MARGIN_PX,) * 4, cv2.BORDER_REPLICATE)
            for image in (current, reference)
        )
        self._reach = round(SEARCH_SHARE * max(current.shape[:2]) / self.scale)

    def shift(self, left: int, top: int) -> tuple[float, float]:
        """Of the block at (left, top) of the full photograph, in its pixels."""
        left, top = left // self.scale, top // self.scale
        side = max(1, BLOCK_PX // self.scale) + 2 * COARSE_MARGIN_PX
        template = self._current[top : top + side, left : left + side]
        height, width = self._reference.shape
        first_row, first_column = max(0, top - self._reach), max(0, left - self._reach)
        window = self._reference[first_row : top + side + self._reach, first_column : left + side + self._reach]
        if min(height, width) < side or window.shape[0] < template.shape[0] or window.shape[1] < template.shape[1]:
            return 0.0, 0.0
        _, _, (column, row), _ = cv2.minMaxLoc(cv2.matchTemplate(window, template, cv2.TM_SQDIFF))
        return float(first_column + column - left) * self.scale, float(first_row + row - top) * self.scale


def _refined(
    block: np.ndarray, reference: np.ndarray, left: int, top: int, start: tuple[float, float], *, reach: int
) -> tuple[float, float]:
    """Around `start`, halving the stride from `reach` pixels to a quarter of one."""
    best = (float(start[0]), float(start[1]))
    least = _block_error(block, reference, left + best[0], top + best[1])
    stride = float(2 ** max(0, reach - 1).bit_length())
    while stride >= 0.25:
        center = best
        for down in (-1, 0, 1):
            for across in (-1, 0, 1):
                shift = (center[0] + across * stride, center[1] + down * stride)
                error = _block_error(block, reference, left + shift[0], top + shift[1])
                if error < least:
                    best, least = shift, error
        if best == center:
            stride /= 2
    return best


def _block_error(block: np.ndarray, reference: np.ndarray, left: float, top: float) -> float:
    half = (BLOCK_PX - 1) / 2
    shown = cv2.getRectSubPix(reference, (BLOCK_PX, BLOCK_PX), (left + half, top + half))
    return cv2.norm(block, shown, cv2.NORM_L2SQR)


def _fetch(reference: np.ndarray, x: np.ndarray, y: np.ndarray, side_bits: float) -> Aligned:
    """The reference at the given pixels, the nearest of its border outside."""
    x, y = (np.nan_to_num(positions, nan=-1e4).clip(-1e4, 1e6).astype(np.float32) for positions in (x, y))
    pixels = cv2.remap(reference, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    height, width = reference.shape[:2]
    valid = (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
    return Aligned(pixels, valid, side_bits)


def _vector_bits(shifts: np.ndarray) -> float:
    """Entropy of the quarter-pixel differences of neighbouring shifts. [h, w, 2]"""
    quarters = np.floor(shifts * 4 + 0.5).astype(np.int64)
    differences = np.diff(quarters, axis=1, prepend=0)
    bits = 0.0
    for component in np.moveaxis(differences, -1, 0):
        counts = np.unique(component, return_counts=True)[1]
        bits -= float((counts * np.log2(counts / counts.sum())).sum())
    return bits


def _on_canvas(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Cut to (height, width) at the right and below, or its border repeated there."""
    image = image[: size[0], : size[1]]
    missing = size[0] - image.shape[0], size[1] - image.shape[1]
    return cv2.copyMakeBorder(image, 0, missing[0], 0, missing[1], cv2.BORDER_REPLICATE)


def _smaller(image: np.ndarray, scale: int) -> np.ndarray:
    height, width = image.shape[:2]
    size = max(1, round(width / scale)), max(1, round(height / scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _grey(image: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
