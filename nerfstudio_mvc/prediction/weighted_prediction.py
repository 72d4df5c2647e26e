"""Changes of light between a reference and the view: found by the encoder, coded, applied to the warped reference.

    warped reference --gain, offset per colour--> blend, fill --> reference

The learned coder keeps one where a trial says that it pays, streams of AV1 where it brings the references nearer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nerfstudio_mvc.entropy.range_coder import SymbolDecoder, SymbolEncoder
from nerfstudio_mvc.entropy.tables import TableSet
from nerfstudio_mvc.errors import ArchiveError
from nerfstudio_mvc.prediction.reference import Reference

COLORS = 3
GAIN_STEPS, OFFSET_STEPS = 64, 255
"""Steps of gain per factor of 1 around 1, and of offsets per full range: 1.6 % and one grey level."""
LARGEST_CHANGE = 48
_OUTLIER = 0.1  # what differs by more after a first fit is not light
FIT_STRIDE = 4  # pixels, along a side: light changes slowly
TOO_FEW_PIXELS = 64
SMALLEST_CHANGE = 5  # steps of gain or offset that are not worth telling: 8 % or five grey levels
WORTH_TELLING = 0.03


@dataclass(frozen=True, eq=False)
class Photometric:
    """What is added to warped references.

    Attributes:
        gains, offsets: of every reference and colour, in steps; w -> w + gain * (w - 1/2) + offset. int64 [R, 3]
    """

    gains: np.ndarray
    offsets: np.ndarray

    def changed(self, warped: Reference, reference_idx: int) -> Reference:
        """Reference number `reference_idx` with its gain and offset."""
        gain, offset = (
            torch.from_numpy(values[reference_idx] / steps).to(warped.picture)[:, None, None]
            for values, steps in ((self.gains, GAIN_STEPS), (self.offsets, OFFSET_STEPS))
        )
        return Reference((warped.picture + gain * (warped.picture - 0.5) + offset).clamp(0, 1), warped.valid)


def put_photometric(encoder: SymbolEncoder, change: Photometric, tables: TableSet) -> None:
    """Code gains and offsets with whichever table suits them."""
    values = np.concatenate([change.gains.ravel(), change.offsets.ravel()])
    row = 1 + int(np.argmin([tables.bits(values, np.full(len(values), row)) for row in range(1, len(tables))]))
    encoder.put_uniform(np.array([row]), len(tables))
    encoder.put(values, np.full(len(values), row), tables)


def get_photometric(decoder: SymbolDecoder, references: int, *, tables: TableSet) -> Photometric:
    """What `put_photometric` coded for so many references.

    Raises:
        ArchiveError: the bytes hold no such change.
    """
    row = int(decoder.get_uniform(1, len(tables))[0])
    values = decoder.get(np.full(2 * references * COLORS, row), tables)
    if row == 0 or np.abs(values).max(initial=0) > LARGEST_CHANGE:
        raise ArchiveError("a view's change of light is out of range: the archive is damaged")
    gains, offsets = values.reshape(2, references, COLORS)
    return Photometric(gains, offsets)


def fit_gain_and_offset(warped: Reference, x: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Steps of gain and offset that bring a warped reference closest to the view x [1, 3, H, W]. int64 [3] both

    Least squares over every fourth valid pixel of every fourth row, again without those that the first fit leaves far
    off.
    """
    valid, picture, x = (part[..., ::FIT_STRIDE, ::FIT_STRIDE] for part in (warped.valid, warped.picture, x))
    seen = valid[0, 0] > 0.5
    if int(seen.sum()) < TOO_FEW_PIXELS:
        return np.zeros(COLORS, np.int64), np.zeros(COLORS, np.int64)
    gains, offsets = [], []
    for before, after in zip(picture[0][:, seen].double() - 0.5, x[0][:, seen].double() - 0.5, strict=True):
        change = after - before
        slope, shift = 0.0, float(change.median())
        for _ in range(2):
            kept = (change - slope * before - shift).abs() < _OUTLIER
            centered = before[kept] - before[kept].mean()
            variance = float(centered.square().sum())
            slope = float((centered * change[kept]).sum()) / variance if variance > 1e-6 else 0.0
            shift = float((change[kept] - slope * before[kept]).mean()) if bool(kept.any()) else 0.0
        gains.append(slope * GAIN_STEPS)
        offsets.append(shift * OFFSET_STEPS)
    return tuple(
        np.clip(np.round(values), -LARGEST_CHANGE, LARGEST_CHANGE).astype(np.int64) for values in (gains, offsets)
    )


def fit_light(warped: Sequence[Reference], x: Tensor) -> Photometric | None:
    """The change of light that brings warped references nearest to the view x [1, 3, H, W]; None where that is too
    little to tell, or takes away less than `WORTH_TELLING` of their squared error."""
    fits = [fit_gain_and_offset(reference, x) for reference in warped]
    gains, offsets = (np.stack(values) for values in zip(*fits, strict=True))
    if max(np.abs(gains).max(), np.abs(offsets).max()) <= SMALLEST_CHANGE:
        return None
    light = Photometric(gains, offsets)
    before = sum(_squared_error(reference, x) for reference in warped)
    after = sum(_squared_error(light.changed(reference, idx), x) for idx, reference in enumerate(warped))
    return light if after < before * (1 - WORTH_TELLING) else None


def _squared_error(reference: Reference, x: Tensor) -> float:
    valid, picture, x = (
        part[..., ::FIT_STRIDE, ::FIT_STRIDE] for part in (reference.valid, reference.picture, x.to(reference.picture))
    )
    return float(((picture - x).square() * valid).sum(dtype=torch.float64))
