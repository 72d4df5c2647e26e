"""Triangles drawn row by row, against SciPy's search for the triangle of each cell."""

import numpy as np
import pytest
from scipy.interpolate import LinearNDInterpolator

from nerfstudio_mvc.splatting.triangle_interpolation import interpolate_over_triangles


def expected(positions, values, height, width):
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    return LinearNDInterpolator(positions, values)(np.stack([x, y], -1).reshape(-1, 2)).reshape(height, width)


@pytest.mark.parametrize(("count", "seed"), [(3, 0), (5, 1), (40, 2), (900, 3)])
def test_the_same_as_scipy(count, seed):
    rng = np.random.default_rng(seed)
    positions = rng.uniform(-8, 40, (count, 2)) * (1.0, 0.8)  # some lie outside the grid
    values = rng.uniform(1, 3, count)
    found = interpolate_over_triangles(positions, values, height=24, width=31)
    scipy = expected(positions, values, 24, 31)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(scipy))
    np.testing.assert_allclose(found, scipy, rtol=1e-7, equal_nan=True)


def test_points_on_centres_edges_and_each_other():
    x, y = (values.ravel() for values in np.meshgrid(np.arange(0, 9, 2) + 0.5, np.arange(0, 7, 2) + 0.5))
    positions = np.stack([x, y], 1)
    doubled = np.concatenate([positions, positions[:5]])
    found = interpolate_over_triangles(doubled, 2 + doubled @ [0.3, -0.1], height=7, width=9)
    columns, rows = np.meshgrid(np.arange(9) + 0.5, np.arange(7) + 0.5)
    np.testing.assert_allclose(found, 2 + 0.3 * columns - 0.1 * rows, rtol=1e-9)


def test_thin_triangles_stay_within_their_corners():
    rng = np.random.default_rng(4)
    along = rng.uniform(0, 60, 400)
    positions = np.stack([along, 20 + 1e-7 * rng.normal(size=400)], 1)
    positions = np.concatenate([positions, [[5.0, 2.0], [55.0, 38.0]]])
    values = rng.uniform(1, 2, len(positions))
    found = interpolate_over_triangles(positions, values, height=40, width=60)
    assert np.isfinite(found).mean() > 0.2
    assert np.nanmin(found) >= values.min()
    assert np.nanmax(found) <= values.max()


@pytest.mark.parametrize("positions", [[[3.0, 3.0]], [[1.0, 1.0], [4.0, 4.0]], [[1.0, 1.0], [2.0, 2.0], [5.0, 5.0]]])
def test_what_spans_no_triangle_gives_nothing(positions):
    found = interpolate_over_triangles(np.array(positions), np.ones(len(positions)), height=6, width=7)
    assert found.shape == (6, 7)
    assert np.isnan(found).all()
