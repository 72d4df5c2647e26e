"""The blocks of LMVIC's presets and what each weighs and costs; how that is counted is `block_costs`'.

`PAPER_EXPECTED` is what the published model has per block.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import nn

from nerfstudio_mvc.codecs.block_costs import (
    HYPER_STRIDE,
    SIDE,
    BlockCost,
    block,
    less,
    map_of,
    scale_block,
    with_rest,
)
from nerfstudio_mvc.codecs.lmvic.learned.config import LmvicConfig
from nerfstudio_mvc.codecs.lmvic.learned.image_model import ImageModel
from nerfstudio_mvc.codecs.lmvic.learned.mode_choice import ModeMaps
from nerfstudio_mvc.codecs.lmvic.paper.config import PaperConfig
from nerfstudio_mvc.codecs.lmvic.paper.context import Scales
from nerfstudio_mvc.codecs.lmvic.paper.latent_entropy import LatentEntropy
from nerfstudio_mvc.codecs.lmvic.paper.model import PaperModel
from nerfstudio_mvc.entropy.partitions import STEPS
from nerfstudio_mvc.prediction.reference import Reference
from nerfstudio_mvc.restoration.network import RestorationNet

PAPER_EXPECTED: dict[str, tuple[float, float]] = {
    "image encoder: convolutions": (1.49e6, 42.2e3),
    "image encoder: context transfer": (2.31e6, 252.7e3),
    "image decoder: convolutions": (1.49e6, 42.2e3),
    "image decoder: context transfer": (2.31e6, 252.7e3),
    "reference features": (2.11e6, 44.6e3),
    "image mask gates": (3.84e6, 57.0e3),
    "image h_a": (1.04e6, 1.4e3),
    "image h_s": (2.33e6, 4.9e3),
    "image context, 3 times": (1.84e6, 21.6e3),
    "image mean head, 4 times": (1.85e6, 28.9e3),
    "depth encoder": (2.92e6, 75.0e3),
    "depth decoder": (2.31e6, 73.4e3),
    "depth prediction features": (2.10e6, 43.0e3),
    "depth mask gates": (10.66e6, 158.4e3),
    "depth h_a": (1.04e6, 1.4e3),
    "depth h_s": (2.33e6, 4.9e3),
    "depth context, 3 times": (1.84e6, 21.6e3),
    "depth mean head, 4 times": (1.85e6, 28.9e3),
}
"""Parameters, and multiply-accumulates per pixel of one view, of 3D-GP-LMVIC's blocks, from the shapes of its layers.

Its mean heads return scales as well.
"""


def preset_costs(preset: str) -> list[BlockCost]:
    """The blocks of the preset "small" or "paper", at its own widths, or "restoration": of small where AV1 codes."""
    if preset == "small":
        return small_costs(ImageModel(LmvicConfig()))
    if preset == "restoration":
        return restoration_costs(ImageModel(LmvicConfig()), RestorationNet())
    return paper_costs(PaperModel(PaperConfig()).eval())


def paper_costs(model: PaperModel) -> list[BlockCost]:
    """Blocks of a `PaperModel`."""
    width, latent = model.config.width, model.config.latent
    x, mask, y = map_of(3), map_of(1), map_of(latent, 16)
    maps = Scales(*(map_of(width, stride) for stride in (2, 4, 8)))
    gates = Scales(*(map_of(2 * width, stride) for stride in (2, 4, 8)))

    def transfers(coder: nn.Module) -> Callable[[], object]:
        # The order of the scales does not matter, only that each has its transfer.
        return lambda: [transfer(*parts) for transfer, *parts in zip(coder.transfers, maps, maps, gates, strict=True)]

    image = [
        block(
            "image encoder: context transfer",
            model.image_encoder.transfers,
            transfers(model.image_encoder),
            decodes=False,
        ),
        block("image decoder: context transfer", model.image_decoder.transfers, transfers(model.image_decoder)),
        block(
            "image encoder: convolutions",
            model.image_encoder,
            lambda: model.image_encoder(x, maps, gates),
            decodes=False,
        ),
        block("image decoder: convolutions", model.image_decoder, lambda: model.image_decoder(y, maps, gates)),
    ]
    image = [less(image[2], image[0]), image[0], less(image[3], image[1]), image[1]]
    rest = [
        block(
            "reference features",
            model.reference_features,
            lambda: model.reference_features(x, maps, None, size=(SIDE, SIDE)),
        ),
        block("image mask gates", model.image_gates, lambda: model.image_gates(mask)),
        *_entropy_blocks("image", model.image_entropy, width, latent),
        block("depth encoder", model.depth_encoder, lambda: model.depth_encoder(mask, maps, gates), decodes=False),
        block("depth decoder", model.depth_decoder, lambda: model.depth_decoder(y, maps, gates)),
        block("depth prediction features", model.depth_features, lambda: model.depth_features(mask)),
        block("depth mask gates", model.depth_gates, lambda: model.depth_gates(mask)),
        *_entropy_blocks("depth", model.depth_entropy, width, latent),
    ]
    blocks = with_rest(model, [*image, *rest])
    return [replace(one, expected=PAPER_EXPECTED.get(one.name)) for one in blocks]


def small_costs(model: ImageModel) -> list[BlockCost]:
    """Blocks of an `ImageModel` for a view with two references; its depth is coded without a network."""
    config = model.config
    quality = torch.tensor(5.0)
    x, y, z = map_of(3), map_of(config.channels, 16), map_of(config.hyper, HYPER_STRIDE)
    size = (SIDE // 16, SIDE // 16)
    modes = ModeMaps(split=map_of(1, 16).bool(), kept=map_of(1, 16).bool())
    reference = Reference(x, map_of(1))
    prepared = model.prepare_reference(reference, quality=quality)
    features = map_of(config.mean_width, 16)
    means, scales, hidden = model.means, model.scales, map_of(config.mean_hidden, 16)
    scale_hidden = map_of(config.scale_hidden, 16)
    # Layers that one step runs for a quarter of the channels of each position.
    by_group = (means.context_in, y), (means.context_difference, y), (means.mean, hidden), (means.gate, hidden)
    of_means = block("", [], lambda: [layer(values) for layer, values in by_group])
    all_scales = scale_block("scale network", scales, z, y)
    of_scales = block("", [], lambda: (scales.context_in(y), scales.rows(scale_hidden)))
    four_steps = block(
        f"mean network: {STEPS} steps",
        [],
        lambda: means.step_means(features, y, y[:1], 1, prepared.for_entropy),
        times=STEPS,
    )
    blocks = [
        block("reference blend", model.blend, lambda: model.blend(reference, reference)),
        block("reference analysis", model.reference_in, lambda: model.prepare_reference(reference, quality=quality)),
        block(
            "analysis",
            [model.transform, model.g_a_in, model.g_a, model.reference_to_g_a],
            lambda: model.analyse(x, prepared, quality=quality),
            decodes=False,
        ),
        block("h_a", [model.h_a, model.h_a_reference], lambda: model.hyper_analyse(y, prepared), decodes=False),
        block(
            "mean network: once",
            model.means,
            lambda: model.means.view_features(z, quality=quality, size=size, reference=prepared.for_entropy),
        ),
        replace(four_steps, macs=four_steps.macs - (STEPS - 1) * of_means.macs),
        replace(all_scales, macs=all_scales.macs - (STEPS - 1) * of_scales.macs),
        # All means at once, and their share of the context; then the layers that split positions have of their own.
        block(
            "split blocks",
            [],
            lambda: (
                model.by_wholes(y),
                *(layer(values) for layer, values in by_group),
                scales.split_context_in(y),
                scales.split_rows(scale_hidden),
            ),
        ),
        block("choice of modes", [], lambda: [model.by_quarters(y) for _ in range(2)], decodes=False),
        block(
            "synthesis",
            [
                model.g_s_latent,
                model.g_s_picture,
                model.g_s,
                model.g_s_out,
                model.finish,
                model.reference_to_g_s,
            ],
            lambda: model.synthesise(y, modes, prepared, quality=quality),
        ),
    ]
    return with_rest(model, blocks)


def restoration_costs(model: ImageModel, net: RestorationNet) -> list[BlockCost]:
    """Blocks that a picture coded by AV1 runs."""
    x, valid = map_of(3), map_of(1)
    reference = Reference(x, valid)
    return [
        block("reference blend", model.blend, lambda: model.blend(reference, reference)),
        block("restoration", net, lambda: net(x, x, valid, torch.ones(1))),
    ]


def _entropy_blocks(part: str, entropy: LatentEntropy, width: int, latent: int) -> list[BlockCost]:
    y, z = map_of(latent, 16), map_of(width, HYPER_STRIDE)
    everything = map_of(6 * latent, 16)
    return [
        block(f"{part} h_a", entropy.h_a, lambda: entropy.h_a(y), decodes=False),
        block(f"{part} h_s", entropy.h_s, lambda: entropy.h_s(z)),
        block(f"{part} context, 3 times", entropy.context, lambda: entropy.context(y), times=STEPS - 1),
        block(f"{part} mean head, 4 times", entropy.mean_head, lambda: entropy.mean_head(everything), times=STEPS),
        scale_block(f"{part} scale network (ours)", entropy.scales, z, y),
    ]
