"""Training the paper's model: runs of views that belong together, the paper's weights, a weights file that codes."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_captures import write_nerfstudio_capture
from tiny_lmvic import plane_views
from tiny_paper import TINY, tiny_model
from tiny_parahydra import TINY as TINY_PARAHYDRA

from nerfstudio_mvc import compress_capture, decompress_archive
from nerfstudio_mvc.capture.views import Capture
from nerfstudio_mvc.cli.train import LMVIC_ABLATIONS, PARAHYDRA_ABLATIONS
from nerfstudio_mvc.codecs.lmvic.paper.config import PaperConfig
from nerfstudio_mvc.codecs.parahydra.paper.config import ParaHydraConfig
from nerfstudio_mvc.codecs.parahydra.paper.model import ParaHydraModel
from nerfstudio_mvc.errors import CaptureError
from nerfstudio_mvc.splatting.depth_map import DepthMap
from nerfstudio_mvc.training import paper_run, parahydra_run
from nerfstudio_mvc.training.paper_objective import VIEW_WEIGHTS, at_quality, sequence_loss
from nerfstudio_mvc.training.pictures import Pictures
from nerfstudio_mvc.training.run import TrainingData
from nerfstudio_mvc.training.view_sequences import ViewSequences

CONFIG = PaperConfig(**TINY)
RECIPE = paper_run.PaperRecipe(minutes=1e-6, batch=1, length=2, crop_px=48)


@pytest.fixture
def sequences(tmp_path: Path) -> ViewSequences:
    views, depths = [], []
    for idx, source in enumerate(plane_views(4, height=96, width=140)):
        path = tmp_path / f"{idx}.png"
        Image.fromarray(source.pixels).save(path)
        views.append(replace(source.view, image_path=path))
        depths.append(DepthMap(source.depth, source.depth_valid))
    capture = Capture(tmp_path, "nerfstudio", tuple(views), np.zeros((0, 3)), np.zeros((0, 3), np.uint8))
    return ViewSequences([(capture, depths)], pictures=Pictures([], cache=tmp_path / "c"), length=3, crop_px=48)


def test_crops_of_a_run_show_the_same_part_of_the_scene(sequences):
    assert len(sequences) == 1
    for seed in range(3):
        run = sequences.draw(np.random.default_rng(seed))
        assert len(run) == 3
        for before, after in itertools.pairwise(run):
            # The plane slides by four pixels a view; the window follows, so the pictures agree but for its rounding.
            assert (before.picture - after.picture).abs().median() < 1e-6
            assert after.geometry.views[0].camera.params[2] != before.geometry.views[0].camera.params[2]
            assert after.geometry.depth_unit == before.geometry.depth_unit
        assert run[0].picture.shape == (1, 3, 48, 48)
        assert run[0].depth.shape == (1, 1, 48, 48)


def test_loss_weighs_distortions_of_the_views_and_not_their_rates(sequences):
    run = sequences.draw(np.random.default_rng(0))
    model, quality = tiny_model(), torch.tensor(6.0)
    with torch.no_grad():
        found = sequence_loss(model, run, quality)
        expected, state = 0.0, None
        for weight, view in zip(VIEW_WEIGHTS, run, strict=False):
            result = model(view.picture, view.depth, geometry=view.geometry, reference=state, quality=quality)
            state = result["state"]
            bits = -sum(values.log2().sum() for values in result["likelihoods"].values())
            error = (result["x_hat"] - view.picture).square().mean()
            depth_error = (result["depth_hat"] - view.depth / view.geometry.depth_unit).square().mean()
            expected += bits / 48**2 + weight * (4096 * error + 64 * 2 * depth_error)
    assert float(found.loss) == pytest.approx(float(expected) / 3, rel=1e-4)


def test_known_pairs_of_lambdas_are_among_the_qualities():
    config = PaperConfig()
    for quality, pair in ((2.0, (256, 64)), (6.0, (4096, 128))):
        found = (at_quality(values, torch.tensor(quality)) for values in (config.rd_lambdas, config.depth_rd_lambdas))
        assert [float(value) for value in found] == pytest.approx(pair, rel=1e-5)


def test_a_resumed_run_equals_an_uninterrupted_one(sequences, tmp_path):
    def trainer():
        torch.manual_seed(0)
        return paper_run.PaperTrainer(paper_run.PaperModel(CONFIG), sequences, RECIPE)

    straight, first, second = trainer(), trainer(), trainer()
    before = torch.cat([parameter.detach().flatten() for parameter in straight.model.parameters()])
    for _ in range(2):
        straight.train_step()
    first.train_step()
    first.save(tmp_path / "checkpoint.pt")
    second.load(tmp_path / "checkpoint.pt")
    second.train_step()
    after, again = (
        torch.cat([parameter.detach().flatten() for parameter in one.model.parameters()]) for one in (straight, second)
    )
    assert torch.equal(after, again)
    assert not torch.equal(after, before)


def planes(loaded, **_):
    maps = tuple(DepthMap(np.full((20, 24), 3.0, np.float32), np.ones((20, 24), bool)) for _ in loaded.views)
    return type("Prior", (), {"maps": maps})


def test_trains_exports_and_codes_a_capture(tmp_path: Path, monkeypatch) -> None:
    capture = write_nerfstudio_capture(tmp_path / "capture", views=3, size=(96, 80))

    monkeypatch.setattr(paper_run, "estimate_depth", planes)
    data = TrainingData((capture,), depth="sparse")
    report = paper_run.train_paper(data, tmp_path / "run", RECIPE, config=CONFIG, ablation="no-mask")
    again = paper_run.train_paper(data, tmp_path / "run", RECIPE, config=CONFIG, ablation="no-mask")
    assert again.steps >= report.steps
    compress_capture(capture, tmp_path / "a.mvc", weights=again.weights, depth="none", quality=8)
    restored = decompress_archive(tmp_path / "a.mvc", tmp_path / "out", weights=again.weights)
    assert len(restored.views) == 3
    assert not restored.differing_views


def test_captures_without_runs_are_refused(tmp_path: Path) -> None:
    capture = write_nerfstudio_capture(tmp_path / "capture", views=2, size=(96, 80))
    with pytest.raises(CaptureError, match="--crop-px"):
        paper_run.train_paper(TrainingData((capture,), depth="none"), tmp_path / "run", RECIPE, config=CONFIG)


def test_parahydra_trains_with_its_ablations_exports_and_codes(tmp_path: Path, monkeypatch, sequences) -> None:
    run = sequences.draw(np.random.default_rng(0))
    for name, switches in parahydra_run.ABLATIONS.items():
        torch.manual_seed(0)
        model = ParaHydraModel(replace(ParaHydraConfig(**TINY_PARAHYDRA), **switches)).train()
        found = parahydra_run.group_loss(model, run, torch.tensor(6.0))
        found.loss.backward()
        expected = np.mean(found.estimated_bpp) + 4096 * np.mean(found.mse)
        assert float(found.loss) == pytest.approx(expected, rel=1e-4), name
    capture = write_nerfstudio_capture(tmp_path / "capture", views=3, size=(96, 80))
    monkeypatch.setattr(paper_run, "estimate_depth", planes)
    report = parahydra_run.train_parahydra(
        TrainingData((capture,), depth="sparse"), tmp_path / "run", RECIPE, config=ParaHydraConfig(**TINY_PARAHYDRA)
    )
    compress_capture(capture, tmp_path / "a.mvc", codec="parahydra", weights=report.weights, quality=8)
    assert not decompress_archive(tmp_path / "a.mvc", tmp_path / "out", weights=report.weights).differing_views


def test_the_command_line_knows_the_ablations_there_are() -> None:
    assert set(PARAHYDRA_ABLATIONS) == set(parahydra_run.ABLATIONS) - {"none"}
    assert set(LMVIC_ABLATIONS) == set(paper_run.ABLATIONS) - {"none"}
