"""What a splat loses: which photographs it is trained on and held against, and when a loss is told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import synthetic_scene as scene
from PIL import Image
from raw_codec import RawCodec
from small_captures import write_nerfstudio_capture

from nerfstudio_mvc import compress_capture
from nerfstudio_mvc.benchmarking.splat_quality import SplatBenchmark, SplatQuality, loss_of
from nerfstudio_mvc.capture.image_files import read_image
from nerfstudio_mvc.cli.eval import Eval
from nerfstudio_mvc.errors import CaptureError
from nerfstudio_mvc.pipeline.progress import ignore_event
from nerfstudio_mvc.splatting.fitting import FittingSettings

POSITIONS = [(x, y, 0.0) for y in (-0.4, 0.4) for x in (-0.3, 0.3, -0.9, 0.9)]
SETTINGS = FittingSettings(64, 200, 1500)


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory):
    views = [scene.look_at(index, at, size=(96, 72)) for index, at in enumerate(POSITIONS)]
    return scene.capture(views, tmp_path_factory.mktemp("scene"), point_count=500)


def of_restored(capture, change, *, seeds: int) -> SplatQuality:
    """Trained on what `change` makes of each photograph."""
    benchmark = SplatBenchmark(capture, SETTINGS, seeds=seeds, device="cpu")
    for view in capture.views:
        benchmark.keep(view.name, change(view, read_image(view.image_path).pixels))
    return benchmark.of_restored("a.mvc", on_event=ignore_event)


def test_only_the_photographs_trained_on_count_and_bad_ones_show(capture) -> None:
    benchmark = SplatBenchmark(capture, SETTINGS, seeds=2, device="cpu")
    originals = benchmark.of_originals(on_event=ignore_event)
    first, second = originals.psnr_db
    assert first != second  # seeds are what makes the spread
    assert min(originals.psnr_db) > 17

    def held_out_spoilt(view, pixels):
        return pixels if view.view_idx else np.zeros_like(pixels)

    assert of_restored(capture, held_out_spoilt, seeds=2).psnr_db == originals.psnr_db

    def coarse(view, pixels):
        small = Image.fromarray(pixels).resize((6, 5))
        return np.asarray(small.resize(pixels.shape[1::-1], Image.Resampling.NEAREST))

    bad = of_restored(capture, coarse, seeds=2)
    loss = loss_of(bad.psnr_db, originals.psnr_db)
    assert loss.seen
    assert loss.difference < -1
    assert originals.ms_ssim == bad.ms_ssim == ()  # 64 pixels are too few for five scales


def test_a_loss_within_the_spread_is_not_told() -> None:
    assert not loss_of((22.4, 22.8, 22.6), (22.7, 22.9, 23.1)).seen
    loss = loss_of((22.0, 22.1), (22.9, 23.1))
    assert loss.seen
    assert loss.difference == pytest.approx(-0.95)
    assert loss.spread == pytest.approx(0.2)


def test_too_few_cameras_are_refused(capture) -> None:
    with pytest.raises(CaptureError, match="too few to train"):
        SplatBenchmark(scene.capture(list(capture.views[:1])), SETTINGS, seeds=1, device="cpu")


def test_the_command_tells_in_table_json_and_page(tmp_path: Path, capsys, monkeypatch) -> None:
    data = write_nerfstudio_capture(tmp_path / "garden", views=3)
    archive = tmp_path / "a.mvc"
    compress_capture(data, archive, codec=RawCodec(), depth="none")
    monkeypatch.setattr("nerfstudio_mvc.pipeline.open_archive.open_codec", lambda *_, **__: RawCodec())

    class Trained:
        kept: tuple[str, ...] = ()

        def keep(self, name: str, pixels: np.ndarray) -> None:
            self.kept += (name,)

        def of_originals(self, *, on_event) -> SplatQuality:
            return SplatQuality("originals", (22.6, 22.8), (), (9, 9))

        def of_restored(self, trained_on: str, *, on_event) -> SplatQuality:
            assert len(self.kept) == 3
            return SplatQuality(trained_on, (20.4, 20.6), (), (9, 9))

    monkeypatch.setattr(Eval, "_splat_benchmark", lambda self, data: Trained())
    common = {"data": (data,), "archive": (archive,), "peers": (), "splats": True, "force": True}
    page = tmp_path / "page.html"
    assert Eval(**common, report=page).run() == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if "20.50" in line)
    assert row.split()[:2] == ["garden", "a.mvc"]
    assert "2.20" in row.split()
    assert '<td class="number">2.20</td>' in page.read_text(encoding="utf-8")
    assert Eval(**common, json=True).run() == 0
    document = json.loads(capsys.readouterr().out)
    assert document["captures"][0]["splats"]["psnr_db"] == [22.6, 22.8]
    assert document["captures"][0]["archives"][0]["splats"]["psnr_db"] == [20.4, 20.6]
    assert document["settings"]["splats"]["seeds"] == 3
