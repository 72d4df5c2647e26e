"""One training run from capture folders to a released weights file: warped views once, then the loop, then the export.

The loop itself is `loop`'s business, what a weights file holds `export`'s; printing is the command line's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from nerfstudio_mvc.capture.image_files import IMAGE_SUFFIXES, read_size
from nerfstudio_mvc.capture.open_capture import load_capture
from nerfstudio_mvc.codecs.lmvic.learned.config import LmvicConfig
from nerfstudio_mvc.codecs.lmvic.learned.image_model import ImageModel
from nerfstudio_mvc.codecs.lmvic.switches import LmvicSwitches
from nerfstudio_mvc.errors import CaptureError
from nerfstudio_mvc.prediction.reference import Reference
from nerfstudio_mvc.splatting.prior import DepthMethod, estimate_depth
from nerfstudio_mvc.training.ablated_views import SWITCHES, SmallAblation, ValidEverywhere
from nerfstudio_mvc.training.export import export
from nerfstudio_mvc.training.learning_curve import CURVE_NAME, CurveFile, Progress
from nerfstudio_mvc.training.loop import PredictedViews, Recipe, Trainer
from nerfstudio_mvc.training.moved_views import MixedViews, MovedViews
from nerfstudio_mvc.training.pictures import Pictures, nothing_to_train_on, photographs_below
from nerfstudio_mvc.training.team import team_from_environment
from nerfstudio_mvc.training.timed_run import Stepping, run_for
from nerfstudio_mvc.training.warped_views import WarpedViews, store_warped_views

CHECKPOINT_NAME = "checkpoint.pt"
WEIGHTS_NAME = "weights.safetensors"
FLOAT_WEIGHTS_NAME = "float_weights.safetensors"
EXPORT_SAMPLES = 64


@dataclass(frozen=True)
class TrainingData:
    """Folders to train on: `captures` have neighbours to predict views from, `stills` have not."""

    captures: tuple[Path, ...]
    stills: tuple[Path, ...] = ()
    depth: DepthMethod = "sparse"


@dataclass(frozen=True)
class TrainReport:
    """Where a run ended: steps trained in all, its checkpoint and weights file, the last line of its learning curve."""

    steps: int
    checkpoint: Path
    weights: Path
    weights_bytes: int
    last: Progress | None


class Resumable(Stepping, Protocol):
    """What both presets' trainers can do."""

    def load(self, path: Path) -> None: ...

    def start_from(self, path: Path) -> None: ...


def train(
    data: TrainingData,
    output_dir: Path,
    recipe: Recipe,
    *,
    config: LmvicConfig | None = None,
    threads: int | None = None,
    device: str = "cpu",
    ablation: SmallAblation = "none",
    start_from: Path | None = None,
    on_step: Callable[[str, int, int], None] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    on_tick: Callable[[int, float], None] | None = None,
) -> TrainReport:
    """Train a model and export it.

    Args:
        data: what to train on; photographs also teach, moved a little, what a well-aligned neighbour is worth.
        output_dir: holds decoded photographs, warped views, the checkpoint, the learning curve as a CSV file and the
            weights file; a run continues from the checkpoint it finds there, and what was decoded and warped is not
            made again.
        recipe: how long and how fast.
        config: widths of a new model; those of the small preset when None.
        threads: CPU threads; all when None.
        device: "cpu" or "cuda"; of several processes that `torchrun` started each takes a GPU of its own.
        ablation: what the model is to learn to do without; the codec has a switch for the same (`ablated_views`).
        start_from: float weights that a new run starts from instead of noise; a run that is continued has its own.
        on_step: called with (step, done, total) before and after training.
        on_progress: called with each line of the learning curve.
        on_tick: called after each step with its number and the part of the time that is over, 0..1.

    Raises:
        CaptureError: a folder cannot be used, or none holds a photograph.
        WeightsError: `start_from` cannot be used, or the trained model cannot be exported exactly.
    """
    on_step = on_step or (lambda step, done, total: None)
    if threads is not None:
        torch.set_num_threads(threads)
    output_dir.mkdir(parents=True, exist_ok=True)
    pictures = Pictures(_photographs(data, recipe.crop_px), cache=output_dir / "pictures")
    team, device = team_from_environment(device)
    with team.one_after_another():
        predicted = _predicted_views(data, pictures, output_dir, recipe.crop_px, ablation, on_step)
    torch.manual_seed(recipe.seed)
    trainer = Trainer(ImageModel(config or LmvicConfig()), pictures, predicted, recipe, device=device, team=team)
    checkpoint, last = run_with_curve(
        trainer, output_dir, start_from=start_from, on_progress=on_progress, on_tick=on_tick
    )
    weights = output_dir / WEIGHTS_NAME
    with team.one_after_another():
        if team.leads:
            _write_weights(trainer, output_dir, on_step)
    return TrainReport(trainer.step, checkpoint, weights, weights.stat().st_size, last)


def _write_weights(trainer: Trainer, output_dir: Path, on_step: Callable[[str, int, int], None]) -> None:
    on_step("counting symbols for the tables", 0, 1)
    # Symbols are counted on the CPU, where the model goes with this.
    trainer = Trainer(trainer.model, trainer.pictures, trainer.warped, trainer.recipe)
    trainer.model.eval()
    trainer.save_weights(output_dir / FLOAT_WEIGHTS_NAME)
    content = export(trainer.model, _export_samples(trainer, EXPORT_SAMPLES))
    (output_dir / WEIGHTS_NAME).write_bytes(content)
    on_step("counting symbols for the tables", 1, 1)


def run_with_curve(
    trainer: Resumable,
    output_dir: Path,
    *,
    start_from: Path | None,
    on_progress: Callable[[Progress], None] | None,
    on_tick: Callable[[int, float], None] | None,
) -> tuple[Path, Progress | None]:
    """Train from the folder's checkpoint, or else `start_from`; the checkpoint and the curve's last line."""
    checkpoint = output_dir / CHECKPOINT_NAME
    if checkpoint.exists():
        trainer.load(checkpoint)
    elif start_from is not None:
        trainer.start_from(start_from)
    last: Progress | None = None
    with CurveFile(output_dir / CURVE_NAME) as curve_file:

        def report(progress: Progress) -> None:
            nonlocal last
            last = progress
            curve_file.add(progress)
            if on_progress is not None:
                on_progress(progress)

        run_for(trainer, checkpoint, on_progress=report, on_tick=on_tick)
    return checkpoint, last


def _photographs(data: TrainingData, crop_px: int) -> list[Path]:
    # Stills are as many pictures as they are; captures show the same things again and again, which does no harm.
    photographs = [path for folder in (*data.stills, *data.captures) for path in photographs_below(folder)]
    photographs = [path for path in photographs if min(read_size(path)) >= crop_px]
    if not photographs:
        raise nothing_to_train_on(crop_px)
    return photographs


def _predicted_views(
    data: TrainingData,
    pictures: Pictures,
    output_dir: Path,
    crop_px: int,
    ablation: SmallAblation,
    on_step: Callable[[str, int, int], None],
) -> PredictedViews | None:
    switches = SWITCHES[ablation]
    if not switches.predict:
        return None
    folder = output_dir / ("warped" if switches.align else "unaligned")
    paths = _warped_paths(data, folder, crop_px, switches, on_step)
    # A photograph that was moved a little is a well-aligned neighbour.
    moved = [MovedViews(pictures)] if switches.align or not paths else []
    mixed = MixedViews([*([WarpedViews(paths)] if paths else []), *moved])
    return mixed if switches.mask else ValidEverywhere(mixed)


def _warped_paths(
    data: TrainingData,
    folder: Path,
    crop_px: int,
    switches: LmvicSwitches,
    on_step: Callable[[str, int, int], None],
) -> list[Path]:
    paths: list[Path] = []
    for done, root in enumerate(data.captures):
        on_step("warping captures", done, len(data.captures))
        target = folder / root.resolve().name
        finished = target / "finished"
        if not finished.exists():
            capture = load_capture(root)
            prior = estimate_depth(capture, method=data.depth)
            store_warped_views(capture, prior, target, align=switches.align, mask=switches.mask)
            finished.touch()
        paths += [
            path for path in sorted(target.glob("*.npy")) if min(np.load(path, mmap_mode="r").shape[:2]) >= crop_px
        ]
    if data.captures:
        on_step("warping captures", len(data.captures), len(data.captures))
    return paths


@torch.no_grad()
def _export_samples(trainer: Trainer, count: int) -> Iterator[tuple[Tensor, Reference | None]]:
    """`count` crops, alternately alone and with their warped neighbours if there are such; the same ones for the same
    seed."""
    rng = np.random.default_rng(trainer.recipe.seed)
    for index in range(count):
        if trainer.warped is None or index % 2 == 0:
            yield trainer.pictures.batch(1, trainer.recipe.crop_px, rng), None
        else:
            view, warped, valid = trainer.warped.batch(1, trainer.recipe.crop_px, rng)
            quality = torch.tensor(float(1 + index % 8))
            yield view, trainer.reference(warped, valid, quality, single_only=index % 8 == 1)


def folders_below(places: Sequence[Path]) -> tuple[Path, ...]:
    """Each place itself where it holds photographs or a model, else the folders in it: a folder of captures at once."""
    found: list[Path] = []
    for place in places:
        if not place.is_dir():
            raise CaptureError(f"{place}: there is no such folder")
        own = {path.name for path in place.iterdir()}
        is_capture = {"images", "transforms.json", "sparse"} & own or any(
            Path(name).suffix.lower() in IMAGE_SUFFIXES for name in own
        )
        found += [place] if is_capture else sorted(path for path in place.iterdir() if path.is_dir())
    return tuple(found)
