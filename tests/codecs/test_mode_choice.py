"""Which mode the encoder chooses for positions that leave no doubt."""

import pytest
import torch

from nerfstudio_mvc.codecs.lmvic.learned.mode_choice import choose_modes
from nerfstudio_mvc.layers.block_transform import BlockTransform
from nerfstudio_mvc.layers.split_transform import split_rotation

STEP = 0.05
"""Of the quantiser, for pixels 0..1."""


def modes_of(block, *, may_keep=None):
    """Modes of one block of grey pixels [16, 16], as its distance from what predicts it."""
    whole = BlockTransform(256, 64).analyse(block.expand(1, 3, 16, 16))[0, :, 0, 0].detach() / STEP
    split = split_rotation(256, 64) @ whole
    seen = None if may_keep is None else torch.tensor(may_keep)
    modes = choose_modes(whole, split, may_keep=seen)
    return bool(modes.split), bool(modes.kept)


def waves(*, cycles, size):
    return 0.4 * torch.cos(2 * torch.pi * cycles * (torch.arange(size) + 0.5) / size).expand(size, size)


@pytest.fixture
def corner():
    """A texture that fills a quarter of the block."""
    block = torch.zeros(16, 16)
    block[:8, 8:] = waves(cycles=2, size=8)
    return block


def test_a_texture_across_the_block_is_left_whole():
    assert modes_of(waves(cycles=1.5, size=16)) == (False, False)


def test_a_texture_in_a_corner_is_split(corner):
    assert modes_of(corner) == (True, False)
    assert modes_of(corner, may_keep=True) == (True, False)


def test_nothing_is_coded_where_the_reference_is_near_enough(corner):
    assert modes_of(0.1 * STEP * corner, may_keep=True) == (False, True)
    assert modes_of(torch.zeros(16, 16), may_keep=True) == (False, True)


def test_what_the_reference_does_not_show_is_never_kept(corner):
    assert modes_of(torch.zeros(16, 16), may_keep=False) == (False, False)
    assert modes_of(corner, may_keep=False) == (True, False)
