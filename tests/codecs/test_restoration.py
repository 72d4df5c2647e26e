"""What restores AV1's pictures: never worse than without, the same in bands, the same for encoder and decoder."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny_lmvic import plane_views, tiny_codec

from nerfstudio_mvc.codecs.lmvic.codec import LmvicCodec
from nerfstudio_mvc.codecs.lmvic.frame_head import read_frame
from nerfstudio_mvc.errors import ArchiveError
from nerfstudio_mvc.prediction.luma import LUMA
from nerfstudio_mvc.prediction.reference import Reference
from nerfstudio_mvc.restoration import restored_planes
from nerfstudio_mvc.restoration.network import ALIGNMENT, RestorationConfig, RestorationNet, error_unit
from nerfstudio_mvc.restoration.restoration import STRENGTH_STEPS, Restoration
from nerfstudio_mvc.video.colour import SHIFT, PlaneFormat, colour_factors, planes_from_rgb
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


FORM = PlaneFormat(1000, (3, -4, 5))


def photograph(seed=0, size=(40, 56)) -> np.ndarray:
    return np.random.default_rng(seed).integers(60, 190, (*size, 3)).astype(np.uint8)


def decoded(seed=1, size=(40, 56)) -> np.ndarray:
    return planes_from_rgb(photograph(seed, size), FORM)


def reference(size=(40, 56)) -> Reference:
    generator = torch.Generator().manual_seed(5)
    picture, valid = (torch.rand(1, count, *size, generator=generator) for count in (3, 1))
    return Reference(picture, valid.round())


def in_cells(pixels: np.ndarray) -> np.ndarray:
    """[H, W, 3] -> [H / 2, W / 2, 12]; sides are even."""
    cells = torch.from_numpy(pixels).permute(2, 0, 1)[None].float()
    return F.pixel_unshuffle(cells, 2)[0].permute(1, 2, 0).contiguous().numpy()


@torch.no_grad()
@pytest.mark.parametrize("size", [(401, 90), (8, 8), (1, 1)])
def test_stages_and_bands_are_the_network(size):
    planes, other = decoded(size=size), reference(size)
    unit = error_unit(4.5)
    pixels = unrounded(planes)
    inputs = [torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255, other.picture, other.valid]
    padding = (0, -size[1] % ALIGNMENT, 0, -size[0] % ALIGNMENT)
    expected = net()(*(F.pad(one, padding, mode="replicate") for one in inputs), torch.tensor([unit])) * unit
    expected = expected[0].permute(1, 2, 0).numpy()
    assert np.abs(expected).mean() > 0.1
    for band_pixels in (1 << 20, 64 * size[1]):
        found = Restoration(net(), band_pixels=band_pixels).correction(planes, FORM, other, quality=4.5)
        assert found.dtype == np.float32
        assert np.allclose(found, in_cells(expected), rtol=0, atol=1e-5 * np.abs(expected).max())


def unrounded(planes: np.ndarray) -> np.ndarray:
    """Of integers, as the decoder has them."""
    colours = np.einsum("phw,cp->hwc", planes - np.array([0, 512, 512])[:, None, None], colour_factors(FORM))
    return np.clip(colours * 2.0**-SHIFT, 0, 255)


def test_only_what_is_seen_of_a_reference_matters():
    planes, one = decoded(), reference()
    other = Reference(torch.where(one.valid > 0, one.picture, 1 - one.picture), one.valid)
    nothing = Reference(one.picture, torch.zeros_like(one.valid))
    restoration = Restoration(net())
    found = [restoration.correction(planes, FORM, seen, quality=4.0) for seen in (one, other, nothing, None)]
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[2], found[3])
    assert not np.array_equal(found[0], found[3])


def test_strengths_are_those_that_fit():
    x, planes = photograph(), decoded()
    error = (x - unrounded(planes)) / 255
    luma = (error @ np.array(LUMA))[..., None]
    correction = in_cells(luma / 2 + (error - luma) / 3)
    strengths = Restoration.strengths(planes, FORM, correction, x)
    assert strengths == (2 * STRENGTH_STEPS, 3 * STRENGTH_STEPS)
    assert np.abs(Restoration.pixels(planes, FORM, correction, strengths).astype(int) - x).max() == 0
    # What points the wrong way is left alone; so is a picture that has no colour.
    assert Restoration.strengths(planes, FORM, in_cells(-error), x) == (0, 0)
    grey = np.repeat(x[..., :1], 3, 2)
    planes = planes_from_rgb(np.repeat(photograph(1)[..., :1], 3, 2), FORM)
    error = np.repeat((grey - unrounded(planes)).mean(2, keepdims=True), 3, 2) / 255
    assert Restoration.strengths(planes, FORM, in_cells(error), grey)[0] == pytest.approx(STRENGTH_STEPS, abs=1)


def test_pixels_of_odd_sides_take_the_cells_they_lie_in():
    planes = decoded(size=(5, 7))
    correction = np.random.default_rng(2).uniform(-0.2, 0.2, (4, 4, 12)).astype(np.float32)
    spread = F.pixel_shuffle(torch.from_numpy(correction).permute(2, 0, 1)[None], 2)[0].permute(1, 2, 0).numpy()
    expected = np.clip(unrounded(planes) + 255 * spread[:5, :7], 0, 255)
    assert np.abs(Restoration.pixels(planes, FORM, correction, FULL) - expected).max() < 0.51


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
    monkeypatch.setattr(Restoration, "strengths", staticmethod(lambda planes, form, correction, photograph: (2, 3)))
    monkeypatch.setattr(restored_planes, "_error", lambda photograph, pixels: -int((photograph != pixels).sum()))
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
