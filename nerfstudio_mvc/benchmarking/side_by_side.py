"""Small pieces of photographs as different codecs show them; the page around them is `html_report`'s."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nerfstudio_mvc.benchmarking.peers import Peer
from nerfstudio_mvc.quality.psnr import psnr_db

CROP_PX = 208
CROPPED_VIEWS = 2
# A busy piece rather than the busiest, which is often foliage that looks alike everywhere.
DETAIL_PERCENTILE = 80


@dataclass(frozen=True)
class CropSpec:
    """A square of a view: its name, the upper left corner and the side in pixels (cut off at the photograph's edge)."""

    view: str
    left: int
    top: int
    side: int

    def cut(self, pixels: np.ndarray) -> np.ndarray:
        """That piece of uint8 [H, W, 3]."""
        return pixels[self.top : self.top + self.side, self.left : self.left + self.side].copy()


@dataclass(frozen=True)
class Rendition:
    """What a codec makes of a capture at one setting.

    Attributes:
        codec: its name.
        setting: in words, e.g. ``"quality 5"``.
        crops: of the views that have one, uint8 [h, w, 3].
        view_psnr_db: of every view.
        bytes: of all photographs.
    """

    codec: str
    setting: str
    crops: dict[str, np.ndarray]
    view_psnr_db: Mapping[str, float]
    bytes: int

    def keep_crops(self, view: str, pixels: np.ndarray, specs: Iterable[CropSpec]) -> None:
        """Keep what `specs` want of a decoded view."""
        for spec in specs:
            if spec.view == view:
                self.crops[view] = spec.cut(pixels)


@dataclass(frozen=True)
class ViewCrops:
    """The crops of one capture: where they are, the originals in the same order, and what the codecs made of them."""

    specs: tuple[CropSpec, ...]
    originals: tuple[np.ndarray, ...]
    renditions: tuple[Rendition, ...]


def choose_crops(names: Sequence[str], load: Callable[[str], np.ndarray]) -> tuple[CropSpec, ...]:
    """A busy square in each of `CROPPED_VIEWS` views spread over the coding order.

    Args:
        names: of all views, in coding order.
        load: the photograph of a name, uint8 [H, W, 3].
    """
    count = min(CROPPED_VIEWS, len(names))
    # Neither the first view nor the last: the first is coded alone.
    positions = [(2 * index + 1) * len(names) // (2 * count) for index in range(count)]
    return tuple(_busy_square(names[position], load(names[position])) for position in positions)


def coded_by(
    peer: Peer, photographs: Iterable[np.ndarray], names: Sequence[str], setting: int, specs: Sequence[CropSpec]
) -> Rendition:
    """A peer's rendition at a setting; `names` are those of `photographs` (iterated twice), in their order."""
    files = peer.encode(iter(photographs), setting)
    psnrs: dict[str, float] = {}
    rendition = Rendition(peer.name, f"setting {setting}", {}, psnrs, sum(map(len, files)))
    for name, original, decoded in zip(names, photographs, peer.decode(files), strict=True):
        psnrs[name] = psnr_db(original, decoded)
        rendition.keep_crops(name, decoded, specs)
    return rendition


def _busy_square(name: str, pixels: np.ndarray) -> CropSpec:
    grey = pixels.astype(np.float32).mean(2)
    steps = np.abs(np.diff(grey, axis=1))[:-1] + np.abs(np.diff(grey, axis=0))[:, :-1]
    corners = [
        (top, left)
        for top in range(0, max(1, grey.shape[0] - CROP_PX), CROP_PX // 2)
        for left in range(0, max(1, grey.shape[1] - CROP_PX), CROP_PX // 2)
    ]
    detail = np.array([steps[top : top + CROP_PX, left : left + CROP_PX].mean() for top, left in corners])
    wanted = np.argmin(np.abs(detail - np.percentile(detail, DETAIL_PERCENTILE)))
    top, left = corners[int(wanted)]
    return CropSpec(name, left, top, CROP_PX)
