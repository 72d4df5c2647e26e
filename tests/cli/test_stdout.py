"""Answers that nobody reads or that find no room: one line at most, an exit code, no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from raw_codec import RawCodec
from small_captures import write_nerfstudio_capture

from nerfstudio_mvc import compress_capture
from nerfstudio_mvc.errors import OutputError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    return write_nerfstudio_capture(tmp_path / "capture", views=2)


def info(archive: Path, stdout) -> tuple[int, str]:
    program = "from nerfstudio_mvc.cli.info import main; main()"
    command = [sys.executable, "-c", program, "--archive", str(archive)]
    run = subprocess.run(command, cwd=ROOT, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False)
    return run.returncode, run.stderr


def test_reader_that_has_gone(capture: Path, tmp_path: Path) -> None:
    compress_capture(capture, tmp_path / "a.mvc", codec=RawCodec(), depth="none")
    reading, writing = os.pipe()
    os.close(reading)
    try:
        assert info(tmp_path / "a.mvc", writing) == (1, "")
    finally:
        os.close(writing)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux only")
def test_answer_without_room(capture: Path, tmp_path: Path) -> None:
    compress_capture(capture, tmp_path / "a.mvc", codec=RawCodec(), depth="none")
    with open("/dev/full", "w") as full:
        code, error = info(tmp_path / "a.mvc", full)
    assert code == 1
    assert error.startswith("ns-mvc-info: ")
    assert error.count("\n") == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX only")
def test_a_pipe_is_not_replaced_by_the_archive(capture: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mvc")
    with pytest.raises(OutputError, match="device or a pipe"):
        compress_capture(capture, tmp_path / "pipe.mvc", codec=RawCodec(), depth="none", force=True)
    assert (tmp_path / "pipe.mvc").is_fifo()
