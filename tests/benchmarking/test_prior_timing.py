"""Timing the prior: what is timed is said, and a capture whose cameras cannot be found again is no failure."""

from pathlib import Path

from small_captures import write_nerfstudio_capture

from nerfstudio_mvc.benchmarking import prior_timing
from nerfstudio_mvc.benchmarking.prior_timing import time_prior


def test_prior_and_cameras_are_timed_apart(tmp_path, monkeypatch):
    data = write_nerfstudio_capture(tmp_path / "few", views=3)
    asked = []

    def estimate_cameras(folder, names, *, sizes, on_progress=None):
        asked.append((Path(folder), list(names)))
        raise prior_timing.CaptureError("no two photographs match")

    monkeypatch.setattr(prior_timing, "estimate_cameras", estimate_cameras)
    timing = time_prior(data, method="sparse")
    assert asked == [(data, [f"images/frame_{index:05d}.png" for index in (1, 2, 3)])]
    assert timing.cameras_note == "no two photographs match"
    assert timing.views == 3
    assert timing.ratio == timing.prior_s / timing.cameras_s
    assert "sparse points" in timing.note

    alone = time_prior(data, method="none", with_cameras=False)
    assert len(asked) == 1
    assert alone.cameras_s is alone.ratio is None
