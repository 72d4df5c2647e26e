"""Guards around every way of coding that ships: what archives decode to, what they take and how good they are.

`make_guards.py` makes anew what these hold on to.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from ways_of_coding import FIGURES, GOLDEN, WAYS, coded_bytes, compress_views, decoded_views, write_views

from nerfstudio_mvc.archive.reader import ArchiveReader
from nerfstudio_mvc.pipeline.decode_check import check_decoding

BYTES_TOLERANCE = 0.02  # relative
PSNR_TOLERANCE_DB = 0.1
GREY_LEVELS = 1  # rounding of floats differs between machines, not more


@pytest.mark.parametrize("way", WAYS)
def test_golden_archives_decode_to_the_pixels_kept(way: str) -> None:
    kept = np.asarray(Image.open(GOLDEN / f"{way}.png")).astype(int)
    difference = np.abs(decoded_views(GOLDEN / f"{way}.mvc").astype(int) - kept)
    # Views that are decoded together are whole numbers all the way.
    assert difference.max() <= (0 if way.startswith("parahydra") else GREY_LEVELS)


@pytest.mark.parametrize("way", WAYS)
def test_rate_and_quality_are_those_kept_and_the_file_decodes_exactly(way: str, tmp_path: Path) -> None:
    archive, kept = tmp_path / "a.mvc", json.loads(FIGURES.read_text())[way]
    report = compress_views(write_views(tmp_path / "capture", way), archive, way)
    assert coded_bytes(report) == pytest.approx(kept["bytes"], rel=BYTES_TOLERANCE)
    assert report.psnr_db == pytest.approx(kept["psnr_db"], abs=PSNR_TOLERANCE_DB)
    check = check_decoding(archive, device="cpu")
    assert (len(check.exact), check.differing, check.lost) == (report.views, (), ())


@pytest.mark.parametrize("way", [way for way in WAYS if way.startswith("lmvic")])
def test_the_second_view_is_predicted_through_coded_depth(way: str) -> None:
    with ArchiveReader(GOLDEN / f"{way}.mvc") as reader:
        (group,) = (reader.read_group(idx) for idx in range(len(reader.manifest.groups)))
    names = {substream.name for view in group.views for substream in view.substreams}
    assert any(name.startswith("depth") for name in names)
