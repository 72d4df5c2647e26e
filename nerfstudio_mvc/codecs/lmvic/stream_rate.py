"""Encoder side: the quantiser of every view of a stream.

Views that others are predicted from are coded finer than those that none is: what they gain is inherited (cascaded
quantisers, as of hierarchical B frames; measured: docs/group-stream.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nerfstudio_mvc.codecs.lmvic.stream_plan import Level
from nerfstudio_mvc.entropy.quality_points import QUALITIES, whole_quality_steps
from nerfstudio_mvc.video.libaom import MOST_QUANTIZER
from nerfstudio_mvc.video.rate import rate_of_crf

QUALITY_POINTS = tuple(float(quality) for quality in range(1, QUALITIES + 1))
QUANTIZER_AT_QUALITY = (46.3, 41.6, 36.8, 31.9, 26.6, 20.9, 14.9, 10.0)
"""Of chain views in a group of sixteen: about the PSNR that the qualities have always had."""
STEPS: dict[Level, int] = {"key": -6, "chain": 0, "between": 5, "only": 0}
"""Of the quantiser, beside that of chain views."""
USUAL_MEAN_STEP = 2.0
"""Of the views of a group of sixteen. In small groups the key view counts for more: all are coded that much coarser."""


@dataclass(frozen=True)
class StreamRate:
    """Of one view: libaom's quantiser, 0 to 63, and the quality that this comes to, in whole sixteenths."""

    quantizer: int
    quality: float


@dataclass(frozen=True)
class GroupRate:
    """Of a group: quantiser of chain views, and how many levels white has, which stands for fractions of a step."""

    quantizer: int
    levels: int

    def of_level(self, level: Level) -> StreamRate:
        """Of views of a level."""
        quantizer = min(max(self.quantizer + STEPS[level], 0), MOST_QUANTIZER)
        own = np.interp(
            quantizer,
            QUANTIZER_AT_QUALITY[::-1],
            QUALITY_POINTS[::-1],
        )
        return StreamRate(quantizer, float(whole_quality_steps(own)))


def stream_rate(quality: float, levels: Sequence[Level]) -> GroupRate:
    """At a quality from 1 to 8, for a group whose views have these levels."""
    even_out = USUAL_MEAN_STEP - float(np.mean([STEPS[level] for level in levels]))
    rate = rate_of_crf(float(np.interp(quality, QUALITY_POINTS, QUANTIZER_AT_QUALITY)) + even_out)
    return GroupRate(rate.crf, rate.levels)
