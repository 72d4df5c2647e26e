"""Symbols of a latent to bytes and back; what the symbols mean is `latent_walk`'s.

Order in a string: all z symbols, then y in its steps; symbols in row 0 are zero and not coded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nerfstudio_mvc.entropy.latent_walk import LatentWalk, Symbols
from nerfstudio_mvc.entropy.partitions import tile_cells
from nerfstudio_mvc.entropy.plain_tables import plain_hyper_tables, plain_latent_tables
from nerfstudio_mvc.entropy.quality_points import QUALITIES, whole_quality_steps
from nerfstudio_mvc.entropy.range_coder import SymbolDecoder, SymbolEncoder
from nerfstudio_mvc.entropy.tables import TableSet


@dataclass(frozen=True, eq=False)
class LatentTables:
    """`latent`: one table per row of the scale network. `hyper`: quality point * N + channel of the hyper-latent."""

    latent: TableSet
    hyper: TableSet


def tables_of(entropy: LatentWalk) -> LatentTables:
    """Integer tables from the likelihoods training uses."""
    return LatentTables(plain_latent_tables(), plain_hyper_tables(entropy.z_center, entropy.z_log_scale))


def quality_level(quality: float, device: torch.device | str) -> Tensor:
    """Quality 1 .. 8 as the networks take it. float32 scalar"""
    return torch.tensor(whole_quality_steps(quality), dtype=torch.float32, device=device)


def write_latent(symbols: Symbols, entropy: LatentWalk, tables: LatentTables, *, level: Tensor) -> bytes:
    """The string of one latent; tensors of `symbols` have batch size 1."""
    encoder = SymbolEncoder()
    z, y, rows = (_integers(part[0]) for part in (symbols.z, symbols.y, symbols.rows))
    encoder.put(z.ravel(), _hyper_rows(z.shape, level), tables.hyper)
    for step in range(len(entropy.cells)):
        coded = _integers(tile_cells(entropy.cells[step], *y.shape[1:])).astype(bool) & (rows > 0)
        encoder.put(y[coded], rows[coded], tables.latent)
    return encoder.finish()


def read_latent(
    payload: bytes, entropy: LatentWalk, tables: LatentTables, *, level: Tensor, size: tuple[int, int]
) -> Symbols:
    """The symbols of a latent of (h, w), the same integers on every device.

    Raises:
        ArchiveError: the string does not hold them.
    """
    device = level.device
    decoder = SymbolDecoder(payload)
    z_shape = entropy.hyper_shape(size)
    z = decoder.get(_hyper_rows(z_shape, level), tables.hyper)
    z = torch.from_numpy(z.astype(np.float32)).reshape(1, *z_shape).to(device)
    reader = entropy.row_reader(z, level=level, size=size)
    y = torch.zeros(1, entropy.cells.shape[1], *size, device=device)
    rows = torch.zeros_like(y)
    for step in range(len(entropy.cells)):
        step_rows = reader.rows(step, y)
        coded = step_rows > 0
        values = decoder.get(_integers(step_rows[coded]), tables.latent)
        y[coded] = torch.from_numpy(values.astype(np.float32)).to(device)
        rows = rows + step_rows
    return Symbols(z, y, rows)


def _hyper_rows(shape: tuple[int, ...], level: Tensor) -> np.ndarray:
    """Table of every hyper-latent symbol, flat; `shape` [N, h, w]."""
    point = int(np.clip(np.floor(float(level) + 0.5), 1, QUALITIES)) - 1
    return np.repeat(point * shape[0] + np.arange(shape[0]), shape[1] * shape[2])


def _integers(values: Tensor) -> np.ndarray:
    return values.to(torch.int64).cpu().numpy()
