"""Seconds, processor seconds and memory over time of compressing a large capture, restoring it, and one view of it:

    python tools/memory_use.py --views 24 --megapixels 12 [--view 20] [-- FLAGS OF ns-mvc-compress]

The capture is the sample enlarged, again and again, each photograph with noise of its own. Prints a line for
each command: peak, then the memory of its processes (resident, GB) at ten moments; of the single view also the bytes
that were read of the archive, as strace saw them where it is installed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "examples" / "data" / "nerfstudio"
COMMAND = "import sys; from nerfstudio_mvc.cli.{} import main; main()"
NOISE = 3.0  # grey levels, standard deviation
SECONDS_BETWEEN = 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--views", type=int, default=24)
    parser.add_argument("--megapixels", type=float, default=12.0)
    parser.add_argument("--view", type=int, help="number of the single view; the last one when not given")
    parser.add_argument("--folder", type=Path, help="where the capture and archives go; a temporary one when not given")
    parser.add_argument("flags", nargs="*", default=["--codec", "av1", "--effort", "fast"])
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="memory-use-", dir=chosen.folder) as scratch:
        folder = Path(scratch)
        names = write_capture(folder / "capture", chosen.views, chosen.megapixels * 1e6)
        name, archive = names[(chosen.view or chosen.views) - 1], folder / "a.mvc"
        measure("compress", "--data", folder / "capture", "--output", archive, *chosen.flags)
        print(f"archive: {archive.stat().st_size:,} bytes")
        measure("decompress", "--archive", archive, "--output-dir", folder / "all")
        shutil.rmtree(folder / "all")
        measure("decompress", "--archive", archive, "--output-dir", folder / "one", "--views", name)
        if shutil.which("strace"):
            log = folder / "reads"
            trace = ["strace", "-f", "-y", "-o", log, "-e", "trace=read,pread64"]
            line = command("decompress", "--archive", archive, "--output-dir", folder / "again", "--views", name)
            subprocess.run([*trace, *line], env=environment(), check=True, capture_output=True)
            read = re.findall(rf"<{re.escape(str(archive.resolve()))}>.* = (\d+)$", log.read_text(), re.MULTILINE)
            print(f"{name}: {sum(map(int, read)):,} bytes of the archive read")


def write_capture(root: Path, views: int, pixels: float) -> list[str]:
    """Photographs in folder `root`; their names."""
    transforms, rng = json.loads((SAMPLE / "transforms.json").read_text()), np.random.default_rng(0)
    scale = (pixels / (transforms["w"] * transforms["h"])) ** 0.5
    width, height = round(transforms["w"] * scale), round(transforms["h"] * scale)
    for key in ("fl_x", "fl_y", "cx", "cy"):
        transforms[key] *= scale
    (root / "images").mkdir(parents=True)
    shutil.copyfile(SAMPLE / transforms["ply_file_path"], root / transforms["ply_file_path"])
    noise = (NOISE * rng.standard_normal((height, width, 1), np.float32)).astype(np.int16)
    sources, frames = transforms["frames"], []
    for number in range(views):
        source = sources[number % len(sources)]
        photograph = Image.open(SAMPLE / source["file_path"]).resize((width, height), Image.Resampling.BICUBIC)
        own = np.roll(noise, (int(rng.integers(height)), int(rng.integers(width))), axis=(0, 1))
        name = f"images/view_{number + 1:05d}.jpg"
        Image.fromarray(np.clip(np.asarray(photograph) + own, 0, 255).astype(np.uint8)).save(root / name, quality=92)
        matrix = np.array(source["transform_matrix"])
        matrix[:3, 3] += rng.normal(scale=1e-3, size=3)
        frames.append({"file_path": name, "transform_matrix": matrix.tolist()})
    transforms |= {"w": width, "h": height, "frames": frames}
    (root / "transforms.json").write_text(json.dumps(transforms))
    return [Path(frame["file_path"]).name for frame in frames]


def measure(module: str, *arguments: object) -> None:
    start_s, used_before_s, memory = time.monotonic(), used_seconds(), []
    with subprocess.Popen(command(module, *arguments), env=environment(), stdout=subprocess.DEVNULL) as run:
        while True:
            memory.append(resident_bytes(run.pid) / 1e9)
            try:
                run.wait(SECONDS_BETWEEN)
                break
            except subprocess.TimeoutExpired:
                continue
        assert run.returncode == 0
    seconds = time.monotonic() - start_s
    moments = [f"{memory[min(len(memory) - 1, len(memory) * tenth // 10)]:.1f}" for tenth in range(10)]
    what = f"{module} --views" if "--views" in arguments else module
    used = used_seconds() - used_before_s
    print(f"| {what} | {seconds:.0f} s | {used:.0f} s | {max(memory):.2f} GB | {' '.join(moments)} |", flush=True)


def used_seconds() -> float:
    """Processor time of the commands so far."""
    times = os.times()
    return times.children_user + times.children_system


def resident_bytes(pid: int) -> int:
    total = 0
    try:
        process = psutil.Process(pid)
        for one in [process, *process.children(recursive=True)]:
            total += one.memory_info().rss
    except psutil.NoSuchProcess:
        pass
    return total


def command(module: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", COMMAND.format(module), *map(str, arguments)]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


if __name__ == "__main__":
    main()
