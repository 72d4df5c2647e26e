"""Parallax attention: where a side map shows what the main map shows, row by row, column by column, or anywhere.

    main --query--+                                +--query--+
                  HPA: rows  --> aligned, C_hor -->          VPA: columns --> aligned, C_ver;   C = C_hor * C_ver
    side ---key---+                                +---key---+

ParaHydra, section 3.2. A line of scores is exact by itself, so lines are taken in chunks of bounded memory; what is
done with an aligned map is `fusion`'s.

Where the paper is silent: queries and keys come from standardised maps, lose their mean along the line and have unit
length; a learned temperature, 20 at first, multiplies their product. The key network starts as a copy of the query
network, so that the same thing in two views is found before anything is learned. Both passes share the two networks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from nerfstudio_mvc.errors import ShapeError
from nerfstudio_mvc.layers.strided import conv

Attention = Literal["opam", "horizontal", "vertical", "plane", "average"]
"""opam: rows, then columns. horizontal, vertical: one of both. plane: all positions at once. average: none, the side as
it is with consistency 1, as LDMIC has it."""

CHUNK_BYTES = 48 << 20
"""Of scores and both their softmaxes, at once; a single line longer than that is still taken whole."""
LARGEST_PLANE = 64 * 64
"""Positions up to which full two-dimensional attention is computed; its scores grow with the fourth power."""
_MAPS_OF_SCORES = 4  # the scores, two softmaxes, their product
_FIRST_TEMPERATURE = 20.0
_SMALLEST_DEVIATION = 1e-2
_SMALLEST_SQUARE = 1e-2  # of a mean squared component: a flat line has no direction


@dataclass(frozen=True)
class Aligned:
    """A side map on the main map's grid, and how far that can be relied on.

    Attributes:
        features: [B, C, H, W]
        consistency: probability of returning to the same position after the way there and back, 0..1. [B, 1, H, W]
    """

    features: Tensor
    consistency: Tensor


class SelectiveKernel(nn.Module):
    """Selective kernel module (SKM): branches of 3x3 and 5x5, weighed per channel by what the whole map shows.

        x --3x3-----------+-- U3 --*--+
        x --3x3 dilated---+-- U5 --*--+--> out
                U3 + U5 --mean--> fc --> fc --softmax over the branches--> weights

    Li et al., "Selective kernel networks", 2019, without its batch normalisation: a batch here is one group of views.
    [B, C, H, W] -> the same shape
    """

    def __init__(self, channels: int, *, reduction: int = 16, fewest: int = 32) -> None:
        super().__init__()
        hidden = max(channels // reduction, fewest)
        self.small = conv(channels, channels, kernel=3, stride=1)
        self.large = conv(channels, channels, kernel=3, stride=1)
        self.large.dilation, self.large.padding = (2, 2), (2, 2)
        self.squeeze = nn.Linear(channels, hidden)
        self.select = nn.Linear(hidden, 2 * channels)

    def forward(self, x: Tensor) -> Tensor:
        small, large = F.gelu(self.small(x)), F.gelu(self.large(x))
        shown = (small + large).mean((2, 3))
        shares = self.select(F.gelu(self.squeeze(shown))).unflatten(1, (2, -1)).softmax(1)[..., None, None]
        return shares[:, 0] * small + shares[:, 1] * large


class Descriptor(nn.Module):
    """What is compared: SKM of the standardised map, then 1x1. [B, C, H, W] -> the same shape"""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.kernel = SelectiveKernel(channels)
        self.project = conv(channels, channels, kernel=1, stride=1)

    def forward(self, x: Tensor) -> Tensor:
        centered = x - x.mean((2, 3), keepdim=True)
        deviation = centered.square().mean((2, 3), keepdim=True).add(_SMALLEST_DEVIATION**2).sqrt()
        return self.project(self.kernel(centered / deviation))


class ParallaxAttention(nn.Module):
    """Aligns a side map with a main map, of one size; which lines are compared says `kind`.

    The parameters are those of OPAM for every kind, so one weights file can be tried with all of them.
    """

    def __init__(self, channels: int, *, kind: Attention = "opam") -> None:
        super().__init__()
        self.kind = kind
        self.query, self.key = Descriptor(channels), Descriptor(channels)
        self.key.load_state_dict(self.query.state_dict())
        self.log_temperature = nn.Parameter(torch.full((2,), math.log(_FIRST_TEMPERATURE)))

    def forward(self, query: Tensor, side: Tensor) -> Aligned:
        """`side` as the main map would see it.

        Args:
            query: `self.query` of the main map, once for all its sides. [B, C, H, W]
            side: [B, C, H, W]

        Raises:
            ShapeError: maps of different sizes, or too many positions for attention over the plane.
        """
        if query.shape != side.shape:
            raise ShapeError(f"attention between maps of {tuple(query.shape)} and {tuple(side.shape)}: not one size")
        horizontal, vertical = self.log_temperature.exp()
        if self.kind == "average":
            return Aligned(side, torch.ones_like(side[:, :1]))
        if self.kind == "horizontal":
            return attend_rows(query, self.key(side), side, horizontal)
        if self.kind == "vertical":
            return attend_columns(query, self.key(side), side, vertical)
        if self.kind == "plane":
            return attend_plane(query, self.key(side), side, horizontal)
        rows = attend_rows(query, self.key(side), side, horizontal)
        columns = attend_columns(query, self.key(rows.features), rows.features, vertical)
        return Aligned(columns.features, rows.consistency * columns.consistency)


def attend_rows(
    query: Tensor, key: Tensor, value: Tensor, temperature: Tensor | float, *, chunk_bytes: int = CHUNK_BYTES
) -> Aligned:
    """Horizontal parallax attention (HPA), Eq. 8 to 11: every row against the same row of the side. [B, C, H, W] all"""
    size = query.shape
    lines = (x.permute(0, 2, 3, 1).flatten(0, 1) for x in (query, key, value))
    features, consistency = _attend_lines(*lines, temperature, chunk_bytes=chunk_bytes)
    back = (size[0], size[2], size[3])
    return Aligned(features.unflatten(0, back[:2]).permute(0, 3, 1, 2), consistency.reshape(back)[:, None])


def attend_columns(
    query: Tensor, key: Tensor, value: Tensor, temperature: Tensor | float, *, chunk_bytes: int = CHUNK_BYTES
) -> Aligned:
    """Vertical parallax attention (VPA): `attend_rows` of the maps turned by a quarter."""
    turned = (x.transpose(2, 3) for x in (query, key, value))
    aligned = attend_rows(*turned, temperature, chunk_bytes=chunk_bytes)
    return Aligned(aligned.features.transpose(2, 3), aligned.consistency.transpose(2, 3))


def attend_plane(query: Tensor, key: Tensor, value: Tensor, temperature: Tensor | float) -> Aligned:
    """Full two-dimensional attention, the paper's "2D Attn": the whole map as one line.

    Raises:
        ShapeError: more than `LARGEST_PLANE` positions.
    """
    height, width = query.shape[-2:]
    if height * width > LARGEST_PLANE:
        raise ShapeError(
            f"full two-dimensional attention over {height}x{width} positions: at most {LARGEST_PLANE}; "
            "it is an ablation for small pictures, take OPAM"
        )
    lines = (x.flatten(2)[:, :, None] for x in (query, key, value))
    aligned = attend_rows(*lines, temperature)
    size = (height, width)
    return Aligned(aligned.features[:, :, 0].unflatten(2, size), aligned.consistency[:, :, 0].unflatten(2, size))


def _attend_lines(
    query: Tensor, key: Tensor, value: Tensor, temperature: Tensor | float, *, chunk_bytes: int
) -> tuple[Tensor, Tensor]:
    """Lines [L, P, C] all -> aligned lines [L, P, C] and their consistency [L, P]."""
    positions = query.shape[1]
    at_once = max(1, chunk_bytes // (4 * _MAPS_OF_SCORES * positions**2))
    if len(query) <= at_once:
        return _attend_chunk(query, key, value, temperature)
    # Of chunks, the backward pass makes the scores again instead of keeping those of all lines.
    attend = _attend_again if torch.is_grad_enabled() else _attend_chunk
    parts = [
        attend(*lines, temperature) for lines in zip(*(x.split(at_once) for x in (query, key, value)), strict=True)
    ]
    features, consistency = zip(*parts, strict=True)
    return torch.cat(features), torch.cat(consistency)


def _attend_again(*arguments: Tensor | float) -> tuple[Tensor, Tensor]:
    return checkpoint(_attend_chunk, *arguments, use_reentrant=False)


def _attend_chunk(query: Tensor, key: Tensor, value: Tensor, temperature: Tensor | float) -> tuple[Tensor, Tensor]:
    scores = _directions(query) * temperature @ _directions(key).transpose(1, 2)
    to_main = scores.softmax(2)  # M_{s -> m}: where each main position looks
    to_side = scores.softmax(1)  # M_{m -> s} transposed: where each side position looks
    return to_main @ value, (to_main * to_side).sum(2)


def _directions(lines: Tensor) -> Tensor:
    """Without their mean along the line, of unit length. [L, P, C] -> the same"""
    centered = lines - lines.mean(1, keepdim=True)
    return centered * torch.rsqrt(centered.square().sum(2, keepdim=True) + _SMALLEST_SQUARE * lines.shape[2])
