"""The golden archives decoded under other numbers of threads, instruction sets and libraries.

    python tools/decoding_variants.py [--python OTHER/bin/python ..] [--libaom /usr/lib/../libaom.so.3 ..]

Prints a line of Markdown for each variant: views, symbols of the range decoder, whether they are the same, the largest
difference of a pixel, the share of samples that differ. `--python`: interpreters with another torch; `--libaom`: other
libraries. The exit code is 1 where symbols differ, or pixels by more than a grey level.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "tests" / "guards" / "golden"
DECODE = """
import sys
import numpy as np
from nerfstudio_mvc import open_archive
from nerfstudio_mvc.entropy.range_coder import SymbolDecoder
symbols = []
for name in ("get", "get_uniform"):
    def noting(self, *arguments, plain=getattr(SymbolDecoder, name)):
        found = plain(self, *arguments)
        symbols.append(np.asarray(found).ravel())
        return found
    setattr(SymbolDecoder, name, noting)
pixels = []
for path in sys.argv[2:]:
    with open_archive(path, device="cpu") as source:
        pixels += [source.read_view(view.name).ravel() for view in source.views]
symbols = np.concatenate([*symbols, np.zeros(0, int)])
np.savez(sys.argv[1], views=len(pixels), pixels=np.concatenate(pixels), symbols=symbols)
"""
VARIANTS: dict[str, dict[str, str]] = {
    "1 thread": {"OMP_NUM_THREADS": "1"},
    "2 threads": {"OMP_NUM_THREADS": "2"},
    "ATen without vectors": {"ATEN_CPU_CAPABILITY": "default"},
    "ATen with AVX2": {"ATEN_CPU_CAPABILITY": "avx2"},
    "oneDNN at SSE4.1": {"ONEDNN_MAX_CPU_ISA": "SSE41", "DNNL_MAX_CPU_ISA": "SSE41"},
    "numba without AVX": {"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": "+sse2"},
}
OFF = "import torch; torch.backends.mkldnn.enabled = False\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", nargs="*", default=[])
    parser.add_argument("--libaom", nargs="*", default=[])
    chosen = parser.parse_args()
    first, failed = decoded(sys.executable, {}), False
    runs = [(name, sys.executable, environment, "") for name, environment in VARIANTS.items()]
    runs.append(("oneDNN off", sys.executable, {}, OFF))
    runs += [(f"libaom {path}", sys.executable, {"NERFSTUDIO_MVC_LIBAOM": path}, "") for path in chosen.libaom]
    runs += [(torch_of(python), python, {}, "") for python in chosen.python]
    for name, python, environment, before in runs:
        found = decoded(python, environment, before)
        same = np.array_equal(found["symbols"], first["symbols"])
        difference = np.abs(found["pixels"].astype(int) - first["pixels"])
        failed |= not same or difference.max() > 1
        shares = f"{difference.max()} | {(difference > 0).mean():.4%}"
        print(
            f"| {name} | {found['views']} | {len(found['symbols'])} | {'same' if same else 'OTHER'} | {shares} |",
            flush=True,
        )
    return int(failed)


def torch_of(python: str) -> str:
    answer = subprocess.run(
        [python, "-c", "import torch; print(torch.__version__)"], capture_output=True, text=True, check=True
    )
    return f"torch {answer.stdout.strip()}"


def decoded(python: str, environment: dict[str, str], before: str = "") -> dict[str, np.ndarray]:
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "decoded.npz"
        command = [python, "-c", before + DECODE, str(target), *map(str, sorted(GOLDEN.glob("*.mvc")))]
        subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT), **environment}, check=True)
        with np.load(target) as arrays:
            return dict(arrays)


if __name__ == "__main__":
    sys.exit(main())
