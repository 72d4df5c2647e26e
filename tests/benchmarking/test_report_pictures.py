"""Charts and crops of the report page: numbers land where they belong, pixels are kept exactly."""

from __future__ import annotations

import base64
import io
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PIL import Image

from nerfstudio_mvc.benchmarking.html_report import _data_uri
from nerfstudio_mvc.benchmarking.peers import make_peers
from nerfstudio_mvc.benchmarking.side_by_side import CROP_PX, choose_crops, coded_by
from nerfstudio_mvc.benchmarking.svg_charts import HEIGHT, Series, bar_chart, line_chart


def test_pictures_of_the_page_keep_every_pixel() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (13, 21, 3), np.uint8)
    prefix, content = _data_uri(pixels).split(",")
    assert prefix == "data:image/png;base64"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(content)))), pixels)


def test_lines_rise_to_the_right_and_stay_in_the_frame() -> None:
    series = [Series("a <b>", "s0", ((0.5, 30.0), (1.0, 34.0), (2.0, 38.0)))]
    root = ElementTree.fromstring(line_chart(series, x_label="rate", y_label="quality & more"))
    marks = [(float(mark.get("cx")), float(mark.get("cy"))) for mark in root.iter("circle")]
    assert [x for x, _ in marks] == sorted(x for x, _ in marks)
    assert [y for _, y in marks] == sorted((y for _, y in marks), reverse=True)
    _, _, width, height = map(float, root.get("viewBox").split())
    assert all(0 < x < width and 0 < y < height for x, y in marks)
    # Equal steps of the value are equal steps on the page.
    assert (marks[2][0] - marks[1][0]) == pytest.approx(2 * (marks[1][0] - marks[0][0]), abs=0.2)
    assert "nothing" in line_chart([], x_label="", y_label="")


@pytest.mark.parametrize("values", [(1.0, 1.0), (0.0, 0.0), (-3.0, 5.0), (1e6, 2e6), (31.26, 31.27)])
def test_any_range_of_values_gets_an_axis(values: tuple[float, float]) -> None:
    chart = line_chart([Series("a", "s0", tuple(enumerate(values)))], x_label="x", y_label="y")
    assert 4 <= len(re.findall('class="tick"', chart)) <= 24


def test_higher_bars_for_higher_values() -> None:
    series = [Series(name, "s0", ((0, height), (1, 2 * height))) for name, height in (("a", 1.0), ("b", 3.0))]
    root = ElementTree.fromstring(bar_chart(series, ["first", "second"], y_label="kB"))
    bars = [(float(bar.get("x")), float(bar.get("height"))) for bar in root.iter("rect")]
    assert [round(height / bars[0][1], 1) for _, height in bars] == [1, 2, 3, 6]
    assert max(height for _, height in bars) < HEIGHT
    assert bars[0][0] < bars[2][0] < bars[1][0] < bars[3][0]


def test_crops_are_busy_and_inside() -> None:
    rng = np.random.default_rng(0)
    flat = np.full((600, 800, 3), 90, np.uint8)
    flat[300:, 400:] = rng.integers(0, 256, (300, 400, 3))
    specs = choose_crops([f"v{index}" for index in range(5)], lambda name: flat)
    assert [spec.view for spec in specs] == ["v1", "v3"]
    for spec in specs:
        crop = spec.cut(flat)
        assert crop.shape == (CROP_PX, CROP_PX, 3)
        assert crop.std() > 20
    (small,) = choose_crops(["only"], lambda name: flat[:50, :60])
    assert small.cut(flat[:50, :60]).shape == (50, 60, 3)


def test_a_peers_rendition_is_cut_from_the_view_of_that_name() -> None:
    rng = np.random.default_rng(0)
    photographs = [
        np.full((240, 260, 3), grey, np.uint8) + rng.integers(0, 9, (240, 260, 3), np.uint8) for grey in (20, 120)
    ]
    specs = choose_crops(["dark", "bright"], {"dark": photographs[0], "bright": photographs[1]}.get)
    (jpeg,) = make_peers(["jpeg"])
    rendition = coded_by(jpeg, photographs, ["dark", "bright"], 80, specs)
    assert rendition.bytes == sum(map(len, jpeg.encode(photographs, 80)))
    assert {name: round(crop.mean(), -1) for name, crop in rendition.crops.items()} == {"dark": 20, "bright": 120}
    assert min(rendition.view_psnr_db.values()) > 30
