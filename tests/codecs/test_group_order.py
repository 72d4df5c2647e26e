"""Order within a group: between two others last, everything once, neighbours in turn where nothing lies between."""

from dataclasses import replace

import numpy as np
import pytest
from tiny_lmvic import plane_views

from nerfstudio_mvc.prediction.group_order import order_within_group


def views_at(positions):
    view = plane_views()[0].view
    found = []
    for across in positions:
        pose = view.cam_from_world.copy()
        pose[:3, 3] = [-across, 0.0, 1.0]
        found.append(replace(view, cam_from_world=pose))
    return found


@pytest.mark.parametrize(
    ("positions", "expected"),
    [
        ([0.0], [0]),
        ([0, 1], [0, 1]),
        ([0, 1, 2], [0, 2, 1]),
        ([0, 1, 2, 3], [0, 2, 1, 3]),
        ([0, 1, 2, 3, 4], [0, 2, 1, 4, 3]),
        ([0, 1, 0.5, 1.5], [0, 1, 2, 3]),
        ([0, 1, 9, 10], [0, 1, 2, 3]),
    ],
)
def test_a_view_between_two_others_is_coded_after_both(positions, expected):
    assert order_within_group(views_at(positions)) == expected


def test_every_view_is_coded_once():
    chance = np.random.default_rng(4)
    for count in range(1, 12):
        assert sorted(order_within_group(views_at(chance.normal(size=count)))) == list(range(count))
