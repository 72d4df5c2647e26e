"""What a predicted view keeps of its reference: nothing of what is not seen, and what the networks say of the rest."""

import pytest
import torch

from nerfstudio_mvc.codecs.lmvic.reference_keeping import KEPT, KEPT_PER_DOUBLING, STEEPNESS, ReferenceKeeping

CHANNELS = 8


@pytest.fixture
def maps():
    chance = torch.Generator().manual_seed(0)
    features = torch.randn(1, CHANNELS, 4, 8, generator=chance)
    picture, reference = torch.randn(2, 1, 3, 16, 32, generator=chance)
    valid = (torch.rand(1, 1, 16, 32, generator=chance) < 0.7).float()
    return features, picture, reference, valid, torch.tensor([0.0, 63.0]).view(1, 1, 1, 2)


@torch.no_grad()
def keeping_of(bias: float) -> ReferenceKeeping:
    keeping = ReferenceKeeping(CHANNELS)
    keeping.from_features[0].bias.fill_((bias - KEPT) / STEEPNESS)
    return keeping


@torch.no_grad()
def test_what_is_kept_lies_between_picture_and_reference_and_is_seen(maps):
    features, picture, reference, valid, coded = maps
    coded = torch.zeros_like(coded)
    seen = valid.bool().expand_as(picture)
    all_of_it = keeping_of(30.0)(features, picture, reference, valid, coded)
    assert torch.allclose(all_of_it[seen], reference[seen], atol=1e-5)
    assert torch.equal(all_of_it[~seen], picture[~seen])
    half = keeping_of(0.0)(features, picture, reference, valid, coded)
    assert torch.allclose(half[seen], (picture + reference)[seen] / 2, atol=1e-5)


@torch.no_grad()
def test_the_more_is_coded_the_less_is_kept(maps):
    features, picture, reference, valid, coded = maps
    share = (ReferenceKeeping(CHANNELS)(features, picture, reference, valid, coded) - picture) / (reference - picture)
    for block, count in ((slice(0, 16), 0.0), (slice(16, 32), 6.0)):
        seen = valid.bool().expand_as(picture)[..., block]
        expected = torch.sigmoid(torch.tensor(KEPT + KEPT_PER_DOUBLING * count))
        assert torch.allclose(share[..., block][seen], expected.expand(int(seen.sum())), atol=1e-3)


def test_both_inputs_teach(maps):
    features, picture, reference, valid, coded = maps
    keeping = keeping_of(0.0)
    (keeping(features, picture, reference, valid, coded) - reference).square().mean().backward()
    for layer in (keeping.from_features[0], keeping.from_difference[-2]):
        assert layer.weight.grad.abs().sum() > 0
