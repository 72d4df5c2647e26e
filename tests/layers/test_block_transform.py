"""The linear transform a codec starts from: complete, orthonormal, low frequencies first."""

import torch

from nerfstudio_mvc.layers.block_transform import BlockTransform, dct_filters, frequencies


def test_all_filters_together_are_an_orthonormal_basis():
    filters = dct_filters(256, 256).flatten(1).double()
    assert torch.allclose(filters @ filters.T, torch.eye(768, dtype=torch.float64), atol=1e-5)


def test_complete_transform_returns_the_picture():
    torch.manual_seed(0)
    x = torch.rand(1, 3, 32, 48) - 0.5
    transform = BlockTransform(256, 256)
    assert torch.allclose(transform.synthesise(transform.analyse(x)), x, atol=1e-5)


def test_grey_flat_picture_lives_in_the_first_channel():
    y = BlockTransform(256, 64).analyse(torch.full((1, 3, 16, 16), 0.25))
    assert torch.argmax(y.abs()) == 0
    assert y.flatten()[1:].abs().max() < 1e-5
    order = frequencies(256, 64)
    assert order[0] == order[256] == order[320] == 0
    assert bool((order[:256].diff() >= 0).all())
