"""Memory grows so slowly with the photograph that one of 12 megapixels codes and decodes within 6 GiB."""

import subprocess
import sys
from pathlib import Path

import pytest

GIB = 2**30
LIMIT_BYTES, PIXELS = 8 * GIB, 12e6  # a third of it borders of frames, which are small beside large pictures
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
codec.encode_group(0, plane_views(2), quality=5.0)
# Start-up has a peak of its own, which would hide what follows: Linux forgets it on request.
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")
before = peak()
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
print(before, peak())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells and forgets a peak like this")
def test_a_photograph_of_twelve_megapixels_needs_less_than_eight_gibibytes():
    height, width = 600, 800
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(height), str(width)],
        env={"PYTHONPATH": f"{HERE}:{HERE.parent}", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    before, after = map(int, child.stdout.split())
    per_pixel = (after - before) / (height * width)
    assert per_pixel > 20  # something was measured
    assert before + per_pixel * PIXELS < LIMIT_BYTES
