"""The paper's loss for a run of views, Eq. 7: rates of picture and depth, and their weighted distortions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nerfstudio_mvc.codecs.lmvic.paper.model import PaperModel
from nerfstudio_mvc.entropy.quality_points import quality_weights
from nerfstudio_mvc.training.objective import Distortion, image_error
from nerfstudio_mvc.training.view_sequences import CroppedView

VIEW_WEIGHTS = (0.5, 1.2, 0.5, 0.9)
"""Of the distortions of the four views of a run, from the authors' code."""


@dataclass(frozen=True)
class SequenceLoss:
    """The loss of a run, and what it is made of: estimated bpp of every view, MSE of the pictures (0..1)."""

    loss: Tensor
    estimated_bpp: tuple[float, ...]
    mse: tuple[float, ...]


def at_quality(values: Sequence[float], quality: Tensor) -> Tensor:
    """A positive per-quality value at a continuous quality, geometric between the eight points."""
    return torch.exp((quality_weights(quality) * torch.tensor(values, device=quality.device).log()).sum())


def sequence_loss(
    model: PaperModel, run: Sequence[CroppedView], quality: Tensor, distortion: Distortion = "mse"
) -> SequenceLoss:
    """Code a run of views as a chain; the gradient runs through all of them.

    Views beyond the fourth take the four weights in turn.
    """
    weight = at_quality(model.config.rd_lambdas, quality)
    depth_weight = at_quality(model.config.depth_rd_lambdas, quality)
    loss, rates, errors, state = torch.zeros((), device=quality.device), [], [], None
    for idx, view in enumerate(run):
        depth = None if model.config.separate else view.depth
        result = model(view.picture, depth, geometry=view.geometry, reference=state, quality=quality)
        state = result["state"]
        pixels = view.picture.shape[0] * view.picture.shape[2] * view.picture.shape[3]
        bpp = -sum(values.log2().sum() for values in result["likelihoods"].values()) / pixels
        weighted = weight * image_error(view.picture, result["x_hat"], distortion=distortion)
        if depth is not None:
            unit = view.geometry.depth_unit
            weighted = weighted + depth_weight * (result["depth_hat"] - depth / unit).square().mean()
        loss = loss + VIEW_WEIGHTS[idx % len(VIEW_WEIGHTS)] * weighted + bpp
        rates.append(bpp.item())
        errors.append(image_error(view.picture, result["x_hat"].detach(), distortion="mse").item())
    return SequenceLoss(loss / len(run), tuple(rates), tuple(errors))
