"""The depth prediction extractor, appendix A: the previous view's depth, splatted into this view, and its features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nerfstudio_mvc.capture.views import View
from nerfstudio_mvc.codecs.lmvic.paper.context import Scales
from nerfstudio_mvc.geometry.depth_splat import splat_depth
from nerfstudio_mvc.layers.gdn import GDN
from nerfstudio_mvc.layers.strided import conv


@dataclass(frozen=True)
class PredictionFeatures:
    """Maps of the predicted depth: after the GDN for the encoder, before it for the decoder, and for the means."""

    encoder: Scales
    decoder: Scales
    parameters: Tensor


class DepthPredictionFeatures(nn.Module):
    """Predicted depth [B, 1, H, W], normalised, 0 where nothing is known, H and W multiples of 16 -> its maps."""

    def __init__(self, width: int, latent: int) -> None:
        super().__init__()
        self.halvings = nn.ModuleList([conv(1, width), conv(width, width), conv(width, width)])
        self.norms = nn.ModuleList(GDN(width) for _ in range(3))
        self.parameters_out = conv(width, 2 * latent)

    def forward(self, predicted: Tensor) -> PredictionFeatures:
        x, after, before = predicted, [], []
        for halve, norm in zip(self.halvings, self.norms, strict=True):
            before.append(halve(x))
            x = norm(before[-1])
            after.append(x)
        return PredictionFeatures(Scales(*after), Scales(*before), self.parameters_out(x))


@torch.no_grad()
def predict_depth(
    depth: Tensor, *, reference: Sequence[View], current: Sequence[View], size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Cross-view depth prediction (CVDP), Eq. 9, for each view of a batch.

    Args:
        depth: decoded z-depth of the references, world units. [B, 1, Hr, Wr]
        size: (H, W) of the current views.

    Returns:
        z-depth, 0 where no pixel of the reference falls, and 1 where one does. float32 [B, 1, H, W] both
    """
    predicted, masks = [], []
    for idx, (other, own) in enumerate(zip(reference, current, strict=True)):
        values, hit = splat_depth(depth[idx, 0].detach(), reference=other, current=own, height=size[0], width=size[1])
        predicted.append(values[None])
        masks.append(hit[None].float())
    return torch.stack(predicted), torch.stack(masks)
