"""What restores AV1's pictures: never worse than without, the same in bands, the same for encoder and decoder."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from tiny_lmvic import plane_views, tiny_codec

from nerfstudio_mvc.codecs.lmvic.codec import LmvicCodec
from nerfstudio_mvc.codecs.lmvic.frame_head import read_frame
from nerfstudio_mvc.errors import ArchiveError
from nerfstudio_mvc.prediction.luma import LUMA
from nerfstudio_mvc.prediction.reference import Reference
from nerfstudio_mvc.restoration import restored_planes
from nerfstudio_mvc.restoration.network import RestorationConfig, RestorationNet, error_unit
from nerfstudio_mvc.restoration.restoration import STRENGTH_STEPS, Restoration
from nerfstudio_mvc.video.libaom import has_libaom

needs_av1 = pytest.mark.skipif(not has_libaom(), reason="there is no libaom")
FULL = (STRENGTH_STEPS, STRENGTH_STEPS)


def net(seed: int = 0) -> RestorationNet:
    """Small, with weights that let far pixels matter."""
    torch.manual_seed(seed)
    made = RestorationNet(RestorationConfig(widths=(8, 8, 8)))
    with torch.no_grad():
        for layer in made.modules():
            if isinstance(layer, torch.nn.Conv2d):
                layer.weight.normal_(0, 0.3)
    return made.requires_grad_(False)


def picture(seed=0, size=(40, 56)) -> torch.Tensor:
    return torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(seed))


def reference(size=(40, 56)) -> Reference:
    return Reference(picture(5, size), picture(6, size)[:, :1].round())


class Knowing(Restoration):
    """Knows half of what is lacking."""

    def __init__(self, x: torch.Tensor) -> None:
        super().__init__(net())
        self.x = x

    def correction(self, decoded, reference, *, quality):
        return (self.x - decoded) / 2


@pytest.mark.parametrize("size", [(401, 90), (8, 8), (1, 1)])
def test_bands_leave_no_trace(size):
    x = picture(size=size)
    whole = Restoration(net()).correction(x, reference(size), quality=4.5)
    in_bands = Restoration(net(), band_pixels=64 * size[1]).correction(x, reference(size), quality=4.5)
    assert whole.shape == x.shape
    assert float(whole.abs().mean()) > 0.1
    assert torch.allclose(whole, in_bands, rtol=0, atol=1e-5 * float(whole.abs().max()))


def test_only_what_is_seen_of_a_reference_matters():
    x, one = picture(), reference()
    other = Reference(torch.where(one.valid > 0, one.picture, 1 - one.picture), one.valid)
    restoration = Restoration(net())
    assert torch.equal(restoration.correction(x, one, quality=4.0), restoration.correction(x, other, quality=4.0))
    nothing = Reference(one.picture, torch.zeros_like(one.valid))
    alone = restoration.correction(x, None, quality=4.0)
    assert torch.equal(restoration.correction(x, nothing, quality=4.0), alone)
    assert not torch.equal(restoration.correction(x, one, quality=4.0), alone)


def test_strengths_are_those_that_fit():
    x, decoded = 0.5 + 0.4 * picture(), 0.5 + 0.4 * picture(1)
    error = x - decoded
    luma = torch.einsum("c,bchw->bhw", torch.tensor(LUMA), error)[:, None].expand_as(error)
    strengths = Restoration.strengths(x, decoded, luma / 2 + (error - luma) / 3)
    assert strengths == (2 * STRENGTH_STEPS, 3 * STRENGTH_STEPS)
    restored = Restoration.restored(decoded, luma / 2 + (error - luma) / 3, strengths)
    assert torch.allclose(restored, x.clamp(0, 1), atol=1e-5)
    # What points the wrong way is left alone; so is a picture that has no colour.
    assert Restoration.strengths(x, decoded, -error) == (0, 0)
    grey, other = (values[:, :1].expand(-1, 3, -1, -1) for values in (x, decoded))
    assert Restoration.strengths(grey, other, grey - other)[0] == STRENGTH_STEPS


def test_the_error_unit_falls_with_the_quality():
    units = [error_unit(quality) for quality in np.linspace(1, 8, 29)]
    assert all(1 < before / after < 1.1 for before, after in pairwise(units))


@needs_av1
def test_a_network_that_makes_it_worse_is_left_out():
    sources = plane_views(2)
    tiny = tiny_codec(pictures="av1")
    restoring = LmvicCodec(tiny.model, tiny.tables, fingerprint="", switches=tiny.switches, restoration=net())
    plain, restored = (codec.encode_group(0, sources, quality=4.0) for codec in (tiny, restoring))
    for source in sources:
        errors = [
            np.square(source.pixels.astype(int) - one.reconstructions[source.view.view_idx]).mean()
            for one in (restored, plain)
        ]
        assert errors[0] <= errors[1] * 1.02


@needs_av1
def test_a_group_is_restored_with_the_quality_of_each_view(monkeypatch):
    sources = plane_views(3)
    tiny = tiny_codec(pictures="av1")
    restoring = LmvicCodec(tiny.model, tiny.tables, fingerprint="", switches=tiny.switches, restoration=net())
    # An untrained network is taken all the same.
    monkeypatch.setattr(Restoration, "strengths", staticmethod(lambda x, decoded, correction: (2, 3)))
    monkeypatch.setattr(restored_planes, "_error", lambda x, picture: -float((x - picture).square().mean()))
    encoded = restoring.encode_group(0, sources, quality=5.0)
    heads = [read_frame(view.substreams[-1].payload, what="")[0] for view in encoded.coded.views]
    assert [head.strengths for head in heads] == [(2, 3)] * 3
    assert len({head.quality for head in heads}) == 3
    cameras = [source.view for source in sources]
    without = LmvicCodec(
        tiny.model, tiny.tables, fingerprint="", switches=replace(tiny.switches, restoration=False), restoration=net()
    )
    plain = without.encode_group(0, sources, quality=5.0).coded.views[0].substreams[-1]
    assert read_frame(plain.payload, what="")[0].strengths == (0, 0)
    # Switched off, it still decodes what was restored.
    decoded = without.decode_group(encoded.coded, cameras, quality=5.0)
    for source in sources:
        view_idx = source.view.view_idx
        assert np.array_equal(decoded[view_idx], encoded.reconstructions[view_idx])
    with pytest.raises(ArchiveError, match="does not hold"):
        tiny.decode_group(encoded.coded, cameras, quality=5.0)
