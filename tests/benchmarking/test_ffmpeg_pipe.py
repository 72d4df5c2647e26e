"""Planes through ffmpeg: every frame comes back in its place, colours survive, failures are one line."""

from __future__ import annotations

import numpy as np
import pytest

from nerfstudio_mvc.benchmarking import ffmpeg_pipe
from nerfstudio_mvc.benchmarking.ffmpeg_pipe import decode_frames, encode_frames, ffmpeg_encoders
from nerfstudio_mvc.benchmarking.ycbcr import frame_size, planes_from_rgb, rgb_from_planes
from nerfstudio_mvc.errors import MvcError
from nerfstudio_mvc.quality.psnr import psnr_db

needs_ffmpeg = pytest.mark.skipif(not ffmpeg_encoders(), reason="imageio-ffmpeg is not installed")


def noise(count: int, width: int = 48, height: int = 24) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 1024, (3, height, width)).astype(np.uint16) for _ in range(count)]


@needs_ffmpeg
def test_frames_come_back_bit_for_bit_from_a_lossless_encoder() -> None:
    frames = noise(3)
    stream = encode_frames(iter(frames), width=48, height=24, encoder=("-c:v", "ffv1"), stream_format="nut")
    decoded = list(decode_frames(stream, width=48, height=24, stream_format="nut"))
    assert len(decoded) == 3
    assert all(np.array_equal(*pair) for pair in zip(frames, decoded, strict=True))


@needs_ffmpeg
def test_a_listener_that_fails_keeps_nobody_waiting() -> None:
    def fails(part: bytes) -> None:
        raise ValueError("nobody listens")

    # More than a pipe holds, both ways.
    with pytest.raises(ValueError, match="nobody listens"):
        encode_frames(
            iter(noise(200)), width=48, height=24, encoder=("-c:v", "ffv1"), stream_format="nut", on_bytes=fails
        )


@needs_ffmpeg
def test_a_reader_may_stop_early() -> None:
    stream = encode_frames(iter(noise(40)), width=48, height=24, encoder=("-c:v", "ffv1"), stream_format="nut")
    frames = decode_frames(stream, width=48, height=24, stream_format="nut")
    next(frames)
    frames.close()


@needs_ffmpeg
@pytest.mark.parametrize(
    ("encoder", "message"),
    [(("-c:v", "nothing"), "[Uu]nknown encoder"), (("-c:v", "ffv1", "-coder", "99"), "ffmpeg failed")],
)
def test_a_failing_encoder_says_why(encoder, message) -> None:
    with pytest.raises(MvcError, match=message):
        encode_frames(iter(noise(40)), width=48, height=24, encoder=encoder, stream_format="nut")


@needs_ffmpeg
def test_damaged_streams_and_wrong_sizes_are_refused() -> None:
    stream = encode_frames(iter(noise(2)), width=48, height=24, encoder=("-c:v", "ffv1"), stream_format="nut")
    with pytest.raises(MvcError, match="ffmpeg"):
        list(decode_frames(b"no stream at all" * 40, width=48, height=24, stream_format="nut"))
    with pytest.raises(MvcError, match="another size"):
        list(decode_frames(stream, width=56, height=40, stream_format="nut"))


def test_without_ffmpeg_it_is_said_in_one_line(monkeypatch) -> None:
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", "/nowhere/ffmpeg")
    with pytest.raises(MvcError, match="pip install"):
        encode_frames(iter(noise(1)), width=48, height=24, encoder=("-c:v", "ffv1"), stream_format="nut")
    ffmpeg_pipe.ffmpeg_encoders.cache_clear()
    assert ffmpeg_encoders() == frozenset()
    ffmpeg_pipe.ffmpeg_encoders.cache_clear()


def test_every_colour_survives_planes_within_a_level() -> None:
    steps = np.arange(0, 256, 15, dtype=np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(-1, 18, 3)
    height, width = colours.shape[:2]
    frame = frame_size([(width, height)])
    planes = planes_from_rgb(colours, width=frame[0], height=frame[1])
    assert planes.shape == (3, frame[1], frame[0])
    back = rgb_from_planes(planes, width=width, height=height)
    assert np.abs(back.astype(int) - colours).max() <= 1
    assert psnr_db(colours, back) > 58
    grey = planes_from_rgb(np.full((8, 8, 3), 255, np.uint8), width=8, height=8)
    assert grey[0, 0, 0] == 1023
    assert grey[1:, 0, 0].tolist() == [512, 512]


def test_the_frame_holds_every_photograph() -> None:
    assert frame_size([(1008, 757), (757, 1008)]) == (1008, 1008)
    assert frame_size([(64, 48), (65, 41)]) == (72, 48)
