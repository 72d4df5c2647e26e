"""Pictures of AV1 as the decoder shows them: with the network's guess of what they lack, as strong as suits each.

    shown = decoded + strength of luma * its part of the correction + strength of colour * the rest

The encoder knows the photograph, so it tells the two strengths: that takes two bytes, and the network never makes a
picture worse. Large pictures are worked on in bands of rows that see one another's, so that cuts leave no trace.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from nerfstudio_mvc.prediction.luma import LUMA
from nerfstudio_mvc.prediction.reference import Reference
from nerfstudio_mvc.restoration.network import ALIGNMENT, RestorationNet, error_unit

STRENGTH_STEPS, MAX_STRENGTH = 64, 255
BAND_PIXELS = 1 << 20


class Restoration:
    """The network as it is used on whole pictures; holds no state between calls."""

    def __init__(
        self, net: RestorationNet, *, device: torch.device | str = "cpu", band_pixels: int = BAND_PIXELS
    ) -> None:
        self.net = net.to(device, memory_format=torch.channels_last).eval()
        self.device, self.band_pixels = torch.device(device), band_pixels

    @staticmethod
    def strengths(x: Tensor, decoded: Tensor, correction: Tensor) -> tuple[int, int]:
        """Of luma and colour, in steps of 1 / STRENGTH_STEPS, that bring the picture nearest to the photograph x.

        [1, 3, H, W] all; (0, 0): better none.
        """
        error, parts = x.to(decoded) - decoded, _parts(correction)
        products = torch.stack([torch.stack([_product(one, other) for other in parts]) for one in parts])
        products.diagonal().add_(1e-9 * products.trace() + 1e-12)  # a grey picture has no colour to correct
        fitted = torch.linalg.solve(products, torch.stack([_product(part, error) for part in parts]))
        luma, colour = (fitted * STRENGTH_STEPS).round().clamp(0, MAX_STRENGTH).int().tolist()
        return luma, colour

    @staticmethod
    def restored(decoded: Tensor, correction: Tensor, strengths: tuple[int, int]) -> Tensor:
        """Decoded picture, 0..1, with its correction. [1, 3, H, W]"""
        parts = zip(_parts(correction), strengths, strict=True)
        return sum((part * (strength / STRENGTH_STEPS) for part, strength in parts), decoded).clamp(0, 1)

    @torch.no_grad()
    def correction(self, decoded: Tensor, reference: Reference | None, *, quality: float) -> Tensor:
        """What the network would add to a decoded picture; [1, 3, H, W], 0..1, both."""
        height, width = decoded.shape[-2:]
        if reference is None:
            reference = Reference(torch.zeros_like(decoded), torch.zeros_like(decoded[:, :1]))
        whole = (0, -width % ALIGNMENT, 0, -height % ALIGNMENT)
        picture, other, valid = (
            F.pad(part, whole, mode="replicate") if any(whole) else part
            for part in (one.to(self.device) for one in (decoded, reference.picture, reference.valid))
        )
        unit = torch.tensor([error_unit(quality)], device=self.device)
        found, reach = torch.empty_like(picture), self.net.config.reach
        for band in self._bands(*picture.shape[-2:]):
            top, bottom = max(0, band.start - reach), min(picture.shape[-2], band.stop + reach)
            seen = (part[..., top:bottom, :] for part in (picture, other, valid))
            found[..., band, :] = self.net(*seen, unit)[..., band.start - top : band.stop - top, :]
        return found.mul_(unit)[..., :height, :width].to(decoded.device)

    def _bands(self, height: int, width: int) -> Iterator[slice]:
        rows = max(ALIGNMENT, self.band_pixels // width // ALIGNMENT * ALIGNMENT)
        for top in range(0, height, rows):
            yield slice(top, min(height, top + rows))


def _product(one: Tensor, other: Tensor) -> Tensor:
    return (one * other).sum(dtype=torch.float64)


def _parts(correction: Tensor) -> tuple[Tensor, Tensor]:
    """What a correction does to luma, and the rest of it. [1, 3, H, W] all"""
    luma = torch.einsum("c,bchw->bhw", torch.tensor(LUMA).to(correction), correction)[:, None].expand_as(correction)
    return luma, correction - luma
