"""PSNR and MS-SSIM against their definitions."""

import math

import numpy as np
import pytest
import torch
from reference.ms_ssim_loop import ms_ssim_loop

from nerfstudio_mvc.errors import ShapeError
from nerfstudio_mvc.quality.ms_ssim import SMALLEST_SIDE, ms_ssim, ms_ssim_index
from nerfstudio_mvc.quality.psnr import psnr_db


def noisy_pair(height, width, strength=20, seed=0):
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    smooth = 128 + 60 * np.sin(rows / 17)[..., None] * np.cos(columns / 11)[..., None] * np.array([1, 0.8, -0.7])
    original = np.clip(smooth + rng.normal(0, 10, smooth.shape), 0, 255).astype(np.uint8)
    restored = np.clip(original + rng.normal(0, strength, smooth.shape), 0, 255).astype(np.uint8)
    return original, restored


def test_psnr_of_known_errors():
    original = np.zeros((4, 5, 3), np.uint8)
    assert psnr_db(original, original) == math.inf
    assert psnr_db(original, original + 255) == pytest.approx(0.0)
    assert psnr_db(original, original + 1) == pytest.approx(48.1308, abs=1e-4)
    one = original.copy()
    one[1, 2, 0] = 60
    assert psnr_db(original, one) == pytest.approx(10 * np.log10(255**2 / (3600 / 60)))


def test_psnr_does_not_wrap_around():
    dark, bright = np.full((3, 3, 3), 1, np.uint8), np.full((3, 3, 3), 255, np.uint8)
    assert psnr_db(dark, bright) == psnr_db(bright, dark) == pytest.approx(20 * np.log10(255 / 254))


@pytest.mark.parametrize("measure", [psnr_db, ms_ssim])
def test_what_cannot_be_compared(measure):
    original, restored = noisy_pair(170, 180)
    with pytest.raises(ShapeError, match="cannot be compared"):
        measure(original, restored[:-1])
    with pytest.raises(ShapeError, match="uint8"):
        measure(original, restored.astype(np.float32))
    with pytest.raises(ShapeError, match="cannot be compared"):
        measure(original[:0], restored[:0])


def test_ms_ssim_against_the_loop():
    original, restored = noisy_pair(161, 166)  # odd sizes at several scales
    expected = ms_ssim_loop(original[..., 1].astype(float), restored[..., 1].astype(float))
    gray = [np.repeat(image[..., 1:2], 3, axis=2) for image in (original, restored)]
    assert 0.5 < expected < 0.99
    # float32 variances of values up to 255
    assert ms_ssim(*gray) == pytest.approx(expected, abs=2e-5)


def test_ms_ssim_averages_channels():
    original, restored = noisy_pair(170, 180)
    channels = [
        ms_ssim(*[np.repeat(image[..., c : c + 1], 3, axis=2) for image in (original, restored)]) for c in range(3)
    ]
    assert ms_ssim(original, restored) == pytest.approx(np.mean(channels), abs=1e-6)


@pytest.mark.parametrize("band_pixels", [1, 3000])
def test_ms_ssim_does_not_depend_on_the_bands(monkeypatch, band_pixels):
    expected = ms_ssim(*noisy_pair(165, 180))
    monkeypatch.setattr("nerfstudio_mvc.quality.ms_ssim.BAND_PIXELS", band_pixels)
    assert ms_ssim(*noisy_pair(165, 180)) == pytest.approx(expected, abs=1e-5)


def test_ms_ssim_axioms():
    original, restored = noisy_pair(170, 180)
    worse = noisy_pair(170, 180, strength=60)[1]
    assert ms_ssim(original, original) == pytest.approx(1.0, abs=1e-6)
    assert ms_ssim(original, restored) == pytest.approx(ms_ssim(restored, original), abs=1e-6)
    assert ms_ssim(original, worse) < ms_ssim(original, restored) < 1
    assert ms_ssim(original, 255 - original) < 0.2


def test_the_smallest_side():
    ms_ssim(*noisy_pair(SMALLEST_SIDE, SMALLEST_SIDE))
    with pytest.raises(ShapeError, match="at least 161 pixels per side, the image has 200x160"):
        ms_ssim(*noisy_pair(160, 200))


def test_as_an_objective():
    pair = [torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255 for image in noisy_pair(170, 180)]
    x, x_hat = pair[0], pair[1].requires_grad_()
    value = ms_ssim_index(x, x_hat)
    assert value.shape == (1,)
    assert value.item() == pytest.approx(ms_ssim(*noisy_pair(170, 180)), abs=1e-5)
    value.sum().backward()
    assert x_hat.grad is not None
    better = ms_ssim_index(x, x_hat.detach() + 5 * x_hat.grad / x_hat.grad.norm())
    assert better > value
