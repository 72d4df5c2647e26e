"""A latent coded in steps: a hyperprior, gains for the quality, integer table rows, and means that a codec adds.

    y --h_a--> z --round--> z symbols --h_s--> hyper parameters --+
                                |    what a codec knows besides --+-- means, step by step (float)
                                +--> ScaleNetwork (integers, reads symbols) --> table row

The published models return means and scales from one float network, so that the range decoder hangs on every rounding
of it. Here the scales come from integers (EXACTNESS.md), which see z symbols and coded symbols alone; a mean that
differs in its last bit moves the picture by as much. Which symbol is coded in which step say `cells`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nerfstudio_mvc.entropy.partitions import tile_cells
from nerfstudio_mvc.entropy.quality_points import QUALITIES, nearest_quality, quality_weights
from nerfstudio_mvc.entropy.range_coder import ESCAPE_LIMIT
from nerfstudio_mvc.entropy.rate import rounded_bits
from nerfstudio_mvc.entropy.scale_network import HYPER_LIMIT, ScaleNetwork, first_row, scale_of_table
from nerfstudio_mvc.layers.padding import crop, pad_to_blocks
from nerfstudio_mvc.layers.rounding import round_half_up
from nerfstudio_mvc.layers.strided import conv, deconv

HYPER_STRIDE = 4
FIRST_GAIN = 32.0
"""Steps per unit of a latent at the highest quality before training; the others follow the square root of rd_lambda."""

StepMeans = Callable[[int, Tensor], Tensor]
"""Means of all channels and positions in a step, of which those coded in it are used, given y_hat so far, 0 where
nothing is decoded. Called for every step once, in order. (step, [B, M, h, w]) -> [B, M, h, w]"""


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


class LatentWalk(nn.Module):
    """Hyperprior, gains and scale network of one latent [B, M, h, w]; LDMIC's and 3D-GP-LMVIC's hyper transforms.

    Args:
        width: channels of the hyper-latent (N).
        latent: channels of the latent (M).
        cells: which step codes a channel at a position of a 2x2 cell. bool [steps, M, 2, 2]
        rd_lambdas: by quality; first gains follow their square root.
        scale_width, scale_hidden: channels of the integer network.
    """

    def __init__(
        self,
        *,
        width: int,
        latent: int,
        cells: Tensor,
        rd_lambdas: Sequence[float],
        scale_width: int,
        scale_hidden: int,
    ) -> None:
        super().__init__()
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
        # These channels are no frequencies: all start at the table of a scale of one step.
        self.scales = ScaleNetwork(
            hyper=width,
            width=scale_width,
            hidden=scale_hidden,
            first_rows=first_row(torch.zeros(latent)),
            steps=len(cells),
        )
        self.z_center = nn.Parameter(torch.zeros(QUALITIES, width))
        self.z_log_scale = nn.Parameter(torch.ones(QUALITIES, width))
        gains = [FIRST_GAIN * math.sqrt(rd_lambda / rd_lambdas[-1]) for rd_lambda in rd_lambdas]
        log_gain = torch.tensor(gains).log()[:, None].repeat(1, latent)
        self.log_gain = nn.Parameter(log_gain.clone())
        self.log_inverse_gain = nn.Parameter(-log_gain)
        self.register_buffer("cells", cells, persistent=False)

    # -- gains -------------------------------------------------------------------------------------------------------

    def gain(self, level: Tensor) -> Tensor:
        """Quantiser steps per unit of each channel at quality `level` [], 1 .. 8. [1, M, 1, 1]"""
        return torch.exp(_at_quality(self.log_gain, level))

    def inverse_gain(self, level: Tensor) -> Tensor:
        """The way back, learned apart. [1, M, 1, 1]"""
        return torch.exp(_at_quality(self.log_inverse_gain, level))

    # -- encoder and training ----------------------------------------------------------------------------------------

    def walk(self, y: Tensor, means_of: Callable[[Tensor], StepMeans], *, level: Tensor) -> Quantised:
        """Latent in quantiser steps -> its symbols, walking the steps as the decoder will.

        In training the bits pass gradients, and symbols whose table says "never coded" are kept, so that the scale
        network can learn that they are there; otherwise this is real coding to the symbol.

        Args:
            y: [B, M, h, w]
            means_of: z symbols -> the means.
            level: quality. []
        """
        z = self.h_a(pad_to_blocks(y, block=HYPER_STRIDE))
        z_symbols = round_half_up(z).clamp(-HYPER_LIMIT, HYPER_LIMIT)
        z_center = _at_quality(self.z_center, level)
        z_scale = torch.exp(_at_quality(self.z_log_scale, level))
        bits_z = rounded_bits(z - z_center, z_symbols - z_center, z_scale, noise=self.training)

        size = (y.shape[-2], y.shape[-1])
        row_inputs = self._row_inputs(z_symbols, level, size)
        mean_of_step = means_of(z_symbols)
        symbols, residual, y_hat, rows = (torch.zeros_like(y) for _ in range(4))
        for step in range(len(self.cells)):
            now = self._now(step, size, y.dtype)
            step_rows = self._rows(*row_inputs, symbols.detach(), step) * now
            mean = mean_of_step(step, y_hat)
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
        """The integer half of decoding, step by step; needs no mean."""
        return RowReader(self, *self._row_inputs(z_symbols, level, size), size)

    def with_means(self, symbols: Symbols, means_of: Callable[[Tensor], StepMeans]) -> Tensor:
        """Symbols -> y_hat in quantiser steps: the means are added. [B, M, h, w]"""
        size = (symbols.y.shape[-2], symbols.y.shape[-1])
        mean_of_step = means_of(symbols.z)
        y_hat = torch.zeros_like(symbols.y)
        for step in range(len(self.cells)):
            now = self._now(step, size, symbols.y.dtype)
            y_hat = y_hat + symbols.y * now + mean_of_step(step, y_hat) * now
        return y_hat

    # -- shared ------------------------------------------------------------------------------------------------------

    def hyper_parameters(self, z_symbols: Tensor, size: tuple[int, int]) -> Tensor:
        """What z says about the means. [B, 2M, h, w]"""
        return crop(self.h_s(z_symbols), size)

    def _now(self, step: int, size: tuple[int, int], dtype: torch.dtype) -> Tensor:
        return tile_cells(self.cells[step], *size).to(dtype)[None]

    def _row_inputs(self, z_symbols: Tensor, level: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        hyper = crop(self.scales.hyper_features(z_symbols, quality_point=nearest_quality(level)), size)
        return hyper, quality_weights(level)

    def _rows(self, hyper: Tensor, shares: Tensor, symbols: Tensor, step: int) -> Tensor:
        return self.scales.table_rows(hyper, self.scales.context_features(symbols.abs(), step), shares)


class RowReader:
    """Table rows of one latent while its symbols arrive."""

    def __init__(self, walk: LatentWalk, hyper: Tensor, shares: Tensor, size: tuple[int, int]) -> None:
        self._walk, self._hyper, self._shares, self._size = walk, hyper, shares, size

    def rows(self, step: int, symbols: Tensor) -> Tensor:
        """Rows of the symbols coded in `step`, 0 for all others, given the `symbols` of earlier steps. [B, M, h, w]"""
        now = self._walk._now(step, self._size, symbols.dtype)
        return self._walk._rows(self._hyper, self._shares, symbols, step) * now


def _at_quality(table: Tensor, level: Tensor) -> Tensor:
    """Rows of a per-quality table [8, C], linearly between neighbours. [1, C, 1, 1]"""
    return (quality_weights(level) @ table)[None, :, None, None]
