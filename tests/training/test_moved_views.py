"""Photographs beside themselves, moved: well aligned where they fit, reproducible, mixed with other sources."""

import numpy as np
import torch
from torch.nn import functional as F

from nerfstudio_mvc.training.moved_views import MixedViews, MovedViews, moved_copy, smooth_noise

CROP = 96


class SmoothPictures:
    def batch(self, count, crop_px, rng):
        grid = torch.from_numpy(rng.random((count, 3, 8, 8), dtype=np.float32))
        return F.interpolate(grid, size=(crop_px, crop_px), mode="bicubic").clamp(0, 1)


class NumberedViews:
    """Views, neighbours and validity all of one value."""

    def __init__(self, value):
        self.value = value

    def batch(self, count, crop_px, rng):
        shape = (count, 3, crop_px, crop_px)
        return (
            torch.full(shape, self.value),
            torch.full((2, *shape), self.value),
            torch.full((2, count, 1, crop_px, crop_px), self.value),
        )


def test_copies_fit_where_they_are_valid_and_differ():
    views, copies, valid = MovedViews(SmoothPictures()).batch(6, CROP, np.random.default_rng(0))
    assert views.shape == (6, 3, CROP, CROP)
    assert copies.shape == (2, 6, 3, CROP, CROP)
    assert valid.shape == (2, 6, 1, CROP, CROP)
    assert set(valid.unique().tolist()) == {0.0, 1.0}
    assert valid.mean() > 0.5
    error = (copies - views).square().mean((2, 3, 4))
    shifted = (views[..., 8:] - views[..., :-8]).square().mean()
    assert error.mean() < 0.2 * shifted
    assert error.min() > 0
    assert not torch.equal(copies[0], copies[1])


def test_the_same_seed_moves_alike():
    picture = SmoothPictures().batch(1, CROP, np.random.default_rng(1))[0]
    first, again = (moved_copy(picture, np.random.default_rng(5)) for _ in range(2))
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))


def test_noise_varies_over_its_cells_and_hardly_within():
    noise = smooth_noise(2, 200, 170, 32, np.random.default_rng(0))
    assert noise.shape == (2, 200, 170)
    assert 0.4 < noise.std() < 1.2
    assert (noise[..., 1:] - noise[..., :-1]).abs().mean() < 0.1 * noise.std()


def test_a_mix_draws_whole_views_from_every_source():
    mixed = MixedViews([NumberedViews(0.25), NumberedViews(0.75)])
    rng, seen = np.random.default_rng(0), set()
    for _ in range(8):
        views, neighbours, valid = mixed.batch(3, 16, rng)
        assert views.shape == (3, 3, 16, 16)
        for index, view in enumerate(views):
            value = float(view.mean())
            assert (neighbours[:, index] == value).all()
            assert (valid[:, index] == value).all()
            seen.add(value)
    assert seen == {0.25, 0.75}
