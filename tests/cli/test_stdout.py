"""Answers that nobody reads or that find no room: one line at most, an exit code, no traceback."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from raw_codec import RawCodec
from small_captures import write_nerfstudio_capture

from nerfstudio_mvc import compress_capture
from nerfstudio_mvc.cli.progress_view import ProgressView
from nerfstudio_mvc.errors import OutputError
from nerfstudio_mvc.pipeline.progress import Warned

ROOT = Path(__file__).parents[2]


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    return write_nerfstudio_capture(tmp_path / "capture", views=2)


def info(archive: Path, stdout) -> tuple[int, str]:
    program = "from nerfstudio_mvc.cli.info import main; main()"
    command = [sys.executable, "-c", program, "--archive", str(archive)]
    run = subprocess.run(command, cwd=ROOT, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False)
    return run.returncode, run.stderr


@pytest.mark.skipif(os.name != "posix", reason="POSIX only")
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_reason_to_fail(capture: Path, tmp_path: Path, closed: str) -> None:
    compress_capture(capture, tmp_path / "a.mvc", codec=RawCodec(), depth="none")
    program = "from nerfstudio_mvc.cli.info import main; main()"
    command = f'"{sys.executable}" -c "{program}" --archive "{tmp_path / "a.mvc"}" {closed}'
    run = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    assert ("raw" in run.stdout) == (closed == "2>&-")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux only")
def test_errors_without_room_keep_their_exit_code() -> None:
    command = [sys.executable, "-c", "from nerfstudio_mvc.cli.info import main; main()", "--archive", "none.mvc"]
    with open("/dev/full", "w") as full:
        assert subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=full, check=False).returncode == 1


def test_progress_without_room_stops_nothing(monkeypatch) -> None:
    full = open("/dev/full", "w")  # noqa: SIM115
    monkeypatch.setattr(sys, "stderr", full)
    with ProgressView("compressing") as view:
        view.on_event(Warned("something"))
    monkeypatch.undo()
    with contextlib.suppress(OSError):
        full.close()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_what_a_file_says_reaches_the_terminal_escaped(tmp_path: Path, capsys) -> None:
    with zipfile.ZipFile(tmp_path / "a.mvc", "w") as archive:
        for _ in range(2):
            archive.writestr("\x1b]0;owned\a\n", b"")
    assert "\x1b" not in info(tmp_path / "a.mvc", subprocess.PIPE)[1]
    assert "owned" in info(tmp_path / "a.mvc", subprocess.PIPE)[1]
    with ProgressView("compressing") as view:
        view.on_event(Warned("\x1b[31mred\nlines"))
    assert capsys.readouterr().err == "warning: \\x1b[31mred\\nlines\n"


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
