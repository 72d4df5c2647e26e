"""The reference feature extractor, section 3.2.1: the previous view's picture and decoder maps, seen from this view."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from nerfstudio_mvc.codecs.lmvic.paper.alignment import Alignment, warp_features
from nerfstudio_mvc.codecs.lmvic.paper.context import Scales
from nerfstudio_mvc.layers.gdn import GDN
from nerfstudio_mvc.layers.strided import conv


class ReferenceFeatures(nn.Module):
    """Reference picture and its decoder maps -> maps for the transfers, and parameters for the means.

    picture --conv-GDN-- + map(1/2) --conv-GDN-- + map(1/4) --conv-GDN-- + map(1/8)
                         |                       |                       |
                        warp                    warp                    warp --conv--> parameters (1/16)

    What goes from stage to stage is not warped.
    """

    def __init__(self, width: int, latent: int) -> None:
        super().__init__()
        self.halvings = nn.ModuleList([conv(3, width), conv(width, width), conv(width, width)])
        self.norms = nn.ModuleList(GDN(width) for _ in range(3))
        self.parameters_out = conv(width, 2 * latent)

    def forward(
        self, picture: Tensor, memory: Scales | None, alignment: Alignment | None, *, size: tuple[int, int]
    ) -> tuple[Scales, Tensor]:
        """Maps at 1/2, 1/4, 1/8 of the current view and its parameters [B, 2M, H/16, W/16].

        Args:
            picture: the reference, 0..1, padded; zeros for a view without. [B, 3, Hr, Wr]
            memory: the reference's decoder maps; None for a view without.
            alignment: where the current view lies in the reference; None to leave the maps where they are.
            size: (H, W) of the current view, padded.
        """
        x, seen = picture, []
        for idx, (halve, norm) in enumerate(zip(self.halvings, self.norms, strict=True)):
            x = norm(halve(x))
            if memory is not None:
                x = x + memory[idx]
            target = (size[0] >> (idx + 1), size[1] >> (idx + 1))
            if alignment is not None:
                seen.append(warp_features(x, alignment.flow[idx]))
            elif x.shape[-2:] == target:
                seen.append(x)
            else:
                seen.append(F.interpolate(x, size=target, mode="bilinear", align_corners=False))
        return Scales(*seen), self.parameters_out(seen[-1])
