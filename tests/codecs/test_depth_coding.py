"""Coded depth: what is decoded is what was quantised, to the last integer, and whatever the bytes say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nerfstudio_mvc.entropy.interlaced_scans import COARSEST_RESIDUAL_STEP
from nerfstudio_mvc.entropy.tables import logistic_limit, tables_from_histograms
from nerfstudio_mvc.errors import ArchiveError, ShapeError
from nerfstudio_mvc.prediction.depth_coding import (
    CodedDepth,
    coded_grid,
    decode_depth,
    encode_depth,
    quantise_depth,
    storable_step,
)

SCALES = 0.03 * np.exp(np.arange(64) * np.log(160 / 0.03) / 63)
TABLES = tables_from_histograms(SCALES, [np.zeros(2 * logistic_limit(scale) + 2) for scale in SCALES])


def scene(height, width, *, seed=0):
    """Inverse depth of two tilted planes, one hiding part of the other, and a little noise. [h, w]"""
    rows, columns = np.mgrid[:height, :width] / max(height, width)
    inverse_depth = np.where(columns > 0.6 - 0.2 * rows, 0.8 + 0.3 * rows, 0.3 + 0.1 * columns)
    return inverse_depth + np.random.default_rng(seed).normal(0, 1e-4, inverse_depth.shape)


@pytest.mark.parametrize("grid", [(1, 1), (1, 2), (1, 9), (7, 1), (2, 2), (3, 5), (16, 16), (17, 33), (107, 160)])
def test_decoding_gives_the_quantised_levels(grid):
    coded = quantise_depth(scene(*grid), step=1e-3)
    decoded = decode_depth(encode_depth(coded, TABLES), TABLES, grid=grid)
    assert decoded.step == coded.step
    assert decoded.levels.dtype == np.int32
    np.testing.assert_array_equal(decoded.levels, coded.levels)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 2**32), st.floats(1e-6, 1e4), st.floats(1e-9, 1e9))
def test_any_positive_map_comes_back(height, width, seed, step, scale):
    inverse_depth = scale * np.random.default_rng(seed).lognormal(0, 4, (height, width))
    coded = quantise_depth(inverse_depth, step=step * scale)
    decoded = decode_depth(encode_depth(coded, TABLES), TABLES, grid=(height, width))
    np.testing.assert_array_equal(decoded.levels, coded.levels)
    assert decoded.step == coded.step
    assert (np.isfinite(decoded.depth()) & (decoded.depth() > 0)).all()


def test_errors_stay_within_half_a_residual_step():
    inverse_depth = scene(40, 60)
    coded = quantise_depth(inverse_depth, step=1e-3)
    error = np.abs(coded.inverse_depth() - inverse_depth) / coded.step
    assert error.max() <= COARSEST_RESIDUAL_STEP / 2 + 1e-6
    # Cells that others are interpolated from are finer: on the 16-grid half a level.
    assert error[::16, ::16].max() <= 0.5 + 1e-6


def test_smooth_surfaces_cost_next_to_nothing():
    rows, columns = np.mgrid[:107, :160]
    plane = 0.5 + 1e-3 * rows + 2e-3 * columns
    coded = quantise_depth(plane, step=1e-3)
    assert len(encode_depth(coded, TABLES)) < 60
    # Between the cells that are coded the plane is interpolated, not a staircase of the residual step.
    assert np.abs(coded.inverse_depth() - plane).max() < 3 * coded.step


def test_an_edge_is_kept_and_paid_for_along_its_length_only():
    step_edge = np.where(np.arange(160) < 77, 0.2, 1.0)[None].repeat(107, 0)
    coded = quantise_depth(step_edge, step=1e-3)
    assert np.abs(coded.inverse_depth() - step_edge).max() < 10e-3
    assert len(encode_depth(coded, TABLES)) < 650


def test_levels_below_zero_are_far_away_not_behind():
    depth = CodedDepth(np.array([[-5, 0, 1]], np.int32), 0.5).depth()
    np.testing.assert_allclose(depth, [[4.0, 4.0, 4 / 3]])


def test_the_step_is_stored_exactly_and_no_coarser_than_asked():
    for step in (1e-7, 0.0123, 3.0, 4e5):
        stored = storable_step(step)
        assert stored <= step < stored * 1.01
        assert storable_step(stored) == stored
    assert storable_step(0.0) > 0


def test_a_step_too_fine_for_the_range_is_made_coarser():
    coded = quantise_depth(np.array([[1.0, 2.0], [3.0, 1e6]]), step=1e-9)
    decoded = decode_depth(encode_depth(coded, TABLES), TABLES, grid=(2, 2))
    np.testing.assert_array_equal(decoded.levels, coded.levels)
    assert abs(decoded.inverse_depth()[1, 1] / 1e6 - 1) < 1e-4


@pytest.mark.parametrize(
    ("photograph", "grid"),
    [((672, 1008), (107, 160)), ((1, 1), (1, 1)), ((3, 4000), (1, 320)), ((4000, 3000), (320, 240))],
)
def test_the_grid_follows_from_the_size_of_the_photograph(photograph, grid):
    assert coded_grid(*photograph) == grid


def test_damaged_bytes_end_in_a_map_or_an_archive_error():
    coded = quantise_depth(scene(12, 15), step=1e-3)
    payload = encode_depth(coded, TABLES)
    rng = np.random.default_rng(5)
    variants = [payload[:cut] for cut in range(len(payload))]
    for position in range(len(payload)):
        damaged = bytearray(payload)
        damaged[position] ^= int(rng.integers(1, 256))
        variants.append(bytes(damaged))
    variants += [rng.bytes(int(rng.integers(0, 80))) for _ in range(100)] + [b"\xff" * 64]
    for variant in variants:
        try:
            decoded = decode_depth(variant, TABLES, grid=(12, 15))
        except ArchiveError:
            continue
        assert decoded.levels.shape == (12, 15)
        assert (np.isfinite(decoded.depth()) & (decoded.depth() > 0)).all()


@pytest.mark.parametrize("wrong", [np.zeros((3, 3)), np.full((3, 3), np.nan), np.ones(9), np.ones((0, 3))])
def test_maps_with_holes_are_refused(wrong):
    with pytest.raises(ShapeError):
        quantise_depth(wrong, step=1e-3)


def test_levels_from_elsewhere_are_refused():
    levels = np.arange(30, dtype=np.int32).reshape(5, 6) ** 2
    with pytest.raises(ShapeError):
        encode_depth(CodedDepth(levels, 0.5), TABLES)
