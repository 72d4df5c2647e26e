"""Training in short bursts on bare machines: continue a packed run for some minutes, leave it where the next goes on.

A burst needs Python, torch and NumPy, nothing else, and ends on a boundary (every `BurstPlan.boundary_steps` steps).
The learning rate depends on the step alone, and at every boundary the optimiser's moments are rounded to what a
checkpoint holds of them; so two bursts and one of their length end in the same bits. Packing is `burst_packing`'s.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nerfstudio_mvc.codecs.lmvic.learned.config import LmvicConfig
from nerfstudio_mvc.codecs.lmvic.learned.image_model import ImageModel
from nerfstudio_mvc.errors import WeightsError
from nerfstudio_mvc.training.learning_curve import CURVE_NAME, CurveFile, Progress
from nerfstudio_mvc.training.loop import Recipe, Trainer
from nerfstudio_mvc.training.moved_views import MixedViews, MovedViews
from nerfstudio_mvc.training.tile_shards import TilePictures, TileViews, read_shard
from nerfstudio_mvc.training.timed_run import CURVE_VALUES

PLAN_NAME, INDEX_NAME = "plan.json", "checkpoint.json"
PART_BYTES = 15 << 20
MOMENTS = {"exp_avg", "exp_avg_sq", "momentum"}


@dataclass(frozen=True)
class BurstPlan:
    """The whole run, of which a burst is a part.

    Attributes:
        total_steps: when the learning rate has fallen to its end; the steps of earlier training counted.
        learning_rate, warm_up_steps, falling_share: as in `loop.Recipe`, over steps rather than time.
        first_step: that of the checkpoint the run started from; warming up begins there.
        boundary_steps: a burst ends after a multiple of these.
        batch_single, batch_predicted, crop_px, bfloat16, seed: as in `loop.Recipe`.
    """

    total_steps: int
    learning_rate: float = 4e-4
    warm_up_steps: int = 100
    falling_share: float = 0.4
    first_step: int = 0
    boundary_steps: int = 25
    batch_single: int = 8
    batch_predicted: int = 8
    crop_px: int = 256
    bfloat16: bool = True
    seed: int = 0

    def rate_at(self, step: int) -> float:
        """The learning rate of step number `step`."""
        part = min((step - self.first_step) / max(self.total_steps - self.first_step, 1), 1.0)
        falling = max((part - 1 + self.falling_share) / self.falling_share, 0.0)
        factor = 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * falling))
        return self.learning_rate * factor * min(1.0, (step - self.first_step + 1) / self.warm_up_steps)

    def recipe(self) -> Recipe:
        """What the trainer needs of it."""
        return Recipe(
            learning_rate=self.learning_rate,
            batch_single=self.batch_single,
            batch_predicted=self.batch_predicted,
            crop_px=self.crop_px,
            bfloat16=self.bfloat16,
            seed=self.seed,
        )


@dataclass(frozen=True)
class BurstReport:
    """What a burst did: the steps before and after it, its seconds, and the last line of the learning curve."""

    first_step: int
    last_step: int
    elapsed_s: float
    last: Progress | None


def run_burst(
    packed: Path,
    output_dir: Path,
    *,
    minutes: float = math.inf,
    most_steps: int | None = None,
    checkpoint: Path | None = None,
    device: str = "auto",
    on_progress: Callable[[Progress], None] | None = None,
) -> BurstReport:
    """Continue a packed run.

    Args:
        packed: the folder that `burst_packing.pack_burst` made.
        output_dir: where the checkpoint and the learning curve are left.
        minutes: how long; a boundary that would end later is not begun.
        most_steps: stop after these at the latest, at a boundary.
        checkpoint: folder of an earlier burst's checkpoint; that in `packed` when None.
        device: "cuda", "cpu", or "auto": CUDA where it is there.
        on_progress: called with each line of the learning curve.

    Raises:
        WeightsError: a checkpoint is missing or damaged.
        CaptureError: a shard is.
    """
    start_s = time.monotonic()
    output_dir.mkdir(parents=True, exist_ok=True)
    checkpoint = checkpoint or packed / "checkpoint"
    plan, config = read_plan(packed / PLAN_NAME)
    singles = TilePictures(_tiles(packed / "singles"))
    predicted = MixedViews([TileViews(_tiles(packed / "predicted")), MovedViews(singles)])
    trainer = Trainer(ImageModel(config), singles, predicted, plan.recipe(), device=_resolved(device))
    trainer.restore(load_checkpoint(checkpoint))
    first_step = trainer.step
    earlier = checkpoint / CURVE_NAME
    if earlier.exists() and not (output_dir / CURVE_NAME).exists():
        (output_dir / CURVE_NAME).write_bytes(earlier.read_bytes())
    stop = plan.total_steps if most_steps is None else min(plan.total_steps, first_step + most_steps)
    last, longest_s = None, 0.0
    with CurveFile(output_dir / CURVE_NAME) as curve:
        while trainer.step < stop:
            begun_s = time.monotonic()
            if begun_s - start_s + longest_s > minutes * 60:
                break
            means = _to_boundary(trainer, plan)
            last = Progress(trainer.step, time.monotonic() - start_s, *means, learning_rate=trainer.learning_rate())
            curve.add(last)
            if on_progress is not None:
                on_progress(last)
            longest_s = max(longest_s, time.monotonic() - begun_s)
    save_checkpoint(trainer.state(), output_dir)
    return BurstReport(first_step, trainer.step, time.monotonic() - start_s, last)


def save_checkpoint(state: dict[str, Any], folder: Path) -> None:
    """Write a trainer's state in parts of `PART_BYTES` at most, and the index that a reader begins with, last."""
    stream = io.BytesIO()
    torch.save(_stored(state), stream)
    content = stream.getvalue()
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for number, first in enumerate(range(0, len(content), PART_BYTES)):
        part, name = content[first : first + PART_BYTES], f"checkpoint.{number:03d}"
        (folder / name).write_bytes(part)
        parts.append({"name": name, "sha256": hashlib.sha256(part).hexdigest()})
    (folder / INDEX_NAME).write_text(json.dumps({"step": state["step"], "parts": parts}, indent=1) + "\n")


def load_checkpoint(folder: Path) -> dict[str, Any]:
    """The state that `save_checkpoint` wrote.

    Raises:
        WeightsError: a part is missing or damaged.
    """
    try:
        parts = json.loads((folder / INDEX_NAME).read_text())["parts"]
        contents = [(folder / Path(part["name"]).name).read_bytes() for part in parts]
        damaged = [
            part["name"]
            for part, content in zip(parts, contents, strict=True)
            if hashlib.sha256(content).hexdigest() != part["sha256"]
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(
            f"{folder} holds no checkpoint of a burst ({error}): give the folder a burst left"
        ) from error
    if damaged:
        raise WeightsError(f"{folder}: {', '.join(damaged)} differ from what the burst wrote: copy them again")
    return torch.load(io.BytesIO(b"".join(contents)), map_location="cpu", weights_only=True)


def write_plan(path: Path, plan: BurstPlan, config: LmvicConfig) -> None:
    """Write the plan and the model's widths as JSON."""
    document = {"plan": dataclasses.asdict(plan), "model": dataclasses.asdict(config)}
    path.write_text(json.dumps(document, indent=1) + "\n")


def read_plan(path: Path) -> tuple[BurstPlan, LmvicConfig]:
    """What `write_plan` wrote.

    Raises:
        WeightsError: the file is missing or no plan.
    """
    try:
        document = json.loads(path.read_text())
        model = {name: tuple(value) if isinstance(value, list) else value for name, value in document["model"].items()}
        return BurstPlan(**document["plan"]), LmvicConfig(**model)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{path} is no plan of a burst ({error}): pack again") from error


def round_moments(optimizers: Iterable[torch.optim.Optimizer]) -> None:
    """Round the optimisers' moments to bfloat16, as a checkpoint stores them: half of its bytes, no loss that shows."""
    for optimizer in optimizers:
        for values in optimizer.state.values():
            for name in MOMENTS & values.keys():
                values[name].copy_(values[name].bfloat16())


def _to_boundary(trainer: Trainer, plan: BurstPlan) -> np.ndarray:
    """Train up to the next boundary; means of the steps' values."""
    sums, counted = np.zeros(CURVE_VALUES), 0
    while counted == 0 or trainer.step % plan.boundary_steps:
        trainer.set_learning_rate(plan.rate_at(trainer.step))
        sums += trainer.train_step()
        counted += 1
    round_moments(trainer.optimizers.values())
    return sums / counted


def _stored(state: dict[str, Any]) -> dict[str, Any]:
    """The state on the CPU with its moments in bfloat16; nothing is lost where they were rounded."""
    model = {name: value.detach().cpu() for name, value in state["model"].items()}
    optimizers = {name: _with_stored_moments(optimizer) for name, optimizer in state.get("optimizers", {}).items()}
    return {"model": model, "optimizers": optimizers, "step": state["step"]}


def _with_stored_moments(optimizer: dict[str, Any]) -> dict[str, Any]:
    moments = {
        key: {name: value.to("cpu", torch.bfloat16 if name in MOMENTS else None) for name, value in values.items()}
        for key, values in optimizer["state"].items()
    }
    return {**optimizer, "state": moments}


def _tiles(folder: Path) -> np.ndarray:
    shards = [read_shard(path) for path in sorted(folder.glob("*.shard"))]
    if not shards:
        raise WeightsError(f"{folder} holds no shards: pack again")
    return np.concatenate(shards)


def _resolved(device: str) -> str:
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda":
        torch.backends.cudnn.benchmark = False
        torch.use_deterministic_algorithms(True, warn_only=True)
    return device
