"""Smaller grids must show things where they are: half a pixel there is half a pixel of depth that is coded wrong."""

import pytest
import torch

from nerfstudio_mvc.prediction.luma import luma_levels, reduced


@pytest.mark.parametrize(("width", "columns"), [(1008, 960), (1008, 480), (100, 47), (1000, 160)])
def test_a_smaller_grid_does_not_move_a_ramp(width, columns):
    ramp = (torch.arange(width) + 0.5).repeat(24, 1)
    places = (torch.arange(columns) + 0.5) * (width / columns)
    inside = slice(3, -3)
    found = reduced(ramp, height=12, width=columns)
    assert (found - places)[:, inside].abs().max() < 0.05


def test_luma_weighs_the_colours():
    red = torch.zeros(3, 8, 8)
    red[0] = 1
    assert torch.allclose(luma_levels(red, height=4, width=4), torch.full((4, 4), 0.299 * 255))
