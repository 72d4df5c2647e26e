"""Bursts: a pack is all that a bare machine needs, and where a burst ends does not show in the bits."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_lmvic import CONFIG

from nerfstudio_mvc.codecs.lmvic.learned.image_model import ImageModel
from nerfstudio_mvc.errors import CaptureError, OutputError, WeightsError
from nerfstudio_mvc.quality.psnr import psnr_db
from nerfstudio_mvc.training import burst
from nerfstudio_mvc.training.burst import BurstPlan, load_checkpoint, run_burst
from nerfstudio_mvc.training.burst_packing import bytes_below, pack_burst
from nerfstudio_mvc.training.loop import Trainer
from nerfstudio_mvc.training.tile_shards import TilePictures, TileViews, read_shard, write_shard

SCRIPT = Path(__file__).parent.parent.parent / "tools" / "burst_train.py"
PLAN = BurstPlan(
    total_steps=12,
    learning_rate=1e-3,
    warm_up_steps=3,
    boundary_steps=2,
    batch_single=1,
    batch_predicted=1,
    crop_px=64,
    bfloat16=False,
)
# Everything beside torch and NumPy that the package uses is made impossible to import.
BARE = "import sys, runpy\nfor name in ('PIL', 'pycolmap', 'numba', 'scipy', 'constriction', 'safetensors', 'rich', "
BARE += "'tyro', 'imageio_ffmpeg', 'tensorboard'):\n    sys.modules[name] = None\n"
BARE += "sys.argv = sys.argv[1:]\nsys.path.insert(0, '')\nrunpy.run_path(sys.argv[0], run_name='__main__')"


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("burst")
    rng = np.random.default_rng(0)
    smooth = np.clip(rng.normal(0, 8, (120, 130, 3)).cumsum(0).cumsum(1) / 60 + 128, 0, 255).astype(np.uint8)
    valid = np.full((120, 130, 2), 255, np.uint8)
    valid[:30] = 0
    np.save(folder / "picture.npy", smooth)
    np.save(folder / "warped.npy", np.concatenate([smooth, smooth, np.roll(smooth, 1, 1), valid], 2))
    torch.manual_seed(0)
    tiles = np.zeros((1, 64, 64, 3), np.uint8)
    trainer = Trainer(ImageModel(CONFIG), TilePictures(tiles), None, PLAN.recipe())
    trainer.save(folder / "checkpoint.pt")
    report = pack_burst(
        folder / "pack",
        PLAN,
        pictures=[folder / "picture.npy"],
        warped=[folder / "warped.npy"],
        start=folder / "checkpoint.pt",
        script=SCRIPT,
        config=CONFIG,
        tile_px=80,
        most_tiles=3,
    )
    assert (report.singles, report.predicted) == (3, 3)
    assert report.bytes == bytes_below(folder / "pack") < 60 << 20
    return folder / "pack"


def flat(state) -> torch.Tensor:
    stored = [values for optimizer in state["optimizers"].values() for values in optimizer["state"].values()]
    moments = [value.flatten().float() for values in stored for value in values.values()]
    return torch.cat([*(value.flatten().float() for value in state["model"].values()), *moments])


def test_two_bursts_end_where_one_long_one_does(packed: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(burst, "PART_BYTES", 100_000)
    lines = []
    run_burst(packed, tmp_path / "long", most_steps=8, on_progress=lines.append)
    first = run_burst(packed, tmp_path / "a", most_steps=4)
    second = run_burst(packed, tmp_path / "b", most_steps=4, checkpoint=tmp_path / "a")
    assert (first.first_step, first.last_step, second.first_step, second.last_step) == (0, 4, 4, 8)
    straight, resumed = load_checkpoint(tmp_path / "long"), load_checkpoint(tmp_path / "b")
    assert torch.equal(flat(straight), flat(resumed))
    assert not torch.equal(flat(straight), flat(load_checkpoint(tmp_path / "a")))
    assert [line.step for line in lines] == [2, 4, 6, 8]
    assert len((tmp_path / "b" / "learning_curve.csv").read_text().splitlines()) == 1 + 4
    files = [path.stat().st_size for path in (tmp_path / "b").glob("checkpoint.*")]
    assert len(files) > 3
    assert max(files) <= 100_000


def test_a_bare_machine_needs_nothing_but_the_pack(packed: Path, tmp_path: Path) -> None:
    moved = tmp_path / "there"
    packed.rename(moved)
    try:
        words = ["burst_train.py", "run", "--output", tmp_path / "out", "--most-steps", "2", "--device", "cpu"]
        environment = {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-s", "-c", BARE, *map(str, words), "--threads", "1"]
        done = subprocess.run(command, cwd=moved, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "steps 0 to 2" in done.stdout
        assert load_checkpoint(tmp_path / "out")["step"] == 2
    finally:
        moved.rename(packed)


def test_damaged_checkpoints_are_refused(packed: Path, tmp_path: Path) -> None:
    run_burst(packed, tmp_path / "a", most_steps=2)
    part = tmp_path / "a" / "checkpoint.000"
    part.write_bytes(part.read_bytes()[:-1] + b"?")
    with pytest.raises(WeightsError, match=r"checkpoint\.000 differ"):
        load_checkpoint(tmp_path / "a")
    with pytest.raises(WeightsError, match="holds no checkpoint"):
        load_checkpoint(tmp_path)


def test_time_that_is_up_leaves_a_checkpoint(packed: Path, tmp_path: Path) -> None:
    report = run_burst(packed, tmp_path / "a", minutes=1e-9)
    assert report.first_step == report.last_step == load_checkpoint(tmp_path / "a")["step"]


def test_the_rate_rises_stays_and_falls_with_the_step() -> None:
    plan = BurstPlan(total_steps=1100, first_step=100, learning_rate=1.0, warm_up_steps=10)
    assert plan.rate_at(100) == pytest.approx(0.1)
    assert plan.rate_at(110) == plan.rate_at(699) == 1.0
    assert plan.rate_at(900) == pytest.approx(0.51)
    assert plan.rate_at(1100) == pytest.approx(0.02)


def test_tiles_come_back_nearly_and_masks_exactly(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    smooth = np.clip(rng.normal(0, 6, (2, 64, 64, 9)).cumsum(1).cumsum(2) / 30 + 128, 0, 255).astype(np.uint8)
    tiles = np.concatenate([smooth, 255 * rng.integers(0, 2, (2, 64, 64, 2)).astype(np.uint8)], -1)
    size = write_shard(tmp_path / "a.shard", tiles)
    again = read_shard(tmp_path / "a.shard")
    assert np.array_equal(again[..., 9:], tiles[..., 9:])
    assert psnr_db(tiles[0, ..., :3], again[0, ..., :3]) > 38
    assert size < tiles.nbytes / 6
    view, warped, valid = TileViews(again).batch(2, 64, rng)
    assert (view.shape, warped.shape, valid.shape) == ((2, 3, 64, 64), (2, 2, 3, 64, 64), (2, 2, 1, 64, 64))
    (tmp_path / "b.shard").write_bytes((tmp_path / "a.shard").read_bytes()[:-40])
    with pytest.raises(CaptureError, match="pack them again"):
        read_shard(tmp_path / "b.shard")


def test_a_pack_that_cannot_fit_is_refused(packed: Path, tmp_path: Path) -> None:
    arrays = {"pictures": [packed.parent / "picture.npy"], "warped": [packed.parent / "warped.npy"]}
    common = {**arrays, "start": packed.parent / "checkpoint.pt", "script": SCRIPT, "config": CONFIG}
    with pytest.raises(OutputError, match="allow more"):
        pack_burst(tmp_path / "a", PLAN, **common, tile_px=80, most_bytes=10_000)
    with pytest.raises(CaptureError, match="smaller tile"):
        pack_burst(tmp_path / "b", PLAN, **common)
    with pytest.raises(OutputError, match="exists already"):
        pack_burst(packed, PLAN, **common)
    with pytest.raises(WeightsError, match="another model"):
        pack_burst(tmp_path / "c", PLAN, **{**common, "config": dataclasses.replace(CONFIG, hyper=CONFIG.hyper * 2)})
    assert not (tmp_path / "c").exists()
