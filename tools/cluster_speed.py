"""Seconds of ns-mvc-archive on small captures with one and two workers of one thread, and whether bytes are equal:

    python tools/cluster_speed.py [--captures 12] [--width 400] [-- FLAGS OF ns-mvc-archive]

The captures are the sample cropped to `--width` columns, again and again; the archives are held against the one that
ns-mvc-compress makes. The third line are two workers started by themselves, reached through a scheduler's address, one
of which is killed in the middle. To be run on a machine with nothing else to do.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
from small_captures import write_sample_corner  # noqa: E402

COMMAND = "import sys; from nerfstudio_mvc.cli.{} import main; main()"
HERE = {"env": {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}, "stdout": sys.stderr}
DASK = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--port", "0", "--no-dashboard"]
WORKER = [sys.executable, "-m", "distributed.cli.dask_worker", "--no-nanny", "--no-dashboard", "--nthreads", "1"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--captures", type=int, default=12)
    parser.add_argument("--width", type=int, default=400)
    parser.add_argument("flags", nargs="*", default=["--depth", "sparse", "--effort", "fast"])
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cluster-speed-") as scratch:
        folder = Path(scratch)
        for number in range(chosen.captures):
            capture = folder / "in" / f"{number:02d}"
            write_sample_corner(capture, width=chosen.width, height=chosen.width * 3 // 4)
        subprocess.run(
            command("compress", "--data", capture, "--output", folder / "alone.mvc", *chosen.flags), **HERE, check=True
        )
        alone, seconds = (folder / "alone.mvc").read_bytes(), {}

        def measure(name: str, *how: object) -> None:
            out, start_s = folder / name, time.monotonic()
            arguments = ["--data", folder / "in", "--output-dir", out, *how, *chosen.flags]
            with subprocess.Popen(command("archive_captures", *arguments), **HERE) as run:
                while run.poll() is None:
                    time.sleep(0.1)
                    if len(workers) == 2 and len(list(out.glob("*.mvc"))) >= chosen.captures // 3:
                        workers.pop().kill()
            assert run.returncode == 0
            seconds[name] = time.monotonic() - start_s
            equal = sum(path.read_bytes() == alone for path in out.glob("*.mvc"))
            ratio = seconds["1"] / seconds[name]
            print(f"| {name} | {seconds[name]:.0f} s | {ratio:.2f} | {equal} of {chosen.captures} |", flush=True)

        workers: list[subprocess.Popen] = []
        measure("1", "--jobs", 1)
        measure("2", "--jobs", 2)
        with own_cluster(folder / "scheduler.json", workers) as address:
            measure("2 by address, one killed", "--scheduler", address)


def command(module: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", COMMAND.format(module), *map(str, arguments)]


@contextmanager
def own_cluster(contact: Path, workers: list[subprocess.Popen]) -> Iterator[str]:
    """A context manager: yields the address of a scheduler with two processes of one thread, put into `workers`."""
    scheduler = subprocess.Popen([*DASK, "--scheduler-file", str(contact)], **HERE)
    try:
        while not contact.exists():
            time.sleep(0.1)
        workers += [subprocess.Popen([*WORKER, "--scheduler-file", str(contact)], **HERE) for _ in range(2)]
        yield json.loads(contact.read_text())["address"]
    finally:
        for process in [scheduler, *workers]:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
