"""A restored folder is there whole or not at all."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from nerfstudio_mvc.errors import OutputError
from nerfstudio_mvc.pipeline import output_folder as module
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


def test_what_appeared_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    for name in ("new", "empty"):
        target = tmp_path / name
        if name == "empty":
            target.mkdir()
        with pytest.raises(OutputError, match="meanwhile"), output_folder(target) as folder:
            (folder / "a.txt").write_text("ours")
            target.mkdir(exist_ok=True)
            (target / "a.txt").write_text("theirs")
        assert [path.read_text() for path in target.iterdir()] == ["theirs"]


def test_two_at_once_never_mix(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="meanwhile"), output_folder(tmp_path / "out") as ours:
        (ours / "a.txt").write_text("a")
        with output_folder(tmp_path / "out") as theirs:
            (theirs / "b.txt").write_text("b")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.txt"]


@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_filled_where_it_leads(tmp_path: Path, there: bool) -> None:
    real = tmp_path / "disk" / "real"
    (real if there else real.parent).mkdir(parents=True)
    (tmp_path / "out").symlink_to(real)
    with output_folder(tmp_path / "out") as folder:
        (folder / "images").mkdir()
        (folder / "images" / "a.jpg").write_text("a")
        (folder / "b.txt").write_text("b")
    assert (tmp_path / "out").is_symlink()
    assert sorted(path.name for path in real.iterdir()) == ["b.txt", "images"]
    assert [path.name for path in real.parent.iterdir()] == ["real"]


def test_an_existing_folder_is_filled_and_not_exchanged(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    before = target.stat().st_ino  # a mount point cannot be exchanged
    with output_folder(target) as folder:
        assert folder.parent == target
        (folder / "a.txt").write_text("a")
    assert target.stat().st_ino == before
    assert [path.name for path in target.iterdir()] == ["a.txt"]


def test_force_writes_through_no_link_and_stops_before_the_first_file(tmp_path: Path) -> None:
    target, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    for folder in (target, elsewhere):
        folder.mkdir()
        (folder / "a.jpg").write_text("theirs")
    (target / "images").symlink_to(elsewhere)
    with pytest.raises(OutputError, match="images is a link"), output_folder(target, force=True) as folder:
        (folder / "images").mkdir()
        (folder / "images" / "a.jpg").write_text("ours")
        (folder / "a.jpg").write_text("ours")
    assert (target / "a.jpg").read_text() == "theirs" == (elsewhere / "a.jpg").read_text()
    (target / "a.jpg").unlink()
    (target / "a.jpg").symlink_to(elsewhere / "a.jpg")
    with output_folder(target, force=True) as folder:
        (folder / "a.jpg").write_text("ours")
    assert (target / "a.jpg").read_text() == "ours"
    assert (elsewhere / "a.jpg").read_text() == "theirs"


def test_what_killed_runs_left_goes_away_at_once(tmp_path: Path) -> None:
    (tmp_path / ".out.abcdefgh.mvc-partial" / "images").mkdir(parents=True)
    others = tmp_path / ".out2.abcdefgh.mvc-partial"
    others.mkdir()
    with output_folder(tmp_path / "out", force=True) as first, output_folder(tmp_path / "out", force=True) as second:
        assert {path.name for path in tmp_path.iterdir()} == {first.name, second.name, others.name}
        (second / "a.txt").write_text("a")
    assert {path.name for path in tmp_path.iterdir()} == {"out", others.name}


@pytest.mark.parametrize("when", ["before it is locked", "while it is locked"])
def test_a_folder_that_another_run_cleans_away_before_it_is_locked(when: str, tmp_path: Path, monkeypatch) -> None:
    lock_of, locked = module._locked, []

    def lock_late(folder: Path) -> int | None:
        locked.append(folder)
        if len(locked) > 1:
            return lock_of(folder)
        if when == "before it is locked":
            folder.rmdir()
            return lock_of(folder)
        lock = lock_of(folder)
        folder.rmdir()
        return lock

    monkeypatch.setattr(module, "_locked", lock_late)
    with output_folder(tmp_path / "out") as folder:
        (folder / "a.txt").write_text("a")
    assert len(locked) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_file_systems_that_ignore_case_are_recognised(tmp_path: Path) -> None:
    folder = tmp_path / ".Out.mvc-partial"
    folder.mkdir()
    if not (tmp_path / ".oUT.MVC-PARTIAL").exists():
        assert tells_case_apart(folder)
        (tmp_path / ".oUT.MVC-PARTIAL").mkdir()
    assert not tells_case_apart(folder)
