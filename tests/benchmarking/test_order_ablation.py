"""Orders: every codec gets the photographs in each of them, and a worse order costs."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from raw_codec import RawCodec
from small_captures import write_nerfstudio_capture

from nerfstudio_mvc.benchmarking.order_ablation import measure_orders
from nerfstudio_mvc.benchmarking.peers import make_peers
from nerfstudio_mvc.cli.order_ablation import _print_results
from nerfstudio_mvc.pipeline.options import CompressOptions


class FirstDifference:
    """A made-up encoder that pays for what changes from one photograph to the next; PSNR does not depend on order."""

    def __init__(self) -> None:
        (self._jpeg,) = make_peers(["jpeg"])

    def __getattr__(self, name: str):
        return getattr(self._jpeg, name)

    def encode(self, photographs, setting):
        photographs = list(photographs)
        steps = sum(np.abs(a.astype(int) - b).mean() for a, b in itertools.pairwise(photographs))
        return [*self._jpeg.encode(photographs, setting), bytes(round(10 * steps))]

    def decode(self, files):
        return self._jpeg.decode(files[:-1])


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """Cameras in a row that show an even brightness each, named out of their order."""
    folder = write_nerfstudio_capture(tmp_path / "shuffled", views=6)
    transforms = json.loads((folder / "transforms.json").read_text())
    for position, frame in zip((0, 4, 1, 5, 2, 3), transforms["frames"], strict=True):
        frame["transform_matrix"][0][3] = 0.5 * position
        frame["transform_matrix"][1][3] = 0.0
        Image.new("RGB", (48, 32), (40 * position + 20,) * 3).save(folder / frame["file_path"])
    (folder / "transforms.json").write_text(json.dumps(transforms))
    return folder


def test_neighbours_in_space_are_neighbours_in_the_stream(capture: Path, capsys) -> None:
    orders = ("distance", "file", "random")
    options = CompressOptions(codec=RawCodec(), quality=5, depth="none")
    results = measure_orders(capture, orders, peers=[FirstDifference()], options=options)
    assert [(result.codec, result.order) for result in results] == [
        (codec, order) for codec in ("raw", "jpeg") for order in orders
    ]
    ours, by_file, at_random = (result.bytes for result in results[3:])
    assert ours < by_file
    assert ours < at_random
    assert {result.psnr_db for result in results} == {results[0].psnr_db}
    _print_results(results, orders)
    table = capsys.readouterr().out
    assert f"{100 * (by_file / ours - 1):+.1f} %" in table
