"""Warping photographs: exact on an analytic plane, what flow says, independent of bands and threads; filling holes."""

import numpy as np
import pytest
import torch
from reference.lenses import LENSES, view
from reference.plane_scene import pose, render
from reference.read_at_flow import read_at

from nerfstudio_mvc.errors import ShapeError
from nerfstudio_mvc.geometry.flow import flow_to_reference
from nerfstudio_mvc.geometry.hole_filling import fill_invalid
from nerfstudio_mvc.geometry.warping import warp_view

CURRENT = ((120, 124, 66, 44, -0.15, 0.05, 0.002, -0.003), 128, 96, pose(0.05, -0.04, [0.1, 0.0, 0.2]))
REFERENCE = ((170, 168, 88, 74, -0.2, 0.04, -0.001, 0.002), 180, 140, pose(-0.06, 0.03, [-0.2, 0.15, 0.0]))


def scene():
    depth, color = (torch.from_numpy(value).float() for value in render(*CURRENT))
    reference_depth, reference_color = (torch.from_numpy(value).float() for value in render(*REFERENCE))
    return depth, color, reference_depth, reference_color


def test_a_plane_through_two_lenses_is_predicted():
    depth, color, reference_depth, reference_color = scene()
    warped, valid = warp_view(
        reference_color, depth, reference_depth, current=view(*CURRENT), reference=view(*REFERENCE)
    )
    seen = valid[0] > 0
    inner = torch.zeros_like(seen)
    inner[2:-2, 2:-2] = True
    assert warped.shape == color.shape
    assert seen.float().mean() > 0.6
    # A shift of a tenth of a pixel would show as 5e-3.
    assert np.quantile((warped - color).abs()[:, seen & inner].numpy(), 0.99) < 3e-3
    assert not warped[:, ~seen].any()


def test_warping_to_itself_is_the_identity_up_to_float32():
    depth, color, _, _ = scene()
    same = view(*CURRENT)
    warped, valid = warp_view(color, depth, depth, current=same, reference=same)
    assert valid.all()
    assert (warped - color).abs().max() < 1e-4


@pytest.mark.parametrize("band_pixels", [1, 700, 10**9])
def test_the_result_does_not_depend_on_the_bands(band_pixels):
    depth, _, reference_depth, reference_color = scene()
    coarse = depth[::5, ::5].clone()
    coarse[3, 4] = 0
    arguments = {"current": view(*CURRENT), "reference": view(*REFERENCE)}
    expected = warp_view(reference_color, coarse, reference_depth, **arguments)
    warped, valid = warp_view(reference_color, coarse, reference_depth, band_pixels=band_pixels, **arguments)
    assert torch.equal(warped, expected[0])
    assert torch.equal(valid, expected[1])


@pytest.mark.parametrize("model", LENSES)
def test_what_is_compiled_is_flow_read_bicubically(model):
    """The formulas stand twice: for whole grids, devices and gradients in `flow`, for photographs in compiled loops."""
    lens = LENSES[model]
    current = view(lens, 100, 76, pose(0.05, -0.04, [0.1, 0.0, 0.2]), model)
    reference = view(lens, 100, 76, pose(-0.06, 0.03, [-0.2, 0.15, 0.0]), model)
    generator = torch.Generator().manual_seed(1)
    depth, hiding = (2 + torch.rand(12, 16, generator=generator) for _ in range(2))
    depth[3, 4], depth[8, 2], hiding[5, 5] = 0, torch.inf, 0
    arguments = {"current": current, "reference": reference, "reference_depth": hiding}
    field = flow_to_reference(depth, height=76, width=100, **arguments)
    # Of another resolution than the frame.
    picture = (torch.rand(3, 95, 130, generator=generator) * 255).to(torch.uint8)
    warped, valid = warp_view(picture, depth, **arguments)
    seen = valid[0] > 0
    assert 0.1 < seen.float().mean() < 0.9
    assert (seen != field.valid).sum() <= 2  # on the edge of a test either may be right
    both = (seen & field.valid).float()
    expected = (read_at(picture / 255, field, "bicubic").clamp(0, 1) - warped).abs() * both
    assert expected.max() < 2e-3
    assert warped.max() <= 1
    floats, _ = warp_view(picture / 255, depth, **arguments)
    assert torch.allclose(floats, warped, atol=1e-6)


def test_pixels_without_a_ray_show_nothing():
    # r (1 - 0.5 r^2) reaches 0.544 and no more: pixels farther out see nothing.
    folded = view((100.0, 100.0, 100.0, -0.5), 200, 200, model="SIMPLE_RADIAL")
    _, valid = warp_view(torch.rand(3, 200, 200), torch.ones(4, 4), current=folded, reference=folded)
    field = flow_to_reference(torch.ones(4, 4), current=folded, reference=folded, height=200, width=200)
    assert 0.1 < valid.mean() < 0.9
    # On a node there is a ray, though `flow` sees none for the sake of its neighbours.
    assert ((valid[0] > 0) != field.valid).float().mean() < 2e-3


@pytest.mark.parametrize("model", LENSES)
def test_cameras_and_depths_that_no_capture_has_show_nothing_wrong(model):
    """They come from files: whatever they are, compiled loops stay within their arrays."""
    rng = np.random.default_rng(0)

    def anywhere():
        rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0] * 10.0 ** rng.choice([0, 0, -20, 30])
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = rotation, rng.normal(size=3) * 10.0 ** rng.integers(-3, 42)
        return matrix

    for _ in range(30):
        bent = [value * 10.0 ** rng.integers(0, 25) if idx > 3 else value for idx, value in enumerate(LENSES[model])]
        current, reference = view(LENSES[model], 100, 76, anywhere(), model), view(bent, 100, 76, anywhere(), model)
        depth, hiding = (torch.from_numpy(10.0 ** rng.uniform(-38, 38, (8, 9))).float() for _ in range(2))
        picture = torch.rand(3, 76, 100)
        warped, valid = warp_view(picture, depth, hiding, current=current, reference=reference)
        assert torch.isfinite(warped).all()
        assert ((warped >= 0) & (warped <= 1)).all()
        assert ((valid == 0) | (valid == 1)).all()


def test_the_number_of_threads_changes_nothing():
    depth, _, reference_depth, reference_color = scene()
    threads, found = torch.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            warped, valid = warp_view(
                reference_color, depth, reference_depth, current=view(*CURRENT), reference=view(*REFERENCE)
            )
            found.append((warped, valid, fill_invalid(warped, valid)))
    finally:
        torch.set_num_threads(threads)
    for other in found[1:]:
        assert all(torch.equal(*pair) for pair in zip(found[0], other, strict=True))


def test_gradients_reach_what_is_valid():
    values = torch.rand(3, 9, 14, generator=torch.Generator().manual_seed(2)).requires_grad_()
    valid = torch.rand(1, 9, 14, generator=torch.Generator().manual_seed(3)) > 0.3
    filled = fill_invalid(values, valid)
    assert torch.equal(filled.detach(), fill_invalid(values.detach(), valid))
    filled.sum().backward()
    assert torch.equal(values.grad, valid.expand(3, -1, -1).float())


def test_misfits_are_refused():
    depth, color, _, _ = scene()
    same = view(*CURRENT)
    with pytest.raises(ShapeError, match="the picture to warp has shape"):
        warp_view(color[0], depth, current=same, reference=same)
    with pytest.raises(ShapeError, match="valid has shape"):
        fill_invalid(color, torch.ones(96, 128))


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 1), (17, 23), (64, 64)])
def test_filling_keeps_what_is_known_and_stays_within_its_range(size):
    generator = torch.Generator().manual_seed(3)
    values = torch.rand(3, *size, generator=generator) + 0.5
    valid = (torch.rand(1, *size, generator=generator) > 0.7).float()
    valid[0, 0, 0] = 1
    filled = fill_invalid(values * valid, valid)
    known = valid[0] > 0
    assert torch.equal(filled[:, known], values[:, known])
    assert filled.min() >= values[:, known].min() - 1e-5
    assert filled.max() <= values[:, known].max() + 1e-5


def test_a_constant_is_continued_exactly_and_a_ramp_smoothly():
    valid = torch.ones(1, 61, 83)
    valid[:, 20:45, 30:60] = 0
    constant = torch.full((2, 61, 83), 0.25)
    assert torch.allclose(fill_invalid(constant * valid, valid), constant, atol=1e-6)
    ramp = (torch.arange(83) / 83.0).expand(1, 61, 83)
    filled = fill_invalid(ramp * valid, valid)
    assert (filled - ramp).abs().max() < 0.2  # zero-filling would err by 0.7
    assert (filled[0, :, 1:] - filled[0, :, :-1]).abs().max() < 0.15  # no edge around the hole


def test_garbage_in_invalid_cells_is_not_read():
    values = torch.rand(3, 20, 20)
    valid = torch.ones(1, 20, 20)
    valid[0, 5:15, 5:15] = 0
    spoiled = torch.where(valid > 0, values, torch.nan)
    assert torch.equal(fill_invalid(spoiled, valid), fill_invalid(values, valid))


def test_nothing_known_gives_zero():
    assert torch.equal(fill_invalid(torch.rand(3, 9, 9), torch.zeros(1, 9, 9)), torch.zeros(3, 9, 9))
