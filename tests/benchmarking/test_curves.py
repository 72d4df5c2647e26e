"""Curves: which points count, and what is compared with what."""

from __future__ import annotations

import math

import pytest

from nerfstudio_mvc.benchmarking.curves import CurvePoint, bd_rates, ms_ssim_db, rising_points


def curve(factor: float, *, ms_ssim: bool = True) -> list[CurvePoint]:
    """Rates `factor` times those of `curve(1)` at equal quality."""
    return [
        CurvePoint(
            setting, round(factor * 1000 * 2**setting), 0.0, 30.0 + setting, 1 - 0.1**setting if ms_ssim else None
        )
        for setting in (1, 2, 3, 4)
    ]


def test_rates_are_compared_at_equal_quality_of_both_kinds() -> None:
    (rate,) = bd_rates({"ours": curve(0.8)}, {"theirs": curve(1)})
    assert (rate.tested, rate.baseline) == ("ours", "theirs")
    assert rate.psnr_percent == pytest.approx(-20)
    assert rate.ms_ssim_percent == pytest.approx(-20)
    (rate,) = bd_rates({"ours": curve(0.8, ms_ssim=False)}, {"theirs": curve(1)})
    assert rate.ms_ssim_percent is None


def test_ours_are_compared_with_those_before_them() -> None:
    rates = bd_rates({"a": curve(1), "short": curve(1)[:2], "b": curve(0.5)}, {"peer": curve(2)})
    assert [(rate.tested, rate.baseline) for rate in rates] == [("a", "peer"), ("b", "peer"), ("b", "a")]
    assert [round(rate.psnr_percent) for rate in rates] == [-50, -75, -50]


def test_points_that_cost_more_for_less_are_left_out() -> None:
    points = [
        CurvePoint(0, size, 0.0, psnr_db, None)
        for size, psnr_db in ((10, 30.0), (20, 29.0), (30, 31.0), (40, math.inf))
    ]
    assert rising_points(points, lambda point: point.psnr_db) == [(10.0, 30.0), (30.0, 31.0)]
    assert rising_points(points, lambda point: point.ms_ssim) == []


def test_similarity_in_decibel() -> None:
    assert ms_ssim_db(0.999) == pytest.approx(30)
    assert ms_ssim_db(1.0) == math.inf
