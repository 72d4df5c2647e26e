"""Compressing and restoring, killed at any moment, with a disk that fills up, and with others at the same files."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from attempts import DONE, STOPS, Attempt, Started, attempt
from subjects import WAYS, Subjects, compress, digests

from nerfstudio_mvc import decompress_archive

PAGE = 4096  # bytes that a tmpfs gives out at once


def try_kill_of_compress(number: int, subjects: Subjects, folder: Path) -> str | None:
    """Case `number`: what is bad about its outcome, None where nothing is."""
    rng = random.Random(f"kill compress {number}")
    archive, before = folder / "a.mvc", digests(subjects.capture)
    way = rng.choice(("av1", "lossless", "lmvic"))
    _stopped(rng, lambda: compress(subjects.capture, archive, way), longest_s=1.0 if way == "lmvic" else 0.4)
    wanted = subjects.archives[way].read_bytes()
    if archive.exists() and archive.read_bytes() != wanted:
        return f"{way}: half an archive"
    archive.unlink(missing_ok=True)
    again = attempt(lambda: compress(subjects.capture, archive, way, resume=True))
    if again.code or archive.read_bytes() != wanted:
        return f"{way}: --resume does not come to the same bytes: {again.text[-1500:]}"
    return _strays(folder, {"a.mvc"}) or ("the capture was changed" if digests(subjects.capture) != before else None)


def try_kill_of_decompress(number: int, subjects: Subjects, folder: Path) -> str | None:
    """The same of restoring."""
    rng = random.Random(f"kill decompress {number}")
    way, out = rng.choice(("av1", "lossless")), folder / "out"
    _stopped(rng, lambda: _restore(subjects, way, out), longest_s=0.3)
    if out.exists() and digests(out) != subjects.restored[way]:
        return f"{way}: half a folder"
    shutil.rmtree(out, ignore_errors=True)
    again = attempt(lambda: _restore(subjects, way, out))
    if again.code or digests(out) != subjects.restored[way]:
        return f"{way}: the next run does not restore: {again.text[-1500:]}"
    return _strays(folder, {"out"})


def try_full_disk(number: int, subjects: Subjects, folder: Path) -> str | None:
    """What is written fails at a point: a disk is full, or where none may be mounted no file may be larger."""
    rng = random.Random(f"disk {number}")
    way, disk = rng.choice(list(WAYS)), folder / "disk"
    disk.mkdir()
    compressing = bool(number % 2)
    pages = rng.randrange(1, 9 if compressing else len(subjects.restored[way]))
    mounted = _tmpfs(disk, f"size={pages * PAGE}")
    try:
        return _full(rng, subjects, way, disk, mounted=mounted, compressing=compressing)
    finally:
        if mounted:
            subprocess.run(["umount", disk], check=True)


def _full(
    rng: random.Random, subjects: Subjects, way: str, disk: Path, *, mounted: bool, compressing: bool
) -> str | None:
    target = disk / ("a.mvc" if compressing else "out")

    def work(*, resume: bool = False) -> None:
        if compressing:
            compress(subjects.capture, target, way, resume=resume)
        else:
            _restore(subjects, way, target)

    largest = max(path.stat().st_size for path in [*subjects.archives.values(), *subjects.capture.rglob("*")])
    ended = attempt(work, file_bytes=None if mounted else rng.randrange(largest // 2))
    if not ended.well or target.exists() != (ended.code == DONE) or (mounted and ended.code and not _says_full(ended)):
        return f"{way}: code {ended.code}: {ended.text[-1500:]}"
    if ended.code:
        if mounted:
            _tmpfs(disk, "remount,size=64m")
        again = attempt(lambda: work(resume=True))
        if again.code:
            return f"{way}: not with more room either: {again.text[-1500:]}"
    right = subjects.archives[way].read_bytes() if compressing else subjects.restored[way]
    if (target.read_bytes() if compressing else digests(target)) != right:
        return f"{way}: other bytes"
    return _strays(disk, {target.name})


def _tmpfs(folder: Path, options: str) -> bool:
    """Whether a disk of its own could be mounted there."""
    return not subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", folder], capture_output=True).returncode


def _says_full(ended: Attempt) -> bool:
    return "no space left" in ended.text


def try_race(number: int, subjects: Subjects, folder: Path) -> str | None:
    """Two at one target, or a photograph that changes meanwhile."""
    rng = random.Random(f"race {number}")
    match number % 3:
        case 0:
            return _two_compress(rng, subjects, folder)
        case 1:
            return _two_restore(rng, subjects, folder)
    return _photograph_changes(rng, subjects, folder)


def _two_compress(rng: random.Random, subjects: Subjects, folder: Path) -> str | None:
    archive = folder / "a.mvc"
    ends = _at_once(rng, *[lambda: compress(subjects.capture, archive)] * 2)
    if not any(end.code == 0 for end in ends) or not all(end.well for end in ends):
        return f"two at one target: {[end.text[-700:] for end in ends]}"
    if archive.read_bytes() != subjects.archives["av1"].read_bytes():
        return "two at one target: other bytes"
    return _strays(folder, {"a.mvc"})


def _two_restore(rng: random.Random, subjects: Subjects, folder: Path) -> str | None:
    out = folder / "out"
    ways = ("av1", "lossless")
    ends = _at_once(rng, *[lambda way=way: _restore(subjects, way, out) for way in ways])
    won = [way for way, end in zip(ways, ends, strict=True) if end.code == 0]
    if len(won) != 1 or not all(end.well for end in ends):
        return f"two into one folder: {[(end.code, end.text[-700:]) for end in ends]}"
    if digests(out) != subjects.restored[won[0]]:
        return "two into one folder: a mixture"
    return _strays(folder, {"out"})


def _photograph_changes(rng: random.Random, subjects: Subjects, folder: Path) -> str | None:
    capture, archive = folder / "capture", folder / "a.mvc"
    shutil.copytree(subjects.capture, capture)
    photographs = sorted((capture / "images").iterdir())
    changed, other = rng.sample(photographs, 2)
    start = Started(lambda: compress(capture, archive))
    time.sleep(rng.uniform(0, 0.25))
    partial = folder / "partial"
    shutil.copyfile(other, partial)
    os.replace(partial, changed)
    end = start.wait()
    if not end.well:
        return f"a photograph changes: code {end.code}: {end.text[-1500:]}"
    if end.code == 0:
        alone = folder / "alone.mvc"
        after = attempt(lambda: compress(capture, alone))
        same = archive.read_bytes() in (subjects.archives["av1"].read_bytes(), alone.read_bytes())
        return None if same and after.code == 0 else "a photograph changes: an archive of neither"
    return "a photograph changes: an archive after an error" if archive.exists() else None


def _restore(subjects: Subjects, way: str, out: Path) -> None:
    decompress_archive(subjects.archives[way], out, device="cpu", jobs=1)


def _stopped(rng: random.Random, work: Callable[[], object], *, longest_s: float) -> None:
    start = Started(work)
    time.sleep(rng.uniform(0, longest_s))
    os.kill(start.pid, rng.choice((signal.SIGKILL, *STOPS)))
    start.wait()


def _at_once(rng: random.Random, *works: Callable[[], object]) -> list[Attempt]:
    starts = []
    for work in works:
        starts.append(Started(work))
        time.sleep(rng.choice((0, 0, 0.02, 0.1)))
    return [start.wait() for start in starts]


def _strays(folder: Path, expected: set[str]) -> str | None:
    strays = {entry.name for entry in folder.iterdir()} - expected
    return f"left {sorted(strays)}" if strays else None
