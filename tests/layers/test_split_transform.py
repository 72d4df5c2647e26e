"""The rotation from one 16x16 transform to four 8x8 ones, against those transforms of the pixels themselves."""

import pytest
import torch
from scipy.fft import dctn

from nerfstudio_mvc.errors import ShapeError
from nerfstudio_mvc.layers.block_transform import BlockTransform, zigzag
from nerfstudio_mvc.layers.split_transform import split_rotation

LUMA, CHROMA = 256, 64


def test_rotation_keeps_lengths_and_leaves_colour_alone():
    rotation = split_rotation(LUMA, CHROMA)
    assert torch.allclose(rotation @ rotation.t(), torch.eye(LUMA + 2 * CHROMA), atol=1e-5)
    assert torch.equal(rotation[LUMA:, LUMA:], torch.eye(2 * CHROMA))
    assert not rotation[:LUMA, LUMA:].any()


def test_coefficients_become_those_of_the_quarters():
    picture = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0)) - 0.5
    whole = BlockTransform(LUMA, CHROMA).analyse(picture)[0, :, 0, 0]
    split = (split_rotation(LUMA, CHROMA) @ whole).detach()
    grey = picture[0].sum(0) / 3**0.5
    for top in (0, 1):
        for left in (0, 1):
            quarter = dctn(grey[8 * top : 8 * top + 8, 8 * left : 8 * left + 8].numpy(), norm="ortho")
            # Frequency f of half s has the place of frequency 2 f + s.
            places = [zigzag().index((2 * row + top, 2 * column + left)) for row in range(8) for column in range(8)]
            assert torch.allclose(split[places], torch.from_numpy(quarter).flatten(), atol=1e-5)


def test_blocks_without_all_frequencies_cannot_be_split():
    with pytest.raises(ShapeError, match="40 luma channels"):
        split_rotation(40, 8)
