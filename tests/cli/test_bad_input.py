"""What goes wrong for users: one line on stderr that names the thing and a remedy, exit code 1, nothing left behind."""

from __future__ import annotations

import errno
import json
import shutil
import signal
from pathlib import Path

import pytest
from raw_codec import RawCodec
from small_captures import write_nerfstudio_capture

from nerfstudio_mvc import compress_capture
from nerfstudio_mvc.cli.compress import Compress
from nerfstudio_mvc.cli.decompress import Decompress
from nerfstudio_mvc.cli.info import Info
from nerfstudio_mvc.cli.main import run_command
from nerfstudio_mvc.cli.verify import Verify


@pytest.fixture(autouse=True)
def _keep_signal_handler():
    handler = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    return write_nerfstudio_capture(tmp_path / "capture", views=3)


@pytest.fixture
def one_line(tmp_path: Path, monkeypatch, capsys):
    """Run a command with RawCodec in place of lmvic; its single line of error after the plan and the warnings."""
    monkeypatch.setattr("nerfstudio_mvc.pipeline.compress.open_codec", lambda *_, **__: RawCodec())

    def run(command_type, **flags: object) -> str:
        before = set(tmp_path.rglob("*"))
        argv = [word for name, value in flags.items() for word in (f"--{name.replace('_', '-')}", str(value))]
        with pytest.raises(SystemExit) as stop:
            run_command(command_type, "ns-mvc", argv)
        printed = capsys.readouterr()
        assert stop.value.code == 1, printed.err
        assert printed.out == ""
        assert set(tmp_path.rglob("*")) == before
        errors = [line for line in printed.err.splitlines() if line.startswith("ns-mvc: ")]
        assert printed.err.endswith(f"{errors[-1]}\n")
        assert len(errors) == 1
        return errors[0]

    return run


def edit_transforms(capture: Path, change) -> None:
    path = capture / "transforms.json"
    transforms = json.loads(path.read_text())
    change(transforms)
    path.write_text(json.dumps(transforms))


def test_capture_errors_name_the_thing_and_a_remedy(capture: Path, tmp_path: Path, one_line) -> None:
    def error_after(damage) -> str:
        broken = tmp_path / "broken"
        shutil.copytree(capture, broken)
        damage(broken)
        line = one_line(Compress, data=broken, output=tmp_path / "a.mvc", depth="none")
        shutil.rmtree(broken)
        return line

    def without_images(folder: Path) -> None:
        for name in ("images", "images_2", "transforms.json"):
            (shutil.rmtree if (folder / name).is_dir() else Path.unlink)(folder / name)

    def with_truncated_image(folder: Path) -> None:
        path = folder / "images" / "frame_00002.png"
        path.write_bytes(path.read_bytes()[:-200])

    def with_nan(transforms: dict) -> None:
        transforms["frames"][1]["transform_matrix"][0][3] = float("nan")

    def singular(transforms: dict) -> None:
        transforms["frames"][1]["transform_matrix"][0] = [0.0] * 4

    assert "broken" in error_after(without_images)
    assert "frame_00002.png" in error_after(with_truncated_image)
    assert "frame_00003.png" in error_after(lambda folder: (folder / "images" / "frame_00003.png").unlink())
    assert "frame_00002" in error_after(lambda folder: edit_transforms(folder, with_nan))
    assert "frame_00002" in error_after(lambda folder: edit_transforms(folder, singular))
    assert "transforms.json" in error_after(lambda folder: (folder / "transforms.json").write_text('{"frames": ['))
    assert "there is no such folder" in one_line(Compress, data=tmp_path / "none", output=tmp_path / "a.mvc")


def test_archive_errors(capture: Path, tmp_path: Path, one_line) -> None:
    archive = tmp_path / "a.mvc"
    codec = RawCodec()
    codec.name = "lmvic"  # so that the real weights are looked for, and found to be others
    compress_capture(capture, archive, codec=codec, depth="none")
    whole = archive.read_bytes()

    assert "--force" in one_line(Compress, data=capture, output=archive)
    line = one_line(Decompress, archive=archive, output_dir=tmp_path / "out")
    assert "weights" in line
    assert "00ff00" in line

    archive.write_bytes(whole[: len(whole) // 2])
    for command, more in ((Info, {}), (Verify, {}), (Decompress, {"output_dir": tmp_path / "out"})):
        assert "a.mvc" in one_line(command, archive=archive, **more)


def test_full_disk(capture: Path, tmp_path: Path, one_line, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    archive = tmp_path / "a.mvc"
    compress_capture(capture, archive, codec=RawCodec(), depth="none")
    monkeypatch.setattr("nerfstudio_mvc.pipeline.open_archive.open_codec", lambda *_, **__: RawCodec())
    monkeypatch.setattr("nerfstudio_mvc.pipeline.decompress.write_image", full)
    assert "no space left" in one_line(Decompress, archive=archive, output_dir=tmp_path / "out")
