"""A small correction of where references are sampled, for what geometry cannot know; coded, so both sides use it.

    depth, cameras --> landing in the reference + bilinear(offsets on a coarse grid) --> warped picture

Offsets are quarter pixels of the reference photograph, apart for every reference, mostly 0. `flow_search` finds them,
`field_coding` makes bytes of them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from nerfstudio_mvc.capture.views import View
from nerfstudio_mvc.geometry.flow import FlowField

CELL_PX = 16
MAX_CELLS = 128  # longer side of the grid; larger photographs have larger cells
STEPS_PER_PX = 4


def flow_grid(height: int, width: int) -> tuple[int, int]:
    """(rows, columns) of the offsets of a photograph of `height` x `width` pixels."""
    larger = max(height, width)
    longer = min(max(1, (2 * larger + CELL_PX) // (2 * CELL_PX)), MAX_CELLS)
    rows, columns = (max(1, (2 * side * longer + larger) // (2 * larger)) for side in (height, width))
    return rows, columns


def corrected(field: FlowField, offsets: np.ndarray, *, current: View) -> FlowField:
    """`field` over `current`, on any grid, with coded offsets added. int64 [2, h, w]"""
    return moved(field, torch.from_numpy(offsets).float() / STEPS_PER_PX, current=current)


def moved(field: FlowField, offsets_px: Tensor, *, current: View) -> FlowField:
    """`field` with offsets (across, down) added; pixels that leave the reference see its border. [2, h, w]"""
    rows, columns = field.valid.shape
    scale = torch.tensor([columns / current.width, rows / current.height]).to(offsets_px)[:, None, None]
    spread = F.interpolate((offsets_px * scale)[None], size=(rows, columns), mode="bilinear", align_corners=False)[0]
    return replace(field, flow=field.flow + spread.to(field.flow))
