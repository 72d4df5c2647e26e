"""Groups side by side: really at once, the same archive, stopped when one fails, no more than memory holds."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from raw_codec import RawCodec
from small_captures import write_nerfstudio_capture
from tiny_lmvic import tiny_codec

from nerfstudio_mvc import compress_capture, decompress_archive
from nerfstudio_mvc.capture.views import View
from nerfstudio_mvc.codecs.av1.codec import Av1Codec
from nerfstudio_mvc.cores import available_cores, cores_granted, granted_cores
from nerfstudio_mvc.errors import MvcError
from nerfstudio_mvc.pipeline import parallel_work as module
from nerfstudio_mvc.pipeline.parallel_work import in_parallel, jobs_at_once

ROOT = Path(__file__).parents[2]
LONG_S = 300  # nobody waits that long: it only ends a test that hangs


class MeetingCodec(RawCodec):
    """Goes on with a group only when so many are under way."""

    group_memory = staticmethod(sum)

    def __init__(self, at_once):
        super().__init__()
        self.meeting = threading.Barrier(at_once, timeout=LONG_S)

    def encode_group(self, *arguments, **settings):
        self.meeting.wait()
        return super().encode_group(*arguments, **settings)

    def decode_group(self, *arguments, **settings):
        self.meeting.wait()
        return super().decode_group(*arguments, **settings)


def test_groups_are_coded_at_once_into_the_same_archive(tmp_path: Path) -> None:
    capture = write_nerfstudio_capture(tmp_path / "capture", views=8)
    options = {"depth": "none", "group_size": 2}
    compress_capture(capture, tmp_path / "one.mvc", codec=RawCodec(), **options)
    report = compress_capture(capture, tmp_path / "two.mvc", codec=MeetingCodec(2), jobs=2, **options)
    assert (tmp_path / "one.mvc").read_bytes() == (tmp_path / "two.mvc").read_bytes()
    assert report.groups == 4
    assert report.psnr_db is not None
    one = decompress_archive(tmp_path / "one.mvc", tmp_path / "one", codec=RawCodec(), image_format="png")
    two = decompress_archive(tmp_path / "two.mvc", tmp_path / "two", codec=MeetingCodec(2), image_format="png", jobs=2)
    assert one.views == two.views
    assert [path.read_bytes() for path in sorted((tmp_path / "one/images").iterdir())] == [
        path.read_bytes() for path in sorted((tmp_path / "two/images").iterdir())
    ]


def test_a_codec_that_does_not_say_so_is_called_by_one_thread(tmp_path: Path) -> None:
    capture = write_nerfstudio_capture(tmp_path / "capture", views=4)
    threads = set()

    class Noting(RawCodec):
        def encode_group(self, *arguments, **settings):
            threads.add(threading.get_ident())
            return super().encode_group(*arguments, **settings)

    compress_capture(capture, tmp_path / "a.mvc", codec=Noting(), depth="none", group_size=2, jobs=2)
    assert threads == {threading.get_ident()}


def test_a_group_that_fails_stops_the_others_and_keeps_what_is_done(tmp_path: Path) -> None:
    capture = write_nerfstudio_capture(tmp_path / "capture", views=6)
    first_done = threading.Event()

    class Failing(RawCodec):
        group_memory = staticmethod(sum)

        def encode_group(self, group_idx, views, **settings):
            if group_idx == 0:
                return super().encode_group(group_idx, views, **settings)
            assert first_done.wait(LONG_S)
            if group_idx == 1:
                raise MvcError("it broke")
            while True:  # as long as its views are wanted
                settings["on_step"]("going on", 0, 1)
                time.sleep(0.01)

    def on_event(event):
        if getattr(event, "view_idx", None) is not None:
            first_done.set()

    options = {"depth": "none", "group_size": 2}
    with pytest.raises(MvcError, match="it broke"):
        compress_capture(capture, tmp_path / "a.mvc", codec=Failing(), jobs=3, on_event=on_event, **options)
    assert not (tmp_path / "a.mvc").exists()
    # The first group may have ended before or after the second one failed.
    codec = RawCodec()
    compress_capture(capture, tmp_path / "a.mvc", codec=codec, resume=True, **options)
    assert set(codec.encoded_groups) in ({1, 2}, {0, 1, 2})


def test_cores_are_shared_out_and_given_back() -> None:
    before = torch.get_num_threads()
    both = threading.Barrier(2, timeout=LONG_S)

    def work(item, check_in):
        both.wait()
        return granted_cores()

    shares = list(in_parallel(work, range(2), jobs=2))
    assert shares == [-(-available_cores() // 2)] * 2
    assert torch.get_num_threads() == before
    assert granted_cores() == available_cores()
    with cores_granted(3):
        assert granted_cores() == 3


class GibPerGroup(RawCodec):
    def group_memory(self, view_pixels):
        return 2**30


def test_jobs_follow_cores_memory_and_groups(monkeypatch) -> None:
    monkeypatch.setattr(module, "available_cores", lambda: 8)

    def jobs(groups, gib, *, asked=None, codec=None):
        monkeypatch.setattr(module, "free_memory", lambda: int(gib * 2**30))
        view = View(0, "a.png", None, 100, 100, None, None)
        return jobs_at_once(codec or GibPerGroup(), [[view] * 2] * groups, asked=asked)

    assert jobs(10, 1000) == 8
    assert jobs(3, 1000) == 3
    assert jobs(10, 4.5) == 4
    assert jobs(10, 0.1) == 1
    assert jobs(10, 0.1, asked=5) == 5
    assert jobs(2, 1000, asked=5) == 2
    assert jobs(0, 1000, asked=5) == 1
    assert jobs(10, 1000, asked=5, codec=RawCodec()) == 1
    with pytest.raises(MvcError, match="jobs 0"):
        compress_capture("nowhere", "nowhere.mvc", jobs=0)


def test_codecs_say_what_memory_they_take() -> None:
    frames = [1920 * 1080] * 20
    assert Av1Codec().group_memory(frames) == pytest.approx(1.8e9, rel=0.1)
    lmvic = tiny_codec(pictures="av1")
    # Views are coded one after the other: few bytes for each that waits.
    assert 2**30 < lmvic.group_memory(frames) < 2 * 2**30
    assert 3 * 2**30 < lmvic.group_memory([12_000_000] * 16) < 7 * 2**30


PEAK_OF_AV1 = """
import numpy as np
from nerfstudio_mvc.capture.views import SourceView, View
from nerfstudio_mvc.codecs.av1.codec import Av1Codec

def kept(name):
    return next(1024 * int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(name))

noise = np.random.default_rng(0).integers(0, 256, (2, 18, 24, 3), np.uint8).repeat(24, axis=1).repeat(24, axis=2)
views = [View(idx, "x", None, 576, 432, None, None) for idx in range(2)]
codec, before = Av1Codec(effort="fast"), kept("VmRSS")
codec.encode_group(0, [SourceView(view, pixels) for view, pixels in zip(views, noise)], quality=5)
print((kept("VmHWM") - before) / codec.group_memory([576 * 432] * 2))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peaks are read from /proc")
def test_a_short_group_of_av1_takes_the_memory_that_is_said() -> None:
    run = subprocess.run([sys.executable, "-c", PEAK_OF_AV1], cwd=ROOT, capture_output=True, text=True, check=True)
    assert 0.6 < float(run.stdout) < 1.1
