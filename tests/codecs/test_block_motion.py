"""Block motion: moves what it says, is found where a reference lies beside the view, and comes back from its string."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from nerfstudio_mvc.codecs.lmvic.block_motion import (
    MOTION_LIMIT,
    STEPS_PER_PX,
    motion_grid,
    moved_reference,
    seen_beside,
)
from nerfstudio_mvc.codecs.lmvic.image_model import Reference
from nerfstudio_mvc.codecs.lmvic.luma import LUMA
from nerfstudio_mvc.codecs.lmvic.mode_choice import ERROR_WORTH, coding_bits
from nerfstudio_mvc.codecs.lmvic.motion_coding import decode_motion, encode_motion
from nerfstudio_mvc.codecs.lmvic.motion_costs import MotionCosts
from nerfstudio_mvc.codecs.lmvic.motion_search import find_motion
from nerfstudio_mvc.codecs.lmvic.plain_tables import plain_latent_tables
from nerfstudio_mvc.errors import ArchiveError

GRIDS = [(1, 1), (1, 2), (5, 1), (7, 9), (40, 61)]
TABLES = plain_latent_tables()


def pattern(height, width, *, down=0.0, across=0.0) -> torch.Tensor:
    """Smooth waves, as seen from a place moved by so many pixels. [1, 3, H, W]"""
    y, x = torch.arange(height)[:, None] + down, torch.arange(width)[None] + across
    waves = [torch.sin(0.31 * x + 0.17 * y), torch.sin(0.23 * y - 0.11 * x), torch.sin(0.4 * y + 0.37 * x)]
    return torch.stack([0.5 + 0.2 * (waves[k] + waves[(k + 1) % 3]) for k in range(3)])[None].clamp(0, 1)


def reference_of(picture) -> Reference:
    return Reference(picture, torch.ones_like(picture[:, :1]))


def patches(grid, *, seed=0):
    """Areas that move alike."""
    noise = gaussian_filter(np.random.default_rng(seed).standard_normal((2, *grid)), (0, 2, 2))
    return np.round(noise / max(np.abs(noise).max(), 1e-9) * 3).astype(np.int64)


def test_what_lies_beside_a_cell_is_shown_in_it():
    shown = reference_of(torch.rand(1, 3, 21, 37, generator=torch.Generator().manual_seed(0)))
    motion = np.zeros((2, *motion_grid(21, 37)), np.int64)
    motion[:, 1, 2] = (2 * STEPS_PER_PX, -3 * STEPS_PER_PX)
    moved = moved_reference(shown, motion).picture
    expected = shown.picture.clone()
    expected[..., 8:16, 16:24] = shown.picture[..., 10:18, 13:21]
    edges = torch.zeros(21, 37, dtype=torch.bool)
    edges[6:18, 14:26] = True
    edges[10:14, 18:22] = False
    assert torch.allclose(moved[..., ~edges], expected[..., ~edges], atol=1e-4)
    # A pixel at an edge has three eighths of what lies across.
    assert torch.allclose(
        moved[0, :, 12, 15], 0.625 * shown.picture[0, :, 12, 15] + 0.375 * shown.picture[0, :, 14, 12], atol=1e-4
    )


def test_fractions_lie_between_pixels():
    moved = moved_reference(reference_of(pattern(40, 48)), np.full((2, 5, 6), 3)).picture
    expected = pattern(40, 48, down=0.75, across=0.75)
    assert (moved - expected)[..., 4:-4, 4:-4].abs().max() < 0.02


def test_motion_of_parts_is_found_to_a_quarter_pixel():
    x = pattern(96, 160)
    shown = x.clone()
    shown[..., :80] = pattern(96, 160, down=-0.5, across=1.25)[..., :80]
    motion = find_motion(x, reference_of(shown), rd_lambda=0.2)
    left, right = motion[:, 1:-1, 1:9], motion[:, 1:-1, 11:-1]
    assert (left == np.array([2, -5])[:, None, None]).all()
    assert not right.any()


def test_costs_are_those_of_the_dct_of_what_is_left():
    x, shown = (torch.rand(1, 3, 20, 30, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    motion = np.random.default_rng(0).integers(-9, 10, (2, 3, 4))
    found = MotionCosts(x, shown, rd_lambda=0.05).of(torch.from_numpy(motion))
    place = torch.arange(8) + 0.5
    basis = torch.cos(torch.pi / 8 * place * torch.arange(8)[:, None]) / 2
    basis[0] /= 2**0.5
    own, source = (255 * torch.einsum("c,bchw->bhw", torch.tensor(LUMA), picture) for picture in (x, shown))
    own = torch.nn.functional.pad(own, (0, 2, 0, 4), mode="replicate")[0]
    for row, column in np.ndindex(3, 4):
        y, x_ = torch.arange(8)[:, None] + 8 * row, torch.arange(8) + 8 * column
        seen = seen_beside(source, y, x_, torch.from_numpy(motion[:, row, column])[:, None, None])[0]
        left = basis @ (own[y, x_] - seen) @ basis.T * (0.05 / ERROR_WORTH) ** 0.5
        assert float(found[row, column]) == pytest.approx(float(coding_bits(left.flatten())), rel=0.03)


def test_nothing_moves_where_nothing_is_gained():
    chance = torch.Generator().manual_seed(0)
    x = pattern(64, 96)
    noisy = (x + 0.002 * torch.randn(x.shape, generator=chance)).clamp(0, 1)
    assert not find_motion(x, reference_of(noisy), rd_lambda=0.032).any()


@pytest.mark.parametrize("size", [(8, 8), (7, 30), (70, 9)])
def test_small_pictures_are_searched(size):
    motion = find_motion(pattern(*size), reference_of(pattern(*size, down=1)), rd_lambda=0.1)
    assert motion.shape == (2, *motion_grid(*size))
    assert np.abs(motion).max() <= MOTION_LIMIT


@pytest.mark.parametrize("grid", GRIDS)
def test_motion_comes_back_exactly(grid):
    rng = np.random.default_rng(0)
    fields = [rng.integers(-MOTION_LIMIT, MOTION_LIMIT + 1, (2, *grid)) for _ in range(3)]
    fields += [np.full((2, *grid), step) for step in (0, -MOTION_LIMIT, MOTION_LIMIT)]
    fields += [patches(grid, seed=seed) for seed in range(3)]
    for motion in fields:
        again = decode_motion(encode_motion(motion[None], TABLES), 1, grid, TABLES)[0]
        assert again.dtype == np.int64
        assert np.array_equal(again, motion)


def test_references_move_apart_from_each_other():
    motion = np.stack([patches((9, 14), seed=seed) for seed in range(2)])
    assert np.array_equal(decode_motion(encode_motion(motion, TABLES), 2, (9, 14), TABLES), motion)


def test_areas_that_move_alike_take_little():
    halves = np.zeros((2, 40, 60), np.int64)
    halves[:, :, 30:] = 5
    assert len(encode_motion(np.full((1, 2, 40, 60), 7), TABLES)) <= 12
    assert len(encode_motion(halves[None], TABLES)) < 80
    assert len(encode_motion(patches((40, 60))[None], TABLES)) < 0.5 * 2 * 40 * 60 / 8 * np.log2(7)


def test_nonsense_is_refused():
    refused = 0
    for seed in range(40):
        payload = np.random.default_rng(seed).bytes(40)
        try:
            motion = decode_motion(payload, 2, (6, 8), TABLES)
        except ArchiveError:
            refused += 1
        else:
            assert np.abs(motion).max() <= MOTION_LIMIT
    assert refused > 10
