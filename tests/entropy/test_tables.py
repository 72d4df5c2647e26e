"""Integer tables: they add up, every symbol can be coded, counting bends them the right way."""

import numpy as np
import pytest

from nerfstudio_mvc.entropy.tables import (
    TOTAL,
    TableSet,
    counts_from_weights,
    logistic_limit,
    logistic_mass,
    tables_from_histograms,
)
from nerfstudio_mvc.errors import WeightsError


@pytest.mark.parametrize("scale", [0.03, 0.7, 9.0, 160.0])
def test_logistic_mass_sums_to_one_and_mirrors(scale):
    mass = logistic_mass(logistic_limit(scale), scale)
    assert mass.sum() == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(mass[:-1], mass[:-1][::-1], rtol=1e-9)


def test_counts_use_the_whole_range_and_leave_nothing_at_zero():
    counts = counts_from_weights(np.array([0.0, 1e-30, 1.0, 5.0, 0.0]))
    assert counts.sum() == TOTAL
    assert counts.min() == 1
    assert counts[3] / counts[2] == pytest.approx(5, rel=1e-3)


def test_counted_symbols_pull_a_table_towards_them():
    histogram = np.zeros(2 * logistic_limit(1.0) + 2, np.int64)
    middle = logistic_limit(1.0)
    histogram[middle] = 100_000
    plain = tables_from_histograms(np.array([1.0]), [np.zeros_like(histogram)])
    counted = tables_from_histograms(np.array([1.0]), [histogram])
    assert counted.probabilities(0)[middle] > 0.98 > plain.probabilities(0)[middle]


def test_tables_that_do_not_add_up_are_refused():
    with pytest.raises(WeightsError, match="do not add up"):
        TableSet(np.array([0]), np.array([TOTAL, 1], np.uint32))
    with pytest.raises(WeightsError, match="damaged"):
        TableSet(np.array([5]), np.array([TOTAL - 1, 1], np.uint32))
