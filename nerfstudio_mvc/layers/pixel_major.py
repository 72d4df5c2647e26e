"""The blocks of `blocks` as they run when coding: same weights, maps stored pixel by pixel, in bands of rows.

    [H, W, C]; a 1x1 convolution is a matrix product, moving pixels into channels copies runs of neighbouring floats

What lies between the ends of a block exists for one band at a time: it stays in the processor's cache, and a
photograph of any size needs memory for whole maps only at the ends. Bands read one another's rows where a depthwise
convolution needs them, so where the cuts fall changes nothing. Training is `blocks`'.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nerfstudio_mvc.layers.blocks import LEAK, DepthwiseBlock

BAND_FLOATS = 1 << 18
"""Size of the widest map inside a block, for one band: 1 MB."""


class Layer(Protocol):
    """[H, W, Cin] -> [H', W', Cout], a new tensor."""

    def __call__(self, x: Tensor) -> Tensor: ...


def bands(height: int, width: int, channels: int) -> Iterator[slice]:
    """Ranges of rows that cover a map, of about equal height, `BAND_FLOATS` values of `channels` each."""
    count = max(1, min(height, round(height * width * channels / BAND_FLOATS)))
    for idx in range(count):
        yield slice(height * idx // count, height * (idx + 1) // count)


class Dense:
    """A 1x1 convolution, `gather` x `gather` pixels into channels before it, `scatter` x `scatter` out of them after.

    Args:
        weight: inputs (row, column, channel of the gathered pixels) to outputs (row, column, channel scattered).
        bias: of the outputs, or None.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None, *, gather: int = 1, scatter: int = 1) -> None:
        self.weight = weight.detach().contiguous()
        self.bias = self.weight.new_zeros(weight.shape[1]) if bias is None else bias.detach().contiguous()
        self.gather, self.scatter = gather, scatter

    @classmethod
    def of(cls, layer: nn.Conv2d, *, gather: int = 1, scatter: int = 1) -> Dense:
        """Of a layer that stands behind `PixelUnshuffle(gather)`, or before `PixelShuffle(scatter)`."""
        weight = layer.weight[:, :, 0, 0]
        into, out = pixel_order(weight.shape[1], gather), pixel_order(weight.shape[0], scatter)
        return cls(
            weight[out][:, into].t(), None if layer.bias is None else layer.bias[out], gather=gather, scatter=scatter
        )

    def __call__(self, x: Tensor) -> Tensor:
        rows, columns = x.shape[0] // self.gather, x.shape[1] // self.gather
        channels = self.weight.shape[1] // self.scatter**2
        out = x.new_empty(rows * self.scatter, columns * self.scatter, channels)
        for band in bands(rows, columns, max(self.weight.shape)):
            if self.scatter == 1:
                torch.addmm(self.bias, self._gathered(x, band), self.weight, out=out[band].view(-1, channels))
                continue
            values = torch.addmm(self.bias, self._gathered(x, band), self.weight)
            values = values.view(-1, columns, self.scatter, self.scatter * channels).transpose(1, 2)
            target = out[band.start * self.scatter : band.stop * self.scatter]
            target.view(-1, self.scatter, columns, self.scatter * channels).copy_(values)
        return out

    def add_to(self, out: Tensor, x: Tensor) -> None:
        """out += self(x); not for layers that scatter."""
        assert self.scatter == 1
        out += self.bias
        for band in bands(out.shape[0], out.shape[1], max(self.weight.shape)):
            out[band].view(-1, out.shape[2]).addmm_(self._gathered(x, band), self.weight)

    def _gathered(self, x: Tensor, band: slice) -> Tensor:
        """The inputs of one band as a matrix. [positions, gather^2 Cin]"""
        if self.gather == 1:
            return x[band].reshape(-1, x.shape[2])
        columns, run = x.shape[1] // self.gather, self.gather * x.shape[2]
        pixels = x[band.start * self.gather : band.stop * self.gather, : columns * self.gather]
        return pixels.reshape(-1, self.gather, columns, run).transpose(1, 2).reshape(-1, self.gather * run)


class Residual:
    """A `DepthwiseBlock`. [H, W, C] -> the same shape"""

    def __init__(self, block: DepthwiseBlock) -> None:
        self.depthwise = Depthwise(block.depthwise)
        self.widen, self.narrow = Dense.of(block.widen), Dense.of(block.narrow)

    def __call__(self, x: Tensor) -> Tensor:
        channels = x.shape[2]
        out = torch.empty_like(x)
        for band in bands(*x.shape[:2], self.widen.weight.shape[1]):
            spread = self.depthwise.rows(x, band).reshape(-1, channels)
            hidden = F.leaky_relu_(torch.addmm(self.widen.bias, spread, self.widen.weight), LEAK)
            torch.add(x[band], self.narrow.bias, out=out[band])
            out[band].view(-1, channels).addmm_(hidden, self.narrow.weight)
        return out


class Depthwise:
    """A depthwise convolution of odd size with zeros around the map."""

    def __init__(self, layer: nn.Conv2d) -> None:
        self.weight, self.bias = layer.weight.detach(), layer.bias.detach()
        self.reach = self.weight.shape[-1] // 2

    def __call__(self, x: Tensor) -> Tensor:
        return self.rows(x, slice(0, x.shape[0]))

    def rows(self, x: Tensor, band: slice) -> Tensor:
        """Some rows of the result. [rows, W, C]"""
        top, bottom = max(0, band.start - self.reach), min(x.shape[0], band.stop + self.reach)
        maps = x[top:bottom].permute(2, 0, 1)[None]
        maps = F.conv2d(maps, self.weight, self.bias, padding=self.reach, groups=len(self.weight))
        # Rows beside a cut took zeros for what lies beyond it; they belong to other bands.
        return maps[0].permute(1, 2, 0)[band.start - top : band.stop - top]


class Windowed:
    """A dense 3x3 convolution of a layer behind `PixelUnshuffle(gather)`, zeros around the gathered map."""

    def __init__(self, layer: nn.Conv2d, *, gather: int) -> None:
        order = pixel_order(layer.weight.shape[1], gather)
        self.weight = layer.weight.detach()[:, order].permute(2, 3, 1, 0).flatten(0, 2).contiguous()
        self.bias, self.gather = layer.bias.detach(), gather

    def __call__(self, x: Tensor) -> Tensor:
        rows, columns = x.shape[0] // self.gather, x.shape[1] // self.gather
        channels = x.shape[2] * self.gather**2
        framed = x.new_zeros(rows + 2, columns + 2, channels)
        pixels = x.view(rows, self.gather, columns, -1).transpose(1, 2)
        framed[1:-1, 1:-1].view(rows, columns, self.gather, -1).copy_(pixels)
        out = x.new_empty(rows, columns, self.weight.shape[1])
        row = (columns + 2) * channels
        for band in bands(rows, columns, len(self.weight)):
            count = band.stop - band.start
            # Three neighbours in a row are one run of floats.
            windows = framed[band.start :].as_strided(
                (count, columns, 3, 3 * channels), (row, channels, row, 1), band.start * row
            )
            windows = windows.reshape(count * columns, -1)
            torch.addmm(self.bias, windows, self.weight, out=out[band].view(-1, out.shape[2]))
        return out


class Chain:
    """Layers one after the other."""

    def __init__(self, layers: list[Layer]) -> None:
        self.layers = layers

    def __call__(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


def pixel_major(*modules: nn.Module) -> Chain:
    """The modules of `blocks`, and sequences of them, as they run when coding.

    Raises:
        TypeError: a module that has no form here.
    """
    layers: list[Layer] = []
    flat = list(_flat(modules))
    while flat:
        module, following = flat[0], flat[1] if len(flat) > 1 else None
        if isinstance(module, nn.PixelUnshuffle) and isinstance(following, nn.Conv2d):
            kind = Windowed if following.kernel_size == (3, 3) else Dense.of
            layers.append(kind(following, gather=module.downscale_factor))
            flat = flat[2:]
        elif isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1) and isinstance(following, nn.PixelShuffle):
            layers.append(Dense.of(module, scatter=following.upscale_factor))
            flat = flat[2:]
        elif isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1):
            layers.append(Dense.of(module))
            flat = flat[1:]
        elif isinstance(module, DepthwiseBlock):
            layers.append(Residual(module))
            flat = flat[1:]
        else:
            raise TypeError(f"{type(module).__name__} has no pixel-major form")
    return Chain(layers)


def pixel_order(channels: int, factor: int) -> Tensor:
    """Where `PixelUnshuffle(factor)` has what lies here in the order row, column, channel. int64 [channels]"""
    return torch.arange(channels).view(-1, factor, factor).permute(1, 2, 0).reshape(-1)


def _flat(modules: tuple[nn.Module, ...]) -> Iterator[nn.Module]:
    for module in modules:
        if isinstance(module, nn.Sequential):
            yield from _flat(tuple(module))
        else:
            yield module


def split_inputs(layer: nn.Conv2d, channels: tuple[int, ...], gather: int) -> list[Dense]:
    """One layer behind `PixelUnshuffle(gather)` as one per part of its input; the first one adds the bias."""
    parts, start = [], 0
    for count in channels:
        own = layer.weight[:, start * gather**2 : (start + count) * gather**2]
        own = own.view(len(own), count, gather, gather).permute(2, 3, 1, 0).flatten(0, 2)
        parts.append(Dense(own, layer.bias if start == 0 else None, gather=gather))
        start += count
    return parts


def pixels_of(planes: Tensor) -> Tensor:
    """[1, C, H, W] -> [H, W, C]"""
    return planes[0].permute(1, 2, 0).contiguous()


def planes_of(pixels: Tensor) -> Tensor:
    """[H, W, C] -> [1, C, H, W], no copy"""
    return pixels.permute(2, 0, 1)[None]


def padded(pixels: Tensor, multiple: int) -> Tensor:
    """Grow to multiples, bottom and right, by repeating the last row and column. [H, W, C]"""
    height, width, channels = pixels.shape
    if height % multiple == 0 and width % multiple == 0:
        return pixels
    grown = pixels.new_empty(height + -height % multiple, width + -width % multiple, channels)
    grown[:height, :width] = pixels
    grown[:height, width:] = pixels[:, -1:]
    grown[height:] = grown[height - 1]
    return grown
