"""Muon's step: orthogonal, of the size it says, the same however the weights lie in memory."""

import torch
from torch import nn

from nerfstudio_mvc.codecs.lmvic.learned.config import LmvicConfig
from nerfstudio_mvc.codecs.lmvic.learned.image_model import ImageModel
from nerfstudio_mvc.training.muon import Muon, is_matrix, orthogonal


def test_singular_values_become_about_one():
    torch.manual_seed(0)
    wide = torch.randn(24, 80) * torch.logspace(0, -2, 24)[:, None]
    for matrix in (wide, wide.T):
        values = torch.linalg.svdvals(orthogonal(matrix))
        assert values.min() > 0.5
        assert values.max() < 1.3


def test_an_orthogonal_direction_is_kept():
    torch.manual_seed(1)
    basis = torch.linalg.qr(torch.randn(32, 32))[0]
    assert torch.nn.functional.cosine_similarity(orthogonal(3 * basis).flatten(), basis.flatten(), dim=0) > 0.999


def test_a_step_is_as_large_as_adams():
    torch.manual_seed(2)
    layer = nn.Conv2d(64, 128, 1)
    before = layer.weight.detach().clone()
    layer.weight.grad = torch.randn_like(layer.weight)
    Muon([layer.weight], lr=1e-3).step()
    size = (layer.weight.detach() - before).pow(2).mean().sqrt()
    assert 0.6 * 0.2e-3 < size < 1.2 * 0.2e-3
    assert ((layer.weight.detach() - before) * layer.weight.grad).sum() < 0  # downhill


def test_memory_layout_does_not_matter():
    torch.manual_seed(3)
    gradient, ends = torch.randn(48, 16, 1, 1), []
    for layout in (torch.contiguous_format, torch.channels_last):
        weight = nn.Parameter(torch.zeros(48, 16, 1, 1).to(memory_format=layout))
        optimizer = Muon([weight], lr=1e-2)
        for factor in (1.0, -0.5):
            weight.grad = (gradient * factor).to(memory_format=layout)
            optimizer.step()
        ends.append(weight.detach().clone())
    assert torch.equal(*ends)


def test_which_parameters_are_matrices():
    named = dict(ImageModel(LmvicConfig()).named_parameters())
    assert is_matrix(named["g_a.0.widen.weight"])
    assert not is_matrix(named["g_a.0.depthwise.weight"])
    assert not is_matrix(named["g_a.0.widen.bias"])
    assert not is_matrix(named["log_gain"])
