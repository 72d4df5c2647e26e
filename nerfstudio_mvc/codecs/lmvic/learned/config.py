"""Widths and ranges of an LMVIC model; travels inside the weights file."""

from __future__ import annotations

from dataclasses import dataclass

from nerfstudio_mvc.entropy.quality_points import QUALITIES


@dataclass(frozen=True)
class LmvicConfig:
    """Sizes of the `small` preset.

    Attributes:
        luma, chroma: latent channels of the grey axis and of each of the two colour axes; M = luma + 2 * chroma.
        hyper: channels of the hyper-latent (N).
        width_quarter, width_eighth: channels of the transforms' corrections at 1/4 and 1/8 of the picture.
        mean_width: channels of the mean network; scale_width, scale_hidden: of the integer scale network.
        rd_lambdas: weight of the MSE (0..255 scale) in rd_lambda * D + R at quality 1, 2, .. 8.
    """

    luma: int = 256
    chroma: int = 64
    hyper: int = 64
    width_quarter: int = 64
    width_eighth: int = 128
    mean_width: int = 192
    mean_hidden: int = 256
    scale_width: int = 96
    scale_hidden: int = 160
    rd_lambdas: tuple[float, ...] = tuple(0.002 * 2.0**index for index in range(QUALITIES))

    @property
    def channels(self) -> int:
        """Latent channels M."""
        return self.luma + 2 * self.chroma
