"""Memory grows so slowly with the photograph that two views of 12 megapixels code and decode within 5 GiB."""

import subprocess
import sys
from pathlib import Path

import pytest

GIB = 2**30
LIMIT_BYTES, PIXELS = 5 * GIB, 12_000_000
SIZES = (600, 800), (900, 1200)
HERE = Path(__file__).parent.parent

# A process of its own: the peak of this one would tell of all tests before.
CHILD = """
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from tiny_lmvic import plane_views

from nerfstudio_mvc.restoration.restoration import BAND_PIXELS
from nerfstudio_mvc.weights.store import open_codec

torch.set_num_threads(1)
# Not getrusage: its peak begins with that of the process that started this one.
peak = lambda: 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
codec = open_codec("lmvic")
codec.speeds = replace(codec.speeds, stream=6)  # which takes libaom no less memory
codec.encode_group(0, plane_views(2), quality=5.0)
# Start-up has a peak of its own, which would hide what follows: Linux forgets it on request.
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")
height, width = int(sys.argv[1]), int(sys.argv[2])
# As large a part of this picture at once as of one of 12 megapixels.
codec.tools.restoration.band_pixels = int(BAND_PIXELS * height * width / 12e6)
small = plane_views(2, 72, 100)
large = plane_views(2, height, width)
views = []
for coarse, source in zip(small, large):
    tiles = (-(-height // 72), -(-width // 100), 1)
    views.append(replace(source, pixels=np.ascontiguousarray(np.tile(coarse.pixels, tiles)[:height, :width])))
encoded = codec.encode_group(0, views, quality=5.0)
decoded = codec.decode_group(encoded.coded, [source.view for source in views], quality=5.0)
assert all(np.array_equal(pixels, encoded.reconstructions[idx]) for idx, pixels in decoded.items())
print(peak())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells and forgets a peak like this")
def test_views_of_twelve_megapixels_need_less_than_five_gibibytes():
    small, large = (_peak(*size) for size in SIZES)
    pixels = [height * width for height, width in SIZES]
    per_pixel = (large - small) / (pixels[1] - pixels[0])
    assert per_pixel > 20  # something was measured
    assert small + per_pixel * (PIXELS - pixels[0]) < LIMIT_BYTES


def _peak(height: int, width: int) -> int:
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(height), str(width)],
        # Arrays of twelve megapixels go back to the system once they are freed; with this, smaller ones do.
        env={"PYTHONPATH": f"{HERE}:{HERE.parent}", "OMP_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": "1000000"},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(child.stdout)
