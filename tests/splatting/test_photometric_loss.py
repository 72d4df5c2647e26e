"""Loss and gradient against float64 autograd, and the meaning of the mask."""

import numpy as np
import torch

from nerfstudio_mvc.splatting.photometric_loss import PhotometricLoss
from nerfstudio_mvc.splatting.workers import Workers


def reference_loss(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    taps = torch.exp(-((torch.arange(11).double() - 5) ** 2) / 4.5)
    taps = taps / taps.sum()
    kernel = (taps[:, None] * taps[None])[None, None].repeat(3, 1, 1, 1)

    def blur(t):
        return torch.nn.functional.conv2d(t.permute(2, 0, 1)[None], kernel, padding=5, groups=3)

    mx, my = blur(x), blur(y)
    xx, yy, xy = blur(x * x) - mx * mx, blur(y * y) - my * my, blur(x * y) - mx * my
    ssim = ((2 * mx * my + 1e-4) * (2 * xy + 9e-4)) / ((mx * mx + my * my + 1e-4) * (xx + yy + 9e-4))
    return 0.2 * (1 - ssim.mean()) + 0.8 * (x - y).abs().mean()


def make_pair(height: int = 30, width: int = 41):
    rng = np.random.default_rng(0)
    image = rng.uniform(0, 1, (height, width, 3)).astype(np.float32)
    target = np.clip(image + rng.normal(0, 0.1, image.shape), 0, 1).astype(np.float32)
    return image, target


def test_loss_and_gradient_equal_autograd():
    image, target = make_pair()
    x = torch.tensor(image).double().requires_grad_()
    expected = reference_loss(x, torch.tensor(target).double())
    expected.backward()
    with Workers(2) as workers:
        loss, gradient = PhotometricLoss(30, 41).gradient(image, target, np.ones((30, 41), np.float32), workers=workers)
    assert abs(loss - expected.item()) < 1e-6
    assert np.abs(gradient - x.grad.numpy()).max() < 1e-5 * np.abs(x.grad.numpy()).max()


def test_what_is_drawn_outside_the_photograph_does_not_matter():
    image, target = make_pair()
    mask = np.ones((30, 41), np.float32)
    mask[:, 25:] = 0
    other = image.copy()
    other[:, 25:] = 7.0
    with Workers(1) as workers:
        first = PhotometricLoss(30, 41).gradient(image, target * mask[:, :, None], mask, workers=workers)
        second = PhotometricLoss(30, 41).gradient(other, target * mask[:, :, None], mask, workers=workers)
    assert first[0] == second[0]
    assert np.array_equal(first[1], second[1])
    assert (first[1][:, 25:] == 0).all()


def test_frames_smaller_than_the_window():
    image, target = make_pair(3, 2)
    x = torch.tensor(image).double().requires_grad_()
    expected = reference_loss(x, torch.tensor(target).double())
    expected.backward()
    with Workers(1) as workers:
        loss, gradient = PhotometricLoss(3, 2).gradient(image, target, np.ones((3, 2), np.float32), workers=workers)
    assert abs(loss - expected.item()) < 1e-6
    assert np.abs(gradient - x.grad.numpy()).max() < 1e-5 * np.abs(x.grad.numpy()).max()
