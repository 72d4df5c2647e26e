"""Packs what a burst needs into one folder of limited size: code, tiles of training pictures, the checkpoint.

What happens with it on the other machine is `burst`'s business.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nerfstudio_mvc.codecs.lmvic.learned.config import LmvicConfig
from nerfstudio_mvc.codecs.lmvic.learned.image_model import ImageModel
from nerfstudio_mvc.errors import CaptureError, OutputError, WeightsError
from nerfstudio_mvc.training.burst import PLAN_NAME, BurstPlan, load_checkpoint, save_checkpoint, write_plan
from nerfstudio_mvc.training.learning_curve import CURVE_NAME
from nerfstudio_mvc.training.tile_shards import write_shard

MOST_BYTES = 60 << 20
SPARE_BYTES = 1 << 20
TILE_PX = 320  # a crop of 256 pixels, scaled down by up to 1.25
TILES_PER_SHARD = 32
PREDICTED_SHARE = 0.75  # of the bytes; a tile with its neighbours takes three times those of one alone
LEAST_VALID = 0.3
MOST_TRIES = 50


@dataclass(frozen=True)
class PackReport:
    """What was packed: the step training continues from, tiles of either kind, and all bytes."""

    step: int
    singles: int
    predicted: int
    bytes: int


def pack_burst(
    folder: Path,
    plan: BurstPlan,
    *,
    pictures: Sequence[Path],
    warped: Sequence[Path],
    start: Path,
    script: Path,
    config: LmvicConfig | None = None,
    most_bytes: int = MOST_BYTES,
    tile_px: int = TILE_PX,
    most_tiles: int | None = None,
    on_shard: Callable[[str, int, int], None] | None = None,
) -> PackReport:
    """Make a folder from which `script` trains on a machine with torch and NumPy alone.

    Args:
        folder: to make; must not exist.
        plan: of the whole run; its first step is set to that of `start` unless this continues a burst.
        pictures: arrays of single photographs, .npy uint8 [H, W, 3], as `pictures.Pictures` caches them.
        warped: arrays of views with neighbours, .npy uint8 [H, W, 11], as `warped_views` stores them.
        start: what to train on from: a folder a burst left, or a checkpoint file of `loop.Trainer`.
        script: copied to the top of the folder.
        config: widths of the model; those of the small preset when None.
        most_bytes: that the folder may take.
        tile_px: side of a tile, a multiple of 8.
        most_tiles: of either kind; as many as fit when None.
        on_shard: called after each shard with its kind, tiles of that kind so far, and bytes of the folder.

    Raises:
        OutputError: the folder exists, or cannot hold code, checkpoint and tiles.
        CaptureError: the arrays are too few or too small for a tile.
        WeightsError: the checkpoint is damaged, or of another model.
    """
    if folder.exists():
        raise OutputError(f"{folder} exists already: name another folder, or remove it")
    state = load_checkpoint(start) if start.is_dir() else torch.load(start, map_location="cpu", weights_only=True)
    _check_model(state, config or LmvicConfig())
    if not start.is_dir():
        plan = replace(plan, first_step=state["step"])
    _copy_code(folder)
    shutil.copy(script, folder / script.name)
    save_checkpoint(state, folder / "checkpoint")
    if start.is_dir() and (start / CURVE_NAME).exists():
        shutil.copy(start / CURVE_NAME, folder / "checkpoint" / CURVE_NAME)
    write_plan(folder / PLAN_NAME, plan, config or LmvicConfig())
    room = most_bytes - SPARE_BYTES - bytes_below(folder)
    rng = np.random.default_rng(plan.seed)
    counts = {}
    for kind, paths, part in (("singles", pictures, 1 - PREDICTED_SHARE), ("predicted", warped, PREDICTED_SHARE)):
        tiles = _tiles(paths, tile_px, rng, kind)
        target = folder / kind
        target.mkdir()
        shards, taken, largest = 0, 0, 0
        while taken + largest <= room * part and (most_tiles is None or shards * TILES_PER_SHARD < most_tiles):
            count = TILES_PER_SHARD if most_tiles is None else min(TILES_PER_SHARD, most_tiles)
            size = write_shard(target / f"{shards:04d}.shard", [next(tiles) for _ in range(count)])
            shards, taken, largest = shards + 1, taken + size, max(largest, size)
            counts[kind] = counts.get(kind, 0) + count
            if on_shard is not None:
                on_shard(kind, counts[kind], bytes_below(folder))
    total = bytes_below(folder)
    if total > most_bytes or len(counts) < 2:
        raise OutputError(f"{folder} cannot hold code, checkpoint and tiles in {most_bytes} bytes: allow more")
    return PackReport(state["step"], counts["singles"], counts["predicted"], total)


def bytes_below(folder: Path) -> int:
    """Of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _check_model(state: dict[str, Any], config: LmvicConfig) -> None:
    """Raise WeightsError where the checkpoint is of another model than this code would train."""
    try:
        ImageModel(config).load_state_dict(state["model"])
    except (RuntimeError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise WeightsError(f"the checkpoint is of another model: start from one of this version ({reason})") from error


def _copy_code(folder: Path) -> None:
    package = Path(__file__).parent.parent
    for path in package.rglob("*.py"):
        target = folder / "nerfstudio_mvc" / path.relative_to(package)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def _tiles(paths: Sequence[Path], tile_px: int, rng: np.random.Generator, kind: str) -> Iterator[np.ndarray]:
    """Squares drawn at random for ever; of views with neighbours only where those show something."""
    large = [path for path in paths if min(np.load(path, mmap_mode="r").shape[:2]) >= tile_px]
    if not large:
        raise CaptureError(f"no array for {kind} has {tile_px}x{tile_px} pixels: give other folders or a smaller tile")
    missed = 0
    while True:
        pixels = np.load(large[int(rng.integers(len(large)))], mmap_mode="r")
        top, left = (int(rng.integers(side - tile_px + 1)) for side in pixels.shape[:2])
        tile = np.ascontiguousarray(pixels[top : top + tile_px, left : left + tile_px])
        if tile.shape[2] > 3 and tile[..., 9:].mean() < 255 * LEAST_VALID:
            missed += 1
            if missed > MOST_TRIES:
                raise CaptureError("neighbours show almost nothing of the views: are cameras and depth right?")
            continue
        missed = 0
        yield tile
