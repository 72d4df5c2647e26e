"""ns-mvc-process-data from the command line: exit codes, one line per failure, the archive at once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image
from sfm_stand_in import PHOTOGRAPHS, StandIn
from small_captures import write_sample_corner

from nerfstudio_mvc import compress_capture
from nerfstudio_mvc.cli.main import run_command
from nerfstudio_mvc.cli.process_data import Commands
from nerfstudio_mvc.errors import OutputError
from nerfstudio_mvc.video.libaom import has_libaom


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as stop:
        run_command(Commands, "ns-mvc-process-data", [str(word) for word in words])
    return stop.value.code


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    shutil.copytree(PHOTOGRAPHS[0].parent, tmp_path / "photos")
    return tmp_path / "photos"


def test_failures_are_one_line_and_exit_code_1(
    tmp_path: Path, photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    StandIn(monkeypatch, without=[path.name for path in PHOTOGRAPHS])
    (tmp_path / "empty").mkdir()
    (tmp_path / "scene.mvc").touch()
    out = ("--output-dir", tmp_path / "scene")
    for words, said in (
        (("images", "--data", tmp_path / "nothing", *out), "there is no such folder"),
        (("images", "--data", tmp_path / "empty", *out), "there are no photographs in it"),
        (("images", "--data", tmp_path / "scene.mvc", *out), "ns-mvc-process-data video"),
        (("images", "--data", photos, *out, "--num-downscales", 0), "no cameras can be found"),
        (("images", "--data", photos, *out, "--archive", tmp_path / "scene.mvc"), "scene.mvc exists already"),
        (("images", "--data", photos, "--output-dir", tmp_path / "scene.mvc"), "is a file, not a folder"),
        (("video", "--data", photos, *out), "is a folder"),
        (("mvc", "--data", photos / PHOTOGRAPHS[0].name, *out), "is no .mvc archive"),
    ):
        assert run(*words) == 1
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("ns-mvc-process-data: ")]
        assert len(lines) == 1
        assert said in lines[0]
    assert run("images", "--data", photos, *out, "--num-downscales", 9) == 2
    assert "--num-downscales 9 is out of range" in capsys.readouterr().err
    assert not (tmp_path / "scene").exists()


@pytest.mark.skipif(not has_libaom(), reason="there is no libaom")
def test_the_archive_at_once_and_back(
    tmp_path: Path, photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(*_, **options):
        assert not options["resume"]
        raise OutputError("no space left")

    def fast(*arguments, **options):
        assert options["resume"]
        return compress_capture(*arguments, **options, codec="av1", effort="fast", quality=1)

    monkeypatch.setattr("nerfstudio_mvc.pipeline.compress.compress_capture", full_disk)
    StandIn(monkeypatch, without=[PHOTOGRAPHS[2].name])
    for path in PHOTOGRAPHS[3:]:
        (photos / path.name).unlink()
    archive, scene = tmp_path / "scene.mvc", tmp_path / "scene"
    words = ("images", "--data", photos, "--output-dir", scene, "--num-downscales", 1, "--archive", archive, "--json")
    assert run(*words) == 1
    # The folder is there: only the archive is left to be made.
    monkeypatch.setattr("nerfstudio_mvc.pipeline.compress.compress_capture", fast)
    assert run(*words) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["scene"]["without_camera"] == [PHOTOGRAPHS[2].name]
    assert printed["archive"]["file_bytes"] == archive.stat().st_size
    assert printed["scene"]["done_before"]

    assert run("mvc", "--data", archive, "--output-dir", tmp_path / "back", "--num-downscales", 2) == 0
    assert len(list((tmp_path / "back/images_2").iterdir())) == 3  # as they were archived
    with Image.open(tmp_path / "back/images_4" / PHOTOGRAPHS[2].name) as smaller:  # new
        assert smaller.size == (320, 212)
    frames = [json.loads((folder / "transforms.json").read_text())["frames"] for folder in (scene, tmp_path / "back")]
    assert frames[0] == frames[1]
    assert len(frames[0]) == 2


@pytest.mark.skipif(not has_libaom(), reason="there is no libaom")
def test_restored_with_the_smaller_copies_it_never_had(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capture = write_sample_corner(tmp_path / "capture", width=99, height=64)
    compress_capture(capture, tmp_path / "a.mvc", codec="av1", effort="fast", quality=1)
    assert run("mvc", "--data", tmp_path / "a.mvc", "--output-dir", tmp_path / "out") == 0
    for factor, size in ((2, (49, 32)), (4, (24, 16)), (8, (12, 8))):
        copies = list((tmp_path / f"out/images_{factor}").iterdir())
        assert {Image.open(copy).size for copy in copies} == {size}
        assert len(copies) == 8
