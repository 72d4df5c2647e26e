"""A picture that predicts a view, and where it shows anything: the noun of this package."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from nerfstudio_mvc.geometry.hole_filling import fill_invalid
from nerfstudio_mvc.layers.pixel_major import pixels_of


@dataclass(frozen=True)
class Reference:
    """As the camera of the view would see it. picture [B, 3, H, W] 0..1, valid [B, 1, H, W]"""

    picture: Tensor
    valid: Tensor

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Of a batch of one, on the CPU: picture [H, W, 3], valid [H, W]."""
        return pixels_of(self.picture).cpu().numpy(), self.valid[0, 0].contiguous().cpu().numpy()

    def filled(self) -> Reference:
        """With a picture that goes on smoothly where nothing is seen; of a batch of one."""
        return Reference(fill_invalid(self.picture[0], self.valid[0])[None], self.valid)
