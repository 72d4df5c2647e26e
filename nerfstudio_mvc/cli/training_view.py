"""A training run on stderr: a bar with the time left, loss, rate and PSNR; a line of the learning curve now and then.

Where stderr is not a terminal, only the lines appear.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

from nerfstudio_mvc.cli.console import format_seconds
from nerfstudio_mvc.cli.live_display import LiveDisplay

if TYPE_CHECKING:
    from nerfstudio_mvc.training import learning_curve


class TrainingView(LiveDisplay):
    """A context manager with the callbacks of a training run; `silent` shows nothing."""

    def __init__(self, *, silent: bool = False) -> None:
        self._console = Console(stderr=True, highlight=False, quiet=silent)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._note = ""

    def on_step(self, step: str, done: int, total: int) -> None:
        """Something before or after training: `done` of `total` units of it."""
        self._progress.update(self._task(step), completed=done, total=total, visible=done < total)

    def on_tick(self, step: int, part: float) -> None:
        """A training step is done, `part` of the time is over."""
        task = self._task("training")
        self._progress.update(task, completed=part, total=1.0, description=f"step {step}", note=self._note)

    def on_progress(self, line: learning_curve.Progress) -> None:
        """A line of the learning curve."""
        self._note = numbers_of(line)
        self._console.print(
            f"step {line.step}, {format_seconds(line.elapsed_s)}: {self._note}", markup=False, soft_wrap=True
        )

    def _task(self, name: str) -> TaskID:
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=None, note="")
        return self._tasks[name]


def numbers_of(line: learning_curve.Progress) -> str:
    """``"loss 1.7076, estimated bpp 0.980 alone, 0.649 predicted, 34.12 dB"``"""
    quality = "" if math.isnan(line.psnr_db) else f", {line.psnr_db:.2f} dB"
    rates = f", estimated bpp {line.bpp_single:.3f} alone, {line.bpp_predicted:.3f} predicted"
    # What restores pictures has no rate.
    return f"loss {line.loss:.4f}{'' if math.isnan(line.bpp_single) else rates}{quality}"
