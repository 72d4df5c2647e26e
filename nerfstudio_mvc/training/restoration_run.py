"""Training the network that restores AV1's pictures: capture folders to a weights file of the small preset with it.

What it learns is how far a decoded picture lies from its photograph, each picture's error counted as a share of what it
was: that is PSNR. The rest of the weights file is the one that ships, or the one that is given.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from nerfstudio_mvc.capture.open_capture import load_capture
from nerfstudio_mvc.errors import WeightsError
from nerfstudio_mvc.restoration.network import RestorationNet
from nerfstudio_mvc.splatting.prior import estimate_depth
from nerfstudio_mvc.training.coded_pictures import (
    CodedPictures,
    PicturesOnDevice,
    store_coded_stills,
    store_coded_views,
)
from nerfstudio_mvc.training.float_weights import load_float_weights, save_float_weights
from nerfstudio_mvc.training.learning_curve import Progress
from nerfstudio_mvc.training.pictures import nothing_to_train_on, photographs_below
from nerfstudio_mvc.training.precision import has_fast_bfloat16
from nerfstudio_mvc.training.run import (
    FLOAT_WEIGHTS_NAME,
    WEIGHTS_NAME,
    TrainingData,
    TrainReport,
    run_with_curve,
)
from nerfstudio_mvc.training.team import Team, team_from_environment
from nerfstudio_mvc.weights.checkpoint import Checkpoint, pack, read
from nerfstudio_mvc.weights.store import find_weights

LEAST_ERROR = 0.3 / 255**2  # of a picture; finer ones do not count for more
AVERAGE_STEPS = 1000  # over which the weights that are used average those that are trained
WARM_UP_STEPS = 200
BATCH_ON = {"cpu": 8, "cuda": 64}


@dataclass(frozen=True)
class RestorationRecipe:
    """How long and how fast: minutes of this run, peak learning rate (falls along a cosine), crops per step (None: 8 on
    a CPU, 64 on a GPU)."""

    minutes: float = 60.0
    learning_rate: float = 1e-3
    batch: int | None = None
    crop_px: int = 160
    checkpoint_minutes: float = 5.0
    seed: int = 0


class RestorationTrainer:
    """Owns the network, its running average, the optimiser and the position in the run."""

    def __init__(
        self,
        model: RestorationNet,
        pictures: CodedPictures | PicturesOnDevice,
        recipe: RestorationRecipe,
        *,
        device: str = "cpu",
        team: Team | None = None,
    ) -> None:
        self.device = torch.device(device)
        self.team = team or Team()
        self.model = model.to(self.device, memory_format=torch.channels_last).train()
        self.average = RestorationNet(model.config).to(self.device).requires_grad_(False)
        self.average.load_state_dict(model.state_dict())
        self.pictures, self.recipe = pictures, recipe
        self.optimizer = torch.optim.Adam(model.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.99))
        self.bfloat16 = has_fast_bfloat16(self.device)
        self.batch = recipe.batch or BATCH_ON[self.device.type]
        self.step = 0

    def load(self, path: Path) -> None:
        """Continue from a checkpoint.

        Raises:
            WeightsError: it is of another model.
        """
        state = torch.load(path, map_location=self.device, weights_only=True)
        try:
            self.model.load_state_dict(state["model"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step = state["step"]
        except (RuntimeError, ValueError, KeyError) as error:
            raise WeightsError(f"the checkpoint is of another model, begin a new run ({error})") from error

    def save(self, path: Path) -> None:
        """Write the checkpoint beside its target, then rename."""
        parts = {"model": self.model, "average": self.average, "optimizer": self.optimizer}
        state = {name: part.state_dict() for name, part in parts.items()} | {"step": self.step}
        temporary = path.with_suffix(".writing")
        torch.save(state, temporary)
        os.replace(temporary, path)

    def start_from(self, path: Path) -> None:
        """Take the float weights of another run.

        Raises:
            WeightsError: the file is missing or holds no weights of this network.
        """
        for model in (self.model, self.average):
            load_float_weights(model, path)

    def save_weights(self, path: Path) -> None:
        """The average alone, for `start_from`."""
        save_float_weights(self.average, path)

    def set_part(self, part: float, steps_done: int) -> None:
        """Take the learning rate for a `part`, 0..1, of the run, `steps_done` steps after it began."""
        factor = 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * part))
        self.optimizer.param_groups[0]["lr"] = (
            self.recipe.learning_rate * factor * min(1.0, (steps_done + 1) / WARM_UP_STEPS)
        )

    def learning_rate(self) -> float:
        """That of the next step."""
        return self.optimizer.param_groups[0]["lr"]

    def train_step(self) -> np.ndarray:
        """One step; loss: the share of the error that is left; no rates; MSE of the restored pictures. float64 [4]"""
        # Seeding per step makes a resumed run draw what an uninterrupted one would have drawn.
        rng = self.team.generator(self.recipe.seed, self.step)
        drawn = self.pictures.batch(self.batch, self.recipe.crop_px, rng)
        crops, units, errors = (part.to(self.device) for part in drawn)
        x, decoded, reference, valid = crops.split((3, 3, 3, 1), 1)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            correction = self.model(decoded, reference, valid, units)
        restored = decoded + correction.float() * units[:, None, None, None]
        left = (x - restored).square().mean((1, 2, 3))
        loss = (left / (errors + LEAST_ERROR)).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.team.average_gradients(self.model.parameters())
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        if torch.isfinite(norm):
            self.optimizer.step()
        self.step += 1
        share = 1 / min(AVERAGE_STEPS, self.step / 20 + 1)
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.model.parameters()), share)
        return np.array([loss.item(), np.nan, np.nan, left.mean().item() * 255**2])


def train_restoration(
    data: TrainingData,
    output_dir: Path,
    recipe: RestorationRecipe,
    *,
    threads: int | None = None,
    device: str = "cpu",
    start_from: Path | None = None,
    on_step: Callable[[str, int, int], None] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    on_tick: Callable[[int, float], None] | None = None,
) -> TrainReport:
    """Train the network and write the small preset's weights with it; arguments as of `run.train`.

    What was coded stays in `output_dir` and is not coded again.

    Raises:
        CaptureError: a folder cannot be used, or none holds a photograph.
        WeightsError: `start_from` cannot be used.
        MvcError: there is no AV1 encoder.
    """
    on_step = on_step or (lambda step, done, total: None)
    if threads is not None:
        torch.set_num_threads(threads)
    output_dir.mkdir(parents=True, exist_ok=True)
    shipped = read(find_weights("lmvic"))
    team, device = team_from_environment(device)
    with team.one_after_another():
        paths = _coded_paths(data, output_dir / "coded", recipe, shipped, on_step)
    torch.manual_seed(recipe.seed)
    pictures = CodedPictures(paths) if torch.device(device).type == "cpu" else PicturesOnDevice(paths, device)
    trainer = RestorationTrainer(RestorationNet(), pictures, recipe, device=device, team=team)
    checkpoint, last = run_with_curve(
        trainer, output_dir, start_from=start_from, on_progress=on_progress, on_tick=on_tick
    )
    weights = output_dir / WEIGHTS_NAME
    if team.leads:
        trainer.save_weights(output_dir / FLOAT_WEIGHTS_NAME)
        weights.write_bytes(pack(shipped.model, shipped.tables, restoration=trainer.average.cpu()))
    return TrainReport(trainer.step, checkpoint, weights, weights.stat().st_size, last)


def _coded_paths(
    data: TrainingData,
    folder: Path,
    recipe: RestorationRecipe,
    shipped: Checkpoint,
    on_step: Callable[[str, int, int], None],
) -> list[Path]:
    stages = len(data.captures) + len(data.stills)
    paths: list[Path] = []
    for done, root in enumerate((*data.captures, *data.stills)):
        on_step("coding pictures", done, stages)
        target = folder / root.resolve().name
        finished = target / "finished"
        if not finished.exists():
            if root in data.captures:
                capture = load_capture(root)
                prior = estimate_depth(capture, method=data.depth)
                store_coded_views(capture, prior, target, shipped, seed=recipe.seed)
            else:
                store_coded_stills(photographs_below(root), target, shipped, seed=recipe.seed)
            finished.touch()
        paths += [
            path
            for path in sorted(target.glob("*.npy"))
            if min(np.load(path, mmap_mode="r").shape[:2]) >= recipe.crop_px
        ]
    on_step("coding pictures", stages, stages)
    if not paths:
        raise nothing_to_train_on(recipe.crop_px)
    return paths
