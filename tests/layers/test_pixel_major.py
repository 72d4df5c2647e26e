"""Pixel-major layers: what the modules compute, however many rows are worked on at a time."""

import pytest
import torch
from torch import nn

from nerfstudio_mvc.layers import pixel_major as layers
from nerfstudio_mvc.layers.blocks import DepthwiseBlock, double_size, half_size
from nerfstudio_mvc.layers.pixel_major import Dense, bands, pixel_major


def network() -> nn.Sequential:
    """Every kind of layer that has a pixel-major form. 3 channels -> 3 channels of the same size"""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Sequential(nn.PixelUnshuffle(4), nn.Conv2d(48, 16, 1)),
        DepthwiseBlock(16),
        half_size(16, 24),
        DepthwiseBlock(24, kernel=5),
        nn.Conv2d(24, 20, 1),
        double_size(20, 16),
        nn.Conv2d(16, 48, 1),
        nn.PixelShuffle(4),
        nn.PixelUnshuffle(2),
        nn.Conv2d(12, 8, 3, padding=1),
        DepthwiseBlock(8, expansion=1),
        nn.Conv2d(8, 12, 1),
        nn.PixelShuffle(2),
    )


def picture(height=112, width=264) -> torch.Tensor:
    return torch.randn(height, width, 3, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_layers_compute_what_the_modules_do():
    modules, pixels = network(), picture()
    expected = modules(pixels.permute(2, 0, 1)[None])[0].permute(1, 2, 0)
    assert torch.allclose(pixel_major(modules)(pixels), expected, atol=1e-5)  # sums in another order


@torch.no_grad()
def test_results_depend_neither_on_the_bands_nor_on_threads(monkeypatch):
    chain, pixels = pixel_major(network()), picture()
    threads = torch.get_num_threads()
    results = []
    try:
        for count, band_floats in ((1, 1 << 30), (1, 2048), (2, 1 << 14)):
            torch.set_num_threads(count)
            monkeypatch.setattr(layers, "BAND_FLOATS", band_floats)
            results.append(chain(pixels))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(results[0], other) for other in results[1:])


@torch.no_grad()
def test_a_layer_that_adds_gives_the_sum():
    torch.manual_seed(2)
    layer = Dense.of(nn.Conv2d(12, 5, 1), gather=2)
    pixels, onto = picture(8, 12), torch.randn(4, 6, 5)
    expected = onto + layer(pixels)
    layer.add_to(onto, pixels)
    assert torch.allclose(onto, expected, atol=1e-6)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 40), (1000, 3)])
def test_bands_cover_every_row_once(height, width, monkeypatch):
    monkeypatch.setattr(layers, "BAND_FLOATS", 500)
    rows = [row for band in bands(height, width, 8) for row in range(band.start, band.stop)]
    assert rows == list(range(height))


def test_a_module_without_a_form_is_refused():
    with pytest.raises(TypeError, match="Softmax"):
        pixel_major(nn.Sequential(nn.Softmax(1)))
