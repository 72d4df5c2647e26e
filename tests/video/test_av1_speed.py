"""Efforts: slower from each to the next, and what the commands ask for is what the encoder is told."""

from dataclasses import fields
from itertools import pairwise

import numpy as np
import pytest
from small_captures import write_nerfstudio_capture
from tiny_lmvic import plane_views, tiny_codec

from nerfstudio_mvc import compress_capture
from nerfstudio_mvc.archive.reader import ArchiveReader
from nerfstudio_mvc.codecs.lmvic import sequence_pictures
from nerfstudio_mvc.codecs.lmvic.codec import LmvicCodec
from nerfstudio_mvc.codecs.lmvic.sequence_pictures import SequenceCoder
from nerfstudio_mvc.codecs.lmvic.switches import LmvicSwitches
from nerfstudio_mvc.pipeline.progress import StepProgress
from nerfstudio_mvc.video import av1_picture, av1_sequence
from nerfstudio_mvc.video.av1_sequence import has_encoder
from nerfstudio_mvc.video.av1_speed import LARGE, SPEEDS, TRIAL_SPEED, EncoderSpeeds

pytestmark = pytest.mark.skipif(not has_encoder(), reason="there is no ffmpeg that codes AV1")


@pytest.fixture
def told(monkeypatch):
    """The speeds the encoder was told, in order; it codes fast whatever it is told."""
    speeds, encode = [], av1_sequence.encode_units

    def noted(pictures, *, options, **settings):
        at = options.index("-cpu-used") + 1
        speeds.append(int(options[at]))
        return encode(pictures, options=[*options[:at], "8", *options[at + 1 :]], **settings)

    for module in (av1_sequence, av1_picture):
        monkeypatch.setattr(module, "encode_units", noted)
    return speeds


def test_each_effort_takes_longer_than_the_one_before():
    for faster, slower in pairwise(SPEEDS[effort] for effort in ("fast", "default", "high")):
        for field in fields(EncoderSpeeds):
            assert getattr(faster, field.name) > getattr(slower, field.name)
    assert all(speeds.large_picture > speeds.picture for speeds in SPEEDS.values())
    assert all(speeds.large_restored_sequence > speeds.restored_sequence for speeds in SPEEDS.values())


@pytest.mark.parametrize("effort", ["fast", "high"])
def test_pictures_and_sequences_are_coded_with_the_effort(told, effort):
    tiny = tiny_codec()
    switches = LmvicSwitches(network_pictures=False, sequences=False, restoration=False)
    codec = LmvicCodec(tiny.model, tiny.tables, fingerprint="", switches=switches, effort=effort)
    codec.encode_group(0, plane_views(1), quality=5.0)
    assert set(told) - {TRIAL_SPEED} == {SPEEDS[effort].picture}
    told.clear()
    SequenceCoder(effort=effort).encode(plane_views(2), quality=5.0)
    assert told == [SPEEDS[effort].restored_sequence]


def test_large_pictures_take_less(told, monkeypatch):
    monkeypatch.setattr(av1_picture, "LARGE", 64 * 64)
    for side in (64, 48):
        av1_picture.encode_picture(np.full((3, side, side), 400, np.uint16), None, crf=40)
    assert LARGE > 10**6
    assert told == [SPEEDS["default"].large_picture, SPEEDS["default"].picture]


def test_sequences_of_large_pictures_take_less(told, monkeypatch):
    monkeypatch.setattr(sequence_pictures, "LARGE", 100 * 72)
    SequenceCoder().encode(plane_views(2), quality=5.0)
    assert told == [SPEEDS["default"].large_restored_sequence]


def test_a_capture_is_compressed_with_the_effort(told, tmp_path):
    capture = write_nerfstudio_capture(tmp_path / "capture", views=2)
    events = []
    compress_capture(capture, tmp_path / "a.mvc", codec="av1", effort="high", on_event=events.append)
    assert told == [SPEEDS["high"].sequence]
    with ArchiveReader(tmp_path / "a.mvc") as archive:
        assert archive.manifest.parameters["effort"] == "high"
    # How far the encoder is was told as well.
    assert [StepProgress("coding as a video", done, 2) in events for done in (1, 2)] == [True, True]
