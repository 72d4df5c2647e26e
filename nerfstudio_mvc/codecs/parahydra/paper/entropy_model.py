"""Para-EM: the latent in slices of channels, each in two halves of a checkerboard, section 3.5.

    hyper parameters ----------------+--EP--> means of a slice's anchors
    PCCM over earlier slices --------+
    hyper, PCCM, 5x5 and PGCM over the anchors --EP--> means of its non-anchors

Views are independent here: all of this sees one picture. In the paper EP returns scales as well; here they come from
integers (`entropy/latent_walk.py`), of which every half of a slice is a step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from nerfstudio_mvc.codecs.parahydra.paper.config import ParaHydraConfig
from nerfstudio_mvc.codecs.parahydra.paper.contexts import (
    CONTEXT_SHARE,
    ConcatenatedChannelContext,
    GlobalContext,
    LocalContext,
    ParallaxChannelContext,
)
from nerfstudio_mvc.entropy.latent_walk import LatentWalk, Quantised, StepMeans, Symbols
from nerfstudio_mvc.layers.strided import conv

ANCHORS = ((0, 1), (1, 0))
"""Positions in a 2x2 cell, as MLIC has them."""


def checkerboard_cells(slices: int, channels: int) -> Tensor:
    """Step 2 i codes the anchors of slice i, step 2 i + 1 the rest of it. bool [2 * slices, slices * channels, 2, 2]"""
    cells = torch.zeros(2 * slices, slices * channels, 2, 2, dtype=torch.bool)
    for index in range(slices):
        own = slice(index * channels, (index + 1) * channels)
        for row in (0, 1):
            for column in (0, 1):
                cells[2 * index + ((row, column) not in ANCHORS), own, row, column] = True
    return cells


class ParallaxEntropy(LatentWalk):
    """Entropy model and gains of the latent of one view."""

    def __init__(self, config: ParaHydraConfig) -> None:
        super().__init__(
            width=config.width,
            latent=config.latent,
            cells=checkerboard_cells(config.slices, config.slice_channels),
            rd_lambdas=config.rd_lambdas,
            scale_width=config.scale_width,
            scale_hidden=config.scale_hidden,
        )
        self.config = config
        channels, later = config.slice_channels, range(1, config.slices)
        hyper, context = 2 * config.latent, CONTEXT_SHARE * channels
        self.channel = nn.ModuleList(
            ParallaxChannelContext(channels, attention=config.attention)
            if config.channel_parallax
            else ConcatenatedChannelContext(index, channels)
            for index in later
        )
        self.local = nn.ModuleList(LocalContext(channels) for _ in range(config.slices))
        self.across = nn.ModuleList(GlobalContext(channels) for _ in later)
        self.anchor_heads = nn.ModuleList(
            _head(hyper + channels * (index > 0), config.head_widths, channels) for index in range(config.slices)
        )
        self.rest_heads = nn.ModuleList(
            _head(hyper + context + (channels + context) * (index > 0), config.head_widths, channels)
            for index in range(config.slices)
        )

    def quantise(self, y: Tensor, *, level: Tensor) -> Quantised:
        """Latent in quantiser steps [B, M, h, w] -> its symbols; see `LatentWalk.walk`."""
        return self.walk(y, self._means_over((y.shape[-2], y.shape[-1])), level=level)

    def reconstruct(self, symbols: Symbols) -> Tensor:
        """Symbols -> y_hat in quantiser steps. [B, M, h, w]"""
        return self.with_means(symbols, self._means_over((symbols.y.shape[-2], symbols.y.shape[-1])))

    def _means_over(self, size: tuple[int, int]) -> Callable[[Tensor], StepMeans]:
        return lambda z_symbols: _SliceMeans(self, self.hyper_parameters(z_symbols, size))


class _SliceMeans:
    """`StepMeans` of one latent; what both halves of a slice share is kept from the first."""

    def __init__(self, entropy: ParallaxEntropy, hyper: Tensor) -> None:
        self._entropy, self._hyper = entropy, hyper
        self._channel: Tensor | None = None

    def __call__(self, step: int, y_hat: Tensor) -> Tensor:
        entropy, index = self._entropy, step // 2
        slices = y_hat.split(entropy.config.slice_channels, 1)
        if step % 2 == 0:
            self._channel = entropy.channel[index - 1](slices[:index]) if index else None
            mean = entropy.anchor_heads[index](torch.cat([self._hyper, *self._if_any()], 1))
        else:
            mean = entropy.rest_heads[index](torch.cat(self._contexts(index, slices), 1))
        everything = [torch.zeros_like(part) for part in slices]
        everything[index] = mean
        return torch.cat(everything, 1)

    def _if_any(self) -> list[Tensor]:
        return [] if self._channel is None else [self._channel]

    def _contexts(self, index: int, slices: Sequence[Tensor]) -> list[Tensor]:
        entropy, anchors = self._entropy, slices[index]
        contexts = [self._hyper, entropy.local[index](anchors)]
        if self._channel is not None:
            source = self._channel if entropy.config.global_parallax else slices[index - 1]
            contexts += [self._channel, entropy.across[index - 1](source, anchors)]
        return contexts


def _head(channels_in: int, widths: Sequence[int], channels_out: int) -> nn.Sequential:
    """The entropy parameter network (EP): 1x1 convolutions. Means begin near zero."""
    layers: list[nn.Module] = []
    for width in widths:
        layers += [conv(channels_in, width, kernel=1, stride=1), nn.GELU()]
        channels_in = width
    last = conv(channels_in, channels_out, kernel=1, stride=1)
    last.weight.data.mul_(0.1)
    return nn.Sequential(*layers, last)
