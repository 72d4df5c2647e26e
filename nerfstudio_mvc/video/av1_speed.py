"""How long AV1's encoder may think: libaom's cpu-used, by effort and by what is coded. 0 is slowest.

Pictures of the codec's own are coded one at a time and take most of the time there is. Against 5, 2 takes 6 to 11 %
fewer bytes at one PSNR for predicted pictures, 5 to 6 % for others, in three times the time; 3 takes 2 to 7 % fewer
(docs/training-log.md). As one sequence lund_door gains .25 dB from 3 to 2, .09 dB from 2 to 1. Of sequences alone, 5
takes half the time of 4 for 3 to 8 % more bytes, 6 a third for 6 to 11 %.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Effort = Literal["fast", "default", "high"]
LARGE = 2_000_000
"""Pixels from which on a picture is coded faster."""


@dataclass(frozen=True)
class EncoderSpeeds:
    """Of one effort.

    Attributes:
        picture, large_picture: one picture, alone or given a reference, and one of `LARGE` or more pixels.
        restored_sequence, large_restored_sequence: views as a sequence whose frames are restored afterwards, likewise.
        sequence: views as a sequence and nothing else.
    """

    picture: int
    large_picture: int
    restored_sequence: int
    large_restored_sequence: int
    sequence: int


SPEEDS: dict[Effort, EncoderSpeeds] = {
    "fast": EncoderSpeeds(picture=5, large_picture=6, restored_sequence=4, large_restored_sequence=6, sequence=6),
    "default": EncoderSpeeds(picture=2, large_picture=4, restored_sequence=2, large_restored_sequence=4, sequence=4),
    "high": EncoderSpeeds(picture=1, large_picture=2, restored_sequence=1, large_restored_sequence=2, sequence=2),
}
TRIAL_SPEED = 8
"""To compare ways of coding by."""
