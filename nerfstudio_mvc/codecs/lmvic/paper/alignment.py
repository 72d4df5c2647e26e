"""The disparity extractor's geometry, section 3.1 and 3.2.1: decoded depth -> flow at three scales, and the mask.

Points and cameras are `geometry.flow`'s; the gates that networks make of the mask are `context`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from nerfstudio_mvc.capture.views import View
from nerfstudio_mvc.codecs.lmvic.paper.context import Scales
from nerfstudio_mvc.geometry.flow import flow_to_reference
from nerfstudio_mvc.geometry.hole_filling import fill_invalid
from nerfstudio_mvc.layers.padding import pad_to_blocks


@dataclass(frozen=True)
class Alignment:
    """Where a padded view lies in its reference.

    Attributes:
        flow: (dx, dy) in cells of each scale, smooth where nothing is seen. [B, 2, h, w]
        mask: 1 where the reference sees the same point, 0 elsewhere and in the padding. [B, 1, H, W]
    """

    flow: Scales
    mask: Tensor


def align(
    depth: Tensor, *, current: Sequence[View], reference: Sequence[View], reference_depth: Tensor | None
) -> Alignment:
    """Eq. 3-4 for each view of a batch, at full resolution, then halved three times.

    Differs from the released code: invalid pixels take the flow of their surroundings instead of a division by
    nearly zero, and the principal point is kept.

    Args:
        depth: decoded z-depth of the current views, world units, positive; passes gradients. [B, 1, H, W]
        reference_depth: that of the references, for occlusion; None: nothing is hidden. [B, 1, Hr, Wr]
    """
    flows, masks = [], []
    for idx, (own, other) in enumerate(zip(current, reference, strict=True)):
        hides = None if reference_depth is None else reference_depth[idx, 0].detach()
        field = flow_to_reference(depth[idx, 0], current=own, reference=other, reference_depth=hides)
        flows.append(fill_invalid(field.flow, field.valid[None]))
        masks.append(field.valid[None].float())
    full = pad_to_blocks(torch.stack(flows))
    scales = []
    for _ in Scales._fields:
        full = F.avg_pool2d(full, 2) / 2
        scales.append(full)
    return Alignment(Scales(*scales), pad_to_blocks(torch.stack(masks), mode="constant"))


def warp_features(features: Tensor, flow: Tensor) -> Tensor:
    """Maps of the reference where the cells of the current view land; outside, the border. [B, C, h, w]

    Args:
        features: maps over the padded reference. [B, C, hr, wr]
        flow: in cells, from the current view's grid into that of `features`. [B, 2, h, w]
    """
    height, width = flow.shape[-2:]
    rows, columns = features.shape[-2:]
    x = (flow[:, 0] + torch.arange(width, device=flow.device) + 0.5) * (2 / columns) - 1
    y = (flow[:, 1] + torch.arange(height, device=flow.device)[:, None] + 0.5) * (2 / rows) - 1
    position = torch.stack([x, y], -1)
    return F.grid_sample(features, position, mode="bilinear", padding_mode="border", align_corners=False)
