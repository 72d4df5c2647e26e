"""Symbols of the rounding that asks for bits, against trying both neighbours one by one."""

import numpy as np
import pytest
import torch

from nerfstudio_mvc.entropy.rate_aware_rounding import bits_per_squared_step, rate_aware_symbols, step_costs

SCALES = (0.03, 0.2, 0.6, 2.0, 9.0)


def bits(symbol: int, scale: float) -> float:
    """Of a zero-mean logistic, from its definition."""

    def below(x):
        return 1 / (1 + np.exp(-x / scale))

    # The tails vanish in 1 - below: the lower one is the same and exact.
    magnitude = -abs(symbol)
    return -np.log2(max(below(magnitude + 0.5) - below(magnitude - 0.5), 2.0**-30))


@pytest.mark.parametrize("weight", [6.0, 12.0, 28.0])
def test_the_cheaper_of_two_neighbours_is_taken(weight):
    rng = np.random.default_rng(1)
    residual = rng.laplace(0, 1.5, 800)
    rows = rng.integers(1, len(SCALES), 800)
    found = rate_aware_symbols(
        torch.from_numpy(residual).float(), torch.from_numpy(rows), step_costs(SCALES), weight=torch.tensor(weight)
    )
    for value, row, symbol in zip(residual.tolist(), rows.tolist(), found.int().tolist(), strict=True):
        near = int(np.floor(abs(value) + 0.5))
        costs = [weight * (abs(value) - m) ** 2 + bits(m, SCALES[row]) for m in (near, max(near - 1, 0))]
        # Tables are floats: where both ways cost the same either may be taken.
        wanted = near if costs[0] <= costs[1] else near - 1
        assert abs(symbol) == wanted or abs(costs[0] - costs[1]) < 1e-3
        assert symbol == 0 or np.sign(symbol) == np.sign(value)


def test_what_is_not_coded_is_zero_and_large_symbols_stay():
    residual = torch.tensor([5.2, -900.4, 0.4])
    costs = step_costs(SCALES)
    assert rate_aware_symbols(residual, torch.tensor([0, 0, 0]), costs, weight=torch.tensor(16.0)).abs().sum() == 0
    coded = rate_aware_symbols(residual, torch.tensor([4, 4, 4]), costs, weight=torch.tensor(16.0))
    assert coded.tolist() == [5, -900, 0]


def test_better_quality_gives_up_less():
    low, high = (bits_per_squared_step(torch.tensor(height)) for height in (0.0, 1.0))
    residual = torch.linspace(-3, 3, 401)
    rows = torch.ones(401, dtype=torch.int64)
    pulled = [
        int((rate_aware_symbols(residual, rows, step_costs(SCALES), weight=weight) != residual.round()).sum())
        for weight in (low, high)
    ]
    assert pulled[0] > pulled[1] > 0
