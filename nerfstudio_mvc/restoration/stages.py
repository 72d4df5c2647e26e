"""The restoration network scale by scale, each in bands of rows that see a few beside them: cuts leave no trace.

Through all scales at once a band would have to see eighty rows more on each side, and a large photograph is many bands.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nerfstudio_mvc.layers.blocks import LEAK
from nerfstudio_mvc.restoration.network import RestorationNet

Rows = Callable[[int, int], Tensor]
"""Rows `top` .. `bottom` - 1 of a map. [1, C, bottom - top, w]"""
_WHOLE = 8  # bands begin at multiples of it, so that rows of coarser maps are whole


def in_stages(net: RestorationNet, seen: Rows, height: int, width: int, *, band_cells: int) -> Tensor:
    """What `RestorationNet.forward` says before pixels are moved out of channels. [1, 12, h, w]

    Args:
        seen: what it sees, of cells of 2 x 2 pixels.
        height, width: of the map of cells; multiples of half of `ALIGNMENT`.
        band_cells: how many are worked on together; changes memory, not the result.
    """
    reach = 1 + _reach(net.encode[0])
    x = _stage(lambda *rows: net.encode[0](net.enter(seen(*rows))), height, width, reach, band_cells)
    maps = []
    for step, (down, encode) in enumerate(zip(net.down, net.encode[1:], strict=True), 1):
        maps.append(x)
        x = _stage(partial(_coarser, down, encode, x), height >> step, width >> step, _reach(encode), band_cells)
    for step in range(len(maps) - 1, -1, -1):
        decode, leave = net.decode[step], None if step else net.leave
        reach = _reach(decode) + (leave is not None)
        work = partial(_finer, net.up[step], decode, leave, x, maps.pop())
        x = _stage(work, height >> step, width >> step, reach + reach % 2, band_cells)
    return x


def _coarser(down: nn.Module, encode: nn.Module, x: Tensor, top: int, bottom: int) -> Tensor:
    return encode(down(F.leaky_relu(x[..., 2 * top : 2 * bottom, :], LEAK)))


def _finer(
    up: nn.Module, decode: nn.Module, leave: nn.Module | None, x: Tensor, fine: Tensor, top: int, bottom: int
) -> Tensor:
    coarse = up(F.leaky_relu(x[..., top // 2 : bottom // 2, :], LEAK))
    found = decode(F.pixel_shuffle(coarse, 2).add_(fine[..., top:bottom, :]))
    return found if leave is None else leave(F.leaky_relu_(found, LEAK))


def _stage(work: Rows, height: int, width: int, reach: int, band_cells: int) -> Tensor:
    """All rows of what `work` makes, in bands that see `reach` rows more on each side."""
    rows = max(_WHOLE, band_cells // width // _WHOLE * _WHOLE)
    if rows >= height:
        return work(0, height)
    found = None
    for first in range(0, height, rows):
        last = min(height, first + rows)
        top = max(0, first - reach)
        part = work(top, min(height, last + reach))[..., first - top : last - top, :]
        if found is None:
            size = (1, part.shape[1], height, width)
            found = torch.empty(size, device=part.device, memory_format=torch.channels_last)
        found[..., first:last, :] = part
    return found


def _reach(blocks: nn.Sequential) -> int:
    """Rows to each side that a cell after residual blocks depends on."""
    return 2 * len(blocks)
