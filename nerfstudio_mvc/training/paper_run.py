"""Training a model as its paper says, on runs of neighbouring views: capture folders to a weights file.

3D-GP-LMVIC here, ParaHydra in `parahydra_run`. The small model has a loop of its own, `loop`; the objective is
`paper_objective`'s.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from nerfstudio_mvc.capture.open_capture import load_capture
from nerfstudio_mvc.codecs.lmvic.paper.config import PaperConfig
from nerfstudio_mvc.codecs.lmvic.paper.model import PaperModel
from nerfstudio_mvc.errors import CaptureError
from nerfstudio_mvc.splatting.prior import estimate_depth
from nerfstudio_mvc.training.float_weights import load_float_weights, save_float_weights
from nerfstudio_mvc.training.learning_curve import Progress
from nerfstudio_mvc.training.objective import PEAK_SQUARED, random_quality
from nerfstudio_mvc.training.paper_objective import Distortion, SequenceLoss, sequence_loss
from nerfstudio_mvc.training.pictures import Pictures
from nerfstudio_mvc.training.run import (
    FLOAT_WEIGHTS_NAME,
    WEIGHTS_NAME,
    TrainingData,
    TrainReport,
    run_with_curve,
)
from nerfstudio_mvc.training.team import Team, team_from_environment
from nerfstudio_mvc.training.view_sequences import CroppedView, ViewSequences
from nerfstudio_mvc.weights.checkpoint import pack, unpack

Ablation = Literal["none", "separate", "concatenate", "no-mask", "no-depth-prediction"]
ABLATIONS: dict[str, dict[str, bool]] = {
    "none": {},
    "separate": {"separate": True},
    "concatenate": {"alignment": False},
    "no-mask": {"mask": False},
    "no-depth-prediction": {"depth_prediction": False},
}
"""The paper's ablations as switches of `PaperConfig`."""

HALVINGS = 5
"""The learning rate is halved after every fifth of a run: 300 epochs and 60, in the paper."""


@dataclass(frozen=True)
class PaperRecipe:
    """How the paper's model is trained; what is not the run's length is the paper's.

    Attributes:
        minutes: of this run.
        batch: runs of views per step; their gradients are added up.
        length: views of a run.
    """

    minutes: float = 60.0
    learning_rate: float = 1e-4
    batch: int = 2
    length: int = 4
    crop_px: int = 256
    distortion: Distortion = "mse"
    checkpoint_minutes: float = 5.0
    seed: int = 0


def ablated(config: PaperConfig, ablation: Ablation) -> PaperConfig:
    """`config` with the switch of an ablation set."""
    return replace(config, **ABLATIONS[ablation])


RunLoss = Callable[[nn.Module, Sequence[CroppedView], Tensor, Distortion], SequenceLoss]
"""(model, run, quality, distortion) -> the loss of one run of views."""


class PaperTrainer:
    """Owns model, optimiser and position in the run."""

    def __init__(
        self,
        model: nn.Module,
        sequences: ViewSequences,
        recipe: PaperRecipe,
        *,
        loss: RunLoss = sequence_loss,
        device: str = "cpu",
        team: Team | None = None,
    ) -> None:
        self.device = torch.device(device)
        self.team = team or Team()
        self.loss = loss
        self.model, self.sequences, self.recipe = model.to(self.device).train(), sequences, recipe
        self.optimizer = torch.optim.Adam(model.parameters(), lr=recipe.learning_rate)
        self.step = 0

    def load(self, path: Path) -> None:
        """Continue from a checkpoint."""
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]

    def save(self, path: Path) -> None:
        """Write the checkpoint beside its target, then rename."""
        temporary = path.with_suffix(".writing")
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "step": self.step}
        torch.save(state, temporary)
        os.replace(temporary, path)

    def start_from(self, path: Path) -> None:
        """Take the float weights of another run.

        Raises:
            WeightsError: the file is missing or holds no weights of this model.
        """
        load_float_weights(self.model, path)

    def train_step(self) -> np.ndarray:
        """One step; loss, estimated bpp of first views and of those after them, MSE on 0..255. float64 [4]"""
        recipe = self.recipe
        # Seeding per step makes a resumed run draw what an uninterrupted one would have drawn.
        rng = self.team.generator(recipe.seed, self.step)
        torch.manual_seed(int(rng.integers(2**31)))
        quality = torch.tensor(random_quality(rng), device=self.device)
        self.optimizer.zero_grad(set_to_none=True)
        sums = np.zeros(4)
        for _ in range(recipe.batch):
            run = [view.to(self.device) for view in self.sequences.draw(rng)]
            result = self.loss(self.model, run, quality, recipe.distortion)
            (result.loss / recipe.batch).backward()
            first, *later = result.estimated_bpp
            sums += result.loss.item(), first, np.mean(later or [0.0]), PEAK_SQUARED * np.mean(result.mse)
        self.team.average_gradients(self.model.parameters())
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        if torch.isfinite(norm):
            self.optimizer.step()
        self.step += 1
        return sums / recipe.batch

    def set_part(self, part: float, steps_done: int) -> None:
        """Take the learning rate for a `part`, 0..1, of the run."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate * 0.5 ** int(HALVINGS * part)

    def learning_rate(self) -> float:
        """What the parameters take now."""
        return self.optimizer.param_groups[0]["lr"]


def train_paper(
    data: TrainingData,
    output_dir: Path,
    recipe: PaperRecipe,
    *,
    config: PaperConfig | None = None,
    ablation: Ablation = "none",
    threads: int | None = None,
    device: str = "cpu",
    start_from: Path | None = None,
    on_step: Callable[[str, int, int], None] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    on_tick: Callable[[int, float], None] | None = None,
) -> TrainReport:
    """Train the paper's model and export it; arguments as in `run.train`, stills are of no use here.

    Args:
        ablation: which of the paper's ablations to train; the weights file then codes with it.

    Raises:
        CaptureError: a folder cannot be used, or none has enough views with depth.
        WeightsError: `start_from` cannot be used, or the trained model cannot be exported exactly.
    """
    return train_on_runs(
        data,
        output_dir,
        recipe,
        make_model=lambda: PaperModel(ablated(config or PaperConfig(), ablation)),
        loss=sequence_loss,
        threads=threads,
        device=device,
        start_from=start_from,
        on_step=on_step,
        on_progress=on_progress,
        on_tick=on_tick,
    )


def train_on_runs(
    data: TrainingData,
    output_dir: Path,
    recipe: PaperRecipe,
    *,
    make_model: Callable[[], nn.Module],
    loss: RunLoss,
    threads: int | None = None,
    device: str = "cpu",
    start_from: Path | None = None,
    on_step: Callable[[str, int, int], None] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    on_tick: Callable[[int, float], None] | None = None,
) -> TrainReport:
    """Train what `make_model` makes and export it; see `train_paper`."""
    on_step = on_step or (lambda step, done, total: None)
    if threads is not None:
        torch.set_num_threads(threads)
    output_dir.mkdir(parents=True, exist_ok=True)
    team, device = team_from_environment(device)
    captures = []
    for done, root in enumerate(data.captures):
        on_step("depth of captures", done, len(data.captures))
        capture = load_capture(root)
        captures.append((capture, estimate_depth(capture, method=data.depth).maps))
    on_step("depth of captures", len(data.captures), len(data.captures))
    sequences = ViewSequences(
        captures, pictures=Pictures([], cache=output_dir / "pictures"), length=recipe.length, crop_px=recipe.crop_px
    )
    if not len(sequences):
        raise CaptureError(
            f"no capture has {recipe.length} views in a row with depth and {recipe.crop_px}x{recipe.crop_px} pixels "
            "or more: this model trains on runs of views; give other captures or a smaller --crop-px"
        )
    torch.manual_seed(recipe.seed)
    trainer = PaperTrainer(make_model(), sequences, recipe, loss=loss, device=device, team=team)
    checkpoint, last = run_with_curve(
        trainer, output_dir, start_from=start_from, on_progress=on_progress, on_tick=on_tick
    )
    model = trainer.model.eval().cpu()
    weights = output_dir / WEIGHTS_NAME
    with team.one_after_another():
        if team.leads:
            save_float_weights(trainer.model, output_dir / FLOAT_WEIGHTS_NAME)
            weights.write_bytes(export_paper(model))
    return TrainReport(trainer.step, checkpoint, weights, weights.stat().st_size, last)


def export_paper(model: nn.Module) -> bytes:
    """The bytes of a weights file; tables are those of the likelihoods that the rounded weights give.

    Raises:
        WeightsError: an integer layer could leave the exact range.
    """
    model.update(force=True)
    rounded = unpack(pack(model, model.tables), source="the model to export").model
    rounded.update(force=True)
    return pack(rounded, rounded.tables)
