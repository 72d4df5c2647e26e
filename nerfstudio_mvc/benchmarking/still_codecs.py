"""The still-image codecs a user would pick instead, through Pillow: bytes at a given PSNR.

They code every photograph alone and count nothing but their own files; cameras and names come free here.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from nerfstudio_mvc.errors import MvcError
from nerfstudio_mvc.quality.psnr import psnr_db


@dataclass(frozen=True)
class StillCodec:
    """A Pillow encoder with a quality setting.

    Attributes:
        name: as tables show it.
        pillow_format: e.g. ``"JPEG"``.
        settings: passed to `Image.save` beside the quality.
        qualities: smallest and largest quality setting.
    """

    name: str
    pillow_format: str
    settings: dict[str, Any]
    qualities: tuple[int, int]

    def encode(self, pixels: np.ndarray, quality: int) -> bytes:
        """One photograph as a file. uint8 [H, W, 3]"""
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, self.pillow_format, quality=quality, **self.settings)
        return stream.getvalue()


STILL_CODECS = (
    StillCodec("JPEG 4:4:4, optimised", "JPEG", {"optimize": True, "subsampling": "4:4:4"}, (1, 100)),
    StillCodec("WebP, method 6", "WEBP", {"method": 6}, (0, 100)),
    StillCodec("AVIF 4:4:4, speed 6", "AVIF", {"subsampling": "4:4:4", "speed": 6, "max_threads": 1}, (0, 100)),
)


def bytes_at_psnr(photographs: Sequence[np.ndarray], codec: StillCodec, target_db: float) -> float:
    """Bytes of all photographs, coded at one quality setting, when their mean PSNR is `target_db`.

    Quality settings are whole numbers: between the two whose PSNR encloses the target, log bytes are interpolated
    over PSNR.

    Args:
        photographs: uint8 [H, W, 3] each.
        codec: what codes them.
        target_db: mean over the photographs of PSNR, dB.

    Raises:
        MvcError: the codec does not reach the target, or cannot go as low.
    """
    low, high = codec.qualities
    measured = {quality: _total_bytes_and_psnr(photographs, codec, quality) for quality in (low, high)}
    if not measured[low][1] <= target_db <= measured[high][1]:
        raise MvcError(
            f"{codec.name} spans {measured[low][1]:.2f} to {measured[high][1]:.2f} dB on these photographs, "
            f"{target_db:.2f} dB is outside: compare at another quality"
        )
    while high - low > 1:
        middle = (low + high) // 2
        measured[middle] = _total_bytes_and_psnr(photographs, codec, middle)
        low, high = (middle, high) if measured[middle][1] <= target_db else (low, middle)
    (low_bytes, low_db), (high_bytes, high_db) = measured[low], measured[high]
    share = 0.0 if high_db == low_db else (target_db - low_db) / (high_db - low_db)
    return math.exp((1 - share) * math.log(low_bytes) + share * math.log(high_bytes))


def _total_bytes_and_psnr(photographs: Sequence[np.ndarray], codec: StillCodec, quality: int) -> tuple[int, float]:
    total_bytes, psnr_sum = 0, 0.0
    for pixels in photographs:
        encoded = codec.encode(pixels, quality)
        decoded = np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB"))
        total_bytes += len(encoded)
        psnr_sum += psnr_db(decoded, pixels)
    return total_bytes, psnr_sum / len(photographs)
