"""The commands' outside: exit codes, what goes to stdout and what to stderr, one-line errors with a remedy."""

from __future__ import annotations

import importlib
import json
import os
import re
import signal
from pathlib import Path

import pytest
from raw_codec import RawCodec
from small_captures import write_nerfstudio_capture

import nerfstudio_mvc
from nerfstudio_mvc import compress_capture
from nerfstudio_mvc.cli.compress import Compress
from nerfstudio_mvc.cli.console import format_bytes, format_seconds, format_sizes
from nerfstudio_mvc.cli.decompress import Decompress
from nerfstudio_mvc.cli.flags import parse_bytes
from nerfstudio_mvc.cli.info import Info
from nerfstudio_mvc.cli.main import run_command
from nerfstudio_mvc.cli.progress_view import ProgressView, plan_line
from nerfstudio_mvc.cli.verify import Verify
from nerfstudio_mvc.pipeline.progress import GroupReused, Noted, Planned, StepProgress, ViewDone, Warned


@pytest.fixture(autouse=True)
def _keep_signal_handler():
    handler = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    capture = write_nerfstudio_capture(tmp_path / "capture")
    compress_capture(capture, tmp_path / "a.mvc", codec=RawCodec(), depth="none", group_size=3)
    return tmp_path / "a.mvc"


def run(command_type, *argv: object) -> int:
    with pytest.raises(SystemExit) as stop:
        run_command(command_type, f"ns-mvc-{command_type.__name__.lower()}", [str(word) for word in argv])
    return stop.value.code


def test_info_shows_where_the_bytes_are(archive: Path, capsys) -> None:
    assert run(Info, "--archive", archive) == 0
    out = capsys.readouterr().out
    assert "raw, quality 5, weights 00ff00" in out
    assert "everything but the attached files counted" in out
    assert run(Info, "--archive", archive, "--json") == 0
    numbers = json.loads(capsys.readouterr().out)
    assert numbers["file_bytes"] == archive.stat().st_size


def test_verify_tells_damage_by_its_exit_code(archive: Path, capsys) -> None:
    assert run(Verify, "--archive", archive) == 0
    assert "as it was written" in capsys.readouterr().out
    content = bytearray(archive.read_bytes())
    content[content.index(b"MVCG", len(content) // 8) + 1000] ^= 1
    archive.write_bytes(content)
    assert run(Verify, "--archive", archive, "--json") == 1
    report = json.loads(capsys.readouterr().out)
    assert not report["ok"]
    assert report["bytes"]["damaged_views"]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no archive at all" * 100])
def test_not_an_archive_is_one_line_and_exit_code_1(tmp_path: Path, capsys, content: bytes) -> None:
    (tmp_path / "x.mvc").write_bytes(content)
    for command in (Info, Verify):
        assert run(command, "--archive", tmp_path / "x.mvc") == 1
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.startswith("ns-mvc-")
        assert printed.err.count("\n") == 1


def test_missing_archive_is_one_line(tmp_path: Path, capsys) -> None:
    for command, more in ((Info, ()), (Verify, ()), (Decompress, ("--output-dir", tmp_path / "out"))):
        assert run(command, "--archive", tmp_path / "none.mvc", *more) == 1
        error = capsys.readouterr().err
        assert "none.mvc" in error
        assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "argv"),
    [
        (Compress, ["--data", "x"]),
        (Compress, ["--data", "x", "--output", "y", "--quality", "9"]),
        (Compress, ["--data", "x", "--output", "y", "--group-size", "0"]),
        (Compress, ["--data", "x", "--output", "y", "--depth", "stereo"]),
        (Decompress, ["--archive", "x", "--output-dir", "y", "--image-format", "gif"]),
        (Info, []),
    ],
)
def test_wrong_command_line_is_exit_code_2(command, argv: list[str], capsys) -> None:
    assert run(command, *argv) == 2
    assert capsys.readouterr().out == ""


def test_bad_capture_is_one_line_with_a_remedy(tmp_path: Path, capsys) -> None:
    (tmp_path / "empty").mkdir()
    assert run(Compress, "--data", tmp_path / "empty", "--output", tmp_path / "a.mvc") == 1
    error = capsys.readouterr().err
    assert "empty" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "a.mvc").exists()


def test_interruption_is_exit_code_130(capsys) -> None:
    class Interrupted(Info):
        def run(self) -> int:
            raise KeyboardInterrupt

    assert run(Interrupted, "--archive", "x") == 130
    assert capsys.readouterr().err == "ns-mvc-interrupted: interrupted\n"


def test_first_line_says_what_will_happen() -> None:
    plan = Planned("lmvic", "5b1e07aa", 5.0, "cpu", views=12, groups=1, sizes=((1008, 756),))
    assert plan_line(plan) == "lmvic, quality 5: 12 views in 1 group, 1008x756, weights 5b1e07, cpu"


def test_progress_goes_to_stderr(capsys) -> None:
    with ProgressView("compressing") as view:
        view.on_event(Planned("lmvic", "", 5.0, "cpu", views=2, groups=1, sizes=((8, 8),)))
        view.on_event(StepProgress("depth prior: fit", 1, 10))
        view.on_event(GroupReused(0, 1, 10, 100))
        view.on_event(ViewDone(0, "a.jpg", 10, 100))
        view.on_event(Warned("[bold]brackets stay[/bold]"))
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "[bold]brackets stay[/bold]" in printed.err


@pytest.mark.parametrize(("seconds", "lines"), [(0.0, 3), (1e9, 1)])
def test_a_log_file_gets_a_line_now_and_then(capsys, monkeypatch, seconds: float, lines: int) -> None:
    monkeypatch.setattr("nerfstudio_mvc.cli.progress_view.SECONDS_BETWEEN_LINES", seconds)
    with ProgressView("compressing") as view:
        view.on_event(Planned("lmvic", "", 5.0, "cpu", views=2, groups=1, sizes=((8, 8),)))
        view.on_event(StepProgress("depth prior: fit", 3, 10))
        view.on_event(ViewDone(0, "a.jpg", 10, 100))
    printed = capsys.readouterr().err.splitlines()
    assert printed[1:] == ["depth prior: fit: 3 of 10", "compressing: 1 view, 10 B of 100 B, 90.0% saved"][: lines - 1]


def test_numbers_carry_units() -> None:
    assert [format_bytes(count) for count in (0, 812, 999, 1000, 12_345, 999_960, 1_250_000)] == [
        "0 B",
        "812 B",
        "999 B",
        "1.0 kB",
        "12.3 kB",
        "1.0 MB",
        "1.2 MB",
    ]
    assert [format_seconds(seconds) for seconds in (0.04, 59.97, 125, 4800)] == [
        "0.0 s",
        "1 min 00 s",
        "2 min 05 s",
        "1 h 20 min",
    ]
    assert format_sizes([(8, 4), (4, 8)]) == "8x4, 4x8"
    assert re.fullmatch(r"1x1, 2x2, 3x3 and 2 other sizes", format_sizes([(n, n) for n in range(1, 6)]))


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (["--quality", "3", "--target-bpp", "1"], "--quality, --target-bpp exclude each other"),
        (["--target-psnr", "30", "--target-size", "5MB"], "exclude each other"),
        (["--target-psnr", "-3"], "--target-psnr -3 is out of range: give a number above 0"),
        (["--jobs", "0"], "--jobs 0 is out of range"),
        (["--codec", "av1", "--pictures", "learned"], "goes with codec lmvic"),
        (["--target-size", "much"], "is no size"),
        (["--target-size", "0kB"], "is no size"),
    ],
)
def test_flags_that_make_no_sense(tmp_path: Path, capsys, flags: list[str], text: str) -> None:
    assert run(Compress, "--data", tmp_path, "--output", tmp_path / "a.mvc", *flags) == 2
    assert text in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "count"), [("800kB", 800e3), ("5 MB", 5e6), ("1.5MiB", 1.5 * 2**20), ("1.2g", 1.2e9), ("12345", 12345)]
)
def test_sizes_in_words(text: str, count: float) -> None:
    assert parse_bytes(text, flag="--target-size") == count


def test_coding_anew_starts_the_count_again(capsys) -> None:
    with ProgressView("compressing") as view:
        for quality in (5.0, 4.0):
            view.on_event(Planned("lmvic", "", quality, "cpu", views=2, groups=1, sizes=((8, 8),)))
            view.on_event(GroupReused(0, views=2, payload_bytes=10, source_bytes=100))
            assert view._views_done == 2
        view.on_event(Noted("0.5 bpp reached"))
    err = capsys.readouterr().err
    assert "quality 5:" in err
    assert "quality 4:" in err
    assert "\n0.5 bpp reached\n" in err


def test_threads_that_wait_let_others_compute_unless_told_otherwise(monkeypatch):
    for asked, expected in (("ACTIVE", "ACTIVE"), (None, "PASSIVE")):
        monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
        if asked is not None:
            monkeypatch.setenv("OMP_WAIT_POLICY", asked)
        importlib.reload(nerfstudio_mvc)  # from Python as from a command
        assert os.environ["OMP_WAIT_POLICY"] == expected
