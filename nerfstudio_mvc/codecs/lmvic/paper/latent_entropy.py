"""Hyperprior and quadtree-partition entropy model (QPEM) of one latent, with the range decoder's part made exact.

    y --h_a--> z --round--> z symbols --h_s--> hyper parameters * gate --+
                                |    reference parameters * gate --------+-- mean head --> mean
                                |    y_hat so far --5x5-- * gate --------+
                                +--> ScaleNetwork (integers, reads symbols) --> table row

In the paper the head returns scales as well, from the same floats; the range decoder then hangs on every rounding of
the whole decoder, warped references included. Here the scales come from the integer network that the small model has
(entropy/EXACTNESS.md), which sees z symbols and coded symbols alone; the head keeps the means, and a mean that differs
in its last bit moves the picture by as much. Images and depth have a copy each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nerfstudio_mvc.codecs.lmvic.learned.config import QUALITIES, LmvicConfig
from nerfstudio_mvc.codecs.lmvic.learned.four_step_entropy import (
    HYPER_LIMIT,
    LOG_SCALE_STEP,
    SMALLEST_SCALE,
    ScaleNetwork,
    scale_of_table,
)
from nerfstudio_mvc.codecs.lmvic.learned.image_model import nearest_quality, quality_weights
from nerfstudio_mvc.codecs.lmvic.paper.config import PaperConfig
from nerfstudio_mvc.codecs.lmvic.paper.context import Gates
from nerfstudio_mvc.codecs.lmvic.paper.padding import crop, pad_to_blocks
from nerfstudio_mvc.entropy.partitions import STEPS, step_cells, tile_cells
from nerfstudio_mvc.entropy.range_coder import ESCAPE_LIMIT
from nerfstudio_mvc.entropy.rate import rounded_bits
from nerfstudio_mvc.layers.rounding import round_half_up
from nerfstudio_mvc.layers.strided import conv, deconv

HYPER_STRIDE = 4
FIRST_GAIN = 32.0
"""Steps per unit of a latent at the highest quality before training; the others follow the square root of rd_lambda."""


@dataclass(frozen=True)
class Conditions:
    """What the means of a view may use besides its own symbols: gates of the mask, parameters [B, 2M, h, w]."""

    gates: Gates
    parameters: Tensor


@dataclass(frozen=True)
class Symbols:
    """All the range coder sees, integers in float32. z [B, N, ceil(h / 4), ceil(w / 4)]; y and its rows [B, M, h, w]"""

    z: Tensor
    y: Tensor
    rows: Tensor


@dataclass(frozen=True)
class Quantised:
    """A latent after the walk: its symbols, y_hat in quantiser steps, and the bits of every symbol of y and of z."""

    symbols: Symbols
    y_hat: Tensor
    bits_y: Tensor
    bits_z: Tensor


class LatentEntropy(nn.Module):
    """Entropy model and gains of one latent [B, M, h, w]."""

    def __init__(self, config: PaperConfig) -> None:
        super().__init__()
        width, latent = config.width, config.latent
        self.h_a = nn.Sequential(
            conv(latent, width, kernel=3, stride=1),
            nn.LeakyReLU(),
            conv(width, width),
            nn.LeakyReLU(),
            conv(width, width),
        )
        self.h_s = nn.Sequential(
            deconv(width, width),
            nn.LeakyReLU(),
            deconv(width, 3 * latent // 2),
            nn.LeakyReLU(),
            conv(3 * latent // 2, 2 * latent, kernel=3, stride=1),
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
        self.scales = ScaleNetwork(
            LmvicConfig(
                luma=latent,
                chroma=0,
                hyper=width,
                scale_width=config.scale_width,
                scale_hidden=config.scale_hidden,
            )
        )
        self.z_center = nn.Parameter(torch.zeros(QUALITIES, width))
        self.z_log_scale = nn.Parameter(torch.ones(QUALITIES, width))
        gains = [FIRST_GAIN * math.sqrt(rd_lambda / config.rd_lambdas[-1]) for rd_lambda in config.rd_lambdas]
        log_gain = torch.tensor(gains).log()[:, None].repeat(1, latent)
        self.log_gain = nn.Parameter(log_gain.clone())
        self.log_inverse_gain = nn.Parameter(-log_gain)
        with torch.no_grad():
            # These channels are no frequencies: all start at the table of a scale of one step.
            self.scales.base_rows.fill_(-math.log(SMALLEST_SCALE) / LOG_SCALE_STEP)
        self.register_buffer("cells", step_cells(latent), persistent=False)

    # -- gains -------------------------------------------------------------------------------------------------------

    def gain(self, level: Tensor) -> Tensor:
        return torch.exp(_at_quality(self.log_gain, level))

    def inverse_gain(self, level: Tensor) -> Tensor:
        return torch.exp(_at_quality(self.log_inverse_gain, level))

    # -- encoder and training ----------------------------------------------------------------------------------------

    def quantise(self, y: Tensor, conditions: Conditions, *, level: Tensor) -> Quantised:
        """Latent in quantiser steps -> its symbols, walking the four steps as the decoder will.

        In training the bits pass gradients, and symbols whose table says "never coded" are kept, so that the scale
        network can learn that they are there; otherwise this is real coding to the symbol.
        """
        z = self.h_a(pad_to_blocks(y, block=HYPER_STRIDE))
        z_symbols = round_half_up(z).clamp(-HYPER_LIMIT, HYPER_LIMIT)
        z_center = _at_quality(self.z_center, level)
        z_scale = torch.exp(_at_quality(self.z_log_scale, level))
        bits_z = rounded_bits(z - z_center, z_symbols - z_center, z_scale, noise=self.training)

        size = (y.shape[-2], y.shape[-1])
        hyper, shares = self._row_inputs(z_symbols, level, size)
        parameters = self._hyper_parameters(z_symbols, conditions, size)
        symbols, residual, y_hat, rows = (torch.zeros_like(y) for _ in range(4))
        for step in range(STEPS):
            now = self._now(step, size, y.dtype)
            step_rows = self._rows(hyper, shares, symbols.detach(), step) * now
            mean = self._mean(parameters, y_hat, conditions, step)
            step_residual = (y - mean) * now
            step_symbols = round_half_up(step_residual).clamp(-ESCAPE_LIMIT, ESCAPE_LIMIT)
            if not self.training:
                step_symbols = step_symbols * (step_rows > 0)
            symbols, residual, rows = symbols + step_symbols, residual + step_residual, rows + step_rows
            y_hat = y_hat + step_symbols + mean * now
        bits_y = rounded_bits(residual, symbols, scale_of_table(rows), noise=self.training)
        if not self.training:
            bits_y = bits_y * (rows > 0)
        return Quantised(Symbols(z_symbols, symbols, rows), y_hat, bits_y, bits_z)

    # -- decoder -----------------------------------------------------------------------------------------------------

    def hyper_shape(self, size: tuple[int, int]) -> tuple[int, int, int]:
        """Shape of the z symbols of a latent of (h, w)."""
        return self.z_center.shape[1], -(-size[0] // HYPER_STRIDE), -(-size[1] // HYPER_STRIDE)

    def row_reader(self, z_symbols: Tensor, *, level: Tensor, size: tuple[int, int]) -> RowReader:
        """The integer half of decoding, step by step; needs no reference and no mean."""
        return RowReader(self, *self._row_inputs(z_symbols, level, size), size)

    def reconstruct(self, symbols: Symbols, conditions: Conditions) -> Tensor:
        """Symbols -> y_hat in quantiser steps: the means are added."""
        size = (symbols.y.shape[-2], symbols.y.shape[-1])
        parameters = self._hyper_parameters(symbols.z, conditions, size)
        y_hat = torch.zeros_like(symbols.y)
        for step in range(STEPS):
            now = self._now(step, size, symbols.y.dtype)
            y_hat = y_hat + symbols.y * now + self._mean(parameters, y_hat, conditions, step) * now
        return y_hat

    # -- shared ------------------------------------------------------------------------------------------------------

    def _now(self, step: int, size: tuple[int, int], dtype: torch.dtype) -> Tensor:
        return tile_cells(self.cells[step], *size).to(dtype)[None]

    def _row_inputs(self, z_symbols: Tensor, level: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        hyper = crop(self.scales.hyper_features(z_symbols, quality_point=nearest_quality(level)), size)
        return hyper, quality_weights(level)

    def _rows(self, hyper: Tensor, shares: Tensor, symbols: Tensor, step: int) -> Tensor:
        return self.scales.table_rows(hyper, self.scales.context_features(symbols.abs(), step), shares)

    def _hyper_parameters(self, z_symbols: Tensor, conditions: Conditions, size: tuple[int, int]) -> Tensor:
        """What the means of all steps share: gated hyper and reference parameters. [B, 4M, h, w]"""
        hyper = crop(self.h_s(z_symbols), size)
        return torch.cat([hyper * conditions.gates.hyper, conditions.parameters * conditions.gates.reference], 1)

    def _mean(self, parameters: Tensor, y_hat: Tensor, conditions: Conditions, step: int) -> Tensor:
        gate = conditions.gates.context
        # Before the first step nothing is decoded, and the convolution's bias alone would be a context.
        context = torch.zeros_like(gate) if step == 0 else self.context(y_hat) * gate
        return self.mean_head(torch.cat([parameters, context], 1))


class RowReader:
    """Table rows of one latent while its symbols arrive."""

    def __init__(self, entropy: LatentEntropy, hyper: Tensor, shares: Tensor, size: tuple[int, int]) -> None:
        self._entropy, self._hyper, self._shares, self._size = entropy, hyper, shares, size

    def rows(self, step: int, symbols: Tensor) -> Tensor:
        """Rows of the symbols coded in `step`, 0 for all others, given the `symbols` of earlier steps. [B, M, h, w]"""
        now = self._entropy._now(step, self._size, symbols.dtype)
        return self._entropy._rows(self._hyper, self._shares, symbols, step) * now


def _at_quality(table: Tensor, level: Tensor) -> Tensor:
    """Rows of a per-quality table [8, C], linearly between neighbours. [1, C, 1, 1]"""
    return (quality_weights(level) @ table)[None, :, None, None]
