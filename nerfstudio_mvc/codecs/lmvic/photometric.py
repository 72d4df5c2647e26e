"""Changes of light between a reference and the view: found by the encoder, coded, applied to the warped reference.

    warped reference --gain, offset per colour--> blend, fill --offsets on a coarse grid, bilinear--> reference

Which of the two stages pays is `prediction_search`'s decision; how a field becomes bytes is `field_coding`'s.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from nerfstudio_mvc.codecs.lmvic.field_coding import get_field, put_field
from nerfstudio_mvc.codecs.lmvic.image_model import Reference
from nerfstudio_mvc.entropy.range_coder import SymbolDecoder, SymbolEncoder
from nerfstudio_mvc.entropy.tables import TableSet
from nerfstudio_mvc.errors import ArchiveError

COLORS = 3
GAIN_STEPS, OFFSET_STEPS = 64, 255
"""Steps of gain per factor of 1 around 1, and of offsets per full range: 1.6 % and one grey level."""
LARGEST_CHANGE = 48
FIELD_CELL_PX = 64
MAX_FIELD_CELLS = 32  # longer side; larger photographs have larger cells
FIELD_STEPS = 85  # per full range: three grey levels
_OUTLIER = 0.1  # what differs by more after a first fit is not light
_LEAST_VALID = 0.25  # of a cell, for its mean to be believed


@dataclass(frozen=True, eq=False)
class Photometric:
    """What is added to warped references.

    Attributes:
        gains, offsets: of every reference and colour, in steps; w -> w + gain * (w - 1/2) + offset. int64 [R, 3]
        field: added to the blended reference, luma and two colour differences, in steps. int64 [3, h, w]
    """

    gains: np.ndarray
    offsets: np.ndarray
    field: np.ndarray

    def changed(self, warped: Reference, reference_idx: int) -> Reference:
        """Reference number `reference_idx` with its gain and offset."""
        gain, offset = (
            torch.from_numpy(values[reference_idx] / steps).to(warped.picture)[:, None, None]
            for values, steps in ((self.gains, GAIN_STEPS), (self.offsets, OFFSET_STEPS))
        )
        return Reference((warped.picture + gain * (warped.picture - 0.5) + offset).clamp(0, 1), warped.valid)

    def with_field(self, picture: Tensor) -> Tensor:
        """The blended and filled reference with the field added. [1, 3, H, W]"""
        if not self.field.any():
            return picture
        offsets = _to_rgb(torch.from_numpy(self.field / FIELD_STEPS).to(picture))[None]
        spread = F.interpolate(offsets, size=picture.shape[-2:], mode="bilinear", align_corners=False)
        return (picture + spread).clamp(0, 1)


def unchanged(references: int, *, height: int, width: int) -> Photometric:
    """Nothing to add to the references of a photograph of `height` x `width` pixels."""
    none = np.zeros((references, COLORS), np.int64)
    return Photometric(none, none, np.zeros((COLORS, *field_grid(height, width)), np.int64))


def field_grid(height: int, width: int) -> tuple[int, int]:
    """(rows, columns) of the field of a photograph of `height` x `width` pixels."""
    longer = min(max(1, (2 * max(height, width) + FIELD_CELL_PX) // (2 * FIELD_CELL_PX)), MAX_FIELD_CELLS)
    rows, columns = (
        max(1, (2 * side * longer + max(height, width)) // (2 * max(height, width))) for side in (height, width)
    )
    return rows, columns


def put_photometric(encoder: SymbolEncoder, change: Photometric, tables: TableSet) -> None:
    """Code gains and offsets with whichever table suits them, then the field."""
    values = np.concatenate([change.gains.ravel(), change.offsets.ravel()])
    row = 1 + int(np.argmin([tables.bits(values, np.full(len(values), row)) for row in range(1, len(tables))]))
    encoder.put_uniform(np.array([row]), len(tables))
    encoder.put(values, np.full(len(values), row), tables)
    put_field(encoder, change.field, tables)


def get_photometric(
    decoder: SymbolDecoder, references: int, *, height: int, width: int, tables: TableSet
) -> Photometric:
    """What `put_photometric` coded for so many references and a photograph of `height` x `width` pixels.

    Raises:
        ArchiveError: the bytes hold no such change.
    """
    row = int(decoder.get_uniform(1, len(tables))[0])
    values = decoder.get(np.full(2 * references * COLORS, row), tables)
    if row == 0 or np.abs(values).max(initial=0) > LARGEST_CHANGE:
        raise ArchiveError("a view's change of light is out of range: the archive is damaged")
    gains, offsets = values.reshape(2, references, COLORS)
    return Photometric(gains, offsets, get_field(decoder, COLORS, field_grid(height, width), tables))


def fit_gain_and_offset(warped: Reference, x: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Steps of gain and offset that bring a warped reference closest to the view x [1, 3, H, W]. int64 [3] both

    Least squares over valid pixels, again without those that the first fit leaves far off.
    """
    seen = warped.valid[0, 0] > 0.5
    if int(seen.sum()) < TOO_FEW_PIXELS:
        return np.zeros(COLORS, np.int64), np.zeros(COLORS, np.int64)
    gains, offsets = [], []
    for before, after in zip(warped.picture[0][:, seen].double() - 0.5, x[0][:, seen].double() - 0.5, strict=True):
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


TOO_FEW_PIXELS = 256


def fit_field(reference: Reference, x: Tensor) -> np.ndarray:
    """The field that brings a blended reference closest to the view x [1, 3, H, W], smoothly. int64 [3, h, w]"""
    grid = field_grid(*x.shape[-2:])
    difference = (x - reference.picture)[0]
    kept = (reference.valid[0] > 0.5) & (difference.abs().amax(0, keepdim=True) < _OUTLIER)
    weight = F.interpolate(kept.float()[None], size=grid, mode="area")[0]
    total = F.interpolate(torch.where(kept, difference, 0.0)[None], size=grid, mode="area")[0]
    mean = torch.where(weight > _LEAST_VALID, total / weight.clamp_min(_LEAST_VALID), 0.0)
    return np.round(_from_rgb(mean).double().cpu().numpy() * FIELD_STEPS).astype(np.int64)


def _from_rgb(values: Tensor) -> Tensor:
    """Luma, blue and red minus luma. [3, h, w]"""
    red, green, blue = values
    luma = 0.25 * red + 0.5 * green + 0.25 * blue
    return torch.stack([luma, blue - luma, red - luma])


def _to_rgb(values: Tensor) -> Tensor:
    luma, blue_difference, red_difference = values
    return torch.stack([luma + red_difference, luma - (red_difference + blue_difference) / 2, luma + blue_difference])
