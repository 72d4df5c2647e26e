"""A picture that predicts a view, and where it shows anything: the noun of this package."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from nerfstudio_mvc.geometry.hole_filling import fill_invalid


@dataclass(frozen=True)
class Reference:
    """As the camera of the view would see it. picture [B, 3, H, W] 0..1, valid [B, 1, H, W]"""

    picture: Tensor
    valid: Tensor

    def filled(self) -> Reference:
        """With a picture that goes on smoothly where nothing is seen; of a batch of one."""
        return Reference(fill_invalid(self.picture[0], self.valid[0])[None], self.valid)
