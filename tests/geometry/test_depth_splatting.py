"""Depth carried into another view: right cells, right depth, nearest surface first."""

import numpy as np
import pytest
import torch
from reference.flow_loop import landing_loop
from reference.lenses import view
from reference.plane_scene import pose, render

from nerfstudio_mvc.errors import ShapeError
from nerfstudio_mvc.geometry.depth_splat import splat_depth

CURRENT = ((60, 62, 33, 22, -0.15, 0.05, 0.002, -0.003), 64, 48, pose(0.05, -0.04, [0.1, 0.0, 0.2]))
REFERENCE = ((85, 84, 44, 37, -0.2, 0.04, -0.001, 0.002), 90, 70, pose(-0.06, 0.03, [-0.2, 0.15, 0.0]))


def test_against_the_loop():
    depth = np.random.default_rng(4).uniform(3, 5, (18, 22))
    uv, z, valid = landing_loop(depth, REFERENCE, CURRENT, 18, 22)
    expected = np.zeros((12, 16))
    for i, j in zip(*np.nonzero(valid), strict=True):
        row, column = int(uv[i, j, 1] * 12 / 48), int(uv[i, j, 0] * 16 / 64)
        if expected[row, column] == 0 or z[i, j] < expected[row, column]:
            expected[row, column] = z[i, j]
    splat, mask = splat_depth(
        torch.from_numpy(depth), reference=view(*REFERENCE), current=view(*CURRENT), height=12, width=16
    )
    assert np.array_equal(mask.numpy(), expected > 0)
    assert np.abs(splat.numpy() - expected).max() < 1e-4


def test_a_plane_keeps_its_depth():
    depth, _ = render(*REFERENCE)
    splat, mask = splat_depth(
        torch.from_numpy(depth), reference=view(*REFERENCE), current=view(*CURRENT), height=24, width=32
    )
    exact = torch.from_numpy(render(*CURRENT, 24, 32)[0]).float()
    assert mask.float().mean() > 0.5
    # The mark lies up to half a cell from the centre, where the tilted plane is a little nearer.
    assert ((splat / exact - 1).abs()[mask]).max() < 0.02


def test_the_nearer_surface_hides_the_farther():
    here = view((50, 50, 32, 24), 64, 48, None, "PINHOLE")
    beside = view((50, 50, 32, 24), 64, 48, pose(0, 0, [0.4, 0, 0]), "PINHOLE")
    depth = torch.full((48, 64), 10.0)
    depth[:, 20:30] = 2.0
    splat, mask = splat_depth(depth, reference=here, current=beside, height=48, width=64)
    assert torch.equal(splat[:, 30:40], torch.full((48, 10), 2.0))  # moved by 10 pixels, over what moved by 2
    assert not mask[:, 22:30].any()  # uncovered by the near surface, seen by no one
    assert torch.equal(splat[:, 40:], torch.full((48, 24), 10.0))


def test_missing_depth_marks_nothing():
    here = view((50, 50, 32, 24), 64, 48, None, "PINHOLE")
    splat, mask = splat_depth(torch.zeros(6, 8), reference=here, current=here, height=6, width=8)
    assert not mask.any()
    assert not splat.any()
    with pytest.raises(ShapeError, match="at least one cell"):
        splat_depth(torch.ones(6, 8), reference=here, current=here, height=0, width=8)
