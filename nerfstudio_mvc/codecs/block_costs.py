"""Parameters and multiply-accumulates of a block of a model, counted on tensors that have shapes and no values.

Counted are convolutions and matrix products, deconvolutions at what they cost; not counted are element-wise work,
warping and range coding. Which blocks a preset has is its codec's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from nerfstudio_mvc.entropy.quality_points import QUALITIES
from nerfstudio_mvc.entropy.scale_network import ScaleNetwork

SIDE = 256
"""Pixels: a multiple of every stride, so that nothing is padded."""
HYPER_STRIDE = 64


@dataclass(frozen=True)
class BlockCost:
    """One row of the table.

    Attributes:
        parameters: trained numbers.
        macs: multiply-accumulates per pixel of a view, a predicted one where views are predicted, run as often as one
            view needs.
        decodes, encodes: whether decoding and encoding run the block. Where the next view is predicted from what was
            decoded, encoding runs all of them.
        expected: parameters and macs of the published model, where it has this block.
    """

    name: str
    parameters: int
    macs: float
    decodes: bool = True
    encodes: bool = True
    expected: tuple[float, float] | None = None


@dataclass(frozen=True)
class Totals:
    """Sums over the blocks of a preset; macs per pixel of a view."""

    parameters: int
    encode_macs: float
    decode_macs: float


def totals(blocks: Iterable[BlockCost]) -> Totals:
    blocks = list(blocks)
    return Totals(
        sum(block.parameters for block in blocks),
        sum(block.macs for block in blocks if block.encodes),
        sum(block.macs for block in blocks if block.decodes),
    )


def map_of(channels: int, stride: int = 1) -> Tensor:
    return torch.zeros(1, channels, SIDE // stride, SIDE // stride)


def block(
    name: str,
    modules: nn.Module | list[nn.Module],
    run: Callable[[], object],
    *,
    times: int = 1,
    decodes: bool = True,
    encodes: bool = True,
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
        encodes,
    )


def less(block: BlockCost, part: BlockCost) -> BlockCost:
    """`block` without what `part` counts already."""
    return replace(block, parameters=block.parameters - part.parameters, macs=block.macs - part.macs)


def scale_block(name: str, scales: ScaleNetwork, z: Tensor, y: Tensor) -> BlockCost:
    shares = torch.ones(QUALITIES)

    def run() -> None:
        hyper = scales.hyper_features(z, quality_point=shares)
        for step in range(len(scales.step_bias)):
            scales.table_rows(hyper, scales.context_features(y, step), shares)

    return block(name, scales, run)


def with_rest(model: nn.Module, blocks: list[BlockCost]) -> list[BlockCost]:
    """And what is in no block: gains, and the tables of the hyper-latent."""
    everything = sum(parameter.numel() for parameter in model.parameters())
    return [*blocks, BlockCost("gains, hyper tables", everything - sum(block.parameters for block in blocks), 0.0)]


def counted(costs: Callable[[], list[BlockCost]]) -> list[BlockCost]:
    """What `costs` returns, without memory or computing: the networks it makes still see a CPU."""
    with FakeTensorMode(), torch.no_grad():
        return costs()
