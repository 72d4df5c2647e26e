"""How long AV1's encoder may think: libaom's cpu-used, by effort and by what is coded. 0 is slowest."""

from __future__ import annotations

from dataclasses import dataclass

from nerfstudio_mvc.effort import Effort


@dataclass(frozen=True)
class EncoderSpeeds:
    """Of one effort.

    Attributes:
        stream: views whose references are put in (`codecs.lmvic`); libaom takes what is above 6 for 6.
        sequence: views as a sequence and nothing else (`codecs.av1`).
        still: a view by itself (`codecs.parahydra`).
    """

    stream: int
    sequence: int
    still: int


SPEEDS: dict[Effort, EncoderSpeeds] = {
    "fast": EncoderSpeeds(stream=6, sequence=6, still=6),
    "default": EncoderSpeeds(stream=4, sequence=4, still=4),
    "high": EncoderSpeeds(stream=2, sequence=2, still=2),
}
