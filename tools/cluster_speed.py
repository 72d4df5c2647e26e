"""Seconds of ns-mvc-archive on captures with one and with two workers of one thread, and whether the bytes are equal:

    python tools/cluster_speed.py [--data CAPTURE] [--captures 12] [-- FLAGS OF ns-mvc-archive]

The capture is copied so often; the archives are held against one that ns-mvc-compress makes. Prints a line of Markdown
for each number of workers. To be run on a machine with nothing else to do.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
COMMAND = "import sys; from nerfstudio_mvc.cli.{} import main; main()"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT / "examples" / "data" / "nerfstudio")
    parser.add_argument("--captures", type=int, default=12)
    parser.add_argument("flags", nargs="*", default=["--depth", "sparse", "--effort", "fast"])
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cluster-speed-") as scratch:
        folder = Path(scratch)
        for number in range(chosen.captures):
            shutil.copytree(chosen.data, folder / "in" / f"{number:02d}")
        run("compress", "--data", folder / "in" / "00", "--output", folder / "alone.mvc", *chosen.flags)
        alone, seconds = (folder / "alone.mvc").read_bytes(), {}
        for workers in (1, 2):
            out = folder / f"out{workers}"
            start_s = time.monotonic()
            run("archive_captures", "--data", folder / "in", "--output-dir", out, "--jobs", workers, *chosen.flags)
            seconds[workers] = time.monotonic() - start_s
            equal = sum(path.read_bytes() == alone for path in out.glob("*.mvc"))
            ratio = f"{seconds[1] / seconds[workers]:.2f}"
            print(f"| {workers} | {seconds[workers]:.0f} s | {ratio} | {equal} of {chosen.captures} |", flush=True)


def run(module: str, *arguments: object) -> None:
    subprocess.run([sys.executable, "-c", COMMAND.format(module), *map(str, arguments)], check=True, stdout=sys.stderr)


if __name__ == "__main__":
    main()
