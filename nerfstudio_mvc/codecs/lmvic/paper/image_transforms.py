"""The paper's image encoder and decoder, section 3.2.1; entropy coding is `latent_entropy`'s.

encoder   x --conv-GDN-ICT (1/2)--conv-GDN-ICT (1/4)--conv-GDN-ICT (1/8)--conv--> y (1/16)
decoder   y_hat --deconv-ICT (1/8)--IGDN-deconv-ICT (1/4)--IGDN-deconv-ICT (1/2)--IGDN-deconv--> x_hat

The decoder's maps after each ICT, before the IGDN, are kept: they are the next view's reference.
"""

from __future__ import annotations

from torch import Tensor, nn

from nerfstudio_mvc.codecs.lmvic.paper.context import ContextTransfer, Scales
from nerfstudio_mvc.layers.gdn import GDN
from nerfstudio_mvc.layers.strided import conv, deconv, starts_grey


class ImageEncoder(nn.Module):
    """Picture [B, 3, H, W], 0..1, H and W multiples of 16 -> latent [B, M, H/16, W/16], before the gain."""

    def __init__(self, width: int, latent: int) -> None:
        super().__init__()
        self.halvings = nn.ModuleList([conv(3, width), conv(width, width), conv(width, width)])
        self.norms = nn.ModuleList(GDN(width) for _ in range(3))
        self.transfers = nn.ModuleList(ContextTransfer(width) for _ in range(3))
        self.last = conv(width, latent)

    def forward(self, x: Tensor, reference: Scales, gates: Scales | None) -> Tensor:
        for idx, (halve, norm, transfer) in enumerate(zip(self.halvings, self.norms, self.transfers, strict=True)):
            x = transfer(norm(halve(x)), reference[idx], None if gates is None else gates[idx])
        return self.last(x)


class ImageDecoder(nn.Module):
    """Latent [B, M, h, w], gain undone -> picture [B, 3, 16h, 16w], not clamped, and the maps for the next view."""

    def __init__(self, width: int, latent: int) -> None:
        super().__init__()
        self.doublings = nn.ModuleList([deconv(latent, width), deconv(width, width), deconv(width, width)])
        self.transfers = nn.ModuleList(ContextTransfer(width) for _ in range(3))
        self.norms = nn.ModuleList(GDN(width, inverse=True) for _ in range(3))
        self.last = deconv(width, 3)
        starts_grey(self.last)

    def forward(self, y_hat: Tensor, reference: Scales, gates: Scales | None) -> tuple[Tensor, Scales]:
        x, kept = y_hat, []
        for idx, (double, transfer, norm) in enumerate(zip(self.doublings, self.transfers, self.norms, strict=True)):
            scale = 2 - idx
            x = transfer(double(x), reference[scale], None if gates is None else gates[scale])
            kept.append(x)
            x = norm(x)
        return self.last(x), Scales(*kept[::-1])
