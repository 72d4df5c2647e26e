"""Speed: the numbers of a codec that sleeps are those of its sleep, and peers are set to its PSNR."""

import time

import pytest
from raw_codec import RawCodec
from small_captures import write_nerfstudio_capture

from nerfstudio_mvc.benchmarking.codec_speed import measure_speed, speed_peers


class SleepyCodec(RawCodec):
    """Keeps pixels as they are, and takes its time."""

    def encode_group(self, *args, **kwargs):
        time.sleep(0.2)
        return super().encode_group(*args, **kwargs)


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    return write_nerfstudio_capture(tmp_path_factory.mktemp("speed") / "few", views=4)


def test_megapixels_bits_and_ratios_belong_together(capture):
    ours, still, jpeg = measure_speed(
        capture, [SleepyCodec(), RawCodec()], speed_peers(["jpeg"], threads=1), views=3, depth="none", rounds=1
    )
    megapixels = 3 * 48 * 32 / 1e6
    assert 0 < ours.encode_mp_s < megapixels / 0.2
    assert ours.encode_ratio == ours.decode_ratio == 1
    assert [speed.views for speed in (ours, still, jpeg)] == [3, 3, 3]
    assert still.encode_ratio > 2
    assert jpeg.encode_ratio == pytest.approx(jpeg.encode_mp_s / ours.encode_mp_s)
    assert jpeg.psnr_db == pytest.approx(ours.psnr_db, abs=2)


def test_every_effort_of_a_codec_is_timed_beside_the_others(capture):
    efforts = ("fast", "default")
    speeds = measure_speed(capture, ["av1"], efforts=efforts, views=2, depth="none", rounds=1)
    assert [speed.name for speed in speeds] == ["av1", "av1"]
    assert all(f"effort {effort}" in speed.description for effort, speed in zip(efforts, speeds, strict=True))
    assert speeds[1].encode_ratio == pytest.approx(speeds[1].encode_mp_s / speeds[0].encode_mp_s)


def test_still_peers_get_the_threads():
    (avif,) = speed_peers(["avif"], threads=3)
    assert avif.options["max_threads"] == 3
    assert avif.options["speed"] == 6
