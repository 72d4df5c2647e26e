"""A restored folder is there whole or not at all."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from nerfstudio_mvc.errors import OutputError
from nerfstudio_mvc.pipeline.output_folder import output_folder, tells_case_apart


def test_appears_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "out"
    with output_folder(target) as folder:
        (folder / "a" / "b").mkdir(parents=True)
        (folder / "a" / "b" / "c.txt").write_text("c")
        assert not target.exists()
        assert folder.parent == target.parent
    assert (target / "a" / "b" / "c.txt").read_text() == "c"
    assert [path.name for path in target.parent.iterdir()] == ["out"]
    assert target.stat().st_mode & 0o077 == (tmp_path / "deep").stat().st_mode & 0o077


@pytest.mark.parametrize("error", [RuntimeError("bug"), KeyboardInterrupt()])
def test_failing_block_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)), output_folder(tmp_path / "out") as folder:
        (folder / "a.txt").write_text("a")
        raise error
    assert not list(tmp_path.iterdir())


def test_full_disk_is_one_line_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"^no space left .* --output-dir$"), output_folder(tmp_path / "out"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert not list(tmp_path.iterdir())


def test_parent_that_is_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="choose another"), output_folder(tmp_path / "file" / "out"):
        pass


def test_empty_folder_may_be_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with output_folder(tmp_path / "out") as folder:
        (folder / "a.txt").write_text("a")
    assert (tmp_path / "out" / "a.txt").read_text() == "a"


def test_force_replaces_files_of_the_same_name_only(tmp_path: Path) -> None:
    target = tmp_path / "out"
    (target / "images").mkdir(parents=True)
    (target / "images" / "a.jpg").write_text("old")
    (target / "images" / "b.jpg").write_text("mine")
    with output_folder(target, force=True) as folder:
        (folder / "images").mkdir()
        (folder / "images" / "a.jpg").write_text("new")
    assert (target / "images" / "a.jpg").read_text() == "new"
    assert (target / "images" / "b.jpg").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_file_systems_that_ignore_case_are_recognised(tmp_path: Path) -> None:
    folder = tmp_path / ".Out.mvc-partial"
    folder.mkdir()
    if not (tmp_path / ".oUT.MVC-PARTIAL").exists():
        assert tells_case_apart(folder)
        (tmp_path / ".oUT.MVC-PARTIAL").mkdir()
    assert not tells_case_apart(folder)
