"""ParaHydra as published with a few channels: the same code, untrained, fast enough for tests."""

import torch
from tiny_lmvic import plane_views

from nerfstudio_mvc.codecs.parahydra.paper.codec import ParaHydraPaperCodec
from nerfstudio_mvc.codecs.parahydra.paper.config import ParaHydraConfig
from nerfstudio_mvc.codecs.parahydra.paper.fusion import ParallaxFusion
from nerfstudio_mvc.codecs.parahydra.paper.model import ParaHydraModel
from nerfstudio_mvc.layers.pictures import to_picture
from nerfstudio_mvc.weights.checkpoint import pack, unpack

TINY = {
    "width": 16,
    "latent": 32,
    "slices": 4,
    "head_widths": (24, 24, 16),
    "scale_width": 8,
    "scale_hidden": 16,
    "most_sides": 2,
}


@torch.no_grad()
def let_sides_in(fusion: ParallaxFusion) -> None:
    """As if it had learned to use them."""
    for layer in (fusion.refine[0].first, fusion.refine[0].skip):
        of_sides, own = layer.weight.chunk(2, 1)
        of_sides.copy_(own.flip(0))


def tiny_model(**switches) -> ParaHydraModel:
    """The same weights for all switches that add no parameters."""
    torch.manual_seed(0)
    model = ParaHydraModel(ParaHydraConfig(**{**TINY, **switches}))
    with torch.no_grad():
        # Side views must matter: what starts small or at zero would hide a wrong one.
        for fusion in (module for module in model.modules() if isinstance(module, ParallaxFusion)):
            let_sides_in(fusion)
        for fusion in (model.decoder.fuse_latents, model.decoder.fuse_quarter):
            fusion.refine[1].second.weight.mul_(20)
    model.update()
    return model.eval()


def tiny_weights(**switches) -> bytes:
    model = tiny_model(**switches)
    return pack(model, model.tables)


def tiny_codec(*, device: str = "cpu", **switches) -> ParaHydraPaperCodec:
    checkpoint = unpack(tiny_weights(**switches), source="the tiny model")
    return ParaHydraPaperCodec(checkpoint.model, checkpoint.tables, fingerprint=checkpoint.fingerprint, device=device)


def pictures(count=3):
    """Neighbours over a textured plane; sizes are no multiples of 16. [1, 3, 72, 100] each"""
    return [to_picture(source.pixels, "cpu") for source in plane_views(count)]
