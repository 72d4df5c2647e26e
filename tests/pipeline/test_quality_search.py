"""Targets are met by any codec whose quality is monotone, and missed aloud where they are out of range."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from raw_codec import RawCodec
from small_captures import write_nerfstudio_capture

from nerfstudio_mvc import compress_capture
from nerfstudio_mvc.archive.summary import summarize
from nerfstudio_mvc.codecs.interface import EncodedGroup
from nerfstudio_mvc.coded import CodedGroup, CodedView, Substream
from nerfstudio_mvc.errors import MvcError
from nerfstudio_mvc.pipeline.progress import Noted, Planned, Warned
from nerfstudio_mvc.pipeline.quality_search import QualitySearch, QualityTarget, sample_groups


class CurveCodec:
    """Made-up bytes and errors: a curve over quality, another multiple of it for each view, double for firsts."""

    name, fingerprint, wants_depth, wants_cameras = "curve", "c0ffee", False, False

    def group_memory(self, view_pixels):
        return None

    def __init__(self, *, step: float = 1 / 16, stop_after: int | None = None) -> None:
        self.coded_views = 0
        self.qualities: list[float] = []
        self._step, self._stop_after = step, stop_after

    def encode_group(self, group_idx, views, *, quality, on_view=None, on_step=None):
        if self._stop_after is not None and len(self.qualities) >= self._stop_after:
            raise KeyboardInterrupt
        self.qualities.append(quality)
        quality = round(quality / self._step) * self._step
        coded, reconstructions = [], {}
        for position, source in enumerate(views):
            view_idx = source.view.view_idx
            count = round(40 * math.exp(0.4 * quality) * (1 + 0.1 * view_idx) * (1 if position else 2))
            coded.append(CodedView(view_idx, (Substream("image/made-up", bytes(count)),)))
            error = np.full(source.pixels.shape, 40 - 4 * quality, np.int64)
            error.reshape(-1)[:: 3 + view_idx] += 1
            reconstructions[view_idx] = np.where(source.pixels > 127, source.pixels - error, source.pixels + error)
            reconstructions[view_idx] = reconstructions[view_idx].astype(np.uint8)
        self.coded_views += len(views)
        return EncodedGroup(CodedGroup(group_idx, tuple(coded)), reconstructions)


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    return write_nerfstudio_capture(tmp_path / "capture", views=12)


def compress(capture: Path, **settings):
    return compress_capture(
        capture, capture.parent / "a.mvc", codec=settings.pop("codec", CurveCodec()), depth="none", **settings
    )


@pytest.mark.parametrize("group_size", [4, 12])
@pytest.mark.parametrize("bpp", [2.0, 5.0, 9.0])
def test_rate_is_met(capture: Path, bpp: float, group_size: int) -> None:
    codec = CurveCodec()
    report = compress(capture, codec=codec, target_bpp=bpp, group_size=group_size)
    assert report.bpp == pytest.approx(bpp, rel=0.03)
    assert "reached" in report.target
    assert codec.coded_views <= 6 * 5 + 12 * 2
    assert summarize(report.archive).manifest.quality == report.quality


@pytest.mark.parametrize("psnr", [20.0, 24.0])
def test_psnr_is_met(capture: Path, psnr: float) -> None:
    report = compress(capture, target_psnr_db=psnr, group_size=5)
    assert report.psnr_db == pytest.approx(psnr, abs=0.3)


def test_size_counts_the_attached_files_and_is_not_exceeded(capture: Path) -> None:
    (capture / "notes.bin").write_bytes(np.random.default_rng(0).bytes(20_000))
    report = compress(capture, target_size_bytes=40_000, group_size=5)
    assert 0.95 * 40_000 < report.file_bytes <= 40_000
    assert report.archive.stat().st_size == report.file_bytes


def test_size_below_the_attached_files_is_refused_before_anything_is_coded(capture: Path) -> None:
    (capture / "notes.bin").write_bytes(np.random.default_rng(0).bytes(20_000))
    codec = CurveCodec()
    with pytest.raises(MvcError, match="--attachments none"):
        compress(capture, codec=codec, target_size_bytes=15_000)
    assert codec.coded_views == 0
    assert not list(capture.parent.glob("*.mvc*"))


@pytest.mark.parametrize(("bpp", "quality", "text"), [(0.1, 1, "goes no lower"), (80.0, 8, "goes no higher")])
def test_out_of_range_is_said_and_the_nearest_taken(capture: Path, bpp: float, quality: float, text: str) -> None:
    events = []
    report = compress(capture, target_bpp=bpp, on_event=events.append)
    assert report.quality == quality
    assert text in report.target
    assert [event.message for event in events if isinstance(event, Warned)] == [report.target]


def test_a_miss_is_coded_again_and_told(capture: Path) -> None:
    class Misleading(CurveCodec):
        def encode_group(self, group_idx, views, *, quality, on_view=None, on_step=None):
            return super().encode_group(group_idx, views, quality=quality + (len(views) > 6), on_view=on_view)

    events = []
    report = compress(capture, codec=Misleading(), target_bpp=4.0, group_size=12, on_event=events.append)
    assert report.bpp == pytest.approx(4.0, rel=0.03)
    planned = [event.quality for event in events if isinstance(event, Planned)]
    assert 2 <= len(planned) <= 3
    assert planned[-1] == report.quality
    assert any(isinstance(event, Noted) for event in events)


def test_coarse_steps_end(capture: Path) -> None:
    report = compress(capture, codec=CurveCodec(step=1.0), target_bpp=4.2)
    assert 2.5 < report.bpp < 6.5
    assert "as near as" in report.target


def test_resumed_with_the_quality_that_was_found(capture: Path) -> None:
    whole = compress(capture, target_bpp=4.0, group_size=4)
    stopped = CurveCodec(stop_after=0)
    stopped._stop_after = None
    compress(capture, codec=stopped, target_bpp=4.0, group_size=4, force=True)
    trials = len(stopped.qualities) - 3
    whole.archive.unlink()
    with pytest.raises(KeyboardInterrupt):
        compress(capture, codec=CurveCodec(stop_after=trials + 2), target_bpp=4.0, group_size=4)
    codec = CurveCodec()
    report = compress(capture, codec=codec, target_bpp=4.0, group_size=4, resume=True)
    assert codec.qualities == [whole.quality]
    assert (report.quality, report.groups_reused) == (whole.quality, 2)
    assert report.bpp == whole.bpp


def test_quality_and_target_exclude_each_other(capture: Path) -> None:
    with pytest.raises(MvcError, match="exclude"):
        compress(capture, quality=3, target_bpp=1.0)
    with pytest.raises(MvcError, match="target_bpp, target_psnr_db exclude"):
        compress(capture, target_psnr_db=30, target_bpp=1.0)
    with pytest.raises(MvcError, match="above 0"):
        compress(capture, target_bpp=-1.0)


def test_without_target_the_usual_quality(capture: Path) -> None:
    report = compress(capture, codec=RawCodec())
    assert (report.quality, report.target) == (5.0, None)


def test_noise_in_the_curve_does_not_turn_the_search_round() -> None:
    search = QualitySearch(QualityTarget("bpp", 1.0))
    for quality, bpp in ((5.0, 1.3), (4.0, 1.31), (3.0, 0.4)):
        search.tell_trial(quality, bpp)
    assert 3.0 < search.best() < 4.0


def test_sample_is_spread_over_the_groups() -> None:
    groups = [[10 * group + view for view in range(8)] for group in range(9)]
    assert sample_groups(groups) == [[10, 11], [40, 41], [70, 71]]
    assert sample_groups(groups[:1]) == [[0, 1, 2, 3, 4, 5]]
    assert sample_groups([[3]]) == [[3]]
