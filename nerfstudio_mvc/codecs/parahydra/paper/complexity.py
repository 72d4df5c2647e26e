"""The blocks of ParaHydra as published and what each weighs and costs; how that is counted is `block_costs`'.

Costs are per pixel of one view of a group of two, so with one side view; another one costs the two lines of OPAM again.
"""

from __future__ import annotations

from torch import Tensor, nn

from nerfstudio_mvc.codecs.block_costs import (
    HYPER_STRIDE,
    BlockCost,
    block,
    map_of,
    scale_block,
    with_rest,
)
from nerfstudio_mvc.codecs.parahydra.paper.fusion import ParallaxFusion
from nerfstudio_mvc.codecs.parahydra.paper.model import STRIDE, ParaHydraModel

PUBLISHED_PARAMETERS = 105.25 * 2**20 / 4
"""The paper's table says 105.25 "M": MiB of float32, as its rows for released models show."""
PUBLISHED_MACS = 1.78e12 / (2 * 832 * 1024)
"""Per pixel and view, for two views of 832x1024; deconvolutions counted at the resolution they make, attention not."""


def paper_costs(model: ParaHydraModel | None = None) -> list[BlockCost]:
    """Blocks of a `ParaHydraModel`, the published one when None."""
    model = (model or ParaHydraModel()).eval()
    width, latent = model.config.width, model.config.latent
    x, y, z, quarter = map_of(3), map_of(latent, STRIDE), map_of(width, HYPER_STRIDE), map_of(width, 4)
    decoder, entropy = model.decoder, model.entropy
    slices = map_of(latent, STRIDE).split(model.config.slice_channels, 1)
    later = range(1, model.config.slices)
    blocks = [
        block("encoder", model.encoder, lambda: model.encoder(x), decodes=False),
        block("h_a", entropy.h_a, lambda: entropy.h_a(y), decodes=False),
        block("h_s", entropy.h_s, lambda: entropy.h_s(z)),
        block("PCCM, 7 slices", entropy.channel, lambda: [entropy.channel[i - 1](slices[:i]) for i in later]),
        block("local context, 8 slices", entropy.local, lambda: [local(slices[0]) for local in entropy.local]),
        block("PGCM, 7 slices", entropy.across, lambda: [across(slices[0], slices[0]) for across in entropy.across]),
        block("means, 16 half slices", [entropy.anchor_heads, entropy.rest_heads], lambda: _heads(entropy)),
        scale_block("scale network (ours)", entropy.scales, z, y),
        *_fusion_blocks("PMIFM at 1/16", decoder.fuse_latents, y),
        block("deconvolutions to 1/4", decoder.to_quarter, lambda: decoder.to_quarter(y), encodes=False),
        *_fusion_blocks("PMIFM at 1/4", decoder.fuse_quarter, quarter),
        block("deconvolutions to 1", decoder.to_picture, lambda: decoder.to_picture(quarter), encodes=False),
    ]
    return with_rest(model, blocks)


def _fusion_blocks(name: str, fusion: ParallaxFusion, x: Tensor) -> list[BlockCost]:
    attention = fusion.attention
    return [
        block(f"{name}: deep maps", fusion.deep, lambda: fusion.deep(x), encodes=False),
        block(f"{name}: OPAM, one side", attention, lambda: attention(attention.query(x), x), encodes=False),
        block(f"{name}: fusion", [fusion.summary, fusion.refine], lambda: fusion.refined(x, x, x), encodes=False),
    ]


def _heads(entropy: nn.Module) -> None:
    for head in (*entropy.anchor_heads, *entropy.rest_heads):
        head(map_of(head[0].in_channels, STRIDE))
