"""The cache of restored captures: the ones used longest ago go, one that a process uses never does."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nerfstudio_mvc.errors import OutputError
from nerfstudio_mvc.nerfstudio_plugin.cache_bound import (
    BOUND_VARIABLE,
    DEFAULT_GB,
    cache_limit_bytes,
    folder_restored_from,
    mark_used,
    shrink_cache,
)

pytest.importorskip("fcntl")

HOLD = """
import sys
from pathlib import Path
from nerfstudio_mvc.nerfstudio_plugin.cache_bound import mark_used
mark_used(Path(sys.argv[1]), None)
print("held", flush=True)
sys.stdin.read()
"""


def restored(cache: Path, letter: str, *, used_s_ago: float, kilobytes: int = 10) -> Path:
    """A folder as `restored_capture` leaves it in a process that has ended."""
    folder = cache / f"scene-{letter * 16}"
    (folder / "images").mkdir(parents=True)
    (folder / "images" / "a.png").write_bytes(bytes(1000 * kilobytes))
    mark = folder.with_name(folder.name + ".used")
    mark.write_text(f"/data/{letter}.mvc\n")
    used = time.time() - used_s_ago
    os.utime(mark, (used, used))
    return folder


def test_the_one_used_longest_ago_goes_first(tmp_path: Path) -> None:
    middle, oldest, newest = (
        restored(tmp_path, letter, used_s_ago=age) for letter, age in (("a", 200), ("b", 300), ("c", 100))
    )
    shrink_cache(tmp_path, 20_000)
    assert [folder.is_dir() for folder in (oldest, middle, newest)] == [False, True, True]
    shrink_cache(tmp_path, 0)
    assert not list(tmp_path.rglob("*.png"))


def test_one_in_use_stays_and_goes_afterwards(tmp_path: Path) -> None:
    used, other = restored(tmp_path, "a", used_s_ago=300), restored(tmp_path, "b", used_s_ago=100)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, used], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        shrink_cache(tmp_path, 0)
        assert used.is_dir()
        assert not other.exists()
        process.communicate("")
    shrink_cache(tmp_path, 0)
    assert not used.exists()


def test_what_this_process_uses_stays(tmp_path: Path) -> None:
    folder = restored(tmp_path, "a", used_s_ago=300)
    mark_used(folder, None)
    shrink_cache(tmp_path, 0)
    assert folder.is_dir()


def test_nothing_else_is_touched(tmp_path: Path) -> None:
    unmarked = tmp_path / ("capture-" + "d" * 16)
    mine = tmp_path / "holiday"
    fresh, old = tmp_path / ".scene.x.mvc-partial", tmp_path / ".scene.y.mvc-partial"
    for folder in (unmarked, mine, fresh, old):
        folder.mkdir()
        (folder / "a.png").write_bytes(bytes(1000))
    two_days_ago = time.time() - 2 * 24 * 3600
    os.utime(old, (two_days_ago, two_days_ago))
    shrink_cache(tmp_path, 0)
    assert [folder.exists() for folder in (unmarked, mine, fresh, old)] == [True, True, True, False]


def test_a_folder_is_found_by_the_file_it_was_restored_from(tmp_path: Path) -> None:
    restored(tmp_path, "a", used_s_ago=300)
    folder = restored(tmp_path, "b", used_s_ago=200)
    assert folder_restored_from(Path("/data/b.mvc"), tmp_path) == folder
    # Of this name, but never restored from there: it may show anything.
    assert folder_restored_from(Path("/elsewhere/b.mvc"), tmp_path) is None
    mark_used(folder, Path("/elsewhere/b.mvc"))
    assert folder_restored_from(Path("/elsewhere/b.mvc"), tmp_path) == folder


@pytest.mark.parametrize(("text", "expected"), [("", 1e9 * DEFAULT_GB), ("0.5", 5e8), ("0", 0.0)])
def test_the_bound_is_what_the_user_says(monkeypatch, text: str, expected: float) -> None:
    monkeypatch.setenv(BOUND_VARIABLE, text)
    assert cache_limit_bytes() == expected


@pytest.mark.parametrize("text", ["20GB", "-1", "nan"])
def test_a_bound_that_is_none(monkeypatch, text: str) -> None:
    monkeypatch.setenv(BOUND_VARIABLE, text)
    with pytest.raises(OutputError, match=BOUND_VARIABLE):
        cache_limit_bytes()
