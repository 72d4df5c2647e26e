"""A picture by itself as an AV1 unit, without its delimiter: one key frame."""

from __future__ import annotations

import numpy as np

from nerfstudio_mvc.video.libaom import SLOTS, Decoder, Encoder
from nerfstudio_mvc.video.obu import check_unit, without_delimiter
from nerfstudio_mvc.video.sequence import threads


def encode_still(planes: np.ndarray, *, quantizer: int, speed: int) -> bytes:
    """Planes of 10 bits, uint16 [3, H, W], as a unit; see `sequence.encode_sequence` for the rest.

    Raises:
        LibaomError: there is no libaom, or it failed.
    """
    height, width = planes.shape[1:]
    encoder = Encoder(width, height, speed=speed, quantizer=quantizer, threads=threads(), options={"sb-size": 128})
    return without_delimiter(encoder.encode(planes, quantizer=quantizer, refresh=range(SLOTS)))


def decode_still(unit: bytes, *, width: int, height: int) -> np.ndarray:
    """The way back. uint16 [3, height, width]

    Raises:
        ArchiveError: it does not hold a picture of that size.
        LibaomError: there is no libaom.
    """
    check_unit(unit, width=width, height=height, first=True)
    return Decoder(width, height, threads=threads()).decode(unit)
