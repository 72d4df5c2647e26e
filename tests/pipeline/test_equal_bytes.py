"""Equal input gives equal bytes, whatever the machine has to give."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from small_captures import write_sample_corner

from nerfstudio_mvc import compress_capture
from nerfstudio_mvc.pipeline.progress import ViewDone


@pytest.fixture
def one_core():
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("cores of a process cannot be chosen here")
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield lambda: os.sched_setaffinity(0, before)
    os.sched_setaffinity(0, before)


@pytest.mark.parametrize("codec", ["av1", "lmvic"])
def test_cores_jobs_and_a_stop_in_between_change_nothing(tmp_path: Path, codec: str, one_core) -> None:
    capture = tmp_path / "capture"
    write_sample_corner(capture, width=200, height=136)
    options = {"codec": codec, "depth": "sparse", "effort": "fast", "group_size": 4}
    compress_capture(capture, tmp_path / "one_core.mvc", **options)
    one_core()
    compress_capture(capture, tmp_path / "more_cores.mvc", **options, jobs=2)
    groups_begun = set()

    def stop(event: object) -> None:
        if isinstance(event, ViewDone):
            groups_begun.add(event.group_idx)
            if len(groups_begun) > 1:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compress_capture(capture, tmp_path / "resumed.mvc", **options, jobs=1, on_event=stop)
    report = compress_capture(capture, tmp_path / "resumed.mvc", **options, jobs=2, resume=True)
    assert report.groups_reused == 1
    assert len({(tmp_path / f"{name}.mvc").read_bytes() for name in ("one_core", "more_cores", "resumed")}) == 1
