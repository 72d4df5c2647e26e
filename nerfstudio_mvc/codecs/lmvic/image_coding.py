"""One picture to bytes and back with an `ImageModel` and its integer tables.

Owns the order in which symbols meet the range coder. Which views predict which, and where their warped pictures come
from, is `codec`'s.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from nerfstudio_mvc.codecs.lmvic.config import QUALITIES
from nerfstudio_mvc.codecs.lmvic.four_step_entropy import HYPER_LIMIT
from nerfstudio_mvc.codecs.lmvic.image_model import (
    ImageModel,
    PreparedReference,
    Reference,
    nearest_quality,
    quality_weights,
)
from nerfstudio_mvc.codecs.lmvic.row_shifts import best_shifts, block_grid, get_shifts, put_shifts
from nerfstudio_mvc.entropy.partitions import STEPS, tile_cells
from nerfstudio_mvc.entropy.range_coder import ESCAPE_LIMIT, SymbolDecoder, SymbolEncoder
from nerfstudio_mvc.entropy.tables import TableSet
from nerfstudio_mvc.layers.block_transform import BLOCK
from nerfstudio_mvc.layers.rounding import round_half_up

HYPER_STRIDE = 4


@dataclass(frozen=True, eq=False)
class ImageTables:
    """`latent`: one table per row of the scale network. `hyper`: quality point * N + channel of the hyper-latent."""

    latent: TableSet
    hyper: TableSet


@dataclass(frozen=True)
class Symbols:
    """Everything of one view that the range coder sees, as integers in float32. y, rows [1, M, h, w]; z [1, N, ..]

    `rows` are those the scale network chose; the coder uses them moved by `row_shifts`.
    """

    z: Tensor
    y: Tensor
    rows: Tensor


class ImageCoder:
    """Codes single pictures; holds no state between calls."""

    def __init__(self, model: ImageModel, tables: ImageTables) -> None:
        self.model = model
        self.tables = tables

    @torch.no_grad()
    def encode(self, x: Tensor, reference: Reference | None, *, quality: float) -> tuple[bytes, Tensor]:
        """Picture [1, 3, H, W], 0..1, any size -> its string and the picture the decoder will show."""
        level = _level(quality, x.device)
        size = (x.shape[-2], x.shape[-1])
        prepared = self._prepare(reference, level)
        symbols, y_hat = self._analyse(x, prepared, level)
        return self._write(symbols, quality=quality), self._show(y_hat, prepared, level, size)

    @torch.no_grad()
    def symbols_of(self, x: Tensor, reference: Reference | None, *, quality: float) -> Symbols:
        """What `encode` would write, without writing it."""
        level = _level(quality, x.device)
        return self._analyse(x, self._prepare(reference, level), level)[0]

    @torch.no_grad()
    def decode(self, payload: bytes, size: tuple[int, int], reference: Reference | None, *, quality: float) -> Tensor:
        """String -> picture [1, 3, H, W], 0..1.

        Raises:
            ArchiveError: the string does not hold what a picture of `size` needs.
        """
        device = self.model.log_gain.device
        level = _level(quality, device)
        symbols = self.read_symbols(payload, size, quality=quality)
        prepared = self._prepare(reference, level)
        y_hat = self._reconstruct(symbols, prepared, level)
        return self._show(y_hat, prepared, level, size)

    @torch.no_grad()
    def read_symbols(self, payload: bytes, size: tuple[int, int], *, quality: float) -> Symbols:
        """The integer half of decoding: needs no reference and gives the same integers on every device."""
        model, device = self.model, self.model.log_gain.device
        level = _level(quality, device)
        height, width = -(-size[0] // BLOCK), -(-size[1] // BLOCK)
        decoder = SymbolDecoder(payload)
        z_shape = (1, model.config.hyper, -(-height // HYPER_STRIDE), -(-width // HYPER_STRIDE))
        z = decoder.get(self._hyper_rows(z_shape, quality), self.tables.hyper)
        z = torch.from_numpy(z.astype(np.float32)).reshape(z_shape).to(device)
        shifts = get_shifts(decoder, model.config.channels, block_grid(height, width), self.tables.latent)

        hyper, base = self._row_inputs(z, level, (height, width))
        y = torch.zeros(1, model.config.channels, height, width, device=device)
        rows_coded = torch.zeros_like(y)
        for step in range(STEPS):
            now = tile_cells(model.cells[step], height, width)[None]
            rows = model.scales.table_rows(hyper, model.scales.context_features(y.abs(), step), base)
            coded = now & (rows > 0)
            table_idx = shifts.apply(_integers(rows[0]))[_integers(coded[0]).astype(bool)]
            values = decoder.get(table_idx, self.tables.latent)
            y[coded] = torch.from_numpy(values.astype(np.float32)).to(device)
            rows_coded = torch.where(now, rows, rows_coded)
        return Symbols(z, y, rows_coded)

    # -- the pieces encoder and decoder share -------------------------------------------------------------------------

    def _prepare(self, reference: Reference | None, level: Tensor) -> PreparedReference | None:
        if reference is None:
            return None
        padded = Reference(_pad_to_blocks(reference.picture), _pad_to_blocks(reference.valid))
        return self.model.prepare_reference(padded, quality=level)

    def _analyse(self, x: Tensor, reference: PreparedReference | None, level: Tensor) -> tuple[Symbols, Tensor]:
        y = self.model.analyse(_pad_to_blocks(x), reference, quality=level)
        z = round_half_up(self.model.hyper_analyse(y)).clamp(-HYPER_LIMIT, HYPER_LIMIT)
        return self._quantise(y, z, reference, level)

    def _row_inputs(self, z: Tensor, level: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """What `ScaleNetwork.table_rows` needs in every step: features of z, and the channels' own rows."""
        scales = self.model.scales
        hyper = scales.hyper_features(z, quality_point=nearest_quality(level))[..., : size[0], : size[1]]
        return hyper, scales.base_accumulator(quality_weights(level))

    def _quantise(
        self, y: Tensor, z: Tensor, reference: PreparedReference | None, level: Tensor
    ) -> tuple[Symbols, Tensor]:
        model = self.model
        height, width = y.shape[-2:]
        pair = None if reference is None else reference.for_entropy
        hyper, base = self._row_inputs(z, level, (height, width))
        features = model.means.view_features(z, quality=level, size=(height, width), reference=pair)
        symbols, rows_coded, y_hat, known = (torch.zeros_like(y) for _ in range(4))
        for step in range(STEPS):
            now = tile_cells(model.cells[step], height, width)[None]
            rows = model.scales.table_rows(hyper, model.scales.context_features(symbols.abs(), step), base)
            mean = model.means.step_means(features, y_hat, known, step, pair)
            rounded = round_half_up(y - mean).clamp(-ESCAPE_LIMIT, ESCAPE_LIMIT)
            # Row 0 is never coded: the decoder takes such a symbol for zero, so it must be zero here.
            symbols = torch.where(now & (rows > 0), rounded, symbols)
            y_hat = torch.where(now, symbols + mean, y_hat)
            rows_coded = torch.where(now, rows, rows_coded)
            known = known + now
        return Symbols(z, symbols, rows_coded), y_hat

    def _reconstruct(self, symbols: Symbols, reference: PreparedReference | None, level: Tensor) -> Tensor:
        model, y = self.model, symbols.y
        height, width = y.shape[-2:]
        pair = None if reference is None else reference.for_entropy
        features = model.means.view_features(symbols.z, quality=level, size=(height, width), reference=pair)
        y_hat, known = torch.zeros_like(y), torch.zeros_like(y)
        for step in range(STEPS):
            now = tile_cells(model.cells[step], height, width)[None]
            mean = model.means.step_means(features, y_hat, known, step, pair)
            y_hat = torch.where(now, y + mean, y_hat)
            known = known + now
        return y_hat

    def _show(self, y_hat: Tensor, reference: PreparedReference | None, level: Tensor, size: tuple[int, int]) -> Tensor:
        picture = self.model.synthesise(y_hat, reference, quality=level)
        return picture[..., : size[0], : size[1]].clamp(0, 1)

    def _write(self, symbols: Symbols, *, quality: float) -> bytes:
        encoder = SymbolEncoder()
        z = _integers(symbols.z)
        encoder.put(z.ravel(), self._hyper_rows(z.shape, quality), self.tables.hyper)
        height, width = symbols.y.shape[-2:]
        y, rows = (_integers(part[0]) for part in (symbols.y, symbols.rows))
        shifts = best_shifts(y, rows, self.tables.latent)
        put_shifts(encoder, shifts, self.tables.latent)
        table_idx = shifts.apply(rows)
        for step in range(STEPS):
            coded = _integers(tile_cells(self.model.cells[step], height, width)).astype(bool) & (rows > 0)
            encoder.put(y[coded], table_idx[coded], self.tables.latent)
        return encoder.finish()

    def _hyper_rows(self, shape: tuple[int, ...], quality: float) -> np.ndarray:
        """Table of every hyper-latent symbol, flat."""
        channels = shape[1]
        point = int(min(max(np.floor(quality + 0.5), 1), QUALITIES)) - 1
        per_channel = point * channels + np.arange(channels)
        return np.repeat(per_channel, int(np.prod(shape[2:])))


def _integers(values: Tensor) -> np.ndarray:
    """Integers held in float32, or truth values, as int64 on the CPU."""
    return values.to(torch.int64).cpu().numpy()


def _level(quality: float, device: torch.device) -> Tensor:
    """Quality in sixteenths: its shares of the quality points are then exact, as the integer path needs them."""
    return torch.tensor(np.floor(quality * 16 + 0.5) / 16, dtype=torch.float32, device=device)


def _pad_to_blocks(x: Tensor) -> Tensor:
    """Grow to multiples of 16, bottom and right, by repeating the last row and column."""
    height, width = x.shape[-2:]
    if height % BLOCK == 0 and width % BLOCK == 0:
        return x
    return F.pad(x, (0, -width % BLOCK, 0, -height % BLOCK), mode="replicate")
