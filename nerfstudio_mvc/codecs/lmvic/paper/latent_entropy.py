"""Hyperprior and quadtree-partition entropy model (QPEM) of one latent of 3D-GP-LMVIC.

    z --h_s--> hyper parameters * gate --+
        reference parameters * gate -----+-- mean head --> mean
        y_hat so far --5x5-- * gate -----+

In the paper the head returns scales as well, from the same floats; the range decoder then hangs on every rounding of
the whole decoder, warped references included. Here they come from integers (`entropy/latent_walk.py`). Images and depth
have a copy each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nerfstudio_mvc.codecs.lmvic.paper.config import PaperConfig
from nerfstudio_mvc.codecs.lmvic.paper.context import Gates
from nerfstudio_mvc.entropy.latent_walk import LatentWalk, Quantised, StepMeans, Symbols
from nerfstudio_mvc.entropy.partitions import step_cells
from nerfstudio_mvc.layers.strided import conv


@dataclass(frozen=True)
class Conditions:
    """What the means of a view may use besides its own symbols: gates of the mask, parameters [B, 2M, h, w]."""

    gates: Gates
    parameters: Tensor


class LatentEntropy(LatentWalk):
    """Entropy model and gains of one latent [B, M, h, w]."""

    def __init__(self, config: PaperConfig) -> None:
        latent = config.latent
        super().__init__(
            width=config.width,
            latent=latent,
            cells=step_cells(latent),
            rd_lambdas=config.rd_lambdas,
            scale_width=config.scale_width,
            scale_hidden=config.scale_hidden,
        )
        self.context = conv(latent, 2 * latent, stride=1)
        first, second = config.mean_widths
        self.mean_head = nn.Sequential(
            nn.Conv2d(6 * latent, first, 1),
            nn.LeakyReLU(),
            nn.Conv2d(first, second, 1),
            nn.LeakyReLU(),
            nn.Conv2d(second, latent, 1),
        )

    def quantise(self, y: Tensor, conditions: Conditions, *, level: Tensor) -> Quantised:
        """Latent in quantiser steps [B, M, h, w] -> its symbols; see `LatentWalk.walk`."""
        return self.walk(y, self._means_under(conditions, (y.shape[-2], y.shape[-1])), level=level)

    def reconstruct(self, symbols: Symbols, conditions: Conditions) -> Tensor:
        """Symbols -> y_hat in quantiser steps: the means are added. [B, M, h, w]"""
        size = (symbols.y.shape[-2], symbols.y.shape[-1])
        return self.with_means(symbols, self._means_under(conditions, size))

    def _means_under(self, conditions: Conditions, size: tuple[int, int]) -> Callable[[Tensor], StepMeans]:
        gates = conditions.gates

        def of_symbols(z_symbols: Tensor) -> StepMeans:
            # What the means of all steps share: gated hyper and reference parameters. [B, 4M, h, w]
            parameters = torch.cat(
                [self.hyper_parameters(z_symbols, size) * gates.hyper, conditions.parameters * gates.reference], 1
            )

            def mean(step: int, y_hat: Tensor) -> Tensor:
                # Before the first step nothing is decoded, and the convolution's bias alone would be a context.
                context = torch.zeros_like(gates.context) if step == 0 else self.context(y_hat) * gates.context
                return self.mean_head(torch.cat([parameters, context], 1))

            return mean

        return of_symbols
