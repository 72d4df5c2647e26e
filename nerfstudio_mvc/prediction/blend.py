"""The blend of two warped references into one: a weight per pixel, by a small network.

    first, second, validity --4x4 pixels to channels--> 1x1, depthwise block, 1x1 --> weight of the first one

`ReferenceBlend` is what training runs, `BlendInference` the same weights on maps stored pixel by pixel, which encoder
and decoder run, so that they agree.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nerfstudio_mvc.geometry.flow import bands
from nerfstudio_mvc.kernel_threads import side_by_side
from nerfstudio_mvc.layers.blocks import LEAK, DepthwiseBlock, starts_at_zero
from nerfstudio_mvc.layers.pixel_major import planes_of
from nerfstudio_mvc.prediction.blend_kernels import STRIDE, blend_rows, convolve_rows, gather_rows
from nerfstudio_mvc.prediction.reference import Reference

BAND_CELLS = 1 << 13


class ReferenceBlend(nn.Module):
    """Two warped candidates and their validity -> one reference."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.weigh = nn.Sequential(
            nn.PixelUnshuffle(STRIDE),
            nn.Conv2d(8 * STRIDE**2, width, 1),
            DepthwiseBlock(width),
            starts_at_zero(nn.Conv2d(width, STRIDE**2, 1)),
            nn.PixelShuffle(STRIDE),
        )

    def forward(self, first: Reference, second: Reference) -> Reference:
        """`first` is the nearer one. The result is not yet filled where neither is valid."""
        stacked = torch.cat([first.picture - 0.5, second.picture - 0.5, first.valid, second.valid], 1)
        height, width = stacked.shape[-2:]
        whole = F.pad(stacked, (0, -width % STRIDE, 0, -height % STRIDE), mode="replicate")
        logit = self.weigh(whole).float()[..., :height, :width] + 0.5
        odds_first = first.valid * torch.sigmoid(logit)
        odds_second = second.valid * torch.sigmoid(-logit)
        share = odds_first / (odds_first + odds_second).clamp_min(1e-6)
        return Reference(share * first.picture + (1 - share) * second.picture, torch.maximum(first.valid, second.valid))


class BlendInference:
    """`ReferenceBlend` as it codes, on the CPU; holds no state between calls."""

    def __init__(self, blend: ReferenceBlend) -> None:
        _, enter, block, leave, _ = blend.weigh
        self._enter, self._widen, (narrow_bias, narrow), (leave_bias, self._leave) = (
            (layer.bias.detach().cpu(), layer.weight[:, :, 0, 0].detach().cpu().t().contiguous())
            for layer in (enter, block.widen, block.narrow, leave)
        )
        # Nothing stands between these two layers, so they are one.
        self._leave_hidden = (leave_bias + narrow_bias @ self._leave, narrow @ self._leave)
        depthwise = block.depthwise
        self._around = depthwise.weight[:, 0].detach().cpu().permute(1, 2, 0).contiguous().numpy()
        self._around_bias = depthwise.bias.detach().cpu().numpy()

    def __call__(self, first: Reference, second: Reference) -> Reference:
        """As `ReferenceBlend.forward`, of one picture each: [1, 3, H, W]."""
        pictures, valid = zip(first.arrays(), second.arrays(), strict=True)
        blended, blended_valid = np.empty_like(pictures[0]), np.empty_like(valid[0])
        # Of a size that does not depend on the number of threads, as no sum in them does.
        cells = bands(*(-(-side // STRIDE) for side in valid[0].shape), BAND_CELLS)
        for _ in side_by_side([partial(self._blend, band, pictures, valid, blended, blended_valid) for band in cells]):
            pass
        device = first.picture.device
        return Reference(
            planes_of(torch.from_numpy(blended)).to(device), torch.from_numpy(blended_valid)[None, None].to(device)
        )

    def _blend(
        self,
        band: slice,
        pictures: tuple[np.ndarray, np.ndarray],
        valid: tuple[np.ndarray, np.ndarray],
        blended: np.ndarray,
        blended_valid: np.ndarray,
    ) -> None:
        height, width = (-(-side // STRIDE) for side in valid[0].shape)
        first, last = band.start, band.stop
        above, below = max(0, first - 1), min(height, last + 1)
        cells = torch.empty(below - above, width, 8 * STRIDE**2)
        gather_rows(above, below, pictures, valid, cells.numpy())
        x = _dense(cells.flatten(0, 1), *self._enter).view(below - above, width, -1)
        spread = torch.empty(last - first, width, x.shape[2])
        convolve_rows(first - above, last - above, x.numpy(), self._around, self._around_bias, spread.numpy())
        hidden = F.leaky_relu_(_dense(spread.flatten(0, 1), *self._widen), LEAK)
        logits = _dense(hidden, *self._leave_hidden).addmm_(x[first - above : last - above].flatten(0, 1), self._leave)
        logits = logits.view(last - first, width, -1)
        blend_rows(first, last, pictures, valid, logits.numpy(), blended, blended_valid)


def _dense(x: Tensor, bias: Tensor, weight: Tensor) -> Tensor:
    return torch.addmm(bias, x, weight)


Blend = ReferenceBlend | BlendInference
