"""Residual flow: found where geometry is wrong, nothing where it is right, the same from its string."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_lmvic import plane_views, tiny_codec

from nerfstudio_mvc.codecs.lmvic.correction_strings import decode_flow, encode_flow
from nerfstudio_mvc.codecs.lmvic.depth_refinement import SeenView
from nerfstudio_mvc.codecs.lmvic.flow_search import find_residual_flow
from nerfstudio_mvc.codecs.lmvic.reference_pictures import DecodedView, to_picture, warped_references
from nerfstudio_mvc.codecs.lmvic.residual_flow import STEPS_PER_PX, flow_grid
from nerfstudio_mvc.errors import ArchiveError

DEPTH = torch.full((12, 16), 4.0)


@pytest.fixture(scope="module")
def tables():
    return tiny_codec().tables.latent


@pytest.fixture(scope="module")
def pair():
    """The plane and its neighbour; what the second shows is 2 pixels lower than its camera says."""
    first, second = plane_views(2, height=128, width=192)
    # Smooth enough that a step of the search sees where to go.
    pixels = [torch.nn.functional.avg_pool2d(to_picture(s.pixels, "cpu"), 9, 1, 4) for s in (first, second)]
    return first.view, second.view, pixels[0], pixels[1]


def search(current, reference, x, shown, worth=50.0):
    seen = SeenView(reference, shown[0], None)
    return find_residual_flow(DEPTH, current=current, pixels=x[0], reference=seen, bits_per_grey_level=worth)


def test_true_geometry_needs_no_correction(pair):
    first, second, x_first, x_second = pair
    offsets, _ = search(second, first, x_second, x_first)
    # At the rim the smoothed photographs themselves differ.
    assert np.abs(offsets[:, 1:-1, 1:-1]).max() <= 1  # a quarter pixel


def test_a_wrong_pose_is_corrected_and_the_warp_becomes_right(pair):
    first, second, x_first, x_second = pair
    shifted = torch.roll(x_first, 2, dims=-2)
    offsets, saved = search(second, first, x_second, shifted)
    inside = offsets[:, 1:-1, 2:-1]
    assert abs(np.median(inside[1]) - 2 * STEPS_PER_PX) <= 1
    assert abs(np.median(inside[0])) <= 1
    assert saved > 1000
    errors = [
        (warped_references(second, DEPTH, [DecodedView(first, shifted, None)], flow)[0].picture - x_second)[
            ..., 16:-16, 40:-16
        ]
        .square()
        .mean()
        for flow in (None, offsets[None])
    ]
    assert errors[1] < 0.2 * errors[0]


def test_nothing_is_coded_where_the_picture_saves_nothing(pair):
    first, second, x_first, x_second = pair
    offsets, _ = search(second, first, x_second, torch.roll(x_first, 2, dims=-2), worth=0.0)
    assert not offsets.any()


def test_strings_bring_it_back(tables, pair):
    view = replace(pair[0])
    rng = np.random.default_rng(0)
    offsets = rng.integers(-20, 21, (2, 2, *flow_grid(view.height, view.width)))
    assert np.array_equal(decode_flow(encode_flow(offsets, tables), 2, view=view, tables=tables), offsets)


def test_nonsense_is_refused(tables, pair):
    with pytest.raises(ArchiveError):
        for seed in range(20):
            payload = np.random.default_rng(seed).bytes(40)
            decode_flow(payload, 2, view=pair[0], tables=tables)
