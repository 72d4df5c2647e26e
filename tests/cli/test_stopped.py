"""Stopping ns-mvc-compress, gently or not: no .mvc appears, and --resume codes only what is missing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from raw_codec import RawCodec
from small_captures import write_nerfstudio_capture

from nerfstudio_mvc import compress_capture

ROOT = Path(__file__).parents[2]

# The real command around RawCodec, which stands still in its second group.
PROGRAM = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background of a script
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # and this one under nohup
from raw_codec import RawCodec
from nerfstudio_mvc.cli.compress import main
import nerfstudio_mvc.pipeline.compress as pipeline

class StandingStill(RawCodec):
    def encode_group(self, *arguments, **settings):
        if self.encoded_groups:
            print("first group done", flush=True)
            time.sleep(600)
        return super().encode_group(*arguments, **settings)

pipeline.open_codec = lambda *_, **__: StandingStill()
main()
"""


@pytest.mark.parametrize(
    ("stop", "code"),
    [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGHUP, 130)],
)
def test_stopped_run_resumes(tmp_path: Path, stop: signal.Signals, code: int) -> None:
    capture = write_nerfstudio_capture(tmp_path / "capture", views=4)
    archive = tmp_path / "a.mvc"
    flags = ["--data", str(capture), "--output", str(archive)]
    flags += ["--codec", "lmvic", "--depth", "none", "--group-size", "2"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )
    try:
        assert process.stdout.readline() == b"first group done\n"
        process.send_signal(stop)
        _, error = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == code
    if stop != signal.SIGKILL:
        assert b"1 of 2 groups are coded and kept" in error
        assert error.endswith(b"ns-mvc-compress: interrupted\n")
    assert not archive.exists()

    codec = RawCodec()
    report = compress_capture(capture, archive, codec=codec, depth="none", group_size=2, resume=True)
    assert (report.groups_reused, codec.encoded_groups) == (1, [1])
    assert {path.name for path in tmp_path.iterdir()} == {"capture", "a.mvc"}
