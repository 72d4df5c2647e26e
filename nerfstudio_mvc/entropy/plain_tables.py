"""Probability tables from the likelihoods that training uses, before any symbols are counted."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from nerfstudio_mvc.entropy.scale_network import HYPER_LIMIT, TABLES, scale_of_table
from nerfstudio_mvc.entropy.tables import (
    TableSet,
    counts_from_weights,
    logistic_limit,
    logistic_mass,
    tables_from_histograms,
)


def plain_latent_tables() -> TableSet:
    """One table per row of the scale network."""
    scales = scale_of_table(torch.arange(TABLES)).double().numpy()
    nothing = [np.zeros(2 * logistic_limit(float(scale)) + 2, np.int64) for scale in scales]
    return tables_from_histograms(scales, nothing)


def plain_hyper_tables(center: Tensor, log_scale: Tensor) -> TableSet:
    """Tables of the hyper-latent: quality point * N + channel.

    Args:
        center, log_scale: of the logistic of each. [8, N] both
    """
    centers = center.detach().double().cpu().numpy().ravel()
    scales = torch.exp(log_scale).detach().double().cpu().numpy().ravel()
    return hyper_table_set(
        [
            counts_from_weights(logistic_mass(HYPER_LIMIT, scale, center))
            for center, scale in zip(centers, scales, strict=True)
        ]
    )


def hyper_table_set(counts: list[np.ndarray]) -> TableSet:
    """Counts of -31 .. 31 and escape of each table -> the set."""
    return TableSet(np.full(len(counts), HYPER_LIMIT, np.int64), np.concatenate(counts))
