"""Training ParaHydra as published: capture folders to a weights file; the loop is `paper_run`'s.

Crops of a run follow the scene with the help of cameras and sparse depth, which the model itself never sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from nerfstudio_mvc.codecs.parahydra.paper.config import ParaHydraConfig
from nerfstudio_mvc.codecs.parahydra.paper.model import ParaHydraModel
from nerfstudio_mvc.training.objective import Distortion, image_error
from nerfstudio_mvc.training.paper_objective import SequenceLoss, at_quality
from nerfstudio_mvc.training.paper_run import PaperRecipe, train_on_runs
from nerfstudio_mvc.training.run import TrainingData, TrainReport
from nerfstudio_mvc.training.view_sequences import CroppedView

ParaHydraAblation = Literal[
    "none",
    "no-hpa",
    "no-vpa",
    "average-pooling",
    "full-attention",
    "no-pccm",
    "no-pgcm",
    "separate-decoding",
    "joint-encoding",
]
ABLATIONS: dict[str, dict[str, Any]] = {
    "none": {},
    "no-hpa": {"attention": "vertical"},
    "no-vpa": {"attention": "horizontal"},
    "average-pooling": {"attention": "average"},
    "full-attention": {"attention": "plane"},
    "no-pccm": {"channel_parallax": False},
    "no-pgcm": {"global_parallax": False},
    "separate-decoding": {"joint_decoding": False},
    "joint-encoding": {"joint_encoding": True},
}
"""The paper's ablations as switches of `ParaHydraConfig`."""

ALONE_SHARE = 0.25
"""Of the runs, decoded without any side views: side views may be missing, and a view alone must be worth its bits. The
paper trains on whole groups only."""


def group_loss(
    model: ParaHydraModel, run: Sequence[CroppedView], quality: Tensor, distortion: Distortion = "mse"
) -> SequenceLoss:
    """The paper's loss of a group, Eq. 6, as a mean over its views."""
    weight = at_quality(model.config.rd_lambdas, quality)
    pictures = [view.picture for view in run]
    alone = float(torch.rand(())) < ALONE_SHARE
    result = model(pictures, quality=quality, sides_of=[[] for _ in run] if alone else None)
    loss, rates, errors = torch.zeros((), device=quality.device), [], []
    for x, x_hat, *likelihoods in zip(pictures, result["x_hat"], *result["likelihoods"].values(), strict=True):
        bpp = -sum(values.log2().sum() for values in likelihoods) / (x.shape[0] * x.shape[2] * x.shape[3])
        loss = loss + weight * image_error(x, x_hat, distortion=distortion) + bpp
        rates.append(bpp.item())
        errors.append(image_error(x, x_hat.detach(), distortion="mse").item())
    return SequenceLoss(loss / len(run), tuple(rates), tuple(errors))


def train_parahydra(
    data: TrainingData,
    output_dir: Path,
    recipe: PaperRecipe,
    *,
    config: ParaHydraConfig | None = None,
    ablation: ParaHydraAblation = "none",
    **options: Any,
) -> TrainReport:
    """Train ParaHydra and export it.

    Args:
        config: widths; the published ones when None.
        ablation: which of the paper's ablations to train; the weights file then codes with it.
        options: threads, device, start_from and the callbacks, as in `run.train`.

    Raises:
        CaptureError: a folder cannot be used, or none has enough views with depth.
        WeightsError: `start_from` cannot be used, or the trained model cannot be exported exactly.
    """
    settings = replace(config or ParaHydraConfig(), **ABLATIONS[ablation])
    return train_on_runs(
        data, output_dir, recipe, make_model=lambda: ParaHydraModel(settings), loss=group_loss, **options
    )
