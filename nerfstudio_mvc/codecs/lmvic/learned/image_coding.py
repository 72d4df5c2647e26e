"""One picture to bytes and back with an `ImageModel` and its integer tables.

Owns the order in which symbols meet the range coder. Which views predict which, and where their warped pictures come
from, is `codec`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nerfstudio_mvc.codecs.lmvic.learned.block_modes import get_modes, put_modes
from nerfstudio_mvc.codecs.lmvic.learned.four_step_walk import (
    Blocks,
    MeanWalk,
    ScaleWalk,
    StepCells,
    at_position,
    mode_rows,
    step_groups,
)
from nerfstudio_mvc.codecs.lmvic.learned.image_inference import ImageInference, ReadyReference
from nerfstudio_mvc.codecs.lmvic.learned.image_model import ALL_SEEN, ImageModel
from nerfstudio_mvc.codecs.lmvic.learned.mean_network import quality_height
from nerfstudio_mvc.codecs.lmvic.learned.mode_choice import ERROR_WORTH, SPLIT_BITS, ModeMaps
from nerfstudio_mvc.codecs.lmvic.learned.rate_distortion import error_bits, position_error_bits, rd_lambda_of
from nerfstudio_mvc.codecs.lmvic.learned.row_shifts import (
    RowShifts,
    best_shifts,
    block_grid,
    get_shifts,
    moved_rows,
    put_shifts,
)
from nerfstudio_mvc.entropy.partitions import STEPS
from nerfstudio_mvc.entropy.quality_points import QUALITIES, nearest_quality, quality_weights, whole_quality_steps
from nerfstudio_mvc.entropy.range_coder import ESCAPE_LIMIT, SymbolDecoder, SymbolEncoder
from nerfstudio_mvc.entropy.rate import logistic_bits
from nerfstudio_mvc.entropy.rate_aware_rounding import bits_per_squared_step, rate_aware_symbols
from nerfstudio_mvc.entropy.scale_network import HYPER_LIMIT, scale_of_table
from nerfstudio_mvc.entropy.tables import TableSet
from nerfstudio_mvc.errors import ArchiveError
from nerfstudio_mvc.layers.block_transform import BLOCK
from nerfstudio_mvc.prediction.reference import Reference

HYPER_STRIDE = 4


@dataclass(frozen=True, eq=False)
class ImageTables:
    """`latent`: one table per row of the scale network. `hyper`: quality point * N + channel of the hyper-latent."""

    latent: TableSet
    hyper: TableSet


@dataclass(frozen=True)
class Symbols:
    """Everything of one view that the range coder sees, as integers in float32. y, rows [1, M, h, w]; z [1, N, ..]

    Maps of `modes` are [1, 1, h, w]. `rows` are those the scale network chose; the coder uses them moved by
    `row_shifts`.
    """

    z: Tensor
    modes: ModeMaps
    y: Tensor
    rows: Tensor


@dataclass(frozen=True)
class _Walked:
    """The same as the walk leaves it: z [h', w', N]; modes [h, w]; per step its blocks of symbols and rows."""

    z: Tensor
    modes: ModeMaps
    symbols: Sequence[Blocks]
    rows: Sequence[Blocks]

    @property
    def size(self) -> tuple[int, int]:
        """(h, w) of y."""
        return tuple(self.modes.split.shape)


@dataclass(frozen=True)
class _Coded:
    """One way to code a picture: its symbols, its string, and what the decoder shows [1, 3, H, W]."""

    walked: _Walked
    payload: bytes
    picture: Tensor

    def cost(self, x: Tensor, *, rd_lambda: float) -> float:
        return 8 * len(self.payload) + error_bits(x, self.picture, rd_lambda=rd_lambda)


class ImageCoder:
    """Codes single pictures; holds no state between calls. The weights are those `model` has when this is made.

    Args:
        split_blocks, keep_references: whether the encoder may choose these modes (`block_modes`).
    """

    def __init__(
        self, model: ImageModel, tables: ImageTables, *, split_blocks: bool = True, keep_references: bool = True
    ) -> None:
        self.model = model
        self.tables = tables
        self.split_blocks, self.keep_references = split_blocks, keep_references
        with torch.no_grad():
            self.inference = ImageInference(model)
        self.cells = StepCells(model.config.channels)

    @torch.no_grad()
    def encode(self, x: Tensor, reference: Reference | None, *, quality: float) -> tuple[bytes, Tensor]:
        """Picture [1, 3, H, W], 0..1, any size -> its string and the picture the decoder will show."""
        coded = self._encode(x, reference, quality=quality)
        return coded.payload, coded.picture

    @torch.no_grad()
    def symbols_of(self, x: Tensor, reference: Reference | None, *, quality: float) -> Symbols:
        """What `encode` writes."""
        return self._as_maps(self._encode(x, reference, quality=quality).walked)

    @torch.no_grad()
    def decode(self, payload: bytes, size: tuple[int, int], reference: Reference | None, *, quality: float) -> Tensor:
        """String -> picture [1, 3, H, W], 0..1.

        Raises:
            ArchiveError: the string does not hold what a picture of `size` needs.
        """
        level = _level(quality, self.model.log_gain.device)
        walked = self._read(payload, size, quality=quality)
        if reference is None and walked.modes.kept.any():
            raise ArchiveError("a view without references keeps parts of one: the archive is damaged")
        prepared = self._prepare(reference, level)
        return self._show(self._reconstruct(walked, prepared, level), walked.modes, prepared, level, size)

    @torch.no_grad()
    def read_symbols(self, payload: bytes, size: tuple[int, int], *, quality: float) -> Symbols:
        """The integer half of decoding: needs no reference and gives the same integers on every device.

        Raises:
            ArchiveError: the string does not hold what a picture of `size` needs.
        """
        return self._as_maps(self._read(payload, size, quality=quality))

    # -- encoder -----------------------------------------------------------------------------------------------------

    def _encode(self, x: Tensor, reference: Reference | None, *, quality: float) -> _Coded:
        """Code everything; then, where a reference is worth being kept, once more without that if it is cheaper."""
        level = _level(quality, x.device)
        prepared = self._prepare(reference, level)
        y = self.inference.analyse(x, prepared, level)
        z = self._hyper_symbols(y, prepared)
        split = self._choose_split(y, z, prepared, level)
        may_keep = reference is not None and self.keep_references
        everything = ModeMaps(split, torch.zeros_like(split))
        coded = self._code(y.clone() if may_keep else y, z, everything, prepared, level, quality, x.shape[-2:])
        if not may_keep:
            return coded
        rd_lambda = rd_lambda_of(self.model.config.rd_lambdas, quality)
        saved = position_error_bits(x, coded.picture, rd_lambda=rd_lambda) + self._position_bits(coded.walked)
        kept = position_error_bits(x, reference.picture, rd_lambda=rd_lambda) < saved
        kept &= prepared.valid[..., 0] > ALL_SEEN
        if not kept.any():
            return coded
        # What is kept needs no telling.
        y[kept] = prepared.latent[kept]
        z = self._hyper_symbols(y, prepared)
        with_kept = self._code(y, z, ModeMaps(split & ~kept, kept), prepared, level, quality, x.shape[-2:])
        return min(coded, with_kept, key=lambda tried: tried.cost(x, rd_lambda=rd_lambda))

    def _hyper_symbols(self, y: Tensor, reference: ReadyReference | None) -> Tensor:
        """[h', w', N]"""
        return self.inference.hyper_analyse(y, reference).add_(0.5).floor_().clamp_(-HYPER_LIMIT, HYPER_LIMIT)

    def _choose_split(self, y: Tensor, z: Tensor, reference: ReadyReference | None, level: Tensor) -> Tensor:
        """Positions that are cheaper in a picture of split blocks alone than in one of whole ones. bool [h, w]"""
        nowhere = torch.zeros(y.shape[:2], dtype=torch.bool, device=y.device)
        if not self.split_blocks:
            return nowhere
        costs = []
        for split in (nowhere, ~nowhere):
            walked, y_hat = self._walk(y.clone(), z, ModeMaps(split, nowhere), reference, level)
            costs.append(self._position_bits(walked) + ERROR_WORTH * y_hat.sub_(y).square_().sum(-1))
        whole, split = costs
        return split + SPLIT_BITS < whole

    def _code(
        self,
        y: Tensor,
        z: Tensor,
        modes: ModeMaps,
        reference: ReadyReference | None,
        level: Tensor,
        quality: float,
        size: Sequence[int],
    ) -> _Coded:
        walked, y_hat = self._walk(y, z, modes, reference, level)
        return _Coded(walked, self._write(walked, quality=quality), self._show(y_hat, modes, reference, level, size))

    def _position_bits(self, walked: _Walked) -> Tensor:
        """About what the symbols of each position take. [h, w]"""
        bits = walked.z.new_zeros(*walked.size, 1)
        for step, (symbols, rows) in enumerate(zip(walked.symbols, walked.rows, strict=True)):
            for position in range(len(step_groups(step))):
                own = logistic_bits(symbols[position], scale_of_table(rows[position])) * (rows[position] > 0)
                target = at_position(bits, position)
                target.add_(own.sum(1).view(target.shape))
        return bits[..., 0]

    # -- the pieces encoder and decoder share -------------------------------------------------------------------------

    def _prepare(self, reference: Reference | None, level: Tensor) -> ReadyReference | None:
        return None if reference is None else self.inference.prepare(reference, level)

    def _walk(
        self, y: Tensor, z: Tensor, modes: ModeMaps, reference: ReadyReference | None, level: Tensor
    ) -> tuple[_Walked, Tensor]:
        """Symbols of a latent [h, w, M], which is used up, and the y_hat they decode to."""
        flat, split = y.view(-1, y.shape[2]), mode_rows(modes.split)
        flat[split] = self.inference.by_quarters(flat[split])
        scales, means = self._scale_walk(z, level, modes), self._mean_walk(z, reference, level, modes)
        weight = bits_per_squared_step(quality_height(level))
        all_rows, all_symbols = [], []
        for step in range(STEPS):
            rows, mean = scales.rows(step), means.means(step)
            symbols = [
                rate_aware_symbols(own.sub_(expected), row, self.model.step_costs, weight=weight)
                for own, row, expected in zip(self.cells.take(y, step), rows, mean, strict=True)
            ]
            for block in symbols:
                block.clamp_(-ESCAPE_LIMIT, ESCAPE_LIMIT)
            y_hat = [symbol + expected for symbol, expected in zip(symbols, mean, strict=True)]
            self.cells.put(y, step, y_hat)
            if step + 1 < STEPS:
                scales.add(step, symbols)
                means.add(step, y_hat)
            all_rows.append(rows)
            all_symbols.append(symbols)
        return _Walked(z, modes, all_symbols, all_rows), self._whole_blocks(y, modes, reference)

    def _whole_blocks(self, y_hat: Tensor, modes: ModeMaps, reference: ReadyReference | None) -> Tensor:
        """y_hat as the walk leaves it -> as the synthesis wants it, in place."""
        flat, split = y_hat.view(-1, y_hat.shape[2]), mode_rows(modes.split)
        flat[split] = self.inference.by_wholes(flat[split])
        if reference is not None:
            y_hat[modes.kept] = reference.latent[modes.kept]
        return y_hat

    def _reconstruct(self, walked: _Walked, reference: ReadyReference | None, level: Tensor) -> Tensor:
        means = self._mean_walk(walked.z, reference, level, walked.modes)
        y = walked.z.new_empty(*walked.size, self.model.config.channels)
        for step, symbols in enumerate(walked.symbols):
            y_hat = [symbol + mean for symbol, mean in zip(symbols, means.means(step), strict=True)]
            self.cells.put(y, step, y_hat)
            if step + 1 < STEPS:
                means.add(step, y_hat)
        return self._whole_blocks(y, walked.modes, reference)

    def _scale_walk(self, z: Tensor, level: Tensor, modes: ModeMaps) -> ScaleWalk:
        scales, size, shares = self.model.scales, modes.split.shape, quality_weights(level)
        hyper = scales.hyper_features(z.permute(2, 0, 1)[None], quality_point=nearest_quality(level))
        hyper = hyper[0, :, : size[0], : size[1]].permute(1, 2, 0)
        base, split_base = (scales.base_accumulator(shares, split=split).flatten() for split in (False, True))
        return ScaleWalk(self.inference.scales, hyper, base=base, split_base=split_base, modes=modes)

    def _mean_walk(self, z: Tensor, reference: ReadyReference | None, level: Tensor, modes: ModeMaps) -> MeanWalk:
        pair = None if reference is None else reference.for_means
        share = quality_height(level).reshape(1, 1)
        return MeanWalk(self.inference.means, z, level=share, modes=modes, reference=pair)

    def _show(
        self, y_hat: Tensor, modes: ModeMaps, reference: ReadyReference | None, level: Tensor, size: Sequence[int]
    ) -> Tensor:
        picture = self.inference.synthesise(y_hat, modes, reference, level)
        return picture[: size[0], : size[1]].clamp_(0, 1).permute(2, 0, 1)[None]

    # -- bytes --------------------------------------------------------------------------------------------------------

    def _write(self, walked: _Walked, *, quality: float) -> bytes:
        encoder = SymbolEncoder()
        z = _integers(walked.z.permute(2, 0, 1))
        encoder.put(z.ravel(), self._hyper_rows(z.shape, quality), self.tables.hyper)
        put_modes(encoder, walked.modes.codes())
        symbols, rows = (_integers(self._as_map(blocks, walked.size)) for blocks in (walked.symbols, walked.rows))
        shifts = best_shifts(symbols, rows, self.tables.latent)
        put_shifts(encoder, shifts, self.tables.latent)
        for step in range(STEPS):
            rows, table_idx = self._tables_of(walked.rows[step], shifts, step, walked.size)
            coded = np.flatnonzero(rows)
            symbols = _integers(torch.cat([block.flatten() for block in walked.symbols[step]]))
            encoder.put(symbols[coded], table_idx[coded], self.tables.latent)
        return encoder.finish()

    def _read(self, payload: bytes, size: tuple[int, int], *, quality: float) -> _Walked:
        device = self.model.log_gain.device
        height, width = -(-size[0] // BLOCK), -(-size[1] // BLOCK)
        decoder = SymbolDecoder(payload)
        z_shape = (self.model.config.hyper, -(-height // HYPER_STRIDE), -(-width // HYPER_STRIDE))
        z = decoder.get(self._hyper_rows(z_shape, quality), self.tables.hyper)
        z = torch.from_numpy(z.astype(np.float32)).reshape(z_shape).permute(1, 2, 0).contiguous().to(device)
        modes = ModeMaps.of_codes(get_modes(decoder, (height, width)), device)
        shifts = get_shifts(decoder, self.model.config.channels, block_grid(height, width), self.tables.latent)
        scales = self._scale_walk(z, _level(quality, device), modes)
        all_rows, all_symbols = [], []
        for step in range(STEPS):
            blocks = scales.rows(step)
            rows, table_idx = self._tables_of(blocks, shifts, step, (height, width))
            coded = np.flatnonzero(rows)
            symbols = np.zeros(len(rows), np.float32)
            symbols[coded] = decoder.get(table_idx[coded], self.tables.latent)
            parts = torch.from_numpy(symbols).to(device).split([block.numel() for block in blocks])
            all_rows.append(blocks)
            all_symbols.append([part.view(block.shape) for part, block in zip(parts, blocks, strict=True)])
            if step + 1 < STEPS:
                scales.add(step, all_symbols[-1])
        return _Walked(z, modes, all_symbols, all_rows)

    def _tables_of(
        self, blocks: Blocks, shifts: RowShifts, step: int, size: tuple[int, int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rows of the scale network and the tables they lead to, of all that a step codes, flat."""
        of_parts, of_channels = shifts.spread(*size), shifts.channels[self.inference.order.cpu().numpy()]
        rows = [block.to(torch.uint8).cpu().numpy() for block in blocks]
        moved = [
            moved_rows(
                block, at_position(of_parts, position).reshape(-1, 1) + of_channels[self.cells.slices[group]]
            ).ravel()
            for position, (group, block) in enumerate(zip(step_groups(step), rows, strict=True))
        ]
        return np.concatenate([block.ravel() for block in rows]), np.concatenate(moved)

    def _as_map(self, steps: Sequence[Blocks], size: tuple[int, int]) -> Tensor:
        """All blocks in one map, channels as the model counts them; a view. [M, h, w]"""
        values = steps[0][0].new_empty(*size, self.model.config.channels)
        for step, blocks in enumerate(steps):
            self.cells.put(values, step, blocks)
        return values[..., torch.argsort(self.inference.order)].permute(2, 0, 1)

    def _as_maps(self, walked: _Walked) -> Symbols:
        y, rows = (self._as_map(blocks, walked.size)[None].contiguous() for blocks in (walked.symbols, walked.rows))
        modes = ModeMaps(walked.modes.split[None, None], walked.modes.kept[None, None])
        return Symbols(walked.z.permute(2, 0, 1)[None].contiguous(), modes, y, rows)

    def _hyper_rows(self, shape: Sequence[int], quality: float) -> np.ndarray:
        """Table of every hyper-latent symbol, flat; `shape` is (N, rows, columns)."""
        point = int(min(max(np.floor(quality + 0.5), 1), QUALITIES)) - 1
        return np.repeat(point * shape[0] + np.arange(shape[0]), shape[1] * shape[2])


def _integers(values: Tensor) -> np.ndarray:
    """Integers held in float32, on the CPU. int32"""
    return values.to(torch.int32).cpu().numpy()


def _level(quality: float, device: torch.device) -> Tensor:
    """The quality the networks see. []"""
    return torch.tensor(whole_quality_steps(quality), dtype=torch.float32, device=device)
