"""The alignment benchmark on the analytic scene: each aligner finds what it can find, and the table says so."""

import csv
import json

import numpy as np
import pytest
import synthetic_scene as scene

pytest.importorskip("cv2")

from nerfstudio_mvc.benchmarking.alignment import METHODS, OURS, AlignmentBenchmark
from nerfstudio_mvc.benchmarking.alignment_files import TABLE_HEADER, markdown, table_rows, write_alignment
from nerfstudio_mvc.benchmarking.image_aligners import by_blocks, by_dense_flow, by_homography, not_aligned
from nerfstudio_mvc.errors import CaptureError
from nerfstudio_mvc.quality.psnr import psnr_db


@pytest.fixture(scope="module")
def texture() -> np.ndarray:
    """Smooth blobs of all sizes. uint8 [220, 280, 3]"""
    rng = np.random.default_rng(0)
    layers = [np.kron(rng.normal(size=(-(-220 // n), -(-280 // n), 3)), np.ones((n, n, 1))) for n in (3, 8, 20)]
    picture = sum(layer[:220, :280] for layer in layers)
    return (128 + 30 * picture).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("aligner", [by_homography, by_blocks, by_dense_flow])
def test_a_shift_of_the_whole_photograph_is_found(texture, aligner):
    current, reference = texture[10:170, 20:230], texture[7:167, 26:236]
    aligned = aligner(current, reference)
    inner = (slice(16, -16), slice(16, -16))
    assert psnr_db(current[inner], aligned.pixels[inner]) > 30
    assert psnr_db(current[inner], not_aligned(current, reference).pixels[inner]) < 18
    assert aligned.pixels.shape == current.shape
    assert 0.9 < aligned.valid.mean() < 1.0  # what the shift brings in from outside is not shown
    assert not aligned.valid[60, :4].any()  # 6 pixels come from beyond the left border
    assert aligned.side_bits > 0


def test_blocks_move_apart_and_reach_far(texture):
    current = texture[:160, :208].copy()
    reference = current.copy()
    reference[32:80, 40:88] = current[64:112, 80:128]  # 40 to the left and 32 up
    current[:64] = current[112:, ::-1][:48].repeat(2, 0)[:64]  # so that only that place shows it
    aligned = by_blocks(current, reference)
    assert psnr_db(current[64:112, 80:128], aligned.pixels[64:112, 80:128]) > 40


def test_unequal_sizes_and_photographs_without_features():
    flat = np.full((60, 90, 3), 90, np.uint8)
    for aligner in (not_aligned, by_homography, by_blocks, by_dense_flow):
        aligned = aligner(flat, np.full((50, 100, 3), 90, np.uint8))
        assert aligned.pixels.shape == flat.shape
        assert (aligned.pixels == 90).all()


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    """Three views; few points, so that depth is interpolated between them rather than fitted."""
    centers = ((-0.5, 0.0, 0.0), (0.0, 0.1, 0.0), (0.5, 0.0, 0.0))
    views = [scene.look_at(i, at, size=(240, 180)) for i, at in enumerate(centers)]
    return scene.capture(views, tmp_path_factory.mktemp("scene"), point_count=99)


def test_depth_beats_what_knows_no_depth(capture, tmp_path):
    events = []
    benchmark = AlignmentBenchmark(capture, on_event=events.append)
    small, whole = benchmark.measure(120), benchmark.measure(5000)
    assert (small.long_side, whole.long_side) == (120, 240)
    assert small.methods[0].ms_ssim is None  # 90 rows are too few for it
    found = {method.method: method for method in whole.methods}
    assert tuple(found) == tuple(METHODS)
    assert whole.views == 2
    assert 0.02 < whole.median_shift < 0.3
    assert 0.7 < whole.masked < 1
    for depth in ("sparse", OURS):
        assert found[depth].psnr_db > found["none"].psnr_db + 6
        assert found[depth].masked_psnr_db > found[depth].psnr_db
        assert found[depth].masked_ms_ssim > found["none"].masked_ms_ssim
    assert found[OURS].coverage == pytest.approx(whole.masked)
    assert 0 < found[OURS].side_bpp < found["flow"].side_bpp
    assert found["none"].prior_s == 0 < found[OURS].prior_s
    assert events[-1].done == events[-1].total == 2

    write_alignment(tmp_path / "out", [small, whole])
    rows = list(csv.DictReader((tmp_path / "out" / "alignment.csv").open()))
    assert len(rows) == 2 * len(METHODS)
    assert float(rows[-1]["psnr_db"]) == pytest.approx(whole.methods[-1].psnr_db)
    document = json.loads((tmp_path / "out" / "alignment.json").read_text())
    assert document[1]["methods"][0]["method"] == "none"
    assert f"{found[OURS].psnr_db:.2f} / {found[OURS].masked_psnr_db:.2f}" in markdown([whole])
    assert all(len(row) == len(TABLE_HEADER) for row in table_rows(small))


def test_fewer_views_and_captures_that_cannot_be_aligned(capture):
    only_ours = AlignmentBenchmark(capture, methods=["none"], view_limit=1).measure(96)
    assert [method.method for method in only_ours.methods] == ["none", OURS]
    assert only_ours.views == 1
    alone = scene.capture([scene.look_at(0, (0.0, 0.0, 0.0))], capture.root / "alone", point_count=50)
    with pytest.raises(CaptureError, match="two or more"):
        AlignmentBenchmark(alone)
