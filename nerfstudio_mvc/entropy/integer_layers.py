"""Network layers on integers, bit-identical on every device, thread count and batch size (EXACTNESS.md).

Weights and activations are integers held in float32. Every partial sum stays below 2**24, so it is exactly
representable and the order of additions, fused multiply-adds and tiling cannot matter. Requantising multiplies by a
power of two and takes the floor, both exact.

Training keeps real-valued shadow weights and rounds them on the way in, with the gradient passed straight through;
what training computes in float32 is then what the decoder computes.

    activation: integer 0 .. 255, standing for 0 .. 15.94 in steps of 1/16
    weight:     integer -127 .. 127, standing for -1.98 .. 1.98 in steps of 1/64
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nerfstudio_mvc.layers.rounding import clamp_straight, round_half_up

ACTIVATION_STEPS = 16
ACTIVATION_MAX = 255
WEIGHT_STEPS = 64
WEIGHT_MAX = 127
EXACT_LIMIT = 1 << 24


class IntegerConv(nn.Module):
    """1x1 or depthwise convolution from integer activations to an integer accumulator.

    The accumulator stands for its value in steps of 1 / (16 * 64).
    """

    def __init__(self, channels_in: int, channels_out: int, *, kernel: int = 1, depthwise: bool = False) -> None:
        super().__init__()
        self.groups = channels_in if depthwise else 1
        self.kernel = kernel
        fan_in = kernel * kernel * channels_in // self.groups
        self.weight = nn.Parameter(torch.randn(channels_out, channels_in // self.groups, kernel, kernel))
        with torch.no_grad():
            self.weight.mul_(math.sqrt(1.0 / fan_in)).clamp_(-1.9, 1.9)
        self.bias = nn.Parameter(torch.zeros(channels_out))

    def integer_weight(self) -> Tensor:
        return round_half_up(clamp_straight(self.weight * WEIGHT_STEPS, -WEIGHT_MAX, WEIGHT_MAX))

    def integer_bias(self) -> Tensor:
        return round_half_up(self.bias * (WEIGHT_STEPS * ACTIVATION_STEPS))

    def forward(self, activation: Tensor) -> Tensor:
        weight, bias = self.integer_weight(), self.integer_bias()
        if self.groups == 1:
            return F.conv2d(activation, weight, bias)
        with torch.autocast(activation.device.type, enabled=False):
            return F.conv2d(activation.float(), weight, bias, padding=self.kernel // 2, groups=self.groups)

    def accumulator_bound(self) -> int:
        """Largest magnitude any partial sum can reach with activations 0 .. 255 (or -255 .. 255)."""
        with torch.no_grad():
            weights = self.integer_weight().double().abs().flatten(1).sum(1)
            return int((weights * ACTIVATION_MAX + self.integer_bias().double().abs()).max().item())


def requantize(accumulator: Tensor) -> Tensor:
    """ReLU and back to the activation grid: integer accumulator -> integer 0 .. 255."""
    return clamp_straight(round_half_up(accumulator * (1.0 / WEIGHT_STEPS)), 0, ACTIVATION_MAX)


def check_exact(module: nn.Module, *, added: int = 0) -> dict[str, int]:
    """Bound of every integer layer in `module`; `added` is what biases outside the layers may add.

    Raises:
        ValueError: a layer could leave the exactly representable range (export refuses such weights).
    """
    bounds = {}
    for name, layer in module.named_modules():
        if isinstance(layer, IntegerConv):
            bounds[name] = layer.accumulator_bound() + added
            if bounds[name] >= EXACT_LIMIT - WEIGHT_STEPS:
                raise ValueError(f"integer layer {name}: a partial sum may reach {bounds[name]}, not below 2**24")
    return bounds
