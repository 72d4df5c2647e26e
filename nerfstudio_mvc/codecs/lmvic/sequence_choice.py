"""Whether a group is coded as one sequence, view by view, or both ways to keep the cheaper one.

A fast sequence, against the same frames coded alone as fast, says what frames tell of each other: the more of bits +
rd_lambda * error it saves, the cheaper sequences are than views one by one (docs/ablations.md, "sequences").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from nerfstudio_mvc.capture.views import SourceView
from nerfstudio_mvc.codecs.lmvic.learned.rate_distortion import error_bits
from nerfstudio_mvc.codecs.lmvic.sequence_pictures import Coded, SequenceCoder
from nerfstudio_mvc.layers.pictures import to_picture
from nerfstudio_mvc.video.av1_speed import LARGE, TRIAL_SPEED

LARGEST = 4_200_000
"""Pixels of a view up to which sequences are tried: the encoder of twenty frames of 1920x1080 takes 1.3 GiB."""
WORTH_TRYING, CLEAR = 0.1, 0.22
"""Savings from which on a sequence is tried, and from which on nothing else is."""
FAINT = 0.07
"""Savings at half the size, a quarter of the work, below which there are none to speak of at full size."""


def may_be_sequence(view_pixels: Sequence[int]) -> bool:
    """Whether a sequence of views of so many pixels is thought of at all."""
    return len(view_pixels) > 1 and max(view_pixels) <= LARGEST


def sequence_saving(sources: Sequence[SourceView], *, quality: float, rd_lambda: float) -> float:
    """The share of their cost that views save as one fast sequence; 0 where none is to be tried.

    Raises:
        MvcError: the encoder failed.
    """
    view_pixels = [source.view.width * source.view.height for source in sources]
    if not may_be_sequence(view_pixels):
        return 0.0
    faint = _saving([_half(source) for source in sources], quality=quality, rd_lambda=rd_lambda)
    if faint < FAINT:
        return 0.0
    # Large views at half the size are like those of half a megapixel to one that savings are to be compared with.
    return faint if max(view_pixels) >= LARGE else _saving(sources, quality=quality, rd_lambda=rd_lambda)


def _saving(sources: Sequence[SourceView], *, quality: float, rd_lambda: float) -> float:
    coder = SequenceCoder()  # restoring all frames would take longer than coding them, and change little
    together = coder.encode(sources, quality=quality, speed=TRIAL_SPEED)
    alone: Coded = {}
    for source in sources:
        alone |= coder.encode([source], quality=quality, speed=TRIAL_SPEED)
    costs = [
        coding_cost(sources, sum(len(string) for string, _ in coded.values()), shown(coded), rd_lambda=rd_lambda)
        for coded in (together, alone)
    ]
    return 1 - costs[0] / costs[1]


def coding_cost(
    sources: Sequence[SourceView], payload_bytes: int, pixels: Mapping[int, np.ndarray], *, rd_lambda: float
) -> float:
    """Bits + rd_lambda * error of views that come back as `pixels`, by view_idx, uint8 [H, W, 3]."""
    pictures = (
        (to_picture(source.pixels, "cpu"), to_picture(pixels[source.view.view_idx], "cpu")) for source in sources
    )
    return 8 * payload_bytes + sum(error_bits(x, picture, rd_lambda=rd_lambda) for x, picture in pictures)


def _half(source: SourceView) -> SourceView:
    width, height = source.view.width // 2, source.view.height // 2
    if not width or not height:
        return source  # one pixel wide or high
    cells = source.pixels[: 2 * height, : 2 * width].reshape(height, 2, width, 2, 3)
    pixels = np.rint(cells.mean((1, 3), dtype=np.float32)).astype(np.uint8)
    return SourceView(replace(source.view, width=width, height=height), pixels)


def shown(coded: Coded) -> dict[int, np.ndarray]:
    """The pixels that the decoder will show, by view_idx."""
    return {view_idx: pixels for view_idx, (_, pixels) in coded.items()}
