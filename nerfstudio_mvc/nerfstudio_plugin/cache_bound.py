"""How much the cache of restored captures may hold: the ones used longest ago go, never one in use.

Beside every restored folder lies a file of its name and `.used`. Its time says when the folder was last used, its lines
from which files it was restored, and processes that use the folder hold a lock on it.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from nerfstudio_mvc.errors import OutputError

try:
    import fcntl
except ImportError:  # Windows: who uses what is not known there, so nothing goes
    fcntl = None

BOUND_VARIABLE = "NERFSTUDIO_MVC_CACHE_GB"
DEFAULT_GB = 20.0
DIGITS = 16
"""Of the hash that ends a restored folder's name."""
_RESTORED = re.compile(rf".+-[0-9a-f]{{{DIGITS}}}")
_ABANDONED = re.compile(r"\..+\.mvc-partial")
_ABANDONED_AFTER_S = 24 * 3600.0
_MARK = ".used"

_in_use: dict[Path, IO[str]] = {}  # a lock ends with its process, or when its file is closed


def cache_limit_bytes() -> float:
    """What the restored captures of a cache may take together.

    Raises:
        OutputError: `BOUND_VARIABLE` is set to something else than a number.
    """
    text = os.environ.get(BOUND_VARIABLE, "")
    try:
        gigabytes = float(text) if text else DEFAULT_GB
    except ValueError:
        gigabytes = -1.0
    if not gigabytes >= 0:
        raise OutputError(f'{BOUND_VARIABLE} is "{text}": give a number of gigabytes, 0 or more')
    return 1e9 * gigabytes


def mark_used(folder: Path, archive: Path | None) -> None:
    """Keep `folder` from being removed for as long as this process lives, and note what it is restored from.

    Does nothing where the cache cannot be written: nothing is removed from it then either.

    Args:
        folder: in the cache; need not be there yet.
        archive: None where that is known already.
    """
    mark = _mark_of(folder)
    with suppress(OSError):
        folder.parent.mkdir(parents=True, exist_ok=True)
        stream = _in_use.get(mark) or mark.open("a+", encoding="utf-8")
        _in_use[mark] = stream
        _lock(stream, exclusive=False)
        if archive is not None and str(archive.absolute()) not in _lines(mark):
            stream.write(f"{archive.absolute()}\n")
            stream.flush()
        os.utime(mark)


def folder_restored_from(archive: Path, cache: Path) -> Path | None:
    """The folder in `cache` that was restored from a file of this path, the one used last; None where there is none."""
    folders = [folder for folder in _restored_folders(cache) if str(archive.absolute()) in _lines(_mark_of(folder))]
    return max(folders, key=_last_use, default=None)


def shrink_cache(cache: Path, limit_bytes: float) -> None:
    """Remove restored folders, the one used longest ago first, until the others take `limit_bytes` at most.

    Folders in use stay, and so does everything that is not marked as restored. What a killed process had half
    restored goes a day later. What cannot be removed stays, without a word.
    """
    with suppress(OSError):
        for partial in cache.iterdir():
            if _ABANDONED.fullmatch(partial.name) and time.time() - partial.stat().st_mtime > _ABANDONED_AFTER_S:
                shutil.rmtree(partial, ignore_errors=True)
        sizes = {folder: folder_bytes(folder) for folder in _restored_folders(cache)}
        total = sum(sizes.values())
        for folder in sorted(sizes, key=_last_use):
            if total <= limit_bytes:
                return
            if _remove_unused(folder):
                total -= sizes[folder]


def folder_bytes(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _restored_folders(cache: Path) -> list[Path]:
    if not cache.is_dir():
        return []
    return [
        path
        for path in cache.iterdir()
        if _RESTORED.fullmatch(path.name) and path.is_dir() and _mark_of(path).is_file()
    ]


def _remove_unused(folder: Path) -> bool:
    """Remove a folder unless a process, this one too, uses it; whether it is gone."""
    if fcntl is None:
        return False
    with suppress(OSError), _mark_of(folder).open("a") as stream:
        _lock(stream, exclusive=True)
        # The mark stays: who waits for its lock finds the folder gone, never half of it, and restores it.
        going = folder.rename(folder.with_name(f".{folder.name}.{os.getpid()}.mvc-partial"))
        shutil.rmtree(going, ignore_errors=True)
        return True
    return False


def _lock(stream: IO[str], *, exclusive: bool) -> None:
    if fcntl is not None:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB if exclusive else fcntl.LOCK_SH)


def _mark_of(folder: Path) -> Path:
    return folder.with_name(folder.name + _MARK)


def _last_use(folder: Path) -> float:
    return _mark_of(folder).stat().st_mtime


def _lines(mark: Path) -> list[str]:
    return mark.read_text(encoding="utf-8").splitlines()
