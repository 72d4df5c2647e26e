"""What training minimises, and what it pretends a neighbour looks like."""

import numpy as np
import pytest
import torch

from nerfstudio_mvc.codecs.lmvic.learned.image_model import ImageModel
from nerfstudio_mvc.training.objective import DecodedLook, image_error, rate_distortion


def photograph() -> torch.Tensor:
    rng = np.random.default_rng(3)
    smooth = rng.normal(0, 6, (128, 128)).cumsum(0).cumsum(1) / 400 + 0.5
    grey = torch.from_numpy(smooth + rng.normal(0, 0.02, smooth.shape)).float().clamp(0.1, 0.9)
    return grey.repeat(1, 3, 1, 1)


def psnr_of_look(model: ImageModel, quality: float) -> float:
    picture = photograph()
    torch.manual_seed(0)  # where the blocks lie
    look = DecodedLook(model)(picture, torch.tensor(quality))
    return -10 * float(torch.log10((look - picture).pow(2).mean()))


def test_a_better_quality_looks_better():
    model = ImageModel()
    assert psnr_of_look(model, 1) + 3 < psnr_of_look(model, 4) < psnr_of_look(model, 8) - 3


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_the_look_does_not_depend_on_what_the_transform_has_learned(factor):
    """The model's linear transforms alone do not give a picture back; references made with them misled training."""
    model, other = ImageModel(), ImageModel()
    with torch.no_grad():
        other.transform.analysis.mul_(factor)
        other.log_gain.add_(0.7)
    assert psnr_of_look(other, 5) == psnr_of_look(model, 5)


def test_blocks_of_the_look_lie_anywhere():
    """Those of a neighbour did before it was warped; on the view's own grid they would be too good to be true."""
    look, picture = DecodedLook(ImageModel()), photograph()
    looks = []
    for seed in range(4):
        torch.manual_seed(seed)
        looks.append(look(picture, torch.tensor(3.0)))
    assert all(shown.shape == picture.shape for shown in looks)
    assert len({float(shown.sum()) for shown in looks}) == 4


def test_ms_ssim_forgives_a_shift_in_brightness_and_the_mse_does_not():
    torch.manual_seed(0)
    picture = photograph().repeat(1, 1, 2, 2)
    noisy, brighter = picture + 0.03 * torch.randn_like(picture), picture + 0.03
    mse = [float(image_error(picture, shown, distortion="mse")) for shown in (noisy, brighter)]
    structure = [float(image_error(picture, shown, distortion="ms-ssim")) for shown in (noisy, brighter)]
    assert mse[0] == pytest.approx(mse[1], rel=0.05)
    assert structure[1] < 0.1 * structure[0]


def test_training_for_ms_ssim_still_reports_the_mse():
    model, picture, losses = ImageModel(), photograph().repeat(1, 1, 2, 2), []
    for distortion in ("mse", "ms-ssim"):
        torch.manual_seed(0)
        losses.append(rate_distortion(model, picture, None, torch.tensor(4.0), distortion=distortion))
    assert losses[0].mse.item() == pytest.approx(losses[1].mse.item(), rel=1e-6)
    assert losses[0].estimated_bpp.item() == losses[1].estimated_bpp.item()
    assert losses[0].loss.item() != losses[1].loss.item()
    losses[1].loss.backward()
    assert float(model.log_gain.grad.abs().sum()) > 0
