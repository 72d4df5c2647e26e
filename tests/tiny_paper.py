"""The paper's model with a few channels: the same code, untrained, fast enough for tests."""

import torch
from tiny_lmvic import plane_views

from nerfstudio_mvc.codecs.lmvic.paper.codec import PaperCodec
from nerfstudio_mvc.codecs.lmvic.paper.config import PaperConfig
from nerfstudio_mvc.codecs.lmvic.paper.depth_scale import on_grid
from nerfstudio_mvc.codecs.lmvic.paper.model import PaperModel, ViewGeometry
from nerfstudio_mvc.layers.pictures import to_picture
from nerfstudio_mvc.weights.checkpoint import pack, unpack

TINY = {"width": 8, "latent": 16, "mean_widths": (24, 16), "scale_width": 8, "scale_hidden": 16}
UNIT = 6.0


def tiny_model(**switches) -> PaperModel:
    """The same weights for all ablation switches."""
    torch.manual_seed(0)
    model = PaperModel(PaperConfig(**TINY, **switches))
    model.update()
    return model.eval()


def tiny_weights(**switches) -> bytes:
    model = tiny_model(**switches)
    return pack(model, model.tables)


def tiny_codec(*, device: str = "cpu", **switches) -> PaperCodec:
    checkpoint = unpack(tiny_weights(**switches), source="the tiny model")
    return PaperCodec(checkpoint.model, checkpoint.tables, fingerprint=checkpoint.fingerprint, device=device)


def view_inputs(count=3):
    """(picture, depth, geometry) of neighbours over a textured plane; sizes are no multiples of 16."""
    inputs = []
    for source in plane_views(count):
        height, width = source.view.height, source.view.width
        depth = on_grid(source.depth, height=height, width=width)
        inputs.append((to_picture(source.pixels, "cpu"), depth, ViewGeometry([source.view], UNIT)))
    return inputs
