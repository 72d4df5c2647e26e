"""An untrained LMVIC model small enough for tests; it codes badly and exactly."""

import numpy as np
import torch

from colmap_io.records import Camera
from nerfstudio_mvc.capture.views import SourceView, View
from nerfstudio_mvc.codecs.lmvic.codec import LmvicCodec
from nerfstudio_mvc.codecs.lmvic.learned.config import LmvicConfig
from nerfstudio_mvc.codecs.lmvic.learned.image_model import ImageModel
from nerfstudio_mvc.codecs.lmvic.switches import LmvicSwitches
from nerfstudio_mvc.training.export import plain_tables
from nerfstudio_mvc.weights.checkpoint import pack, unpack

CONFIG = LmvicConfig(
    luma=256,
    chroma=8,
    hyper=8,
    width_quarter=16,
    width_eighth=16,
    mean_width=16,
    mean_hidden=16,
    scale_width=16,
    scale_hidden=16,
)


def tiny_weights() -> bytes:
    torch.manual_seed(0)
    model = ImageModel(CONFIG)
    with torch.no_grad():
        # References must matter: the branches that start at zero would hide a wrong one.
        for layer in (model.reference_to_g_a, model.reference_to_g_s, model.h_a_reference, model.g_s_out[0]):
            layer.weight.normal_(std=0.02)
        # Split positions start as copies of the others.
        for layer in (model.scales.split_context_in, model.scales.split_rows):
            layer.weight.add_(torch.randn_like(layer.weight), alpha=0.1)
        model.scales.split_base_rows.add_(1.5)
        model.scales.mode_bias.normal_(std=0.5)
        # As must what changes from quality to quality.
        for table in (model.quality_to_g_a, model.quality_to_g_s):
            table.normal_(std=0.1)
        for table in (model.strength_g_a, model.strength_g_s, model.strength_finish):
            table.uniform_(0.5, 1.5)
    return pack(model, plain_tables(model))


def tiny_codec(*, device: str = "cpu", pictures: str = "learned", **switches: bool) -> LmvicCodec:
    """Predicts whenever it can: an untrained model would rather not. Its own network codes the pictures."""
    checkpoint = unpack(tiny_weights(), source="the tiny model")
    return LmvicCodec(
        checkpoint.model,
        checkpoint.tables,
        fingerprint=checkpoint.fingerprint,
        device=device,
        switches=LmvicSwitches(**{"decide_per_view": False, **switches}),
        pictures=pictures,
    )


def plane_views(count=4, height=72, width=100) -> list[SourceView]:
    """A textured plane at z = 4 seen by cameras that slide sideways; sizes are no multiples of 16."""
    rng = np.random.default_rng(0)
    texture = np.kron(rng.integers(0, 255, (40, 60, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    views = []
    for idx in range(count):
        pose = np.eye(4)
        pose[0, 3] = -0.2 * idx
        camera = Camera(1, "PINHOLE", width, height, (80.0, 80.0, width / 2, height / 2))
        view = View(idx, f"images/{idx}.png", None, width, height, camera, pose)
        left = 60 + 4 * idx  # 80 px * 0.2 / 4 world units
        pixels = np.ascontiguousarray(texture[40 : 40 + height, left : left + width])
        views.append(SourceView(view, pixels, np.full((24, 32), 4.0, np.float32), np.ones((24, 32), bool)))
    return views
