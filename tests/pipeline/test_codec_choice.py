"""`codec="auto"`: both codecs at one PSNR, the smaller archive kept, stopped runs resumed."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from raw_codec import RawCodec
from small_captures import write_nerfstudio_capture

from nerfstudio_mvc import compress_capture, decompress_archive
from nerfstudio_mvc.cli.info import Info
from nerfstudio_mvc.codecs.av1.codec import Av1Codec
from nerfstudio_mvc.codecs.interface import EncodedGroup
from nerfstudio_mvc.coded import CodedGroup
from nerfstudio_mvc.errors import MvcError, OutputError
from nerfstudio_mvc.pipeline import codec_choice, compress
from nerfstudio_mvc.pipeline.codec_choice import CodecChoice, next_crf
from nerfstudio_mvc.pipeline.progress import Warned
from nerfstudio_mvc.splatting.prior import estimate_depth
from nerfstudio_mvc.video.ffmpeg_pipe import NoFfmpegError

NEAR_DB = 0.3  # pictures of a few blocks change in jumps


class TinyStrings(RawCodec):
    """Claims to code into nothing."""

    def encode_group(self, group_idx, views, *, quality, on_view=None, on_step=None):
        encoded = super().encode_group(group_idx, views, quality=quality, on_view=on_view)
        empty = tuple(replace(view, substreams=()) for view in encoded.coded.views)
        return EncodedGroup(CodedGroup(group_idx, empty), encoded.reconstructions)


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    return write_nerfstudio_capture(tmp_path / "capture", views=4)


@pytest.fixture
def learned(monkeypatch) -> RawCodec:
    """Stands for LMVIC."""
    codec = RawCodec()
    monkeypatch.setattr(codec_choice, "open_codec", lambda name, **_: codec)
    return codec


def left_beside(output: Path) -> list[str]:
    return sorted(path.name for path in output.parent.iterdir() if path.name.startswith("."))


def test_the_smaller_archive_is_kept_at_equal_psnr(capture, tmp_path, learned, capsys):
    output = tmp_path / "a.mvc"
    report = compress_capture(capture, output, codec="auto", depth="none", group_size=2)
    choice = report.choice
    assert report.codec == choice.chosen == "av1"
    assert choice.coded_bytes["av1"] < choice.coded_bytes["lmvic"]
    assert choice.psnr_db["av1"] == pytest.approx(choice.psnr_db["lmvic"], abs=NEAR_DB)
    assert report.psnr_db == choice.psnr_db["av1"]
    assert "smaller than lmvic" in str(choice)
    assert left_beside(output) == []
    with zipfile.ZipFile(output) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    assert manifest["codec"] == "av1"
    assert manifest["parameters"]["compared"]["lmvic"]["bytes"] == choice.coded_bytes["lmvic"]
    assert report.file_bytes == output.stat().st_size
    parts = report.image_bytes + report.depth_bytes + report.attachment_bytes + report.overhead_bytes
    assert parts == report.file_bytes
    assert Info(output).run() == 0
    assert "compared: lmvic" in capsys.readouterr().out
    restored = decompress_archive(output, tmp_path / "out")
    assert len(restored.views) == 4
    assert not restored.differing_views


def test_the_network_is_kept_where_it_is_smaller(capture, tmp_path, monkeypatch):
    monkeypatch.setattr(codec_choice, "open_codec", lambda name, **_: TinyStrings())
    report = compress_capture(capture, tmp_path / "a.mvc", codec="auto", depth="none")
    assert report.codec == "raw"
    assert report.choice.chosen == "lmvic"


def test_a_run_stopped_in_the_second_half_does_not_repeat_the_first(capture, tmp_path, learned, monkeypatch):
    output = tmp_path / "a.mvc"

    def stopped(self, *arguments, **settings):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Av1Codec, "encode_with", stopped)
        with pytest.raises(KeyboardInterrupt):
            compress_capture(capture, output, codec="auto", depth="none", group_size=2)
    assert learned.encoded_groups == [0, 1]
    assert not output.exists()
    report = compress_capture(capture, output, codec="auto", depth="none", group_size=2, resume=True)
    assert learned.encoded_groups == [0, 1]
    assert report.choice.psnr_db["av1"] == pytest.approx(report.choice.psnr_db["lmvic"], abs=NEAR_DB)
    assert left_beside(output) == []


def test_a_failing_encoder_leaves_lmvic(capture, tmp_path, learned, monkeypatch):
    def failing(self, *arguments, **settings):
        raise MvcError("ffmpeg failed: no such thing")

    monkeypatch.setattr(Av1Codec, "encode_with", failing)
    events = []
    report = compress_capture(capture, tmp_path / "a.mvc", codec="auto", depth="none", on_event=events.append)
    assert report.codec == "raw"
    assert report.archive.stat().st_size == report.file_bytes
    assert any(isinstance(event, Warned) and "no such thing" in event.message for event in events)
    assert left_beside(report.archive) == []


def test_a_run_stopped_at_once_leaves_nothing(capture, tmp_path, monkeypatch):
    monkeypatch.setattr(codec_choice, "open_codec", lambda name, **_: RawCodec(stop_after=0))
    with pytest.raises(KeyboardInterrupt):
        compress_capture(capture, tmp_path / "a.mvc", codec="auto", depth="none")
    assert left_beside(tmp_path / "a.mvc") == []


def test_other_settings_do_not_resume(capture, tmp_path, learned, monkeypatch):
    output = tmp_path / "a.mvc"
    with monkeypatch.context() as patch:
        patch.setattr(codec_choice, "_choose", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            compress_capture(capture, output, codec="auto", depth="none", quality=4)
    compress_capture(capture, output, codec="auto", depth="none", quality=6, attachments="none", resume=True)
    assert learned.encoded_groups == [0, 0]


def test_an_output_inside_the_capture_is_not_attached_to_itself(capture, learned):
    report = compress_capture(capture, capture / "a.mvc", codec="auto", depth="none")
    with zipfile.ZipFile(capture / "a.mvc") as archive:
        assert json.loads(archive.read("manifest.json"))["attached"][0] == 2
    assert report.archive == capture / "a.mvc"


def test_an_existing_output_needs_force(capture, tmp_path, learned):
    (tmp_path / "a.mvc").write_bytes(b"mine")
    with pytest.raises(OutputError, match="--force"):
        compress_capture(capture, tmp_path / "a.mvc", codec="auto", depth="none")


def test_without_an_encoder_lmvic_is_taken_with_a_warning(capture, tmp_path, learned, monkeypatch):
    def missing(self):
        raise NoFfmpegError("there is none")

    monkeypatch.setattr(Av1Codec, "check_encoder", missing)
    events = []
    report = compress_capture(capture, tmp_path / "a.mvc", codec="auto", depth="none", on_event=events.append)
    assert report.codec == "raw"
    assert report.choice is None
    assert any(isinstance(event, Warned) and "there is none" in event.message for event in events)


def test_the_search_ends_near_the_goal():
    def psnr_at(crf: float) -> float:
        return 47.0 - 0.31 * crf - 0.001 * crf * crf

    for goal in (28.0, 33.3, 36.21, 44.0):
        trials, crf = [], 30.0
        while crf is not None:
            trials.append((crf, psnr_at(crf)))
            crf = next_crf(trials, goal)
        assert min(abs(psnr - goal) for _, psnr in trials) <= 0.05
        assert len(trials) <= 4


def test_the_search_gives_up_at_the_ends_of_the_scale():
    assert next_crf([(30.0, 30.0), (0.0, 40.0)], 60.0) is None
    assert next_crf([(30.0, 36.0)], 90.0) == 0.0
    choice = CodecChoice("lmvic", {"lmvic": 90, "av1": 100}, {"lmvic": 36.0, "av1": 36.02})
    assert str(choice) == "lmvic, 10.0 % smaller than av1 at 36.00 dB (av1: 36.02 dB)"


def test_av1_does_not_wait_for_depth(capture, tmp_path, monkeypatch):
    def no_depth(capture, *, method, **settings):
        assert method == "none"
        return estimate_depth(capture, method=method, **settings)

    monkeypatch.setattr(compress, "estimate_depth", no_depth)
    report = compress_capture(capture, tmp_path / "a.mvc", codec="av1", quality=3)
    assert "uses no depth" in report.depth
    assert report.depth_bytes == 0
