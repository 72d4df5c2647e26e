"""Integers in, integers out: the table row of every symbol, from z symbols and symbols already coded (EXACTNESS.md).

Means are float and others' business: a different mean shifts a picture by a rounding error and no more.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nerfstudio_mvc.entropy.integer_layers import ACTIVATION_STEPS, IntegerConv, requantize
from nerfstudio_mvc.entropy.partitions import STEPS, tile_cells
from nerfstudio_mvc.entropy.quality_points import QUALITIES
from nerfstudio_mvc.layers.rounding import clamp_straight, round_half_up

TABLES = 64
SMALLEST_SCALE, LARGEST_SCALE = 0.03, 160.0
LOG_SCALE_STEP = math.log(LARGEST_SCALE / SMALLEST_SCALE) / (TABLES - 1)
HYPER_LIMIT = 31
MAGNITUDE_LIMIT = 255
MODE_BIASES = 2
"""Of split and of kept positions, in the context's first layer."""
ROW_STEPS = 128
"""Accumulator steps per table row."""
_INDEX_SHIFT = 1.0 / ROW_STEPS


def magnitude_levels() -> Tensor:
    """16 log2(1 + m) to the nearest integer for m = 0 .. MAGNITUDE_LIMIT, from whole numbers alone. float32

    Symbols of low frequencies run into the hundreds while those of high ones are 0 or 1; on a logarithmic scale one set
    of coarse weights serves both (trained for as long on the same symbols, 3 % fewer bits than magnitudes cut at 15).
    """
    return torch.tensor([float(((1 + m) ** 32).bit_length() // 2) for m in range(MAGNITUDE_LIMIT + 1)])


def scale_of_table(table_idx: Tensor) -> Tensor:
    """Logistic scale a table row stands for; rows are logarithmic from 0.03 to 160. Row 0 means: not coded, zero."""
    return SMALLEST_SCALE * torch.exp(table_idx * LOG_SCALE_STEP)


def table_scales() -> list[float]:
    """`scale_of_table` of every row, as plain numbers: a model that is only counted has tensors without values."""
    return [SMALLEST_SCALE * math.exp(row * LOG_SCALE_STEP) for row in range(TABLES)]


class Modes(Protocol):
    """Positions that are split, positions that are kept, of a codec that has such. bool [B, 1, H, W] each"""

    @property
    def split(self) -> Tensor: ...

    @property
    def kept(self) -> Tensor: ...


def first_row(log_scale: Tensor) -> Tensor:
    """The row, not rounded, that stands for the logarithm of a scale."""
    return (log_scale - math.log(SMALLEST_SCALE)) / LOG_SCALE_STEP


class ScaleNetwork(nn.Module):
    """Integers in, integers out: z symbols and magnitudes of the symbols already coded -> table row of every symbol.

    Args:
        hyper: channels of z (N).
        width, hidden: channels inside.
        first_rows: where the row of each channel starts before training. [M]
        steps: in which the symbols are coded.
        splits: positions may be split or kept (`Modes`); channels of a split one are other frequencies, and have first
            and last layers of their own.
    """

    def __init__(
        self, *, hyper: int, width: int, hidden: int, first_rows: Tensor, steps: int = STEPS, splits: bool = False
    ) -> None:
        super().__init__()
        channels = len(first_rows)
        self.hyper_in = IntegerConv(hyper, 4 * width)
        self.hyper_space = IntegerConv(width, width, kernel=5, depthwise=True)
        self.hyper_mid = IntegerConv(width, 4 * width)
        self.hyper_out = IntegerConv(width, width, kernel=3, depthwise=True)
        self.quality_bias = nn.Parameter(torch.zeros(QUALITIES, width))
        self.context_in = IntegerConv(channels, width)
        self.context_space = IntegerConv(width, width, kernel=5, depthwise=True)
        self.step_bias = nn.Parameter(torch.zeros(steps, width, 2, 2))
        self.head = IntegerConv(2 * width, hidden)
        self.rows = IntegerConv(hidden, channels)
        # What a channel needs at a quality without knowing the picture; the network only adds what it sees.
        self.base_rows = nn.Parameter(first_rows.repeat(QUALITIES, 1))
        self.register_buffer("levels", magnitude_levels(), persistent=False)
        with torch.no_grad():
            self.rows.weight.mul_(0.1)
        if splits:
            # They start as copies: a split position is coded like any other until training knows better.
            self.split_context_in = IntegerConv(channels, width)
            self.split_context_in.load_state_dict(self.context_in.state_dict())
            self.split_rows = IntegerConv(hidden, channels)
            self.split_rows.load_state_dict(self.rows.state_dict())
            self.split_base_rows = nn.Parameter(self.base_rows.detach().clone())
            self.mode_bias = nn.Parameter(torch.zeros(MODE_BIASES, width))

    def hyper_features(self, z_symbols: Tensor, *, quality_point: Tensor) -> Tensor:
        """Integer z symbols [B, N, h, w], one-hot quality [8] -> integer features [B, width, 4h, 4w]."""
        z = z_symbols.clamp(-HYPER_LIMIT, HYPER_LIMIT) * (ACTIVATION_STEPS // 2)
        x = F.pixel_shuffle(requantize(self.hyper_in(z)), 2)
        x = requantize(self.hyper_space(x))
        x = F.pixel_shuffle(requantize(self.hyper_mid(x)), 2)
        bias = (quality_point[:, None] * round_half_up(self.quality_bias * 1024)).sum(0)
        return requantize(self.hyper_out(x) + bias[None, :, None, None])

    def context_features(self, magnitudes: Tensor, step: int, modes: Modes | None = None) -> Tensor:
        """Magnitudes of coded symbols, 0 where none is coded yet [B, M, H, W] -> integer features [B, width, H, W].

        Maps of `modes` are [B, 1, H, W].
        """
        levels = self.levels[magnitudes.clamp(max=MAGNITUDE_LIMIT).to(torch.int32)]
        x = self.context_in(levels)
        if modes is not None:
            of_split, of_kept = round_half_up(self.mode_bias * 1024)[:, :, None, None]
            x = torch.where(modes.split, self.split_context_in(levels) + of_split, x) + of_kept * modes.kept
        x = self.context_space(requantize(x))
        bias = tile_cells(round_half_up(self.step_bias[step] * 1024), *x.shape[-2:])
        return requantize(x + bias)

    def base_accumulator(self, quality_shares: Tensor, *, split: bool = False) -> Tensor:
        """The channels' own rows as accumulator values, exact for shares in sixteenths [8]. [1, M, 1, 1]"""
        integer = round_half_up((self.split_base_rows if split else self.base_rows) * ROW_STEPS)
        return (quality_shares[:, None] * integer).sum(0)[None, :, None, None]

    def table_rows(self, hyper: Tensor, context: Tensor, quality_shares: Tensor, modes: Modes | None = None) -> Tensor:
        """Table row of every channel and position, integers 0 .. 63 in float32. [B, M, H, W]"""
        x = requantize(self.head(torch.cat([hyper, context], 1)))
        values = self.rows(x).float() + self.base_accumulator(quality_shares)
        if modes is not None:
            split = self.split_rows(x).float() + self.base_accumulator(quality_shares, split=True)
            values = torch.where(modes.split, split, values)
        rows = clamp_straight(round_half_up(values * _INDEX_SHIFT), 0, TABLES - 1)
        return rows if modes is None else rows * ~modes.kept
