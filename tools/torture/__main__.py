"""Hostile archives and captures, killed runs, full disks and races: none may end badly.

    python tools/torture [--quick] [--only KIND ..] [--first N] [--count N] [--guided SECONDS]

Prints a line of Markdown for each kind, and every bad outcome with the number that repeats it (``--only KIND --first N
--count 1``); the exit code is 1 where there is one. docs/reliability.md says what is bad.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import chain
from multiprocessing import get_context
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ["OMP_NUM_THREADS"] = "1"  # what is forked must have no threads
ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "archive")]

from archives import AT_ONCE, try_archives  # noqa: E402
from captures import try_capture  # noqa: E402
from interruptions import try_full_disk, try_kill_of_compress, try_kill_of_decompress, try_race  # noqa: E402
from subjects import Subjects, make_subjects  # noqa: E402

import nerfstudio_mvc.pipeline.compress  # noqa: E402  loaded once, before anything is forked
import nerfstudio_mvc.pipeline.decompress  # noqa: E402, F401
from nerfstudio_mvc.cores import available_cores  # noqa: E402

MEMORY_DISK = "/dev/shm"
"""Thousands of small files take a real one longer than the cases."""

KINDS = {
    "archives": ("mutated archives", try_archives, 20_000, 300),
    "captures": ("hostile captures", try_capture, 2_000, 60),
    "kill-compress": ("kills of compress", try_kill_of_compress, 200, 12),
    "kill-decompress": ("kills of decompress", try_kill_of_decompress, 200, 12),
    "disk": ("points of a full disk", try_full_disk, 60, 10),
    "races": ("races", try_race, 50, 9),
}
"""Name -> what it is called, a case, how many, and how many with --quick."""
GUIDED = ("manifest", "cameras", "packs", "strings")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int)
    parser.add_argument("--guided", type=int, metavar="SECONDS", help="instead, guided.py on each kind of entry")
    chosen = parser.parse_args()
    if chosen.guided:
        guided = [sys.executable, str(Path(__file__).with_name("guided.py"))]
        return max(subprocess.call([*guided, kind, f"-max_total_time={chosen.guided}"]) for kind in GUIDED)
    bad_in_all = 0
    roomy = os.access(MEMORY_DISK, os.W_OK) and shutil.disk_usage(MEMORY_DISK).free > 1 << 30
    with tempfile.TemporaryDirectory(prefix="torture-", dir=MEMORY_DISK if roomy else None) as scratch:
        subjects = make_subjects(Path(scratch))
        pool = ProcessPoolExecutor(available_cores(), mp_context=get_context("fork"))
        with pool:
            for kind in chosen.only:
                title, case, many, few = KINDS[kind]
                numbers = range(chosen.first, chosen.first + (chosen.count or (few if chosen.quick else many)))
                size = AT_ONCE if kind == "archives" else 2
                parts = [numbers[start : start + size] for start in range(0, len(numbers), size)]
                start_s, bad = time.monotonic(), 0
                outcomes = chain.from_iterable(pool.map(partial(run, case, subjects, scratch), parts))
                for number, outcome in zip(numbers, outcomes, strict=True):
                    if outcome is not None:
                        bad += 1
                        print(f"{kind} {number}: {outcome}", flush=True)
                bad_in_all += bad
                seconds = time.monotonic() - start_s
                print(f"| {title} | {len(numbers)} | {bad} bad | {seconds:.0f} s |", flush=True)
    return 1 if bad_in_all else 0


def run(case, subjects: Subjects, scratch: str, numbers: range) -> list[str | None]:
    folders = [Path(tempfile.mkdtemp(prefix="case-", dir=scratch)) for _ in numbers]
    try:
        if case is try_archives:
            return try_archives(numbers, subjects, folders)
        return [case(number, subjects, folder) for number, folder in zip(numbers, folders, strict=True)]
    finally:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
