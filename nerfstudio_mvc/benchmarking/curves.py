"""Rate-distortion curves of all codecs on one capture, ours and the peers', and their average distances.

How the points were measured is the business of `capture_benchmark` and `rate_curve`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from nerfstudio_mvc.errors import ShapeError
from nerfstudio_mvc.quality.bd_rate import RatePoint, bd_rate_percent

FEWEST_FOR_BD_RATE = 3


@dataclass(frozen=True)
class CurvePoint:
    """All photographs of a capture at one setting of a codec.

    Attributes:
        setting: of the codec; a quality for ours.
        bytes: all of them, attached files left out.
        bpp: 8 x bytes / pixels.
        psnr_db, ms_ssim: means over the views; ms_ssim None when it was not measured.
    """

    setting: float
    bytes: int
    bpp: float
    psnr_db: float
    ms_ssim: float | None


@dataclass(frozen=True)
class BdRate:
    """How much more (+) or less (-) rate `tested` needs than `baseline`, per cent, over the quality both reach.

    Attributes:
        tested, baseline: names of curves.
        psnr_percent: at equal PSNR; None where the curves share none.
        ms_ssim_percent: at equal MS-SSIM, in dB of what is missing to 1; None also where it was not measured.
    """

    tested: str
    baseline: str
    psnr_percent: float | None
    ms_ssim_percent: float | None


def bd_rates(ours: Mapping[str, Sequence[CurvePoint]], peers: Mapping[str, Sequence[CurvePoint]]) -> tuple[BdRate, ...]:
    """Each of our codecs with `FEWEST_FOR_BD_RATE` points or more against every peer and those of ours before it."""
    found = []
    for position, (tested, points) in enumerate(ours.items()):
        if len(points) < FEWEST_FOR_BD_RATE:
            continue
        earlier = {name: curve for name, curve in list(ours.items())[:position] if len(curve) >= FEWEST_FOR_BD_RATE}
        for baseline, curve in {**peers, **earlier}.items():
            psnr_percent, ms_ssim_percent = (_bd_rate(curve, points, value) for value in (_psnr_db, _ms_ssim_db))
            found.append(BdRate(tested, baseline, psnr_percent, ms_ssim_percent))
    return tuple(found)


def rising_points(points: Iterable[CurvePoint], value: Callable[[CurvePoint], float | None]) -> list[RatePoint]:
    """(bytes, value) of the points that no smaller one equals; those without a finite value are left out."""
    best, rising = -math.inf, []
    known = [(point.bytes, measured) for point in points if (measured := value(point)) is not None]
    for size, measured in sorted(known, key=lambda pair: (pair[0], -pair[1])):
        if best < measured < math.inf:
            rising.append((float(size), measured))
            best = measured
    return rising


def ms_ssim_db(ms_ssim: float) -> float:
    """-10 log10(1 - MS-SSIM): 0.99 is 20 dB, 0.999 is 30; infinite for equal pictures."""
    return -10 * math.log10(1 - ms_ssim) if ms_ssim < 1 else math.inf


def _bd_rate(
    baseline: Iterable[CurvePoint], tested: Iterable[CurvePoint], value: Callable[[CurvePoint], float | None]
) -> float | None:
    try:
        return bd_rate_percent(baseline=rising_points(baseline, value), tested=rising_points(tested, value))
    except ShapeError:
        return None  # the two share no quality, or one of them is no curve


def _psnr_db(point: CurvePoint) -> float:
    return point.psnr_db


def _ms_ssim_db(point: CurvePoint) -> float | None:
    return None if point.ms_ssim is None else ms_ssim_db(point.ms_ssim)
