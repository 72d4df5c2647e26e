"""The image half of the small LMVIC codec: one view, with or without a warped reference, at any quality.

        x ---linear 16x16 + g_a---> y --gain--> symbols --1/gain--> y_hat ---linear 16x16 + g_s---> x_hat
                 ^                      |h_a                                        ^
        reference features             z --> four_step_entropy            reference features

The linear transforms start as a DCT and the learned branches at zero, so step 0 of training is a block-transform codec.
A predicted view sends its warped reference through the same analysis; that latent is the first guess of the means.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nerfstudio_mvc.codecs.lmvic.learned.config import LmvicConfig
from nerfstudio_mvc.codecs.lmvic.learned.mean_network import MeanNetwork, quality_height
from nerfstudio_mvc.codecs.lmvic.learned.mode_choice import ModeMaps, choose_modes
from nerfstudio_mvc.entropy.partitions import STEPS, step_cells, tile_cells
from nerfstudio_mvc.entropy.quality_points import QUALITIES, nearest_quality, quality_weights
from nerfstudio_mvc.entropy.rate import rounded_bits
from nerfstudio_mvc.entropy.rate_aware_rounding import bits_per_squared_step, rate_aware_symbols, step_costs
from nerfstudio_mvc.entropy.scale_network import HYPER_LIMIT, ScaleNetwork, first_row, scale_of_table, table_scales
from nerfstudio_mvc.layers.block_transform import BLOCK, BlockTransform, frequencies
from nerfstudio_mvc.layers.blocks import DepthwiseBlock, double_size, half_size, starts_at_zero
from nerfstudio_mvc.layers.rounding import round_half_up
from nerfstudio_mvc.layers.split_transform import split_rotation
from nerfstudio_mvc.prediction.blend import ReferenceBlend
from nerfstudio_mvc.prediction.reference import Reference

ALL_SEEN = 0.999
"""Share of a position that a reference must show for it to be kept."""


@dataclass(frozen=True)
class PreparedReference:
    """Everything about a reference that does not depend on the view's own symbols.

    centered: the picture less 1/2 [B, 3, H, W]; features at 1/4; latent and valid, the share that is seen of each of
    its positions, at 1/16.
    """

    centered: Tensor
    features: Tensor
    latent: Tensor
    valid: Tensor

    @property
    def for_entropy(self) -> tuple[Tensor, Tensor]:
        return self.latent, self.valid


@dataclass(frozen=True)
class TrainingOutput:
    """x_hat [B, 3, H, W]; bits of y, modes included, and of z, summed over the batch."""

    x_hat: Tensor
    bits_y: Tensor
    bits_z: Tensor


@dataclass(frozen=True)
class QuantisedLatent:
    """Integer symbols, y - mean before rounding, y_hat and table rows, with gradients. [B, M, h, w] each"""

    symbols: Tensor
    residual: Tensor
    y_hat: Tensor
    rows: Tensor


@dataclass(frozen=True)
class TrainingCode:
    """A view as training codes it: y; z and its symbols, both less the centre of their tables [B, N, h, w]; the mode of
    every position; and x_hat [B, 3, H, W]."""

    y: QuantisedLatent
    z_residual: Tensor
    z_symbols: Tensor
    modes: ModeMaps
    x_hat: Tensor


class ImageModel(nn.Module):
    """Transforms, gains and entropy networks of the image codec; see the drawing in the module's docstring."""

    def __init__(self, config: LmvicConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or LmvicConfig()
        channels, quarter, eighth = config.channels, config.width_quarter, config.width_eighth
        self.transform = BlockTransform(config.luma, config.chroma)

        self.g_a_in = nn.Sequential(nn.PixelUnshuffle(4), nn.Conv2d(48, quarter, 1))
        self.g_a = nn.Sequential(
            DepthwiseBlock(quarter),
            DepthwiseBlock(quarter),
            half_size(quarter, eighth),
            DepthwiseBlock(eighth),
            DepthwiseBlock(eighth),
            half_size(eighth, channels),
            DepthwiseBlock(channels),
            starts_at_zero(nn.Conv2d(channels, channels, 1)),
        )
        self.g_s_latent = nn.Sequential(
            nn.Conv2d(channels, channels, 1),
            DepthwiseBlock(channels),
            double_size(channels, eighth),
            DepthwiseBlock(eighth),
            DepthwiseBlock(eighth),
            double_size(eighth, quarter),
        )
        self.g_s_picture = nn.Sequential(nn.PixelUnshuffle(4), nn.Conv2d(48, quarter, 1))
        self.g_s = nn.Sequential(DepthwiseBlock(quarter), DepthwiseBlock(quarter), DepthwiseBlock(quarter))
        self.g_s_out = nn.Sequential(starts_at_zero(nn.Conv2d(quarter, 48, 1)), nn.PixelShuffle(4))
        self.finish = nn.Sequential(
            nn.PixelUnshuffle(2),
            nn.Conv2d(12, 32, 3, padding=1),
            DepthwiseBlock(32),
            DepthwiseBlock(32),
            starts_at_zero(nn.Conv2d(32, 12, 1)),
            nn.PixelShuffle(2),
        )

        self.blend = ReferenceBlend()
        self.reference_in = nn.Sequential(nn.PixelUnshuffle(4), nn.Conv2d(64, quarter, 1), DepthwiseBlock(quarter))
        self.reference_to_g_a = starts_at_zero(nn.Conv2d(quarter, quarter, 1))
        self.reference_to_g_s = starts_at_zero(nn.Conv2d(quarter, quarter, 1))

        width = config.mean_width
        self.h_a = nn.Sequential(
            nn.Conv2d(channels, width, 1),
            DepthwiseBlock(width),
            half_size(width, width // 2),
            DepthwiseBlock(width // 2, kernel=5),
            half_size(width // 2, config.hyper),
        )
        # z must tell how far the view is from its reference: that, and not the view, is what the symbols will hold.
        self.h_a_reference = starts_at_zero(nn.Conv2d(channels, width, 1, bias=False))
        self.z_center = nn.Parameter(torch.zeros(QUALITIES, config.hyper))
        self.z_log_scale = nn.Parameter(torch.ones(QUALITIES, config.hyper))
        self.means = MeanNetwork(config)
        falling = 1.5 - 0.22 * frequencies(config.luma, config.chroma).clamp(max=16)
        self.scales = ScaleNetwork(
            hyper=config.hyper,
            width=config.scale_width,
            hidden=config.scale_hidden,
            first_rows=first_row(falling),
            splits=True,
        )

        # The corrections smooth what a coarse quantiser breaks and must leave alone what a fine one kept.
        self.quality_to_g_a = nn.Parameter(torch.zeros(QUALITIES, quarter))
        self.quality_to_g_s = nn.Parameter(torch.zeros(QUALITIES, quarter))
        self.strength_g_a = nn.Parameter(torch.ones(QUALITIES, channels))
        self.strength_g_s = nn.Parameter(torch.ones(QUALITIES, 3))
        self.strength_finish = nn.Parameter(torch.ones(QUALITIES, 3))

        # One quantiser step for all channels at the start, from rd_lambda (0..1 pixels, orthonormal transform).
        first_steps = torch.tensor([math.sqrt(4e-5 / rd_lambda) for rd_lambda in config.rd_lambdas])
        self.log_gain = nn.Parameter(-torch.log(first_steps)[:, None].repeat(1, channels))
        self.log_inverse_gain = nn.Parameter(torch.log(first_steps)[:, None].repeat(1, channels))
        self.register_buffer("split_rotation", split_rotation(config.luma, config.chroma), persistent=False)
        self.register_buffer("cells", step_cells(channels), persistent=False)
        self.register_buffer("step_costs", step_costs(table_scales()), persistent=False)

    # -- shared by training, encoder and decoder ---------------------------------------------------------------------

    def at_quality(self, table: Tensor, quality: Tensor) -> Tensor:
        """Rows of a per-quality table [8, C], linearly between neighbours. [1, C, 1, 1]"""
        return (quality_weights(quality) @ table)[None, :, None, None]

    def gain(self, quality: Tensor) -> Tensor:
        return torch.exp(self.at_quality(self.log_gain, quality))

    def inverse_gain(self, quality: Tensor) -> Tensor:
        return torch.exp(self.at_quality(self.log_inverse_gain, quality))

    def prepare_reference(self, reference: Reference, *, quality: Tensor) -> PreparedReference:
        """Send a warped picture through the same analysis as the view itself; H and W multiples of 16."""
        centered = reference.picture - 0.5
        features = self.reference_in(torch.cat([centered, reference.valid], 1))
        latent = self._latent(centered, self.g_a_in(centered), quality=quality)
        return PreparedReference(centered, features, latent, F.avg_pool2d(reference.valid, BLOCK))

    def analyse(self, x: Tensor, reference: PreparedReference | None, *, quality: Tensor) -> Tensor:
        """Picture [B, 3, H, W], 0..1, H and W multiples of 16 -> y in quantiser steps. [B, M, H/16, W/16]"""
        centered = x - 0.5
        features = self.g_a_in(centered)
        if reference is not None:
            features = features + self.reference_to_g_a(reference.features)
        return self._latent(centered, features, quality=quality)

    def hyper_analyse(self, y: Tensor, reference: PreparedReference | None) -> Tensor:
        """y -> z, unquantised. [B, N, ceil(H/64), ceil(W/64)]"""
        features = self.h_a[0](_whole_blocks(y))
        if reference is not None:
            features = features + self.h_a_reference(_whole_blocks(reference.latent * reference.valid))
        return self.h_a[1:](features).float()

    def synthesise(
        self, y_hat: Tensor, modes: ModeMaps, reference: PreparedReference | None, *, quality: Tensor
    ) -> Tensor:
        """y_hat in quantiser steps -> picture, unclamped. [B, 3, H, W]"""
        y_hat = y_hat * self.inverse_gain(quality)
        linear = self.transform.synthesise(y_hat)
        features = self.g_s_latent(y_hat) + self.g_s_picture(linear)
        if reference is not None:
            features = features + self.reference_to_g_s(reference.features)
        features = features + self.at_quality(self.quality_to_g_s, quality)
        strength = self.at_quality(self.strength_g_s, quality)
        picture = linear + self.g_s_out(self.g_s(features)).float() * strength
        picture = picture + self.finish(picture).float() * self.at_quality(self.strength_finish, quality)
        if reference is not None:
            kept = modes.kept.repeat_interleave(BLOCK, -2).repeat_interleave(BLOCK, -1)
            picture = torch.where(kept, reference.centered, picture)
        return picture + 0.5

    def _latent(self, centered: Tensor, features: Tensor, *, quality: Tensor) -> Tensor:
        """Linear transform and its correction from features at 1/4, in quantiser steps. [B, M, H/16, W/16]"""
        correction = self.g_a(features + self.at_quality(self.quality_to_g_a, quality)).float()
        y = self.transform.analyse(centered) + correction * self.at_quality(self.strength_g_a, quality)
        return y * self.gain(quality)

    # -- training ----------------------------------------------------------------------------------------------------

    def forward(
        self, x: Tensor, reference: Reference | None = None, *, quality: Tensor, noise: bool = True
    ) -> TrainingOutput:
        """Code and decode without a range coder; `noise` False gives exactly the symbols real coding has."""
        coded = self.code(x, reference, quality=quality)
        z, z_symbols, z_scale = coded.z_residual, coded.z_symbols, torch.exp(self.at_quality(self.z_log_scale, quality))
        bits_z = rounded_bits(z, z_symbols, z_scale, noise=noise).sum()
        y = coded.y
        bits_y = rounded_bits(y.residual, y.symbols, scale_of_table(y.rows), noise=noise).sum()
        bits_modes = -coded.modes.likelihoods().log2().sum().to(bits_y)
        return TrainingOutput(coded.x_hat, bits_y + bits_modes, bits_z)

    def code(
        self, x: Tensor, reference: Reference | None, *, quality: Tensor, modes: ModeMaps | None = None
    ) -> TrainingCode:
        """What `forward` counts the bits of; with other `modes` than those of `choose_modes` if given."""
        prepared = None if reference is None else self.prepare_reference(reference, quality=quality)
        y = self.analyse(x, prepared, quality=quality)
        modes = modes or self.choose_modes(y, prepared)
        if prepared is not None:
            # What is kept needs no telling.
            y = torch.where(modes.kept, prepared.latent, y)
        z = self.hyper_analyse(y, prepared)
        z_symbols = round_half_up(z).clamp(-HYPER_LIMIT, HYPER_LIMIT)
        quantised = self.quantise(y, z_symbols, prepared, modes=modes, quality=quality)
        x_hat = self.synthesise(quantised.y_hat, modes, prepared, quality=quality)
        z_center = self.at_quality(self.z_center, quality)
        return TrainingCode(quantised, z - z_center, z_symbols - z_center, modes, x_hat)

    def quantise(
        self, y: Tensor, z_symbols: Tensor, reference: PreparedReference | None, *, modes: ModeMaps, quality: Tensor
    ) -> QuantisedLatent:
        """Walk the four steps.

        A split position is coded as far as it lies from its means of the first step, by quarters; those that come later
        read what is known of it so far, back in whole blocks. A kept one is its reference's latent from the start.
        """
        pair = None if reference is None else reference.for_entropy
        size = (y.shape[-2], y.shape[-1])
        features = self.means.view_features(z_symbols, quality=quality, size=size, reference=pair)
        hyper = self.scales.hyper_features(z_symbols, quality_point=nearest_quality(quality))
        hyper, shares = hyper[..., : size[0], : size[1]], quality_weights(quality)
        symbols, residual, rows, in_turn = (torch.zeros_like(y) for _ in range(4))
        known = torch.zeros_like(y[:1])
        y_hat = in_turn if reference is None else torch.where(modes.kept, reference.latent, 0)
        first, split_distance = in_turn, in_turn
        rounding_weight = bits_per_squared_step(quality_height(quality))
        for step in range(STEPS):
            now = tile_cells(self.cells[step], *size).to(y.dtype)[None]
            context = self.scales.context_features(symbols.detach().abs(), step, modes)
            step_rows = self.scales.table_rows(hyper, context, shares, modes)
            rows = rows + step_rows * now
            all_known = modes.kept if step == 0 else modes.kept | modes.split
            mean = self.means.step_means(features, y_hat, torch.maximum(known, all_known.to(known)), step, pair)
            if step == 0:
                first, split_distance = mean, self.by_quarters(y - mean)
            distance = torch.where(modes.split, split_distance, y - mean)
            step_residual = distance * now * ~modes.kept
            with torch.no_grad():
                rounded = rate_aware_symbols(step_residual, step_rows, self.step_costs, weight=rounding_weight)
            # The gradient passes straight through.
            step_symbols = step_residual + (rounded - step_residual).detach()
            symbols = symbols + step_symbols
            residual = residual + step_residual
            in_turn = in_turn + (step_symbols + mean * now)
            known = known + now
            y_hat = torch.where(modes.split, first + self.by_wholes(symbols), in_turn)
            if reference is not None:
                y_hat = torch.where(modes.kept, reference.latent, y_hat)
        return QuantisedLatent(symbols, residual, y_hat, rows)

    def choose_modes(self, y: Tensor, reference: PreparedReference | None) -> ModeMaps:
        """How the encoder would code every position of y. Maps [B, 1, h, w]"""
        with torch.no_grad():
            distance, may_keep = y, None
            if reference is not None:
                distance, may_keep = y - reference.latent * reference.valid, (reference.valid > ALL_SEEN)[:, 0]
            split = self.by_quarters(distance).movedim(1, -1)
            modes = choose_modes(distance.movedim(1, -1), split, may_keep=may_keep)
            return ModeMaps(modes.split[:, None], modes.kept[:, None])

    def by_quarters(self, y: Tensor) -> Tensor:
        """Coefficients of whole blocks -> of their quarters; float32. [B, M, h, w] both"""
        return self._turned(self.split_rotation, y)

    def by_wholes(self, y: Tensor) -> Tensor:
        """The way back."""
        return self._turned(self.split_rotation.t(), y)

    @staticmethod
    def _turned(rotation: Tensor, y: Tensor) -> Tensor:
        with torch.autocast(y.device.type, enabled=False):
            return F.conv2d(y.float(), rotation[:, :, None, None])


def _whole_blocks(latent: Tensor) -> Tensor:
    """Grow a latent to multiples of four, the stride of z, by repeating its last row and column."""
    height, width = latent.shape[-2:]
    if height % 4 or width % 4:
        return F.pad(latent, (0, -width % 4, 0, -height % 4), mode="replicate")
    return latent
