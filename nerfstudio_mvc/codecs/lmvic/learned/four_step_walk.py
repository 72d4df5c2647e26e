"""The four steps as encoder and decoder walk them: `four_step_entropy`'s networks, only where a step needs them.

A step codes, at each of the four positions of the 2x2 cells, one of four groups of channels. So the last layers run
for one group per position, and the first ones add what a step has coded to what is known already. Latents are
[h, w, M] with the channels of a group side by side (`grouped_channels`); what a step codes are four blocks
[positions, channels of the group], positions (0, 0), (0, 1), (1, 0), (1, 1) of the cells in turn, rows first.

Split positions (`block_modes`) take part by quarters: their y, means and symbols count what `split_rotation` makes of
them. What others read of them is in whole blocks again, so the first layers are turned instead of the numbers.

Encoder and decoder must walk alike: both use the classes here, so that even the means agree on one machine.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional as F

from nerfstudio_mvc.codecs.lmvic.learned.mean_network import MeanNetwork
from nerfstudio_mvc.codecs.lmvic.learned.mode_choice import ModeMaps
from nerfstudio_mvc.entropy.integer_layers import ACTIVATION_MAX, ACTIVATION_STEPS, WEIGHT_STEPS, IntegerConv
from nerfstudio_mvc.entropy.partitions import PATTERN, POSITIONS
from nerfstudio_mvc.entropy.scale_network import MAGNITUDE_LIMIT, ROW_STEPS, TABLES, ScaleNetwork
from nerfstudio_mvc.layers.blocks import LEAK
from nerfstudio_mvc.layers.pixel_major import Dense, Depthwise, Residual, pixel_major
from nerfstudio_mvc.layers.rounding import round_half_up

GROUPS = len(POSITIONS)
FEWEST_ROWS = 16
Blocks = list[Tensor]
"""What a step codes: one matrix per position of the cells."""


def grouped_channels(channels: int) -> Tensor:
    """Channel numbers, those of group 0 first, then 1, 2, 3. int64 [channels]"""
    return torch.cat([torch.arange(group, channels, GROUPS) for group in range(GROUPS)])


def group_slices(channels: int) -> list[slice]:
    """Where each group lies among the grouped channels."""
    starts = [0]
    for group in range(GROUPS):
        starts.append(starts[-1] + len(range(group, channels, GROUPS)))
    return [slice(*ends) for ends in pairwise(starts)]


def step_groups(step: int) -> list[int]:
    """Group coded in a step at each position of the cells."""
    return [PATTERN[step].index(position) for position in range(GROUPS)]


def at_position(values: Tensor, position: int) -> Tensor:
    """A view of the cells' `position` in a map. [h, w, ..] -> [about h / 2, about w / 2, ..]"""
    row, column = POSITIONS[position]
    return values[row::2, column::2]


class StepCells:
    """Picks out of maps what a step codes, and puts it there. Maps are [h, w, M], channels grouped."""

    def __init__(self, channels: int) -> None:
        self.slices = group_slices(channels)

    def take(self, values: Tensor, step: int) -> Blocks:
        """The step's blocks, copied: flattening alone copies no single row or column."""
        parts = [at_position(values, pos)[..., self.slices[group]] for pos, group in enumerate(step_groups(step))]
        return [part.clone(memory_format=torch.contiguous_format).flatten(0, 1) for part in parts]

    def put(self, values: Tensor, step: int, blocks: Blocks) -> None:
        """Write the step's blocks into `values`."""
        for position, group in enumerate(step_groups(step)):
            target = at_position(values, position)[..., self.slices[group]]
            target.copy_(blocks[position].view(target.shape))


class ScaleWeights:
    """A `ScaleNetwork`'s layers after the hyper features, cut by groups. Integers in float32, as there."""

    def __init__(self, network: ScaleNetwork) -> None:
        order = grouped_channels(network.rows.weight.shape[0]).to(network.rows.weight.device)
        slices = group_slices(len(order))
        width = network.context_space.weight.shape[0]
        weight = _matrix(network.context_in)[order]
        self.context = [weight[part].contiguous() for part in slices]
        self.context_bias = network.context_in.integer_bias()
        self.space, self.space_bias = network.context_space.integer_weight(), network.context_space.integer_bias()
        self.levels = network.levels
        self.step_bias = round_half_up(network.step_bias * (WEIGHT_STEPS * ACTIVATION_STEPS)).permute(0, 2, 3, 1)
        head = _matrix(network.head)
        self.head_hyper, self.head_context = head[:width].contiguous(), head[width:].contiguous()
        self.head_bias = network.head.integer_bias()
        self.rows = _rows_by_group(network.rows, order, slices)
        self.order, self.slices = order, slices
        split = _matrix(network.split_context_in)[order]
        self.split_context = [split[part].contiguous() for part in slices]
        of_split, self.kept_bias = round_half_up(network.mode_bias * (WEIGHT_STEPS * ACTIVATION_STEPS))
        self.split_bias = network.split_context_in.integer_bias() + of_split
        self.split_rows = _rows_by_group(network.split_rows, order, slices)


class ScaleWalk:
    """Table rows of one picture, step by step.

    Args:
        hyper: the network's hyper features. [h, w, width]
        base, split_base: its base accumulators, flat. [M]
        modes: of every position. [h, w] each
    """

    def __init__(
        self, weights: ScaleWeights, hyper: Tensor, *, base: Tensor, split_base: Tensor, modes: ModeMaps
    ) -> None:
        self.weights, self.size = weights, hyper.shape[:2]
        self.base, self.split_base = (
            [values[weights.order[part]] for part in weights.slices] for values in (base, split_base)
        )
        self.hidden = torch.addmm(weights.head_bias, hyper.reshape(-1, hyper.shape[2]), weights.head_hyper)
        self.context = weights.context_bias.repeat(*self.size, 1)
        self.context[modes.split] = weights.split_bias
        self.context[modes.kept] += weights.kept_bias
        self.split, self.kept = ModeCells(modes.split), ModeCells(modes.kept)

    def rows(self, step: int) -> Blocks:
        """Table rows, 0 .. 63, of what the step codes."""
        weights = self.weights
        known = _requantize_(self.context.clone()).permute(2, 0, 1)[None]
        reach = weights.space.shape[-1] // 2
        context = F.conv2d(known, weights.space, weights.space_bias, padding=reach, groups=len(weights.space))
        context = context[0].permute(1, 2, 0).contiguous()
        for position, (row, column) in enumerate(POSITIONS):
            at_position(context, position).add_(weights.step_bias[step, row, column])
        context = _requantize_(context).view(-1, context.shape[2])
        hidden = _requantize_(torch.addmm(self.hidden, context, weights.head_context)).view(*self.size, -1)
        blocks = []
        for position, group in enumerate(step_groups(step)):
            weight, bias = weights.rows[group]
            own = at_position(hidden, position).flatten(0, 1)
            # The channels' own rows have fractions: added last, to an exact integer, as in training.
            values = torch.addmm(bias, own, weight).add_(self.base[group])
            weight, bias = weights.split_rows[group]
            split = self.split[position]
            values[split] = torch.addmm(bias, own[split], weight).add_(self.split_base[group])
            values.mul_(1.0 / ROW_STEPS).add_(0.5).floor_().clamp_(0, TABLES - 1)
            values[self.kept[position]] = 0
            blocks.append(values)
        return blocks

    def add(self, step: int, symbols: Blocks) -> None:
        """Take in what the step coded."""
        for position, group in enumerate(step_groups(step)):
            levels = self.weights.levels[symbols[position].abs().clamp_(max=MAGNITUDE_LIMIT).to(torch.int32)]
            gained = levels @ self.weights.context[group]
            split = self.split[position]
            gained[split] = levels[split] @ self.weights.split_context[group]
            _add_at(self.context, position, gained)


class MeanWeights:
    """A `MeanNetwork`'s layers, cut by groups.

    Args:
        rotation: `split_rotation`, channels as the model counts them. [M, M]
    """

    def __init__(self, network: MeanNetwork, rotation: Tensor) -> None:
        order = grouped_channels(network.mean.weight.shape[0]).to(network.mean.weight.device)
        slices = group_slices(len(order))
        width = network.context_space.weight.shape[0]
        self.hyper, self.quality = pixel_major(network.hyper), network.quality
        reference = network.reference[0]
        self.reference = Dense(_matrix(reference)[:-1][order], reference.bias)
        self.reference_valid = _matrix(reference)[-1]
        self.reference_block = Residual(network.reference[1])
        context, difference = _matrix(network.context_in)[order], _matrix(network.context_difference)[order]
        self.context = [context[part].contiguous() for part in slices]
        self.context_bias = network.context_in.bias
        self.difference = [difference[part].contiguous() for part in slices]
        self.all_context, self.all_difference = context, difference
        self.rotation = rotation[order][:, order]
        # What a quarter's coefficient changes in the context: turned back to whole blocks, then as any other.
        turned, turned_difference = self.rotation @ context, self.rotation @ difference
        self.split_context = [turned[part].contiguous() for part in slices]
        self.split_difference = [turned_difference[part].contiguous() for part in slices]
        self.space = Depthwise(network.context_space)
        self.step_bias = network.step_bias.permute(0, 2, 3, 1)
        head = _matrix(network.head[0])
        self.head_features = Dense(head[:width], network.head[0].bias)
        self.head_context = head[width:].contiguous()
        self.head_block = Residual(network.head[2])
        # Means and gates of a group side by side: one product for both.
        last = torch.cat([_matrix(network.mean)[:, order], _matrix(network.gate)[:, order]], 1)
        bias = torch.cat([network.mean.bias[order], network.gate.bias[order]])
        self.last = []
        for part in slices:
            gate = slice(part.start + len(order), part.stop + len(order))
            self.last.append((torch.cat([last[:, part], last[:, gate]], 1), torch.cat([bias[part], bias[gate]])))


class MeanWalk:
    """Means of one picture, step by step; those of split positions by quarters, all made in the first step.

    Args:
        z: hyper-latent symbols. [h', w', N]
        level: quality, 0..1. [1, 1]
        modes: of every position. [h, w] each
        reference: latent [h, w, M], channels grouped, and validity [h, w, 1] of the warped reference.
    """

    def __init__(
        self,
        weights: MeanWeights,
        z: Tensor,
        *,
        level: Tensor,
        modes: ModeMaps,
        reference: tuple[Tensor, Tensor] | None,
    ) -> None:
        self.weights, self.reference = weights, reference
        self.size = modes.split.shape
        features = weights.hyper(z)[: self.size[0], : self.size[1]] + weights.quality(level)[0]
        self.context = weights.context_bias.repeat(*self.size, 1)
        if reference is not None:
            entered = weights.reference(reference[0]).add_(reference[1] * weights.reference_valid)
            features = features.add_(weights.reference_block(entered))
            self.context[modes.kept] += reference[0][modes.kept] @ weights.all_context
        self.features = weights.head_features(features).view(self.size[0] * self.size[1], -1)
        self.cells = StepCells(len(weights.rotation))
        self.split = ModeCells(modes.split)
        self.split_means: Blocks = []

    def means(self, step: int) -> Blocks:
        """Means of what the step codes."""
        weights = self.weights
        context = weights.space(F.leaky_relu(self.context, LEAK)).contiguous()
        for position, (row, column) in enumerate(POSITIONS):
            at_position(context, position).add_(weights.step_bias[step, row, column])
        hidden = torch.addmm(self.features, context.view(-1, context.shape[2]), weights.head_context)
        hidden = F.leaky_relu_(hidden, LEAK).view(*self.size, -1)
        hidden = F.leaky_relu_(weights.head_block(hidden), LEAK)
        if step == 0:
            self._start_split(hidden)
        blocks = []
        for position, group in enumerate(step_groups(step)):
            own = at_position(hidden, position).flatten(0, 1)
            means = self._group_means(own, position, group)
            means[self.split[position]] = self.split_means[position][:, self.cells.slices[group]]
            blocks.append(means)
        return blocks

    def add(self, step: int, y_hat: Blocks) -> None:
        """Take in what the step coded, means included."""
        weights = self.weights
        for position, group in enumerate(step_groups(step)):
            part, split = self.cells.slices[group], self.split[position]
            gained = y_hat[position] @ weights.context[group]
            coded = y_hat[position][split] - self.split_means[position][:, part]
            of_split = coded @ weights.split_context[group]
            if self.reference is not None:
                gained.addmm_(y_hat[position] - self._latent(position, part), weights.difference[group])
                of_split.addmm_(coded, weights.split_difference[group])
            gained[split] = of_split
            _add_at(self.context, position, gained)

    def _start_split(self, hidden: Tensor) -> None:
        """Means of all channels of the split positions; they are part of the context from the next step on."""
        for position in range(GROUPS):
            split = self.split[position]
            own = at_position(hidden, position).flatten(0, 1)[split]
            means = torch.cat([self._group_means(own, position, group, split) for group in range(GROUPS)], 1)
            gained = self.context.new_zeros(at_position(self.context, position).flatten(0, 1).shape)
            gained[split] = means @ self.weights.all_context
            if self.reference is not None:
                gained[split] += (means - self._latent(position)[split]) @ self.weights.all_difference
            _add_at(self.context, position, gained)
            self.split_means.append(means @ self.weights.rotation.t())

    def _group_means(self, hidden: Tensor, position: int, group: int, rows: Tensor | None = None) -> Tensor:
        """Means of a group's channels at the cells' `position`, or at some `rows` of it. [positions, channels]"""
        weight, bias = self.weights.last[group]
        if self.reference is None:
            half = weight.shape[1] // 2
            return torch.addmm(bias[:half], hidden, weight[:, :half])
        mean, gate = torch.addmm(bias, hidden, weight).chunk(2, 1)
        latent = self._latent(position, self.cells.slices[group])
        valid = at_position(self.reference[1], position).flatten(0, 1)
        if rows is not None:
            latent, valid = latent[rows], valid[rows]
        return mean + torch.sigmoid_(gate) * valid * latent

    def _latent(self, position: int, channels: slice = slice(None)) -> Tensor:
        """Of the reference, at the cells' `position`. [positions, channels]"""
        return at_position(self.reference[0], position)[..., channels].flatten(0, 1)


class ModeCells:
    """Rows of a step's blocks that have a mode, per position of the cells, as `mode_rows` gives them."""

    def __init__(self, mode: Tensor) -> None:
        self.rows = [mode_rows(at_position(mode, position)) for position in range(GROUPS)]

    def __getitem__(self, position: int) -> Tensor:
        return self.rows[position]


def mode_rows(mode: Tensor) -> Tensor:
    """Numbers of the positions of a map [h, w] that are true, rows first; some twice where there are few. int64

    Libraries compute products of a few rows in other ways, and other ones with other numbers of threads.
    """
    rows = mode.flatten().nonzero()[:, 0]
    if 0 < len(rows) < FEWEST_ROWS:
        rows = rows.repeat(-(-FEWEST_ROWS // len(rows)))
    return rows


def _rows_by_group(layer: IntegerConv, order: Tensor, slices: list[slice]) -> list[tuple[Tensor, Tensor]]:
    """The last layer of a scale network and its bias, cut by groups."""
    weight, bias = _matrix(layer)[:, order], layer.integer_bias()[order]
    return [(weight[:, part].contiguous(), bias[part]) for part in slices]


def _add_at(values: Tensor, position: int, gained: Tensor) -> None:
    target = at_position(values, position)
    target.add_(gained.view(target.shape))


def _requantize_(accumulator: Tensor) -> Tensor:
    """`integer_layers.requantize`, in place: each operation exact."""
    return accumulator.mul_(1.0 / WEIGHT_STEPS).add_(0.5).floor_().clamp_(0, ACTIVATION_MAX)


def _matrix(layer: torch.nn.Conv2d | IntegerConv) -> Tensor:
    """Weights of a 1x1 convolution. [Cin, Cout]"""
    weight = layer.integer_weight() if isinstance(layer, IntegerConv) else layer.weight
    return weight.detach()[:, :, 0, 0].t()
