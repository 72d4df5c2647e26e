"""The integer path: equal to slow int64 arithmetic, on any number of threads, in any batch, with any contents."""

import numpy as np
import pytest
import torch

from nerfstudio_mvc.codecs.lmvic.learned.mode_choice import ModeMaps
from nerfstudio_mvc.entropy.integer_layers import ACTIVATION_MAX, EXACT_LIMIT, IntegerConv, check_exact, requantize
from nerfstudio_mvc.entropy.scale_network import MAGNITUDE_LIMIT, ScaleNetwork, magnitude_levels

CHANNELS, HYPER = 32, 8


def int64_conv(layer: IntegerConv, activation: torch.Tensor) -> np.ndarray:
    """1x1 or depthwise convolution of one picture in int64, from the definition. [C, H, W]"""
    weight = layer.integer_weight().detach().numpy().astype(np.int64)
    bias = layer.integer_bias().detach().numpy().astype(np.int64)
    values = activation[0].numpy().astype(np.int64)
    if layer.groups == 1:
        return np.einsum("oc,chw->ohw", weight[:, :, 0, 0], values) + bias[:, None, None]
    half = layer.kernel // 2
    padded = np.pad(values, ((0, 0), (half, half), (half, half)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (layer.kernel, layer.kernel), (1, 2))
    return np.einsum("chwij,cij->chw", windows, weight[:, 0]) + bias[:, None, None]


@pytest.mark.parametrize(("kernel", "depthwise"), [(1, False), (3, True), (5, True)])
def test_layer_equals_int64_arithmetic_at_its_bounds(kernel, depthwise):
    torch.manual_seed(0)
    layer = IntegerConv(64, 64 if depthwise else 48, kernel=kernel, depthwise=depthwise)
    with torch.no_grad():
        layer.weight.copy_(torch.where(torch.rand_like(layer.weight) < 0.5, -1.98, 1.98))
        layer.bias.uniform_(-30, 30)
    activation = torch.where(torch.rand(1, 64, 9, 7) < 0.9, 255.0, 254.0)
    with torch.no_grad():
        found = layer(activation)[0]
    expected = int64_conv(layer, activation)
    assert np.array_equal(found.numpy().astype(np.int64), expected)
    rounded = np.clip((expected + 32) // 64, 0, 255)
    assert np.array_equal(requantize(found).detach().numpy().astype(np.int64), rounded)


def network_and_inputs(batch=3):
    torch.manual_seed(1)
    first_rows = torch.linspace(5, 40, CHANNELS)
    network = ScaleNetwork(hyper=HYPER, width=16, hidden=24, first_rows=first_rows, splits=True).eval()
    z = torch.randint(-40, 40, (batch, HYPER, 3, 4)).float()
    magnitudes = torch.randint(0, 300, (batch, CHANNELS, 12, 16)).float()
    return network, z, magnitudes


@torch.no_grad()
def rows_of(network, z, magnitudes, step=2):
    point = torch.zeros(8)
    point[3] = 1
    hyper = network.hyper_features(z, quality_point=point)
    # A third of the positions split, a third kept.
    positions = torch.arange(magnitudes[:, :1].numel()).view_as(magnitudes[:, :1])
    modes = ModeMaps(positions % 3 == 1, positions % 3 == 2)
    return network.table_rows(hyper, network.context_features(magnitudes, step, modes), point, modes)


def test_rows_do_not_depend_on_threads_batch_or_memory_layout():
    network, z, magnitudes = network_and_inputs()
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = torch.cat([rows_of(network, z[i : i + 1], magnitudes[i : i + 1]) for i in range(3)])
        torch.set_num_threads(2)
        together = rows_of(network, z, magnitudes)
        last = network.to(memory_format=torch.channels_last)
        channels_last = rows_of(
            last, z.to(memory_format=torch.channels_last), magnitudes.to(memory_format=torch.channels_last)
        )
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(alone, together)
    assert torch.equal(alone, channels_last)


def test_rows_are_integers_of_the_table_range_and_use_it():
    network, z, magnitudes = network_and_inputs()
    rows = rows_of(network, z, magnitudes)
    assert torch.equal(rows, rows.round())
    assert rows.min() >= 0
    assert rows.max() <= 63
    assert len(torch.unique(rows)) > 5
    # Contexts read magnitudes: other coded symbols, other tables.
    assert not torch.equal(rows, rows_of(network, z, magnitudes * 0))


def test_weights_that_could_leave_the_exact_range_are_refused():
    layer = IntegerConv(600, 4)
    with torch.no_grad():
        layer.weight.fill_(1.98)
    assert layer.accumulator_bound() > EXACT_LIMIT
    with pytest.raises(ValueError, match="below 2\\*\\*24"):
        check_exact(layer)


def test_magnitude_levels_are_the_rounded_logarithm():
    magnitudes = np.arange(MAGNITUDE_LIMIT + 1)
    expected = np.round(16 * np.log2(1.0 + magnitudes))
    assert np.array_equal(magnitude_levels().numpy(), expected)
    assert expected.max() <= ACTIVATION_MAX
