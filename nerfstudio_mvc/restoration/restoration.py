"""Pictures of AV1 as the decoder shows them: with the network's guess of what they lack, as strong as suits each.

    planes, reference --cells of 2x2 pixels--> network --> correction
    shown = decoded + strength of luma * its part of the correction + strength of colour * the rest

The encoder knows the photograph, so it tells the two strengths: that takes two bytes, and the network never makes a
picture worse.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor

from nerfstudio_mvc.kernel_threads import in_parts
from nerfstudio_mvc.prediction.luma import LUMA
from nerfstudio_mvc.prediction.reference import Reference
from nerfstudio_mvc.restoration.cell_kernels import multiply_rows, restore_rows, see_rows
from nerfstudio_mvc.restoration.network import (
    ALIGNMENT,
    CONTRAST,
    DIFFERENCE,
    LIMIT,
    RestorationNet,
    error_unit,
    level_of,
)
from nerfstudio_mvc.restoration.stages import in_stages
from nerfstudio_mvc.video.colour import PlaneFormat, colour_factors

STRENGTH_STEPS, MAX_STRENGTH = 64, 255
BAND_PIXELS = 1 << 20

_LUMA = np.array(LUMA, np.float32)
_NOTHING = (np.empty((0, 0, 3), np.float32), np.empty((0, 0), np.float32))  # of a reference's arrays
Strengths = tuple[int, int]
"""Of luma and colour, in steps of 1 / STRENGTH_STEPS."""


class Restoration:
    """The network as it is used on whole pictures; holds no state between calls."""

    def __init__(
        self, net: RestorationNet, *, device: torch.device | str = "cpu", band_pixels: int = BAND_PIXELS
    ) -> None:
        self.net = net.to(device, memory_format=torch.channels_last).eval()
        self.device, self.band_pixels = torch.device(device), band_pixels

    @staticmethod
    def strengths(planes: np.ndarray, form: PlaneFormat, correction: np.ndarray, photograph: np.ndarray) -> Strengths:
        """Those that bring decoded planes, uint16 [3, H, W], nearest to the photograph, uint8 [H, W, 3]; (0, 0): better
        none."""
        rows = np.empty((len(photograph), 5))
        in_parts(multiply_rows, len(rows), planes, colour_factors(form), correction, _LUMA, photograph, rows)
        own, both, rest, luma_error, rest_error = rows.sum(0)
        products = np.array([[own, both], [both, rest]])
        products += np.eye(2) * (1e-9 * np.trace(products) + 1e-12)  # a grey picture has no colour to correct
        fitted = np.linalg.solve(products, [luma_error, rest_error])
        luma, colour = np.clip(np.rint(fitted * STRENGTH_STEPS), 0, MAX_STRENGTH).astype(int).tolist()
        return luma, colour

    @staticmethod
    def pixels(planes: np.ndarray, form: PlaneFormat, correction: np.ndarray, strengths: Strengths) -> np.ndarray:
        """Decoded planes, uint16 [3, H, W], with their correction. uint8 [H, W, 3]"""
        found = np.empty((*planes.shape[1:], 3), np.uint8)
        shares = np.array(strengths, np.float32) / STRENGTH_STEPS
        in_parts(restore_rows, len(found), planes, colour_factors(form), correction, _LUMA, shares, found)
        return found

    @torch.no_grad()
    def correction(
        self, planes: np.ndarray, form: PlaneFormat, reference: Reference | None, *, quality: float
    ) -> np.ndarray:
        """What the network would add to decoded planes, uint16 [3, H, W]: of cells of 2 x 2 pixels, as `cell_kernels`
        has them, 0..1. float32 [h, w, 12]"""
        height, width = (-(-side // ALIGNMENT) * ALIGNMENT // 2 for side in planes.shape[1:])
        factors, unit = colour_factors(form), error_unit(quality)
        picture, valid = _NOTHING if reference is None else reference.arrays()
        scales = np.array([CONTRAST, DIFFERENCE / unit, LIMIT, level_of(torch.tensor(unit))], np.float32)

        def seen(top: int, bottom: int) -> Tensor:
            cells = np.empty((bottom - top, width, self.net.enter.in_channels), np.float32)
            in_parts(partial(see_rows, top), bottom - top, planes, factors, picture, valid, scales, cells)
            return torch.from_numpy(cells).permute(2, 0, 1)[None].to(self.device)

        found = in_stages(self.net, seen, height, width, band_cells=self.band_pixels // 4)
        return found.mul_(unit)[0].permute(1, 2, 0).cpu().numpy()
