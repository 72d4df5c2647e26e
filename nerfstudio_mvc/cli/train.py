"""ns-mvc-train: train the small LMVIC model on captures of your own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nerfstudio_mvc.cli.console import format_bytes, format_seconds, print_json, print_table
from nerfstudio_mvc.cli.flags import OptionalPath
from nerfstudio_mvc.cli.main import UsageError, run_command

if TYPE_CHECKING:
    from nerfstudio_mvc.training.loop import Progress


@dataclass(frozen=True)
class Train:
    """Train the codec's model and write a weights file for --weights of the other commands."""

    captures: tuple[Path, ...]
    """Capture folders, or folders of them: photographs with cameras and sparse points."""
    output_dir: Path
    """Where the run lives. A run found there is continued."""
    stills: tuple[Path, ...] = ()
    """Folders of single photographs, to train on as well."""
    minutes: float = 60.0
    """How long to train; the learning rate falls towards the end."""
    learning_rate: float = 4e-4
    """Peak learning rate."""
    crop_px: int = 256
    """Side of the square crops, a multiple of 64."""
    depth: Literal["sparse", "gaussians", "auto"] = "sparse"
    """Where the depth that warps the neighbours comes from."""
    start_from: OptionalPath = None
    """Float weights that a new run starts from (float_weights.safetensors of another run)."""
    threads: int | None = None
    """CPU threads; all when not given."""
    seed: int = 0
    """Of the new model and the crops."""
    json: bool = False
    """Print the result as JSON."""

    def run(self) -> int:
        """Do it."""
        if self.minutes < 0 or self.learning_rate <= 0 or self.crop_px < 64 or self.crop_px % 64:
            raise UsageError(
                "--minutes must not be negative, --learning-rate must be positive, --crop-px a multiple of 64"
            )
        # torch and the rest arrive only now: --help has answered already.
        from nerfstudio_mvc.cli.progress_view import ProgressView
        from nerfstudio_mvc.pipeline.progress import StepProgress
        from nerfstudio_mvc.training.loop import Recipe
        from nerfstudio_mvc.training.run import TrainingData, folders_below, train

        data = TrainingData(folders_below(self.captures), folders_below(self.stills), depth=self.depth)
        recipe = Recipe(minutes=self.minutes, learning_rate=self.learning_rate, crop_px=self.crop_px, seed=self.seed)
        with ProgressView("training") as view:
            report = train(
                data,
                self.output_dir,
                recipe,
                threads=self.threads,
                start_from=self.start_from,
                on_step=lambda step, done, total: view.on_event(StepProgress(step, done, total)),
                on_progress=lambda progress: view.print_line(_curve_line(progress)),
            )
        if self.json:
            print_json(report)
        else:
            print_table(
                [
                    ("weights", f"{report.weights}  {format_bytes(report.weights_bytes)}"),
                    ("checkpoint", str(report.checkpoint)),
                    ("steps, all runs together", str(report.steps)),
                ]
            )
        return 0


def _curve_line(progress: Progress) -> str:
    return (
        f"step {progress.step}, {format_seconds(progress.elapsed_s)}: loss {progress.loss:.4f}, estimated bpp "
        f"{progress.bpp_single:.3f} alone, {progress.bpp_predicted:.3f} predicted"
    )


def main() -> None:
    """Entry point of `ns-mvc-train`."""
    run_command(Train, "ns-mvc-train")
