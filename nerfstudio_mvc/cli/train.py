"""ns-mvc-train: train a network of LMVIC on captures of your own: restoration, the learned pictures or the paper's."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nerfstudio_mvc.cli.console import format_bytes, print_json, print_table
from nerfstudio_mvc.cli.flags import DeviceChoice, OptionalFloat, OptionalPath
from nerfstudio_mvc.cli.main import UsageError, run_command

if TYPE_CHECKING:
    from nerfstudio_mvc.training.paper_run import PaperRecipe
    from nerfstudio_mvc.training.run import TrainingData, TrainReport


LMVIC_ABLATIONS = ("separate", "concatenate", "no-mask", "no-depth-prediction")
PARAHYDRA_ABLATIONS = (
    "no-hpa",
    "no-vpa",
    "average-pooling",
    "full-attention",
    "no-pccm",
    "no-pgcm",
    "separate-decoding",
    "joint-encoding",
)
ABLATION_NAMES = ("none", *LMVIC_ABLATIONS, *PARAHYDRA_ABLATIONS)


@dataclass(frozen=True)
class Train:
    """Train a network of the codec and write a weights file for --weights of the other commands."""

    captures: tuple[Path, ...]
    """Capture folders, or folders of them: photographs with cameras and sparse points."""
    output_dir: Path
    """Where the run lives, with its learning_curve.csv. A run found there is continued."""
    preset: Literal["restoration", "small", "paper", "parahydra-paper"] = "restoration"
    """restoration: the network that restores what AV1 codes, beside the model that ships. small: that model, which
    codes pictures with --pictures learned. paper: 3D-GP-LMVIC as published, 20 times the work, on runs of four views.
    parahydra-paper: ParaHydra as published, as much work, on groups of three."""
    stills: tuple[Path, ...] = ()
    """Folders of single photographs, to train restoration or the small model on as well."""
    minutes: float = 60.0
    """How long to train; the learning rate falls towards the end."""
    learning_rate: OptionalFloat = None
    """Peak learning rate; 1e-3 for restoration, 4e-4 for small and 1e-4 for the papers' when not given."""
    crop_px: int = 256
    """Side of the square crops, a multiple of 64."""
    depth: Literal["sparse", "gaussians", "auto"] = "sparse"
    """Where the depth that warps the neighbours comes from."""
    distortion: Literal["mse", "ms-ssim"] = "mse"
    """What the model is trained for. ms-ssim goes on best from weights trained for mse (--start-from)."""
    ablation: Literal[ABLATION_NAMES] = "none"
    """Train without one of the model's parts. small and paper: separate, concatenate, no-mask, and paper
    no-depth-prediction; parahydra-paper: the others."""
    start_from: OptionalPath = None
    """Float weights that a new run starts from (float_weights.safetensors of another run)."""
    device: DeviceChoice = "auto"
    """Where to train; auto takes a GPU where there is one. Several: torchrun --nproc-per-node N -m
    nerfstudio_mvc.cli.train ..."""
    threads: int | None = None
    """CPU threads; all when not given."""
    seed: int = 0
    """Of the new model and the crops."""
    json: bool = False
    """Print the result as JSON."""

    def run(self) -> int:
        """Do it."""
        self._check()
        # torch and the rest arrive only now: --help has answered already.
        from nerfstudio_mvc.cli.training_view import TrainingView
        from nerfstudio_mvc.pipeline.device import resolve_device
        from nerfstudio_mvc.training.run import TrainingData, folders_below

        leads = os.environ.get("RANK", "0") == "0"  # of the processes that torchrun started
        data = TrainingData(folders_below(self.captures), folders_below(self.stills), depth=self.depth)
        train = {
            "small": self._train_small,
            "restoration": self._train_restoration,
            "paper": self._train_paper,
            "parahydra-paper": self._train_parahydra,
        }[self.preset]
        with TrainingView(silent=not leads) as view:
            report = train(
                data,
                threads=self.threads,
                device=resolve_device(self.device),
                start_from=self.start_from,
                on_step=view.on_step,
                on_progress=view.on_progress,
                on_tick=view.on_tick,
            )
        if not leads:
            return 0
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

    def _check(self) -> None:
        if self.minutes < 0 or (self.learning_rate or 1) <= 0 or self.crop_px < 64 or self.crop_px % 64:
            raise UsageError(
                "--minutes must not be negative, --learning-rate must be positive, --crop-px a multiple of 64"
            )
        if self.preset in ("paper", "parahydra-paper") and self.stills:
            raise UsageError(
                f"--stills are single views: --preset {self.preset} trains on runs of views, leave them out"
            )
        if self.ablation != "none" and self.preset == "restoration":
            raise UsageError("--ablation goes with --preset small, paper or parahydra-paper")
        if self.ablation != "none" and (self.ablation in PARAHYDRA_ABLATIONS) != (self.preset == "parahydra-paper"):
            own = PARAHYDRA_ABLATIONS if self.preset == "parahydra-paper" else LMVIC_ABLATIONS
            raise UsageError(f"--preset {self.preset} has no --ablation {self.ablation}; it has {', '.join(own)}")
        if self.ablation == "no-depth-prediction" and self.preset != "paper":
            raise UsageError("--ablation no-depth-prediction goes with --preset paper: small codes depth by itself")
        if self.preset == "restoration" and self.distortion != "mse":
            raise UsageError("--preset restoration trains for --distortion mse alone")
        if self.distortion == "ms-ssim" and self.crop_px < 192:
            raise UsageError("--distortion ms-ssim needs a --crop-px of 192 or more, for its five scales")

    def _train_small(self, data: TrainingData, **options: Any) -> TrainReport:
        from nerfstudio_mvc.training.loop import Recipe
        from nerfstudio_mvc.training.run import train

        rate = {} if self.learning_rate is None else {"learning_rate": self.learning_rate}
        recipe = Recipe(minutes=self.minutes, crop_px=self.crop_px, seed=self.seed, distortion=self.distortion, **rate)
        return train(data, self.output_dir, recipe, ablation=self.ablation, **options)

    def _train_restoration(self, data: TrainingData, **options: Any) -> TrainReport:
        from nerfstudio_mvc.training.restoration_run import RestorationRecipe, train_restoration

        rate = {} if self.learning_rate is None else {"learning_rate": self.learning_rate}
        recipe = RestorationRecipe(minutes=self.minutes, crop_px=self.crop_px, seed=self.seed, **rate)
        return train_restoration(data, self.output_dir, recipe, **options)

    def _train_paper(self, data: TrainingData, **options: Any) -> TrainReport:
        from nerfstudio_mvc.training.paper_run import train_paper

        return train_paper(data, self.output_dir, self._paper_recipe(length=4), ablation=self.ablation, **options)

    def _train_parahydra(self, data: TrainingData, **options: Any) -> TrainReport:
        from nerfstudio_mvc.training.parahydra_run import train_parahydra

        return train_parahydra(data, self.output_dir, self._paper_recipe(length=3), ablation=self.ablation, **options)

    def _paper_recipe(self, *, length: int) -> PaperRecipe:
        from nerfstudio_mvc.training.paper_run import PaperRecipe

        rate = {} if self.learning_rate is None else {"learning_rate": self.learning_rate}
        return PaperRecipe(
            minutes=self.minutes,
            crop_px=self.crop_px,
            seed=self.seed,
            distortion=self.distortion,
            length=length,
            **rate,
        )


def main() -> None:
    """Entry point of `ns-mvc-train`."""
    run_command(Train, "ns-mvc-train")


if __name__ == "__main__":
    main()
