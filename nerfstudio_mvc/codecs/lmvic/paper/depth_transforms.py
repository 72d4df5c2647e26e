"""The paper's depth encoder and decoder, appendix A; what they are given as prediction is `depth_prediction`'s.

encoder   d --conv-GDN-DCI (1/2)--conv-GDN-DCI (1/4)--conv-GDN-DCI (1/8)--conv--> y (1/16)
decoder   y_hat --deconv-IGDN-DCI (1/8)--deconv-IGDN-DCI (1/4)--deconv-IGDN-DCI (1/2)--deconv--> d_hat
"""

from __future__ import annotations

from torch import Tensor, nn

from nerfstudio_mvc.codecs.lmvic.paper.context import Scales, integrate
from nerfstudio_mvc.layers.gdn import GDN
from nerfstudio_mvc.layers.strided import conv, deconv, starts_grey


class DepthEncoder(nn.Module):
    """Normalised depth [B, 1, H, W], H and W multiples of 16 -> latent [B, M, H/16, W/16], before the gain."""

    def __init__(self, width: int, latent: int) -> None:
        super().__init__()
        self.halvings = nn.ModuleList([conv(1, width), conv(2 * width, width), conv(2 * width, width)])
        self.norms = nn.ModuleList(GDN(width) for _ in range(3))
        self.last = conv(2 * width, latent)

    def forward(self, x: Tensor, prediction: Scales, gates: Scales | None) -> Tensor:
        for idx, (halve, norm) in enumerate(zip(self.halvings, self.norms, strict=True)):
            x = integrate(norm(halve(x)), prediction[idx], None if gates is None else gates[idx])
        return self.last(x)


class DepthDecoder(nn.Module):
    """Latent [B, M, h, w], gain undone -> normalised depth [B, 1, 16h, 16w], not clamped."""

    def __init__(self, width: int, latent: int) -> None:
        super().__init__()
        self.doublings = nn.ModuleList([deconv(latent, width), deconv(2 * width, width), deconv(2 * width, width)])
        self.norms = nn.ModuleList(GDN(width, inverse=True) for _ in range(3))
        self.last = deconv(2 * width, 1)
        starts_grey(self.last)

    def forward(self, y_hat: Tensor, prediction: Scales, gates: Scales | None) -> Tensor:
        x = y_hat
        for idx, (double, norm) in enumerate(zip(self.doublings, self.norms, strict=True)):
            scale = 2 - idx
            x = integrate(norm(double(x)), prediction[scale], None if gates is None else gates[scale])
        return self.last(x)
