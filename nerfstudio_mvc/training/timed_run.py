"""Training for so many minutes: the clock, the learning curve's lines and the checkpoints, whatever is trained."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import nn

from nerfstudio_mvc.training.learning_curve import Progress
from nerfstudio_mvc.training.team import Team

CURVE_VALUES = 4
"""What a step returns: loss, rates of single and of predicted views, MSE."""
EARLY_LINE = 100  # steps after which there is a first line, however long the minutes between lines are


class Timed(Protocol):
    """Of a recipe: how long a run is, and how often it leaves a checkpoint."""

    @property
    def minutes(self) -> float: ...

    @property
    def checkpoint_minutes(self) -> float: ...


class Stepping(Protocol):
    """What trains."""

    recipe: Timed
    model: nn.Module
    team: Team
    device: torch.device
    step: int

    def set_part(self, part: float, steps_done: int) -> None:
        """Take the learning rate for a `part`, 0..1, of the run, `steps_done` steps after it began."""
        ...

    def train_step(self) -> np.ndarray: ...

    def learning_rate(self) -> float: ...

    def save(self, path: Path) -> None: ...


def run_for(
    trainer: Stepping,
    checkpoint: Path,
    *,
    on_progress: Callable[[Progress], None],
    on_tick: Callable[[int, float], None] | None = None,
) -> None:
    """Train for the recipe's minutes, leaving `checkpoint` now and then and at the end.

    Args:
        checkpoint: the file.
        on_progress: called with each line of the learning curve.
        on_tick: called after each step with its number and the part of the time that is over, 0..1.

    In a team only the first process calls back and saves; the curve is that of its own crops.
    """
    team, leads, recipe = trainer.team, trainer.team.leads, trainer.recipe
    team.share(trainer.model)
    start = saved = time.monotonic()
    first_step, sums, counted = trainer.step, np.zeros(CURVE_VALUES), 0

    def line(elapsed: float) -> Progress:
        return Progress(trainer.step, elapsed, *(sums / counted), learning_rate=trainer.learning_rate())

    while (elapsed := team.agree(time.monotonic() - start, device=trainer.device)) < recipe.minutes * 60:
        part = elapsed / (recipe.minutes * 60)
        trainer.set_part(part, trainer.step - first_step)
        sums += trainer.train_step()
        counted += 1
        if leads and on_tick is not None:
            on_tick(trainer.step, min(part, 1.0))
        if leads and (time.monotonic() - saved > recipe.checkpoint_minutes * 60 or counted == EARLY_LINE):
            on_progress(line(elapsed))
            trainer.save(checkpoint)
            saved, sums, counted = time.monotonic(), np.zeros(CURVE_VALUES), 0
    if not leads:
        return
    if counted:
        on_progress(line(time.monotonic() - start))
    trainer.save(checkpoint)
