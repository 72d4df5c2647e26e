"""Warping photographs and features: exact on an analytic plane, independent of bands, differentiable; filling holes."""

import numpy as np
import pytest
import torch
from reference.lenses import view
from reference.plane_scene import pose, render

from nerfstudio_mvc.errors import ShapeError
from nerfstudio_mvc.geometry.flow import FlowField, flow_to_reference
from nerfstudio_mvc.geometry.hole_filling import fill_invalid
from nerfstudio_mvc.geometry.warping import warp, warp_view

CURRENT = ((120, 124, 66, 44, -0.15, 0.05, 0.002, -0.003), 128, 96, pose(0.05, -0.04, [0.1, 0.0, 0.2]))
REFERENCE = ((170, 168, 88, 74, -0.2, 0.04, -0.001, 0.002), 180, 140, pose(-0.06, 0.03, [-0.2, 0.15, 0.0]))


def scene():
    depth, color = (torch.from_numpy(value).float() for value in render(*CURRENT))
    reference_depth, reference_color = (torch.from_numpy(value).float() for value in render(*REFERENCE))
    return depth, color, reference_depth, reference_color


@pytest.mark.parametrize(("interpolation", "tolerance"), [("bilinear", 2e-3), ("bicubic", 3e-3)])
def test_a_plane_through_two_lenses_is_predicted(interpolation, tolerance):
    depth, color, reference_depth, reference_color = scene()
    warped, valid = warp_view(
        reference_color,
        depth,
        reference_depth,
        current=view(*CURRENT),
        reference=view(*REFERENCE),
        interpolation=interpolation,
    )
    seen = valid[0] > 0
    inner = torch.zeros_like(seen)
    inner[2:-2, 2:-2] = True
    assert warped.shape == color.shape
    assert seen.float().mean() > 0.6
    # A shift of a tenth of a pixel would show as 5e-3.
    assert np.quantile((warped - color).abs()[:, seen & inner].numpy(), 0.99) < tolerance
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


def test_warp_view_is_flow_then_warp():
    depth, _, reference_depth, reference_color = scene()
    arguments = {"current": view(*CURRENT), "reference": view(*REFERENCE)}
    field = flow_to_reference(depth, reference_depth=reference_depth, **arguments)
    expected, valid = warp_view(reference_color, depth, reference_depth, **arguments)
    assert torch.equal(field.valid, valid[0] > 0)
    # reference_size is rounded to whole cells, positions agree to float32
    assert torch.allclose(warp(reference_color, field), expected, atol=1e-3)


def test_features_of_any_resolution_land_at_the_same_place():
    depth, _, _, _ = scene()
    field = flow_to_reference(depth, current=view(*CURRENT), reference=view(*REFERENCE), height=24, width=32)
    rows, columns = 35, 45
    ramp = torch.stack([(torch.arange(columns) + 0.5).expand(rows, columns) / columns])
    warped = warp(ramp, field)[0]
    across = (field.flow[0] + torch.arange(32) + 0.5) / field.reference_size[1]
    inside = field.valid & (across > 1 / columns) & (across < 1 - 1 / columns)
    assert inside.float().mean() > 0.5
    assert (warped - across).abs()[inside].max() < 1e-4


def test_gradients_reach_the_image_and_only_where_it_is_read():
    depth, _, _, reference_color = scene()
    field = flow_to_reference(depth, current=view(*CURRENT), reference=view(*REFERENCE))
    image = reference_color.clone().requires_grad_()
    warp(image, field).sum().backward()
    assert image.grad is not None
    assert image.grad[0].sum().item() == pytest.approx(field.valid.sum().item(), rel=1e-4)


def test_with_a_gradient_the_image_is_one_picture_and_without_one_the_values_are_the_same(monkeypatch):
    torch.manual_seed(2)
    field = FlowField(torch.rand(2, 9, 14) * 4 - 2, torch.rand(9, 14) > 0.2, torch.ones(9, 14), (9, 14))
    seen, grid_sample = [], torch.nn.functional.grid_sample

    def watched(pictures, *arguments, **options):
        seen.append(len(pictures))  # a gradient is made for each of them
        return grid_sample(pictures, *arguments, **options)

    monkeypatch.setattr(torch.nn.functional, "grid_sample", watched)
    image = torch.rand(5, 9, 14, requires_grad=True)
    assert torch.equal(warp(image, field), warp(image.detach(), field))
    assert seen == [1, 9]


def test_misfits_are_refused():
    depth, color, _, _ = scene()
    same = view(*CURRENT)
    with pytest.raises(ShapeError, match="the map to warp has shape"):
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
