"""Training what restores AV1's pictures: it learns, goes on where it was, and its weights code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from small_captures import write_nerfstudio_capture

from nerfstudio_mvc import compress_capture, decompress_archive
from nerfstudio_mvc.errors import CaptureError, WeightsError
from nerfstudio_mvc.restoration.network import RestorationConfig, RestorationNet, error_unit
from nerfstudio_mvc.training.coded_pictures import CodedPictures, PicturesOnDevice
from nerfstudio_mvc.training.restoration_run import RestorationRecipe, RestorationTrainer, train_restoration
from nerfstudio_mvc.training.run import TrainingData
from nerfstudio_mvc.video.libaom import has_libaom

RECIPE = RestorationRecipe(minutes=1e-6, batch=2, crop_px=32, learning_rate=3e-3)
needs_av1 = pytest.mark.skipif(not has_libaom(), reason="there is no libaom")


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A picture that its reference is half of the way to, of quality 5."""
    rng = np.random.default_rng(0)
    decoded = rng.integers(60, 190, (48, 56, 3))
    reference = decoded + rng.integers(-12, 13, decoded.shape)
    photograph = (decoded + reference) // 2
    layers = [photograph, decoded, reference, np.full((48, 56, 1), 255)]
    path = tmp_path / "view_00000_080.npy"
    np.save(path, np.concatenate(layers, 2).astype(np.uint8))
    return path


def trainer(stored: Path) -> RestorationTrainer:
    torch.manual_seed(0)
    net = RestorationNet(RestorationConfig(widths=(8, 8), blocks=(1, 1)))
    made = RestorationTrainer(net, CodedPictures([stored]), RECIPE)
    made.bfloat16 = False
    return made


def test_it_learns_what_a_reference_tells(stored):
    training = trainer(stored)
    training.set_part(0.2, 1000)
    losses = [training.train_step()[0] for _ in range(150)]
    assert losses[0] == pytest.approx(1, abs=0.15)
    assert np.mean(losses[-10:]) < 0.6


def test_crops_keep_their_layers_together(stored):
    crops, units, errors = CodedPictures([stored]).batch(4, 32, np.random.default_rng(1))
    assert crops.shape == (4, 10, 32, 32)
    photograph, decoded, reference = crops[:, :3] * 255, crops[:, 3:6] * 255, crops[:, 6:9] * 255
    assert torch.equal(photograph.round(), torch.floor((decoded.round() + reference.round()) / 2))
    assert units.tolist() == pytest.approx([error_unit(5.0)] * 4)
    assert errors.tolist() == pytest.approx([13.5 / 255**2] * 4, rel=0.2)


def test_crops_from_memory_are_those_of_the_pictures(stored):
    wide = np.random.default_rng(2).integers(0, 256, (40, 70, 10)).astype(np.uint8)
    np.save(stored.with_name("still_00000_048.npy"), wide)
    paths = [stored, stored.with_name("still_00000_048.npy")]
    arrays = [np.load(path) for path in paths]
    pictures = PicturesOnDevice(paths, "cpu")
    crops, units, errors = pictures.batch(60, 32, np.random.default_rng(0))
    assert crops.shape == (60, 10, 32, 32)
    ways = set()
    for crop, unit, error in zip((crops * 255).round().byte().permute(0, 2, 3, 1).numpy(), units, errors, strict=True):
        which = int(unit > error_unit(4.0))
        assert float(error) == pytest.approx(CodedPictures([paths[which]])._errors[0], rel=1e-5)
        found = [
            (which, *flips, turned)
            for flips in ((1, 1), (1, -1), (-1, 1), (-1, -1))
            for turned in (False, True)
            if lies_in(arrays[which], straightened(crop, *flips, turned=turned))
        ]
        assert len(found) == 1
        ways.update(found)
    assert len(ways) == 16  # both pictures in all positions


def straightened(crop: np.ndarray, down: int, across: int, *, turned: bool) -> np.ndarray:
    return (crop.transpose(1, 0, 2) if turned else crop)[::down, ::across]


def lies_in(array: np.ndarray, crop: np.ndarray) -> bool:
    size = len(crop)
    starts = np.argwhere((array[: len(array) - size + 1, : array.shape[1] - size + 1] == crop[0, 0]).all(-1))
    return any(np.array_equal(array[top : top + size, left : left + size], crop) for top, left in starts)


def test_a_run_goes_on_where_it_was(stored, tmp_path):
    first, second = trainer(stored), trainer(stored)
    first.train_step()
    first.save(tmp_path / "checkpoint.pt")
    second.load(tmp_path / "checkpoint.pt")
    assert np.array_equal(first.train_step(), second.train_step(), equal_nan=True)
    for own, other in ((first.model, second.model), (first.average, second.average)):
        assert all(torch.equal(own.state_dict()[name], value) for name, value in other.state_dict().items())
    first.save_weights(tmp_path / "weights.safetensors")
    second.start_from(tmp_path / "weights.safetensors")
    with pytest.raises(WeightsError):
        second.start_from(stored)


@needs_av1
def test_from_photographs_to_weights_that_code(tmp_path):
    capture = write_nerfstudio_capture(tmp_path / "capture", views=3, size=(96, 80))
    still = write_nerfstudio_capture(tmp_path / "still", views=1, size=(70, 50)) / "images"
    data = TrainingData((capture,), (still,), depth="sparse")
    report = train_restoration(data, tmp_path / "run", RECIPE)
    again = train_restoration(data, tmp_path / "run", RECIPE)
    assert again.steps >= report.steps  # found its checkpoint
    coded = sorted(path.name for path in (tmp_path / "run" / "coded").rglob("*.npy"))
    assert len(coded) == 4
    compress_capture(capture, tmp_path / "a.mvc", weights=again.weights, codec="lmvic", depth="none", quality=4)
    restored = decompress_archive(tmp_path / "a.mvc", tmp_path / "out", weights=again.weights)
    assert not restored.differing_views
    with pytest.raises(CaptureError, match="--crop-px"):
        train_restoration(data, tmp_path / "run", RestorationRecipe(minutes=1e-6, crop_px=256))
