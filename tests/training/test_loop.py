"""The training loop: learns, resumes as if it had never stopped, starts from float weights."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_lmvic import CONFIG

from nerfstudio_mvc.codecs.lmvic.learned.image_model import ImageModel
from nerfstudio_mvc.errors import WeightsError
from nerfstudio_mvc.training.loop import RATE_SHARES, Recipe, Trainer, part_of
from nerfstudio_mvc.training.pictures import Pictures
from nerfstudio_mvc.training.warped_views import WarpedViews

RECIPE = Recipe(batch_single=1, batch_predicted=1, crop_px=64, learning_rate=1e-3, bfloat16=False)


def make_trainer(folder: Path) -> Trainer:
    rng = np.random.default_rng(0)
    smooth = np.clip(rng.normal(0, 8, (120, 130, 3)).cumsum(0).cumsum(1) / 60 + 128, 0, 255).astype(np.uint8)
    Image.fromarray(smooth).save(folder / "photograph.png")
    valid = np.full((120, 130, 2), 255, np.uint8)
    valid[:30] = 0
    np.save(folder / "0000.npy", np.concatenate([smooth, smooth, np.roll(smooth, 1, 1), valid], 2))
    torch.manual_seed(0)
    pictures = Pictures([folder / "photograph.png"], cache=folder / "cache")
    return Trainer(ImageModel(CONFIG), pictures, WarpedViews([folder / "0000.npy"]), RECIPE)


def weights_of(trainer: Trainer) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in trainer.model.parameters()])


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path):
    straight = make_trainer(tmp_path)
    for _ in range(4):
        straight.train_step()
    first = make_trainer(tmp_path)
    for _ in range(2):
        first.train_step()
    first.save(tmp_path / "checkpoint.pt")
    second = make_trainer(tmp_path)
    second.load(tmp_path / "checkpoint.pt")
    for _ in range(2):
        second.train_step()
    assert second.step == straight.step == 4
    assert torch.equal(weights_of(second), weights_of(straight))


def test_loss_falls(tmp_path):
    trainer = make_trainer(tmp_path)
    losses = [trainer.train_step()[0] for _ in range(40)]
    assert np.mean(losses[-10:]) < 0.95 * np.mean(losses[:10])


def test_every_parameter_learns_at_some_rate(tmp_path):
    trainer = make_trainer(tmp_path)
    groups = [group for optimizer in trainer.optimizers.values() for group in optimizer.param_groups]
    grouped = [id(parameter) for group in groups for parameter in group["params"]]
    names, parameters = zip(*trainer.model.named_parameters(), strict=True)
    assert sorted(grouped) == sorted(map(id, parameters))  # each once
    assert {part_of(name) for name in names} == set(RATE_SHARES)


def test_float_weights_start_another_run(tmp_path):
    trainer = make_trainer(tmp_path)
    trainer.train_step()
    trainer.save_weights(tmp_path / "float.safetensors")
    other = make_trainer(tmp_path)
    other.start_from(tmp_path / "float.safetensors")
    assert torch.allclose(weights_of(other), weights_of(trainer), rtol=1e-3, atol=1e-6)
    (tmp_path / "noise.safetensors").write_bytes(b"0" * 100)
    for name in ("noise.safetensors", "missing.safetensors"):
        with pytest.raises(WeightsError, match="cannot start training"):
            other.start_from(tmp_path / name)
