"""The training loop of the small LMVIC model: seeds, schedule, resuming.

One checkpoint file holds the float weights, the optimiser and the step; training continues from it anywhere.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from nerfstudio_mvc.codecs.lmvic.learned.image_model import ImageModel
from nerfstudio_mvc.entropy.quality_points import QUALITIES
from nerfstudio_mvc.errors import WeightsError
from nerfstudio_mvc.geometry.hole_filling import fill_invalid
from nerfstudio_mvc.prediction.reference import Reference
from nerfstudio_mvc.training.float_weights import load_float_weights, save_float_weights
from nerfstudio_mvc.training.muon import Muon, is_matrix
from nerfstudio_mvc.training.objective import DecodedLook, Distortion, random_quality, rate_distortion
from nerfstudio_mvc.training.precision import has_fast_bfloat16
from nerfstudio_mvc.training.team import Team

FINER_REFERENCES = 0.7  # points of quality that a reference may have above the view's, as `view_qualities` gives it

# Shares of the learning rate. The linear transforms are good from the start, and large steps there shake every
# picture; the integer network's weights are coarse, and small steps there never reach the next integer. The tables by
# quality are few numbers of which a hundredth is seen in the PSNR, and a step moves a fourth of them at most.
RATE_SHARES = {"transform": 0.1, "scales": 2.5, "tables": 0.25, "rest": 1.0}
TABLES = ("quality_to_", "strength_", "log_")  # what their names begin with


@dataclass(frozen=True)
class Recipe:
    """How long and how fast: minutes of this run, peak learning rate, share of the run over which it falls to 2 %.

    `bfloat16` is used only where it is faster.
    """

    minutes: float = 60.0
    learning_rate: float = 4e-4
    falling_share: float = 0.4
    warm_up_steps: int = 100
    batch_single: int = 2
    batch_predicted: int = 2
    crop_px: int = 256
    distortion: Distortion = "mse"
    checkpoint_minutes: float = 5.0
    bfloat16: bool = True
    compiled: bool = False
    seed: int = 0


class SingleViews(Protocol):
    """Where crops of photographs come from; see `pictures.Pictures`."""

    def batch(self, count: int, crop_px: int, rng: np.random.Generator) -> Tensor: ...


class PredictedViews(Protocol):
    """Where crops with their warped neighbours come from; see `warped_views.WarpedViews`."""

    def batch(self, count: int, crop_px: int, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]: ...


class Trainer:
    """Owns model, optimiser and position in the run.

    Args:
        model: moved to `device`.
        pictures, warped: what to train on; without `warped` single views only.
        recipe: how.
        device: of model and arithmetic; crops are drawn on the CPU.
        team: the processes that train this model together; this one alone when None.
    """

    def __init__(
        self,
        model: ImageModel,
        pictures: SingleViews,
        warped: PredictedViews | None,
        recipe: Recipe,
        *,
        device: str = "cpu",
        team: Team | None = None,
    ) -> None:
        self.device = torch.device(device)
        self.team = team or Team()
        self.model = model.to(self.device, memory_format=torch.channels_last).train()
        self.pictures, self.warped, self.recipe = pictures, warped, recipe
        self.look = DecodedLook(self.model)
        self.optimizers = optimizers_of(self.model, recipe.learning_rate)
        self.bfloat16 = recipe.bfloat16 and has_fast_bfloat16(self.device)
        self.step = 0
        self._losses = torch.compile(self._losses_of, dynamic=False) if recipe.compiled else self._losses_of

    def load(self, path: Path) -> None:
        """Continue from a checkpoint; one without optimisers' states starts them afresh."""
        state = torch.load(path, map_location="cpu", weights_only=True)
        self.restore(state)

    def state(self) -> dict[str, Any]:
        """Everything a run continues from."""
        optimizers = {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()}
        return {"model": self.model.state_dict(), "optimizers": optimizers, "step": self.step}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned, on any device; without optimisers in it these start afresh.

        Raises:
            WeightsError: it is of another model.
        """
        try:
            self.model.load_state_dict(state["model"])
            self.step = state["step"]
            for name, optimizer_state in state.get("optimizers", {}).items():
                self.optimizers[name].load_state_dict(optimizer_state)
        except (RuntimeError, ValueError, KeyError) as error:
            reason = " ".join(str(error).split())[:200]
            raise WeightsError(f"the checkpoint is of another model, begin a new run ({reason})") from error

    def start_from(self, path: Path) -> None:
        """Take the weights of a `save_weights` file and start the optimiser afresh.

        Raises:
            WeightsError: the file is missing or holds no weights of this model.
        """
        load_float_weights(self.model, path)

    def save_weights(self, path: Path) -> None:
        """The weights alone, for `start_from`."""
        save_float_weights(self.model, path)

    def save(self, path: Path) -> None:
        """Write the checkpoint beside its target, then rename."""
        temporary = path.with_suffix(".writing")
        torch.save(self.state(), temporary)
        os.replace(temporary, path)

    def learning_rate(self) -> float:
        """The highest that a group of parameters takes now."""
        return max(group["lr"] for group in self._groups())

    def set_part(self, part: float, steps_done: int) -> None:
        """Take the learning rate for a `part`, 0..1, of the run, `steps_done` steps after it began."""
        recipe = self.recipe
        falling = max((part - 1 + recipe.falling_share) / recipe.falling_share, 0.0)
        factor = 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * falling))
        factor *= min(1.0, (steps_done + 1) / recipe.warm_up_steps)
        self.set_learning_rate(recipe.learning_rate * factor)

    def set_learning_rate(self, rate: float) -> None:
        """Each group of parameters takes its share of `rate` from the next step on."""
        for group in self._groups():
            group["lr"] = rate * group["share"]

    def _groups(self) -> Iterator[dict[str, Any]]:
        return chain.from_iterable(optimizer.param_groups for optimizer in self.optimizers.values())

    def train_step(self) -> np.ndarray:
        """One step at the learning rate that is set; loss, bpp of single and of predicted views, MSE. float64 [4]"""
        recipe = self.recipe
        # Seeding per step makes a resumed run draw what an uninterrupted one would have drawn.
        rng = self.team.generator(recipe.seed, self.step)
        torch.manual_seed(int(rng.integers(2**31)))
        quality = torch.tensor(random_quality(rng), device=self.device)
        single = self._moved(self.pictures.batch(recipe.batch_single, recipe.crop_px, rng))
        view, reference = None, None
        if self.warped is not None:
            view, warped, valid = self.warped.batch(recipe.batch_predicted, recipe.crop_px, rng)
            view, warped, valid = self._moved(view), warped.to(self.device), valid.to(self.device)
            reference = self.reference(warped, valid, quality, single_only=rng.random() < 0.25)
        loss, *told = self._losses(single, view, reference, quality)
        self.model.zero_grad(set_to_none=True)
        loss.backward()
        self.team.average_gradients(self.model.parameters())
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        if torch.isfinite(norm):
            for optimizer in self.optimizers.values():
                optimizer.step()
        self.step += 1
        return np.array([loss.item(), *(value.item() for value in told)])

    def _moved(self, pictures: Tensor) -> Tensor:
        return pictures.to(self.device, memory_format=torch.channels_last, non_blocking=True)

    def reference(self, warped: Tensor, valid: Tensor, quality: Tensor, *, single_only: bool) -> Reference:
        """What predicts a view: its warped neighbours [2, B, 3, H, W] as if decoded, blended, holes filled."""
        finer = torch.rand((), device=self.device) * FINER_REFERENCES
        quality = (quality + finer).clamp(max=QUALITIES)
        looks = [self.look(fill_batch(picture, mask), quality) for picture, mask in zip(warped, valid, strict=True)]
        first, second = (Reference(look, mask) for look, mask in zip(looks, valid, strict=True))
        blended = first if single_only else self.model.blend(first, second)
        return Reference(fill_batch(blended.picture, blended.valid), blended.valid)

    def _losses_of(
        self, single: Tensor, view: Tensor | None, reference: Reference | None, quality: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            alone = rate_distortion(self.model, single, None, quality, distortion=self.recipe.distortion)
            if view is None:
                return alone.loss, alone.estimated_bpp.detach(), torch.zeros(()), alone.mse.detach()
            predicted = rate_distortion(self.model, view, reference, quality, distortion=self.recipe.distortion)
        loss, mse = alone.loss + predicted.loss, (alone.mse + predicted.mse).detach() / 2
        return loss, alone.estimated_bpp.detach(), predicted.estimated_bpp.detach(), mse


def optimizers_of(model: nn.Module, learning_rate: float) -> dict[str, torch.optim.Optimizer]:
    """Muon for the matrices of the learned branches, Adam for everything else, each with its `RATE_SHARES`."""
    groups: dict[str, list[dict[str, Any]]] = {"adam": [], "muon": []}
    for part, share in RATE_SHARES.items():
        parameters: dict[str, list[nn.Parameter]] = {"adam": [], "muon": []}
        for name, parameter in model.named_parameters():
            if part_of(name) == part:
                parameters["muon" if part == "rest" and is_matrix(parameter) else "adam"].append(parameter)
        for optimizer, params in parameters.items():
            if params:
                groups[optimizer].append({"params": params, "share": share})
    fused = torch.__version__ >= (2, 4) or next(model.parameters()).is_cuda  # on the CPU since torch 2.4
    return {
        "adam": torch.optim.Adam(groups["adam"], lr=learning_rate, fused=fused),
        "muon": Muon(groups["muon"], lr=learning_rate),
    }


def part_of(parameter_name: str) -> str:
    """Which of `RATE_SHARES` a parameter of the model takes."""
    part = parameter_name.split(".")[0]
    if part.startswith(TABLES):
        return "tables"
    return part if part in RATE_SHARES else "rest"


def fill_batch(pictures: Tensor, valid: Tensor) -> Tensor:
    """`fill_invalid` for each picture of a batch. [B, C, H, W], [B, 1, H, W] -> [B, C, H, W]"""
    return torch.stack([fill_invalid(picture, mask) for picture, mask in zip(pictures, valid, strict=True)])
