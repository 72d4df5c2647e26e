"""Encoder and parallax joint decoder (Para-JD), section 3.4; entropy coding is `entropy_model`'s.

    encoder   x --3 times (residual block of stride 2, residual block)--conv--> y (1/16)
    decoder   y_hat --PMIFM--deconv-IGDN (1/8)--deconv-IGDN (1/4)--PMIFM--deconv-IGDN (1/2)--deconv--> x_hat

The encoder is MLIC's, the deconvolutions are LDMIC's: of the parts that the paper names, this pair has the size that
the paper's table gives. All views share one encoder and one decoder.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from nerfstudio_mvc.codecs.parahydra.paper.attention import Attention
from nerfstudio_mvc.codecs.parahydra.paper.fusion import Fused, ParallaxFusion
from nerfstudio_mvc.layers.gdn import GDN
from nerfstudio_mvc.layers.strided import conv, deconv, starts_grey


class HalvingBlock(nn.Module):
    """GDN(3x3(gelu(3x3 of stride 2))) + 1x1 of stride 2; MLIC's ResidualBlockWithStride."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.first = conv(channels_in, channels_out, kernel=3)
        self.second = conv(channels_out, channels_out, kernel=3, stride=1)
        self.norm = GDN(channels_out)
        self.skip = conv(channels_in, channels_out, kernel=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.second(F.gelu(self.first(x)))) + self.skip(x)


class PlainBlock(nn.Module):
    """x + gelu(3x3(gelu(3x3(x)))); MLIC's ResidualBlock."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = conv(channels, channels, kernel=3, stride=1)
        self.second = conv(channels, channels, kernel=3, stride=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + F.gelu(self.second(F.gelu(self.first(x))))


class Encoder(nn.Module):
    """Picture [B, 3, H, W], 0..1, H and W multiples of 16 -> latent [B, M, H/16, W/16], before the gain.

    Args:
        attention: of the two fusions of an encoder that sees the other views; None for one that does not.
    """

    def __init__(self, width: int, latent: int, *, attention: Attention | None = None) -> None:
        super().__init__()
        self.to_quarter = nn.Sequential(
            HalvingBlock(3, width), PlainBlock(width), HalvingBlock(width, width), PlainBlock(width)
        )
        self.to_latent = nn.Sequential(HalvingBlock(width, width), PlainBlock(width), conv(width, latent, kernel=3))
        self.fusions = nn.ModuleList()
        if attention is not None:
            self.fusions.extend(
                [ParallaxFusion(width, attention=attention), ParallaxFusion(latent, attention=attention)]
            )

    def forward(self, x: Tensor) -> Tensor:
        """One view, knowing nothing of others."""
        return self.to_latent(self.to_quarter(x))

    def every(self, pictures: Sequence[Tensor]) -> list[Tensor]:
        """All views; with fusions each sees all others."""
        if not self.fusions:
            return [self(x) for x in pictures]
        quarter, latent = self.fusions
        others = {view: [other for other in range(len(pictures)) if other != view] for view in range(len(pictures))}
        maps = quarter.every({view: self.to_quarter(x) for view, x in enumerate(pictures)}, others)
        latents = latent.every({view: self.to_latent(fused.features) for view, fused in maps.items()}, others)
        return [latents[view].features for view in range(len(pictures))]


class JointDecoder(nn.Module):
    """Para-JD: latents of views, gains undone -> pictures [B, 3, 16h, 16w], not clamped."""

    def __init__(self, width: int, latent: int, *, attention: Attention) -> None:
        super().__init__()
        self.fuse_latents = ParallaxFusion(latent, attention=attention)
        self.to_quarter = nn.Sequential(
            deconv(latent, width), GDN(width, inverse=True), deconv(width, width), GDN(width, inverse=True)
        )
        self.fuse_quarter = ParallaxFusion(width, attention=attention)
        self.to_picture = nn.Sequential(deconv(width, width), GDN(width, inverse=True), deconv(width, 3))
        starts_grey(self.to_picture[-1])

    def forward(
        self, latents: Mapping[int, Tensor], sides_of: Sequence[Sequence[int]], wanted: Collection[int]
    ) -> dict[int, Tensor]:
        """The pictures of the wanted views, each helped by its sides; `latents` has all that `needed_views` names."""
        fused = self.fused_quarters(latents, sides_of, wanted)
        return {view: self.to_picture(one.features) for view, one in fused.items()}

    def fused_quarters(
        self, latents: Mapping[int, Tensor], sides_of: Sequence[Sequence[int]], wanted: Collection[int]
    ) -> dict[int, Fused]:
        """The maps at 1/4 after the second fusion; its weights and consistency say which view helped where."""
        first = {view: sides_of[view] for view in with_sides(wanted, sides_of)}
        refined = self.fuse_latents.every(latents, first)
        quarters = {view: self.to_quarter(fused.features) for view, fused in refined.items()}
        return self.fuse_quarter.every(quarters, {view: sides_of[view] for view in wanted})


def with_sides(views: Iterable[int], sides_of: Sequence[Sequence[int]]) -> set[int]:
    """Views and the sides of each."""
    views = set(views)
    return views.union(*(sides_of[view] for view in views))


def needed_views(wanted: Iterable[int], sides_of: Sequence[Sequence[int]]) -> set[int]:
    """Whose latents decoding takes: sides are fused themselves before they help."""
    return with_sides(with_sides(wanted, sides_of), sides_of)


def nearest_sides(views: int, most: int) -> list[list[int]]:
    """For each of `views` positions in coding order the `most` others nearest to it, the nearer first."""
    return [
        sorted((other for other in range(views) if other != view), key=lambda other: (abs(other - view), other))[:most]
        for view in range(views)
    ]
