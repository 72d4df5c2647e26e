"""Bjontegaard's rate difference: known answers and what it refuses."""

import numpy as np
import pytest

from nerfstudio_mvc.errors import ShapeError
from nerfstudio_mvc.quality.bd_rate import bd_rate_percent

CURVE = [(0.1, 30.0), (0.2, 33.0), (0.45, 36.0), (1.1, 39.0)]


def scaled(factor, shift_db=0.0):
    return [(rate * factor, quality + shift_db) for rate, quality in CURVE]


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.0, 1.25, 3.0])
def test_a_scaled_curve_differs_by_its_factor(factor):
    assert bd_rate_percent(baseline=CURVE, tested=scaled(factor)) == pytest.approx(100 * (factor - 1))


def test_exchanging_the_curves_inverts_the_ratio():
    tested = scaled(0.7, 0.8)
    there = 1 + bd_rate_percent(baseline=CURVE, tested=tested) / 100
    back = 1 + bd_rate_percent(baseline=tested, tested=CURVE) / 100
    assert there < 0.7
    assert there * back == pytest.approx(1.0)


def test_an_exponential_curve_has_a_closed_form():
    # rate = exp(quality / 4); raising quality by 1 at the same rate saves 1 - exp(-1 / 4) everywhere
    baseline = [(float(np.exp(q / 4)), float(q)) for q in range(30, 41, 2)]
    tested = [(rate, quality + 1) for rate, quality in baseline]
    assert bd_rate_percent(baseline=baseline, tested=tested) == pytest.approx(100 * (np.exp(-0.25) - 1))


def test_only_the_shared_range_counts():
    # beyond 36 dB the tested curve is far worse, but the baseline ends there
    tested = [*scaled(0.9)[:3], (9.0, 39.0)]
    value = bd_rate_percent(baseline=CURVE[:3], tested=tested)
    assert value == pytest.approx(-10.0, abs=3)


def test_order_does_not_matter():
    assert bd_rate_percent(baseline=CURVE[::-1], tested=scaled(0.8)) == pytest.approx(-20.0)


def test_what_is_refused():
    with pytest.raises(ShapeError, match=r"share no quality: baseline 30\.000 to 39\.000, tested 50\.000 to 59\.000"):
        bd_rate_percent(baseline=CURVE, tested=scaled(1, 20))
    with pytest.raises(ShapeError, match="share no quality"):
        bd_rate_percent(baseline=CURVE, tested=scaled(1, 9))
    with pytest.raises(ShapeError, match="tested curve has 1 points"):
        bd_rate_percent(baseline=CURVE, tested=CURVE[:1])
    with pytest.raises(ShapeError, match="not positive"):
        bd_rate_percent(baseline=[(0.0, 29.0), *CURVE], tested=CURVE)
    with pytest.raises(ShapeError, match="not finite"):
        bd_rate_percent(baseline=[*CURVE, (2.0, float("inf"))], tested=CURVE)
    with pytest.raises(ShapeError, match="does not rise with rate on the tested curve"):
        bd_rate_percent(baseline=CURVE, tested=[*CURVE, (2.0, 38.0)])
