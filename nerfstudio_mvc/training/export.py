"""Trained model -> released weights file: count real symbols, bend the tables to them, pack and fingerprint.

The likelihoods of training are logistic; what the coder uses are integer tables made here from the symbols that the
exported (rounded) weights really produce on training pictures.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from nerfstudio_mvc.codecs.lmvic.learned.image_coding import ImageCoder, ImageTables
from nerfstudio_mvc.codecs.lmvic.learned.image_model import ImageModel
from nerfstudio_mvc.codecs.lmvic.learned.row_shifts import best_shifts
from nerfstudio_mvc.entropy.plain_tables import hyper_table_set, plain_hyper_tables, plain_latent_tables
from nerfstudio_mvc.entropy.quality_points import QUALITIES
from nerfstudio_mvc.entropy.scale_network import HYPER_LIMIT, TABLES, scale_of_table
from nerfstudio_mvc.entropy.tables import counts_from_weights, logistic_limit, tables_from_histograms
from nerfstudio_mvc.prediction.reference import Reference
from nerfstudio_mvc.weights.checkpoint import pack, unpack

HYPER_PRIOR_SYMBOLS = 200.0


@dataclass
class SymbolCounts:
    """Histograms of everything the range coder sees, to be filled picture by picture."""

    scales: np.ndarray = field(default_factory=lambda: scale_of_table(torch.arange(TABLES)).double().numpy())
    latent: list[np.ndarray] = field(init=False)
    hyper: np.ndarray | None = None

    def __post_init__(self) -> None:
        self.latent = [np.zeros(2 * logistic_limit(float(scale)) + 2, np.int64) for scale in self.scales]

    def add(self, symbols: np.ndarray, rows: np.ndarray, z: np.ndarray, *, quality_idx: int) -> None:
        """Flat `symbols` with their table `rows`; `z` [N, h, w]."""
        for row in np.unique(rows):
            histogram = self.latent[row]
            limit = len(histogram) // 2 - 1
            values = symbols[rows == row]
            entries = np.where(np.abs(values) <= limit, values + limit, 2 * limit + 1)
            histogram += np.bincount(entries, minlength=len(histogram))
        if self.hyper is None:
            self.hyper = np.zeros((QUALITIES, z.shape[0], 2 * HYPER_LIMIT + 2), np.int64)
        for channel, values in enumerate(z.reshape(z.shape[0], -1)):
            counted = np.bincount(values + HYPER_LIMIT, minlength=2 * HYPER_LIMIT + 2)
            self.hyper[quality_idx, channel] += counted


def plain_tables(model: ImageModel) -> ImageTables:
    """Tables from the likelihoods training used, before anything is counted."""
    return ImageTables(plain_latent_tables(), plain_hyper_tables(model.z_center, model.z_log_scale))


def counted_tables(model: ImageModel, counts: SymbolCounts) -> ImageTables:
    """Tables bent towards counted symbols."""
    if counts.hyper is None:
        raise ValueError("no symbols were counted")
    plain = plain_tables(model)
    parts = [
        counts_from_weights(histogram + HYPER_PRIOR_SYMBOLS * plain.hyper.probabilities(table))
        for table, histogram in enumerate(counts.hyper.reshape(-1, counts.hyper.shape[-1]))
    ]
    return ImageTables(tables_from_histograms(counts.scales, counts.latent), hyper_table_set(parts))


def export(model: ImageModel, samples: Iterable[tuple[Tensor, Reference | None]]) -> bytes:
    """The bytes of a weights file for `model`, tables counted on `samples` (picture [1, 3, H, W], its reference).

    Raises:
        WeightsError: an integer layer could leave the exact range.
    """
    rounded = unpack(pack(model, plain_tables(model)), source="the model to export").model
    coder = ImageCoder(rounded, plain_tables(rounded))
    counts = SymbolCounts()
    for picture, reference in samples:
        for quality in range(1, QUALITIES + 1):
            symbols = coder.symbols_of(picture, reference, quality=quality)
            y, rows, z = (part[0].to(torch.int64).numpy() for part in (symbols.y, symbols.rows, symbols.z))
            # Counted as they will be coded: in the tables the shifts lead to.
            rows = best_shifts(y, rows, coder.tables.latent).apply(rows)
            counts.add(y[rows > 0], rows[rows > 0], z, quality_idx=quality - 1)
    return pack(rounded, counted_tables(rounded, counts))
