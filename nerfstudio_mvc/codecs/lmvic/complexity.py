"""Parameters and multiply-accumulates of every block of a preset, counted on tensors that have shapes and no values.

Counted are convolutions and matrix products, deconvolutions at what they cost; not counted are element-wise work,
warping and range coding. `PAPER_EXPECTED` is what the published model has per block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from nerfstudio_mvc.codecs.lmvic.learned.config import LmvicConfig
from nerfstudio_mvc.codecs.lmvic.learned.image_model import ImageModel
from nerfstudio_mvc.codecs.lmvic.learned.mode_choice import ModeMaps
from nerfstudio_mvc.codecs.lmvic.paper.config import PaperConfig
from nerfstudio_mvc.codecs.lmvic.paper.context import Scales
from nerfstudio_mvc.codecs.lmvic.paper.latent_entropy import LatentEntropy
from nerfstudio_mvc.codecs.lmvic.paper.model import PaperModel
from nerfstudio_mvc.entropy.partitions import STEPS
from nerfstudio_mvc.entropy.quality_points import QUALITIES
from nerfstudio_mvc.entropy.scale_network import ScaleNetwork
from nerfstudio_mvc.prediction.reference import Reference
from nerfstudio_mvc.restoration.network import RestorationNet

SIDE = 256
"""Pixels: a multiple of every stride, so that nothing is padded."""
_HYPER = 64

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


@dataclass(frozen=True)
class BlockCost:
    """One row of the table.

    Attributes:
        parameters: trained numbers.
        macs: multiply-accumulates per pixel of a predicted view, run as often as one view needs.
        decodes: whether decoding runs the block. Encoding runs all of them: the next view is predicted from what was
            decoded.
        expected: parameters and macs of the published model, where it has this block.
    """

    name: str
    parameters: int
    macs: float
    decodes: bool = True
    expected: tuple[float, float] | None = None


@dataclass(frozen=True)
class Totals:
    """Sums over the blocks of a preset; macs per pixel of a predicted view."""

    parameters: int
    encode_macs: float
    decode_macs: float


def preset_costs(preset: str) -> list[BlockCost]:
    """The blocks of the preset "small" or "paper", at its own widths, or "restoration": of small where AV1 codes."""
    # Nothing is computed and no memory is taken, and yet the networks see a CPU.
    with FakeTensorMode(), torch.no_grad():
        if preset == "small":
            return small_costs(ImageModel(LmvicConfig()))
        if preset == "restoration":
            return restoration_costs(ImageModel(LmvicConfig()), RestorationNet())
        return paper_costs(PaperModel(PaperConfig()).eval())


def totals(blocks: Iterable[BlockCost]) -> Totals:
    blocks = list(blocks)
    return Totals(
        sum(block.parameters for block in blocks),
        sum(block.macs for block in blocks),
        sum(block.macs for block in blocks if block.decodes),
    )


def paper_costs(model: PaperModel) -> list[BlockCost]:
    """Blocks of a `PaperModel`."""
    width, latent = model.config.width, model.config.latent
    x, mask, y = _map(3), _map(1), _map(latent, 16)
    maps = Scales(*(_map(width, stride) for stride in (2, 4, 8)))
    gates = Scales(*(_map(2 * width, stride) for stride in (2, 4, 8)))

    def transfers(block: nn.Module) -> Callable[[], object]:
        # The order of the scales does not matter, only that each has its transfer.
        return lambda: [transfer(*parts) for transfer, *parts in zip(block.transfers, maps, maps, gates, strict=True)]

    image = [
        _block(
            "image encoder: context transfer",
            model.image_encoder.transfers,
            transfers(model.image_encoder),
            decodes=False,
        ),
        _block("image decoder: context transfer", model.image_decoder.transfers, transfers(model.image_decoder)),
        _block(
            "image encoder: convolutions",
            model.image_encoder,
            lambda: model.image_encoder(x, maps, gates),
            decodes=False,
        ),
        _block("image decoder: convolutions", model.image_decoder, lambda: model.image_decoder(y, maps, gates)),
    ]
    image = [_less(image[2], image[0]), image[0], _less(image[3], image[1]), image[1]]
    rest = [
        _block(
            "reference features",
            model.reference_features,
            lambda: model.reference_features(x, maps, None, size=(SIDE, SIDE)),
        ),
        _block("image mask gates", model.image_gates, lambda: model.image_gates(mask)),
        *_entropy_blocks("image", model.image_entropy, width, latent),
        _block("depth encoder", model.depth_encoder, lambda: model.depth_encoder(mask, maps, gates), decodes=False),
        _block("depth decoder", model.depth_decoder, lambda: model.depth_decoder(y, maps, gates)),
        _block("depth prediction features", model.depth_features, lambda: model.depth_features(mask)),
        _block("depth mask gates", model.depth_gates, lambda: model.depth_gates(mask)),
        *_entropy_blocks("depth", model.depth_entropy, width, latent),
    ]
    return _with_rest(model, [*image, *rest])


def small_costs(model: ImageModel) -> list[BlockCost]:
    """Blocks of an `ImageModel` for a view with two references; its depth is coded without a network."""
    config = model.config
    quality = torch.tensor(5.0)
    x, y, z = _map(3), _map(config.channels, 16), _map(config.hyper, _HYPER)
    size = (SIDE // 16, SIDE // 16)
    modes = ModeMaps(split=_map(1, 16).bool(), kept=_map(1, 16).bool())
    reference = Reference(x, _map(1))
    prepared = model.prepare_reference(reference, quality=quality)
    features = _map(config.mean_width, 16)
    means, scales, hidden = model.means, model.scales, _map(config.mean_hidden, 16)
    scale_hidden = _map(config.scale_hidden, 16)
    # Layers that one step runs for a quarter of the channels of each position.
    by_group = (means.context_in, y), (means.context_difference, y), (means.mean, hidden), (means.gate, hidden)
    of_means = _block("", [], lambda: [layer(values) for layer, values in by_group])
    all_scales = _scale_block("scale network", scales, z, y)
    of_scales = _block("", [], lambda: (scales.context_in(y), scales.rows(scale_hidden)))
    four_steps = _block(
        f"mean network: {STEPS} steps",
        [],
        lambda: means.step_means(features, y, y[:1], 1, prepared.for_entropy),
        times=STEPS,
    )
    blocks = [
        _block("reference blend", model.blend, lambda: model.blend(reference, reference)),
        _block("reference analysis", model.reference_in, lambda: model.prepare_reference(reference, quality=quality)),
        _block(
            "analysis",
            [model.transform, model.g_a_in, model.g_a, model.reference_to_g_a],
            lambda: model.analyse(x, prepared, quality=quality),
            decodes=False,
        ),
        _block("h_a", [model.h_a, model.h_a_reference], lambda: model.hyper_analyse(y, prepared), decodes=False),
        _block(
            "mean network: once",
            model.means,
            lambda: model.means.view_features(z, quality=quality, size=size, reference=prepared.for_entropy),
        ),
        replace(four_steps, macs=four_steps.macs - (STEPS - 1) * of_means.macs),
        replace(all_scales, macs=all_scales.macs - (STEPS - 1) * of_scales.macs),
        # All means at once, and their share of the context; then the layers that split positions have of their own.
        _block(
            "split blocks",
            [],
            lambda: (
                model.by_wholes(y),
                *(layer(values) for layer, values in by_group),
                scales.split_context_in(y),
                scales.split_rows(scale_hidden),
            ),
        ),
        _block("choice of modes", [], lambda: [model.by_quarters(y) for _ in range(2)], decodes=False),
        _block(
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
    return _with_rest(model, blocks)


def restoration_costs(model: ImageModel, net: RestorationNet) -> list[BlockCost]:
    """Blocks that a picture coded by AV1 runs."""
    x, valid = _map(3), _map(1)
    reference = Reference(x, valid)
    return [
        _block("reference blend", model.blend, lambda: model.blend(reference, reference)),
        _block("restoration", net, lambda: net(x, x, valid, torch.ones(1))),
    ]


def _entropy_blocks(part: str, entropy: LatentEntropy, width: int, latent: int) -> list[BlockCost]:
    y, z = _map(latent, 16), _map(width, _HYPER)
    everything = _map(6 * latent, 16)
    return [
        _block(f"{part} h_a", entropy.h_a, lambda: entropy.h_a(y), decodes=False),
        _block(f"{part} h_s", entropy.h_s, lambda: entropy.h_s(z)),
        _block(f"{part} context, 3 times", entropy.context, lambda: entropy.context(y), times=STEPS - 1),
        _block(f"{part} mean head, 4 times", entropy.mean_head, lambda: entropy.mean_head(everything), times=STEPS),
        _scale_block(f"{part} scale network (ours)", entropy.scales, z, y),
    ]


def _scale_block(name: str, scales: ScaleNetwork, z: Tensor, y: Tensor) -> BlockCost:
    shares = torch.ones(QUALITIES)

    def run() -> None:
        hyper = scales.hyper_features(z, quality_point=shares)
        for step in range(STEPS):
            scales.table_rows(hyper, scales.context_features(y, step), shares)

    return _block(name, scales, run)


def _map(channels: int, stride: int = 1) -> Tensor:
    return torch.zeros(1, channels, SIDE // stride, SIDE // stride)


def _block(
    name: str,
    modules: nn.Module | list[nn.Module],
    run: Callable[[], object],
    *,
    times: int = 1,
    decodes: bool = True,
) -> BlockCost:
    modules = modules if isinstance(modules, list) else [modules]
    with FlopCounterMode(display=False) as counter:
        run()
    return BlockCost(
        name,
        sum(parameter.numel() for module in modules for parameter in module.parameters()),
        # The counter takes a multiplication and an addition for two.
        times * counter.get_total_flops() / 2 / SIDE**2,
        decodes,
        PAPER_EXPECTED.get(name),
    )


def _less(block: BlockCost, part: BlockCost) -> BlockCost:
    """`block` without what `part` counts already."""
    return replace(block, parameters=block.parameters - part.parameters, macs=block.macs - part.macs)


def _with_rest(model: nn.Module, blocks: list[BlockCost]) -> list[BlockCost]:
    """And what is in no block: gains, and the tables of the hyper-latent."""
    everything = sum(parameter.numel() for parameter in model.parameters())
    return [*blocks, BlockCost("gains, hyper tables", everything - sum(block.parameters for block in blocks), 0.0)]
