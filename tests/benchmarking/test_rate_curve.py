"""The search for equal PSNR against a peer whose curve is known exactly."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest

from nerfstudio_mvc.benchmarking.rate_curve import MOST_SETTINGS, PeerPoint, RateCurve
from nerfstudio_mvc.errors import CaptureError, MvcError


class ConstantErrorPeer:
    """Moves as many samples as a known curve of PSNR says, and spends bytes by another."""

    name = "constant"
    description = "constant error"
    start = 60
    order = "file"
    db_per_setting = 0.2

    def __init__(self, settings: range = range(101), *, fastest_db_per_setting: float = 0.35) -> None:
        self.settings = settings
        self.measured: list[int] = []
        self._bend = fastest_db_per_setting

    def error(self, setting: int) -> float:
        """The mean squared error: PSNR rises with the setting, faster from 50 on."""
        db = 28 + 0.1 * setting + max(0, setting - 50) * (self._bend - 0.1)
        return 255**2 / 10 ** (db / 10)

    def encode(self, photographs, setting: int) -> list[bytes]:
        self.measured.append(setting)
        self._photographs = list(photographs)
        return [bytes([setting]) * round(1000 * 1.03**setting) for _ in self._photographs]

    def decode(self, files) -> Iterator[np.ndarray]:
        for pixels, file in zip(self._photographs, files, strict=True):
            moved = pixels.astype(np.int64).reshape(-1)
            # As many samples are moved by 16 as make the mean squared error.
            count = round(self.error(file[0]) / 256 * moved.size)
            moved[:count] += 16
            yield moved.reshape(pixels.shape).astype(np.uint8)


PHOTOGRAPHS = [np.full((200, 250, 3), 100, np.uint8)] * 2


def test_a_target_on_a_setting_gives_the_bytes_of_that_setting() -> None:
    point = RateCurve(ConstantErrorPeer(), PHOTOGRAPHS).measure(73)
    assert point.bytes == 2 * round(1000 * 1.03**73)
    equal = RateCurve(ConstantErrorPeer(), PHOTOGRAPHS).at_psnr(point.psnr_db)
    assert equal.bytes == pytest.approx(point.bytes, rel=1e-9)
    assert 73 in equal.settings


@pytest.mark.parametrize("target_db", [28.03, 31.0, 33.0, 36.7, 44.44, 50.2])
def test_between_settings_log_bytes_are_a_line_over_psnr(target_db: float) -> None:
    peer = ConstantErrorPeer()
    curve = RateCurve(peer, PHOTOGRAPHS)
    equal = curve.at_psnr(target_db)
    low, high = (curve.measure(setting) for setting in equal.settings)
    assert low.psnr_db <= target_db <= high.psnr_db
    share = (target_db - low.psnr_db) / (high.psnr_db - low.psnr_db)
    assert equal.bytes == pytest.approx(low.bytes ** (1 - share) * high.bytes**share)
    exact = (target_db - 28) / 0.1 if target_db < 33 else 50 + (target_db - 33) / 0.35
    assert equal.bytes == pytest.approx(2000 * 1.03**exact, rel=0.01)


def test_few_settings_are_measured_and_none_twice() -> None:
    peer = ConstantErrorPeer()
    curve = RateCurve(peer, PHOTOGRAPHS)
    curve.at_psnr(41.3)
    assert len(peer.measured) <= MOST_SETTINGS
    curve.at_psnr(41.3)
    curve.at_psnr(41.35)
    assert len(peer.measured) == len(set(peer.measured)) <= MOST_SETTINGS + 2


@pytest.mark.parametrize("target_db", [20.0, 60.0, math.inf])
def test_out_of_reach_has_no_bytes(target_db: float) -> None:
    peer = ConstantErrorPeer()
    equal = RateCurve(peer, PHOTOGRAPHS).at_psnr(target_db)
    assert equal.bytes is None
    assert equal.settings == ((0,) if target_db < 28 else (100,))
    assert len(peer.measured) < 12


def test_a_peer_without_any_error_is_above_every_target() -> None:
    class Lossless(ConstantErrorPeer):
        def error(self, setting: int) -> float:
            return 0.0 if setting > 30 else super().error(setting)

    curve = RateCurve(Lossless(), PHOTOGRAPHS)
    equal = curve.at_psnr(35.0)
    assert equal.settings == (30, 31)
    assert math.isfinite(equal.bytes)


def test_the_point_nearest_in_bytes_is_found() -> None:
    peer = ConstantErrorPeer()
    target = 2 * 1000 * 1.03**71.3
    point = RateCurve(peer, PHOTOGRAPHS).at_bytes(target)
    assert point.setting == 71
    assert len(peer.measured) <= MOST_SETTINGS + 2
    assert RateCurve(ConstantErrorPeer(), PHOTOGRAPHS).at_bytes(1).setting == 0
    assert RateCurve(ConstantErrorPeer(), PHOTOGRAPHS).at_bytes(1e9).setting == 100


def test_similarity_is_measured_when_it_is_wanted() -> None:
    known = [PeerPoint(60, 1000, 30.0, 1.0, 0.1)]
    curve = RateCurve(ConstantErrorPeer(), PHOTOGRAPHS, with_ms_ssim=True, known=known)
    assert 0 < curve.measure(60).ms_ssim < 1  # the known point had none
    assert RateCurve(ConstantErrorPeer(), PHOTOGRAPHS, known=known).measure(60) == known[0]
    small = [picture[:20] for picture in PHOTOGRAPHS]
    assert RateCurve(ConstantErrorPeer(), small, with_ms_ssim=True).measure(60).ms_ssim is None


def test_a_peer_that_loses_photographs_is_named() -> None:
    class Losing(ConstantErrorPeer):
        def decode(self, files) -> Iterator[np.ndarray]:
            return iter([next(super().decode(files))])

    with pytest.raises(MvcError, match="lost photographs"):
        RateCurve(Losing(), PHOTOGRAPHS).measure(60)


def test_progress_counts_photographs() -> None:
    told = []
    curve = RateCurve(ConstantErrorPeer(), PHOTOGRAPHS)
    curve.measure(60, on_photograph=lambda setting, done: told.append((setting, done)))
    assert told == [(60, 1), (60, 2)]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError("encoder error -2"), "constant error failed at setting 60"),
        (ValueError("image size exceeds the limit"), "constant error failed at setting 60"),
        (CaptureError("garden/a.png: unreadable image"), "^garden/a.png"),
    ],
)
def test_a_failing_encoder_is_named(error: Exception, message: str) -> None:
    class Failing(ConstantErrorPeer):
        def encode(self, photographs, setting: int) -> list[bytes]:
            raise error

    with pytest.raises(MvcError, match=message):
        RateCurve(Failing(), PHOTOGRAPHS).at_psnr(40)
