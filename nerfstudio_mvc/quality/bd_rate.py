"""Average bit-rate difference between two rate-distortion curves; where their points come from is the caller's."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.interpolate import PchipInterpolator

from nerfstudio_mvc.errors import ShapeError

FEWEST_POINTS = 2  # four are customary; a piecewise cubic through fewer is still defined

RatePoint = tuple[float, float]
"""(rate, quality): for instance bpp and PSNR in dB; any unit, the same on both curves."""


def bd_rate_percent(*, baseline: Sequence[RatePoint], tested: Sequence[RatePoint]) -> float:
    """How much more (+) or less (-) rate `tested` needs than `baseline` for the same quality, in percent.

    Bjontegaard, VCEG-M33, 2001: the mean difference of log rate over the qualities both curves reach. Through the
    points runs a piecewise cubic (PCHIP, as in the later JCT-VC practice), which unlike one polynomial does not swing
    between them.

    Args:
        baseline, tested: points in any order.

    Raises:
        ShapeError: fewer than two points, a rate that is not positive, quality that does not rise with rate, no
            quality that both curves reach.
    """
    baseline_curve, tested_curve = _log_rate(baseline, "baseline"), _log_rate(tested, "tested")
    lowest = max(baseline_curve.x[0], tested_curve.x[0])
    highest = min(baseline_curve.x[-1], tested_curve.x[-1])
    if not lowest < highest:
        raise ShapeError(
            f"the curves share no quality: baseline {baseline_curve.x[0]:.3f} to {baseline_curve.x[-1]:.3f}, "
            f"tested {tested_curve.x[0]:.3f} to {tested_curve.x[-1]:.3f}; measure points that overlap"
        )
    area = tested_curve.integrate(lowest, highest) - baseline_curve.integrate(lowest, highest)
    return 100.0 * (math.exp(float(area) / (highest - lowest)) - 1.0)


def _log_rate(points: Sequence[RatePoint], name: str) -> PchipInterpolator:
    if len(points) < FEWEST_POINTS:
        raise ShapeError(f"the {name} curve has {len(points)} points; at least {FEWEST_POINTS} are needed")
    rate, quality = np.array(sorted(points), np.float64).T
    if not (np.isfinite(rate).all() and np.isfinite(quality).all() and (rate > 0).all()):
        raise ShapeError(f"the {name} curve has a rate that is not positive or a value that is not finite: {points}")
    if not (np.diff(quality) > 0).all():
        raise ShapeError(
            f"quality does not rise with rate on the {name} curve: {sorted(points)}; drop the worse points"
        )
    return PchipInterpolator(quality, np.log(rate))
